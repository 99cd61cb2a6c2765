"""For tests: a device and driver in one object, an SA pair, and an assertion that explains itself.

    def test_esp(virtionet, sa_pair):
        (wire,) = virtionet.send(frame, sa=sa_pair.outbound)
        got = virtionet.receive(wire)
        virtionet.assert_flags(got, "SECURITY", resource_id=sa_pair.inbound)

The fixtures are in :mod:`.pytest_plugin`; everything here works without pytest.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any, SupportsBytes, TypeVar

from .conformance.watching.monitor import OBLIGATIONS, Monitor, Violation
from .device import Device
from .device.exchanges import Listener
from .device.packet_events import Dropped
from .driver.in_process import InProcess, profile_named
from .driver.packet import RxPacket
from .ipsec import Direction, Event, Mode, Protocol, Reason, SaParams, Tunnel, UdpEncap
from .ipsec.algorithms import AEADS, AUTHS, CIPHERS
from .replay.story import Story
from .safile.toml_reader import MODES
from .trace import Session
from .wire.enums import Feature, HdrFlag, ResourceType
from .wire.profile import Profile

DEFAULT_SA: dict[str, Any] = {
    "protocol": Protocol.ESP,
    "mode": Mode.TUNNEL,
    "spi": 0x1000,
    "aead": "aes-gcm",
    "tunnel": Tunnel(bytes((192, 0, 2, 1)), bytes((192, 0, 2, 2))),
}
"""The SA of :meth:`Pair.add_sa_pair` where it is not told otherwise: AES-GCM, ESP tunnel mode over IPv4."""

DEFAULT_AUTH = "hmac-sha256"
"""The algorithm of an AH SA that names none."""

STEERED_PORT = 4500
"""The UDP destination port that a :class:`Pair` takes to be ESP (RFC 3948) from the start."""

_Choice = TypeVar("_Choice")
_PROTOCOLS = {protocol.name.lower(): protocol for protocol in Protocol}
_MODES: dict[str, tuple[Protocol | None, Mode]] = {**MODES, **{mode.value: (None, mode) for mode in Mode}}
_UDP_PORTS = tuple(row.name for row in fields(UdpEncap))
_SA_PARAMETERS = tuple(row.name for row in fields(SaParams) if row.name != "direction")


class ObservedPacket(RxPacket):
    """A received packet that knows its way through the device, in sentences."""

    __slots__ = ("story",)

    def __init__(self, packet: RxPacket, story: Sequence[str]) -> None:
        super().__init__(packet.layout, packet.queue, packet.buffers)
        self.story = tuple(story)


@dataclass(frozen=True)
class SaPair:
    """An outbound and an inbound SA with one key: what one sends the other receives."""

    outbound: int
    inbound: int
    outbound_params: SaParams
    inbound_params: SaParams


class Pair(InProcess):
    """A negotiated device and its driver, watched; with VIRTIO_NET_F_IPSEC, IPsec rules are set.

    ``features`` is the mask of what the driver accepts, None all that it
    understands; ``device`` are the parameters of :class:`virtionet_ipsec.device.Device`.
    Frames may be octets or anything that ``bytes()`` takes, such as scapy
    packets.
    """

    def __init__(
        self,
        profile: Profile | str = Profile.VIRTIO_1_4,
        features: int | None = None,
        *,
        watch: Callable[[Device], Listener] | None = None,
        **device: Any,
    ) -> None:
        super().__init__(profile, features, watch=watch, **device)
        self.start()
        if self.negotiated >> Feature.IPSEC & 1:
            self.steer_ipsec((STEERED_PORT,))
        self.story: tuple[str, ...] = ()
        self.dropped: Dropped | None = None

    def add_sa_pair(self, *, replay_window: int = 64, **parameters: Any) -> SaPair:
        """Make an SA each way; ``parameters`` are fields of :class:`SaParams` and replace those of :data:`DEFAULT_SA`.

        As in the SA files, ``mode`` may be a string such as ``"esp-transport"``,
        which says the protocol too, and ``udp`` a dict; it may be a tuple
        (sport, dport) as well.  Naming ``cipher`` or ``auth`` leaves out the
        default's AEAD.  Keys and salt that are not given have the length that the
        algorithms take, and always the same octets.  A UDP destination port that
        is not steered yet gets flow filter rules.

        Raises ValueError for a name that is not known, with those that are, and
        for parameters that contradict each other; what the device or the SA
        object does not take raises :class:`~virtionet_ipsec.driver.DriverError`.
        """
        filled = _filled(parameters)
        outbound = SaParams(direction=Direction.OUTBOUND, **filled)
        inbound = SaParams(direction=Direction.INBOUND, replay_window=replay_window, **filled)
        pair = SaPair(self.create_sa(outbound), self.create_sa(inbound), outbound, inbound)
        if inbound.udp is not None and inbound.udp.dport not in self.udp_ports:
            self.steer_udp(inbound.udp.dport)
        return pair

    def send(
        self,
        frame: bytes | SupportsBytes,
        sa: int | None = None,
        csum: tuple[int, int] | None = None,
        gso: int | None = None,
        queue: int = 0,
    ) -> tuple[bytes, ...]:
        """As :meth:`Driver.send`; the story is then in ``story``."""
        __tracebackhide__ = True
        if sa is not None and not isinstance(sa, int):
            raise TypeError("sa is a resource_id, such as sa_pair.outbound")
        with self._watched():
            return super().send(bytes(frame), sa, csum, gso, queue)

    def receive(self, frame: bytes | SupportsBytes) -> ObservedPacket | None:
        """As :meth:`Driver.receive`; the story is then in ``story`` and in the packet."""
        with self._watched():
            got = super().receive(bytes(frame))
        return None if got is None else ObservedPacket(got, self.story)

    def assert_flags(self, packet: RxPacket | None, *flags: str | HdrFlag, **resource: int) -> None:
        """As :func:`assert_flags`; tells the last packet's story even when nothing was delivered."""
        __tracebackhide__ = True
        assert_flags(packet, *flags, story=self.story, **resource)

    def assert_dropped(self, reason: Reason | str) -> None:
        """Assert that the last packet, sent or received, was dropped for ``reason``, such as ``"too_big"``.

        A packet that fails IPsec processing is not dropped: it is delivered with
        SECURITY_ERR.  Raises ValueError for a reason that there is not.
        """
        __tracebackhide__ = True
        wanted = (
            reason if isinstance(reason, Reason) else _choice("reason", reason, {each.value: each for each in Reason})
        )
        got = self.dropped.reason.value if self.dropped is not None else "not dropped"
        if got != wanted.value:
            raise AssertionError(_message("the last packet dropped", wanted.value, got, self.story))

    @contextmanager
    def _watched(self) -> Iterator[None]:
        watch, before = _Watch(self), self.device.observer
        self.device.observer = watch
        try:
            yield
        finally:
            self.device.observer = before
            self.story, self.dropped = tuple(watch.lines), watch.dropped


class DriverWarning(UserWarning):
    """A driver does what a SHOULD advises against: there may be a reason."""


class DriverMonitor:
    """Holds every driver that it watches against the specification's statements on drivers.

    ``device`` is a device to drive, watched from its first status write; it is
    made when it is first asked for, with ``parameters`` of
    :class:`virtionet_ipsec.device.Device`.  :meth:`watch` is for another.
    ``strict`` counts a violated SHOULD as a violated MUST.
    """

    def __init__(self, profile: Profile | str = Profile.VIRTIO_1_4, *, strict: bool = False, **parameters: Any) -> None:
        self._strict = strict
        self._profile = profile_named(profile)
        self._parameters = parameters
        self._device: Device | None = None
        self.monitors: list[Monitor] = []
        self._told: list[Violation] = []
        self._checked = False

    @property
    def device(self) -> Device:
        if self._device is None:
            self._device = Device(self._profile, **self._parameters)
            self._device.on_exchange = self.watch(self._device)
        return self._device

    def watch(self, device: Device) -> Listener:
        """Who is to be told of every exchange of ``device``: for its ``on_exchange``."""
        monitor = Monitor(Session(device.profile, device.features, device.config))
        self.monitors.append(monitor)
        return monitor.observe

    @property
    def violations(self) -> list[Violation]:
        """What the drivers violated so far, in the order in which it happened."""
        return [each for monitor in self.monitors for each in monitor.violations]

    def untold(self) -> list[Violation]:
        """The violations since this or :meth:`check` was called last."""
        self._checked = True
        new = [each for each in self.violations if each not in self._told]
        self._told += new
        return new

    def check(self) -> None:
        """Raise AssertionError with the violations since the last call, by id, or when nothing was watched.

        A violated SHOULD is a warning, unless ``strict``.
        """
        __tracebackhide__ = True
        if not self._checked and not any(monitor.exchanges for monitor in self.monitors):
            self._checked = True
            raise AssertionError("the driver monitor saw nothing: drive driver_monitor.device, or use virtionet")
        new = self.untold()
        count = [each for each in new if self._strict or set(each.levels) & set(OBLIGATIONS)]
        for each in new:
            if each not in count:
                warnings.warn(f"{'/'.join(each.levels)}: {each}", DriverWarning, stacklevel=2)
        if count:
            lines = [line for each in count for line in (f"  {each}", *(f"      {row}" for row in each.exchange))]
            ids = sorted({entry for each in count for entry in each.entries})
            raise AssertionError(f"the driver violates {', '.join(ids)}:\n" + "\n".join(lines))


class _Watch(Story):
    """A story that remembers how it ended."""

    dropped: Dropped | None = None

    def __call__(self, event: Event) -> None:
        super().__call__(event)
        if isinstance(event, Dropped):
            self.dropped = event


def _filled(parameters: dict[str, Any]) -> dict[str, Any]:
    """The fields of SaParams but for the direction: ``parameters``, and defaults that go with them."""
    for name in parameters:
        _choice("SA parameter", name, dict.fromkeys(_SA_PARAMETERS))
    given = {**parameters, **_protocol_and_mode(parameters)}
    if "udp" in given:
        given["udp"] = _udp(given["udp"])
    filled = DEFAULT_SA | given
    if "aead" not in given and (given.keys() & {"cipher", "auth"} or filled["protocol"] is Protocol.AH):
        del filled["aead"]
    if filled["protocol"] is Protocol.AH and not given.keys() & {"aead", "cipher", "auth"}:
        filled["auth"] = DEFAULT_AUTH
    if filled["mode"] is Mode.TRANSPORT and "tunnel" not in given:
        del filled["tunnel"]
    return _keys(filled) | filled


def _protocol_and_mode(parameters: dict[str, Any]) -> dict[str, Any]:
    """``protocol`` and ``mode`` as enum members, as far as ``parameters`` say them."""
    said: dict[str, Any] = {}
    if "protocol" in parameters:
        protocol = parameters["protocol"]
        said["protocol"] = protocol if isinstance(protocol, Protocol) else _choice("protocol", protocol, _PROTOCOLS)
    if "mode" in parameters:
        name = parameters["mode"]
        protocol, mode = (None, name) if isinstance(name, Mode) else _choice("mode", name, _MODES)
        if protocol is not None and said.setdefault("protocol", protocol) is not protocol:
            raise ValueError(f"mode {name!r} is not one of protocol {said['protocol'].name}")
        said["mode"] = mode
    return said


def _udp(ports: Any) -> UdpEncap | None:
    if ports is None or isinstance(ports, UdpEncap):
        return ports
    if isinstance(ports, Mapping):
        for name in ports:
            _choice("udp key", name, dict.fromkeys(_UDP_PORTS))
        ports = tuple(ports[name] for name in _UDP_PORTS if name in ports)
    if not isinstance(ports, Collection) or len(ports) != len(_UDP_PORTS):
        raise ValueError('udp takes two ports: (4500, 4500), or {"sport": 4500, "dport": 4500}')
    return UdpEncap(*ports)


def _keys(filled: dict[str, Any]) -> dict[str, bytes]:
    """Keys and salt for the algorithms; nothing for one that there is not, which SaParams says."""
    auth = AUTHS.get(filled.get("auth") or "")
    encryption = AEADS.get(filled.get("aead") or "") or CIPHERS.get(filled.get("cipher") or "")
    nonce = auth if auth is not None and auth.name == "aes-gmac" else encryption
    return {
        "cipher_key": bytes(range(encryption.key_lengths[0])) if encryption is not None else b"",
        "auth_key": bytes(range(64, 64 + auth.key_lengths[0])) if auth is not None else b"",
        "salt": b"salt"[: nonce.salt_length] if nonce is not None else b"",
    }


def _choice(what: str, name: object, choices: Mapping[str, _Choice]) -> _Choice:
    if not isinstance(name, str) or name not in choices:
        raise ValueError(f"{what} {name!r} is not one of: {', '.join(choices)}")
    return choices[name]


def assert_flags(
    packet: RxPacket | None,
    *flags: str | HdrFlag,
    resource_id: int | None = None,
    resource_type: int | None = None,
    story: Iterable[str] = (),
) -> None:
    """Assert that the packet's virtio_net_hdr has exactly these ``flags``, by name, and this resource.

    ``flags`` are names such as ``"SECURITY"``, or members of
    :class:`~virtionet_ipsec.wire.enums.HdrFlag`; ``"none"`` alone says what
    giving no flag says.  The message of a failure has
    what was expected and got, by name, and the packet's story.  Raises
    ValueError for a flag that the packet's profile does not have.
    """
    __tracebackhide__ = True
    lines = tuple(getattr(packet, "story", story))
    wanted = {
        name for flag in flags for name in ([flag] if isinstance(flag, str) else [member.name or "" for member in flag])
    }
    if wanted == {"none"}:
        wanted = set()
    if packet is None:
        raise AssertionError(_message("virtio_net_hdr flags", _joined(wanted), "nothing was delivered", lines))
    known = {str(member.name): int(member) for member in packet.layout.flags}
    for name in sorted(wanted - known.keys()):
        raise ValueError(f"{packet.layout.profile.value} has no flag {name}; it has {', '.join(known)}")
    got = set(packet.flag_names)
    if got != wanted:
        raise AssertionError(_message("virtio_net_hdr flags", _joined(wanted), _joined(got), lines))
    if resource_id is not None and packet.resource_id != resource_id:
        raise AssertionError(_message("virtio_net_hdr resource_id", str(resource_id), str(packet.resource_id), lines))
    if resource_type is not None and packet.resource_type != resource_type:
        raise AssertionError(
            _message("virtio_net_hdr resource_type", _type(resource_type), _type(packet.resource_type), lines)
        )


def _joined(names: Iterable[str]) -> str:
    return "|".join(sorted(names)) or "none"


def _type(number: int) -> str:
    known = {int(kind): kind.name for kind in ResourceType}
    return known.get(number, hex(number))


def _message(what: str, expected: str, got: str, story: Sequence[str]) -> str:
    told = f"\nthe packet's story:\n{numbered(story)}" if story else ""
    return f"{what}\n  expected: {expected}\n  got:      {got}{told}"


def numbered(story: Sequence[str]) -> str:
    """A story's sentences, a numbered line each."""
    return "\n".join(f"{number:4}. {line}" for number, line in enumerate(story, 1))
