"""Transparent IPsec: a guest that knows nothing of it sends and receives plain packets.

    guest -> outbound policies -> the host's own device, which protects -> wire
    wire -> the host's own device, which decrypts -> inbound policies -> guest

The device is the model's, with SAs and flow filter rules like any other's
driver would make; its owner can change them with administration commands.
Without inbound SAs, policies and foreign rules packets pass as they are.  What
the device hands to a driver with SECURITY_ERR does not reach the guest (D142),
and what a policy protects does not leave when its SA is gone (D140).
"""

from __future__ import annotations

import os
import struct
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ..device import ModelExtras
from ..device.ethernet import ip_offset
from ..driver.in_process import InProcess
from ..input_error import InputError
from ..ipsec import Direction, Observer, Reason, Refused
from ..policy import create, udp_ports
from ..safile import SaEntry, Select
from ..wire.enums import SA_TYPES, Feature, Opcode, ResourceType
from ..wire.profile import Profile
from .events import PolicyDropped, PolicyReason
from .flow_key import FlowKey, flow_key
from .mtu import inner_mtu
from .policies import Policies, Policy
from .steering import Steering
from .too_big import too_big

_FEATURES = sum(1 << bit for bit in (Feature.VERSION_1, Feature.ADMIN_VQ, Feature.MTU, Feature.IPSEC))
_FLOWS = 1 << 16
"""Flows about which a decision is remembered, of each kind."""

_NOT_PROTECTED = "a policy protects this flow, and the packet is not"
_CLEAR, _DEVICE, _REFUSED = range(3)  # what is done with packets that arrive
_RESOURCE_ID = struct.Struct("<I").unpack_from
_COMMAND = struct.Struct("<H22xHxxI").unpack_from  # opcode, resource type, resource id
_DIRECTIONS = {ResourceType.IPSEC_OUTB_SA: Direction.OUTBOUND, ResourceType.IPSEC_INB_SA: Direction.INBOUND}
_KINDS = {direction: kind for kind, direction in _DIRECTIONS.items()}
_WAITING_EXTRAS = 4096


@dataclass(slots=True)
class Tally:
    """Packets by fate, ``*_dropped`` by reason; ``out`` is what the guest sent, ``in`` what came for it."""

    out_clear: int = 0
    out_protected: int = 0
    out_dropped: Counter[str] = field(default_factory=Counter)
    in_clear: int = 0
    in_decrypted: int = 0
    in_dropped: Counter[str] = field(default_factory=Counter)


class Transparent:
    """Protects what a guest sends and decrypts what comes for it.

    ``entries`` are the SAs of a file: each outbound one is a policy too, in
    their order, each inbound one with a ``select`` likewise.  ``mtu`` is that of
    the wire, in octets of IP packet.  With ``accept_cleartext`` packets that a
    policy protects may arrive in the clear as well.  ``to_guest`` is given frames
    for the guest that nobody sent: ICMP errors.  While ``idle`` is true, all that
    goes through :meth:`outbound` and :meth:`inbound` comes out as it is.
    Raises :class:`InputError` for SAs that the device does not take.
    """

    def __init__(
        self,
        entries: Iterable[SaEntry] = (),
        *,
        profile: Profile = Profile.VIRTIO_1_4,
        mtu: int = 1500,
        accept_cleartext: bool = False,
        randbytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.mtu = mtu
        self.accept_cleartext = accept_cleartext
        self.tally = Tally()
        self.to_guest: Callable[[bytes], object] = lambda frame: None
        self.driver = InProcess(profile, _FEATURES, mtu=mtu, randbytes=randbytes)
        self.driver.start()
        self.device = self.driver.device
        self.policies = Policies(self._paired)
        self.last_refusal = ""
        self._observer: Observer | None = None
        self._ends: dict[tuple[Direction, int], tuple[object, object]] = {}
        self._headers: dict[int, bytes] = {}
        self._out: dict[FlowKey, bytes] = {}  # the header to send with; none at all in the clear
        self._in: dict[FlowKey, int] = {}
        self._through: set[tuple[int, FlowKey]] = set()
        layout = self.driver.layout
        self._size, self._resource_at = layout.size, layout.resource_offset or 0
        self._security, self._err = layout.security, layout.security_err
        entries = list(entries)
        for entry in entries:
            create(self.driver, entry)
            self._adopt(entry)
        self._steering = Steering(self.driver, udp_ports(entries))
        self._changed()

    def _adopt(self, entry: SaEntry) -> None:
        direction = entry.params.direction
        if entry.ends is not None:
            self._ends[direction, entry.id] = entry.ends
        if direction is Direction.OUTBOUND or entry.select is not None:
            self.policies.add(direction, entry.id, entry.select or Select())

    def _paired(self, outbound: int, inbound: int) -> bool:
        """Whether two SAs can be the two directions of one tunnel: their ends, where both are known, agree."""
        there = self._ends.get((Direction.OUTBOUND, outbound))
        back = self._ends.get((Direction.INBOUND, inbound))
        return there is None or back is None or there == back[::-1]

    # -- the owner's changes -------------------------------------------------------------------------------------

    def admin(self, readable: bytes, writable_len: int = 65536) -> bytes:
        """A group administration command of the device's owner (virtio 1.4, 2.12.1); it takes effect at once.

        An inbound SA's UDP port is steered into IPsec besides.  ``last_refusal`` says in words what went wrong.
        """
        written = self.device.admin(readable, writable_len)
        self.last_refusal = self.device.last_refusal
        opcode, kind, resource_id = _COMMAND(readable.ljust(32, b"\0"))
        if kind in SA_TYPES and opcode in (Opcode.RESOURCE_OBJ_CREATE, Opcode.RESOURCE_OBJ_DESTROY):
            self._ends.pop((_DIRECTIONS[kind], resource_id), None)  # the SA of this id is none of a file's any more
            if opcode == Opcode.RESOURCE_OBJ_DESTROY:
                self.device.model_extras.pop((ResourceType(kind), resource_id), None)
        if kind == ResourceType.IPSEC_INB_SA and opcode == Opcode.RESOURCE_OBJ_CREATE:
            self._steer(resource_id)
        self._changed()
        return written

    def _steer(self, resource_id: int) -> None:
        sa = self.device.inbound.get(resource_id)
        if sa is not None and sa.params.udp is not None:
            try:
                self._steering.steer({sa.params.udp.dport})
            except InputError as error:
                self.last_refusal = f"the SA is there, and gets no packets: {error.what}"

    def set_extras(self, direction: Direction, resource_id: int, extras: ModelExtras) -> bool:
        """What no SA object carries, for an SA that is created next; False when too many of these wait."""
        device = self.device
        waiting = len(device.model_extras) - len(device.outbound) - len(device.inbound)
        if waiting < _WAITING_EXTRAS:
            device.model_extras[_KINDS[direction], resource_id] = extras
        return waiting < _WAITING_EXTRAS

    @property
    def own_rules(self) -> set[int]:
        """The ids of the flow filter rules that are the host's and not its owner's."""
        return self._steering.rules

    def add_policy(self, direction: Direction, sa: int, select: Select, *, first: bool = False) -> Policy:
        """A new policy, behind the others or before them."""
        policy = self.policies.add(direction, sa, select, first=first)
        self._changed()
        return policy

    def remove_policy(self, policy_id: int) -> bool:
        """Whether there was such a policy."""
        removed = self.policies.remove(policy_id)
        self._changed()
        return removed

    def _changed(self) -> None:
        """Forget what was decided."""
        device = self.device
        self._rules_are_own = device.flow_table.rules.keys() == self._steering.rules
        self.idle = self._rules_are_own and not (self.policies or device.inbound)
        self._headers.clear()
        self._forget()

    def _forget(self) -> None:
        self._out.clear()
        self._in.clear()
        self._through.clear()

    @property
    def inner_mtu(self) -> int:
        """The largest packet of the guest, in octets, that fits the wire with each of the SAs there are now."""
        return inner_mtu(self.mtu, (sa.params for sa in self.device.outbound.values()))

    # -- packets -------------------------------------------------------------------------------------------------

    def outbound(self, frame: bytes) -> tuple[bytes, ...]:
        """The frames that leave when the guest sends ``frame``; none when it is dropped, and counted."""
        if self.idle:
            return (frame,)
        key = flow_key(frame)
        header = self._out.get(key) if key is not None else None
        if header is None:
            try:
                header = self._choose(frame, key)
            except Refused as refused:
                return self._drop_outbound(frame, refused.reason, refused.detail)
        if not header:
            self.tally.out_clear += 1
            return (frame,)
        sent = self.device.transmit(header + frame)
        if sent:
            self.tally.out_protected += 1
            return sent
        return self._not_protected(frame, header)

    def _choose(self, frame: bytes, key: FlowKey | None) -> bytes:
        """The header to send with; empty for the clear."""
        offset = ip_offset(frame)
        sa = self.policies.outbound(frame[offset:]) if offset else None
        header = b"" if sa is None else self._header(sa)
        if key is not None:
            if len(self._out) >= _FLOWS:
                self._out.clear()
            self._out[key] = header
        return header

    def _header(self, sa: int) -> bytes:
        header = self._headers.get(sa)
        if header is None:
            header = self._headers[sa] = self.driver.header(sa)
        return header

    def _not_protected(self, frame: bytes, header: bytes) -> tuple[bytes, ...]:
        """The device has dropped the packet: count why, and tell the guest if it can do something about it."""
        refused = self.device.transmit_refused
        reason = refused.reason if refused is not None else Reason.NOT_READY
        self.tally.out_dropped[reason.value] += 1
        if reason is Reason.TOO_BIG:
            (resource_id,) = _RESOURCE_ID(header, self._resource_at)
            answer = too_big(frame, inner_mtu(self.mtu, (self.device.outbound[resource_id].params,)))
            if answer is not None:
                self.to_guest(answer)
        return ()

    def _drop_outbound(self, frame: bytes, reason: Reason, detail: str) -> tuple[bytes, ...]:
        self.tally.out_dropped[reason.value] += 1
        if self._observer is not None:
            self._observer(PolicyDropped("outbound", reason.value, detail))
        return ()

    def inbound(self, frame: bytes) -> bytes | None:
        """What the guest gets of ``frame`` from the wire; None when it is dropped, and counted."""
        if self.idle:
            return frame
        key = flow_key(frame)
        verdict = self._in.get(key) if key is not None else None
        if verdict is None:
            verdict = self._judge(frame, key)
        if verdict == _CLEAR:
            self.tally.in_clear += 1
            return frame
        if verdict == _DEVICE:
            return self._from_device(frame)
        self._refuse(PolicyReason.CLEARTEXT, _NOT_PROTECTED)
        return None

    def _judge(self, frame: bytes, key: FlowKey | None) -> int:
        if not self._rules_are_own:
            return _DEVICE  # its owner's rules may be about anything in the packet
        if self.device.flow_table.lookup(frame) is not None:
            verdict = _DEVICE
        else:
            verdict = _CLEAR if self._may_be_clear(frame) else _REFUSED
        if key is not None:
            if len(self._in) >= _FLOWS:
                self._in.clear()
            self._in[key] = verdict
        return verdict

    def _may_be_clear(self, frame: bytes) -> bool:
        offset = ip_offset(frame)
        return self.accept_cleartext or not offset or self.policies.clear(frame[offset:])

    def _from_device(self, frame: bytes) -> bytes | None:
        """``frame`` through the device, and what comes of it through the inbound policies."""
        device = self.device
        got = device.receive(frame)
        if got is None:
            self._failed()
            return None
        buffer = got.buffers[0]  # it holds any packet whole
        flags = buffer[0]
        if not flags & self._security:
            if self._may_be_clear(frame):
                self.tally.in_clear += 1
                return frame
            self._refuse(PolicyReason.CLEARTEXT, _NOT_PROTECTED)
            return None
        if flags & self._err:
            self._failed()
            return None
        plain = buffer[self._size :]
        (sa,) = _RESOURCE_ID(buffer, self._resource_at)
        key = flow_key(plain)
        if key is None or (sa, key) not in self._through:
            if not self.policies.through(sa, plain[ip_offset(plain) :]):
                self._refuse(PolicyReason.SELECTORS, f"not what may come through inbound SA {sa}")
                return None
            if key is not None:
                if len(self._through) >= _FLOWS:
                    self._through.clear()
                self._through.add((sa, key))
        self.tally.in_decrypted += 1
        return plain

    def _failed(self) -> None:
        """The device has dropped what arrived, or passes it on with SECURITY_ERR."""
        refused = self.device.receive_refused
        self.tally.in_dropped[(refused.reason if refused is not None else Reason.NOT_READY).value] += 1

    def _refuse(self, reason: PolicyReason, detail: str) -> None:
        self.tally.in_dropped[reason.value] += 1
        if self._observer is not None:
            self._observer(PolicyDropped("inbound", reason.value, detail))

    @property
    def observer(self) -> Observer | None:
        """Who is told what the device does, and what is decided beside it; None costs nothing."""
        return self._observer

    @observer.setter
    def observer(self, observer: Observer | None) -> None:
        self._observer = self.device.observer = observer
