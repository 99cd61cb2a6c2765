"""SA objects for checks: every kind that the capability allows, and ones that differ from a right one in a field."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...driver.sa_object import sa_object
from ...ipsec import Direction, Lifetime, Mode, Protocol, SaParams, UdpEncap
from ...ipsec.sa import MAX_REPLAY_WINDOW
from ...wire.capabilities import IpsecResourceCap, ipsec_sa_cap
from ...wire.codec import build, parse
from ...wire.enums import CapId, Feature, IpsecMode, IpsecOption
from ...wire.profile import Profile
from ...wire.sa import ipsec_sa
from ..verdict import NotApplicable
from .associations import INBOUND, OUTBOUND, SA_TYPE, algorithms, sa
from .rig import Answer, Rig

MODES: dict[IpsecMode, tuple[Protocol, Mode]] = {
    IpsecMode.ESP_TUNNEL: (Protocol.ESP, Mode.TUNNEL),
    IpsecMode.ESP_TRANSPORT: (Protocol.ESP, Mode.TRANSPORT),
    IpsecMode.AH_TUNNEL: (Protocol.AH, Mode.TUNNEL),
    IpsecMode.AH_TRANSPORT: (Protocol.AH, Mode.TRANSPORT),
}

# Each option with the parameters that turn it on.
_OPTIONS: dict[IpsecOption, dict[str, Any]] = {
    IpsecOption.ESN: {"esn": True},
    IpsecOption.UDP_ENCAP: {"udp": UdpEncap(4500, 4500)},
    IpsecOption.COPY_DSCP: {"copy_dscp": True},
    IpsecOption.DEC_TTL: {"dec_ttl": True},
    IpsecOption.COPY_DF: {"copy_df": True},
    IpsecOption.ECN: {"ecn": True},
    IpsecOption.SA_LIFETIME: {"lifetime": Lifetime(1 << 20, 1 << 30, 1 << 21, 1 << 31)},
}


def mode_caps(rig: Rig) -> list[Any]:
    """The entries of the device's VIRTIO_NET_IPSEC_SA_CAP whose mode has a name."""
    data = rig.ok(rig.cap_get(CapId.IPSEC_SA_CAP), "DEVICE_CAP_GET of IPSEC_SA_CAP")
    return [cap for cap in parse(ipsec_sa_cap(rig.profile), data).cap_mode if cap.mode in list(IpsecMode)]


def limits(rig: Rig) -> dict[Direction, int]:
    """The device's inb_sa_limit and outb_sa_limit."""
    data = rig.ok(rig.cap_get(CapId.IPSEC_RESOURCE_CAP), "DEVICE_CAP_GET of IPSEC_RESOURCE_CAP")
    rig.expect(len(data) >= IpsecResourceCap.sizeof(), "octets of IPSEC_RESOURCE_CAP", "8", str(len(data)))
    cap = parse(IpsecResourceCap, data)
    return {OUTBOUND: cap.outb_sa_limit, INBOUND: cap.inb_sa_limit}


def start(rig: Rig, room: int = 1) -> None:
    """Bring the device up, with every capability set; it needs ``room`` for SAs of either type."""
    rig.needs(Feature.IPSEC)
    rig.start()
    most = min(limits(rig).values())
    if most < room:
        raise NotApplicable(f"the device's limits leave room for {most} SAs")


def some_ids(rig: Rig, direction: Direction) -> list[int]:
    """As many of four ids as there is room for, the lowest last."""
    return [number for number in (5, 1, 3, 0) if number < limits(rig)[direction]]


def resource_cap(inbound: int, outbound: int) -> bytes:
    """VIRTIO_NET_IPSEC_RESOURCE_CAP with these limits."""
    return build(IpsecResourceCap, inb_sa_limit=inbound, outb_sa_limit=outbound)


def any_sa(rig: Rig, direction: Direction, only: Protocol | None = None, **parameters: Any) -> SaParams:
    """An SA in the first mode that the device can do these parameters in, of the protocol ``only`` if it is given."""
    reason = None
    for protocol, mode in MODES.values():
        if only in (None, protocol) and parameters.get("mode", mode) is mode:
            try:
                return sa(rig, direction, **({"protocol": protocol, "mode": mode} | parameters))
            except NotApplicable as missing:
                reason = reason or missing
    raise reason or NotApplicable("the device has no such mode")


def sa_octets(rig: Rig, params: SaParams, resource_id: int = 1, **fields: Any) -> bytes:
    """The SA object of ``params``, but with these fields of the structure."""
    data = sa_object(params, resource_id, rig.profile)
    return build(ipsec_sa(rig.profile), **(dict(parse(ipsec_sa(rig.profile), data)) | fields)) if fields else data


def try_create(rig: Rig, params: SaParams, resource_id: int) -> Answer:
    """CREATE of the SA under this id."""
    return rig.create(SA_TYPE[params.direction], resource_id, sa_octets(rig, params, resource_id))


def every_sa(rig: Rig, direction: Direction) -> Iterator[SaParams]:
    """An SA for each mode, and in it for each algorithm and each option, that VIRTIO_NET_IPSEC_SA_CAP has."""
    for cap in mode_caps(rig):
        protocol, mode = MODES[cap.mode]
        choices: list[dict[str, Any]] = [*algorithms(rig, protocol, mode)]
        some = choices[:1]
        choices += [choice | _OPTIONS[option] for option in _options(rig, cap) for choice in some]
        if direction is INBOUND:
            choices += [choice | {"replay_window": min(cap.max_replay_win_sz, MAX_REPLAY_WINDOW)} for choice in some]
        for choice in choices:
            yield sa(rig, direction, protocol=protocol, mode=mode, **choice)


def _options(rig: Rig, cap: Any) -> Iterator[IpsecOption]:
    """The options of a mode that an SA object of the profile can have."""
    added = IpsecOption.ECN | IpsecOption.SA_LIFETIME if rig.profile is Profile.RFC_V1 else 0
    yield from (option for option in _OPTIONS if cap.options & option & ~added)
