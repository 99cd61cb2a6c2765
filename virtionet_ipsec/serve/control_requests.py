"""What the control socket's requests do (specs/control.md).

A request is a :class:`~virtionet_ipsec.control.messages.Kind` and a body that anybody may have made up; it gives
the answer's body or raises :class:`BadRequest`, or :class:`Refusal`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from .. import __version__
from ..control.messages import LE32, MAX_WRITABLE, Kind, pack_written
from ..device import Device, ModelExtras
from ..device.ethernet import MAX_HEADER
from ..ipsec import Direction
from ..safile.model import MAX_ID
from .control_values import BadRequest, Refusal, UnknownKind, Values
from .frames import MAX_FRAME
from .host import Host
from .segment import Port
from .status import counted, policy_told, rules_told, sas_told, wires_told

_PAGE = 64
"""Rows of an answer, which bounds its length and the time that it takes."""

_U64 = (1 << 64) - 1
_ROW_LIMIT = 1 << 40


class Client(Protocol):
    """Who asks, as far as requests change something about it."""

    port: Port | None
    """Its place in the segment."""

    def deliver(self, frames: Sequence[bytes]) -> None:
        """Frames from the segment for it."""

    def subscribe(self, on: bool, every: bool) -> None:
        """Let events come, or come no more."""


class Requests:
    """Carries out requests on ``host``."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._kinds: dict[int, Callable[[Client, bytes], bytes]] = {
            Kind.INFO: self._info,
            Kind.COUNTERS: self._counters,
            Kind.SAS: self._sas,
            Kind.RULES: self._rules,
            Kind.POLICIES: self._policies,
            Kind.POLICY_ADD: self._policy_add,
            Kind.POLICY_REMOVE: self._policy_remove,
            Kind.EXTRAS: self._extras,
            Kind.ADMIN: self._admin,
            Kind.EVENTS: self._events,
            Kind.GUEST_FEATURES: self._guest_features,
            Kind.GUEST_ACCEPT: self._guest_accept,
            Kind.GUEST_ADMIN: self._guest_admin,
            Kind.GUEST_REFUSAL: self._guest_refusal,
            Kind.PLUG: self._plug,
            Kind.UNPLUG: self._unplug,
            Kind.SYNC: self._sync,
        }

    def answer(self, client: Client, kind: int, body: bytes) -> bytes:
        """The body of the answer.  Raises :class:`Refusal`."""
        carry_out = self._kinds.get(kind)
        if carry_out is None:
            raise UnknownKind(f"there is no request of kind {kind}")
        return carry_out(client, body)

    def frame(self, client: Client, frame: bytes) -> None:
        """A frame from ``client`` for the segment, which has no answer.  Raises :class:`Refusal`."""
        if client.port is None:
            raise Refusal("a frame, and this connection is not plugged in", "send PLUG first")
        if not MAX_HEADER - 8 <= len(frame) <= MAX_FRAME:
            raise BadRequest(f"{len(frame)} octets are no frame", f"send 14 to {MAX_FRAME}")
        client.port.send((frame,))

    # -- what there is -------------------------------------------------------------------------------------------

    def _info(self, _: Client, body: bytes) -> bytes:
        Values(body)
        transparent, guest = self._host.transparent, self._host.guest.device
        return _json(
            version=__version__,
            profile=transparent.device.profile.value,
            mtu=transparent.mtu,
            inner_mtu=transparent.inner_mtu,
            accept_cleartext=transparent.accept_cleartext,
            guest={"mtu": guest.mtu, "status": guest.status, "negotiated": f"{guest.negotiated:#x}"},
        )

    def _counters(self, _: Client, body: bytes) -> bytes:
        Values(body)
        host = self._host
        return _json(
            guest={"device": counted(host.guest.device.counters), **host.guest.counters()},
            host={"device": counted(host.transparent.device.counters), "packets": counted(host.transparent.tally)},
            wires=wires_told(host.segment.wires),
        )

    def _sas(self, _: Client, body: bytes) -> bytes:
        start = _start(body)
        device = self._host.transparent.device
        rows = sas_told(self._host.transparent, start, _PAGE)
        return _page(rows, start, len(device.outbound) + len(device.inbound))

    def _rules(self, _: Client, body: bytes) -> bytes:
        start = _start(body)
        transparent = self._host.transparent
        flows = transparent.device.flow_table
        return _page(rules_told(flows, transparent.own_rules, start, _PAGE), start, len(flows.rules))

    def _policies(self, _: Client, body: bytes) -> bytes:
        start = _start(body)
        policies = list(self._host.transparent.policies)
        return _page([policy_told(each) for each in policies[start : start + _PAGE]], start, len(policies))

    # -- the owner's changes -------------------------------------------------------------------------------------

    def _policy_add(self, _: Client, body: bytes) -> bytes:
        values = Values(body, "direction", "sa", "select", "first")
        direction, sa, first = values.direction(), values.number("sa", MAX_ID), values.flag("first", False)
        device = self._host.transparent.device
        if sa not in (device.outbound if direction is Direction.OUTBOUND else device.inbound):
            raise Refusal(f"there is no {direction.value} SA {sa}", "create it first")
        policy = self._host.transparent.add_policy(direction, sa, values.select(), first=first)
        return _json(id=policy.id)

    def _policy_remove(self, _: Client, body: bytes) -> bytes:
        policy_id = Values(body, "id").number("id", _ROW_LIMIT)
        if not self._host.transparent.remove_policy(policy_id):
            raise Refusal(f"there is no policy {policy_id}", "list them")
        return _json()

    def _extras(self, _: Client, body: bytes) -> bytes:
        values = Values(body, "direction", "id", "icv_len", "iv", "first_seq", "ah_align")
        extras = ModelExtras(
            values.optional("icv_len", 0xFF),
            values.octets("iv"),
            values.optional("first_seq", _U64),
            values.optional("ah_align", 8),
        )
        if not self._host.transparent.set_extras(values.direction(), values.number("id", MAX_ID), extras):
            raise Refusal("there are extras for too many SAs that do not exist", "create them, or take other ids")
        return _json()

    def _admin(self, _: Client, body: bytes) -> bytes:
        return _command(self._host.transparent, body)

    def _events(self, client: Client, body: bytes) -> bytes:
        values = Values(body, "on", "every")
        client.subscribe(values.flag("on", True), values.flag("every", False))
        return _json()

    # -- the guest's driver --------------------------------------------------------------------------------------

    def _guest_features(self, _: Client, body: bytes) -> bytes:
        Values(body)
        device = self._host.guest.device
        return device.features.to_bytes(16, "little") + device.negotiated.to_bytes(16, "little")

    def _guest_accept(self, _: Client, body: bytes) -> bytes:
        if len(body) != 16:
            raise BadRequest(f"{len(body)} octets", "send a mask of 16")
        try:
            self._host.guest.accept_features(int.from_bytes(body, "little"))
        except ValueError as error:
            raise Refusal(str(error), "connect a front end first, and accept what is offered") from None
        return b""

    def _guest_admin(self, _: Client, body: bytes) -> bytes:
        return _command(self._host.guest.device, body)

    def _guest_refusal(self, _: Client, body: bytes) -> bytes:
        Values(body)
        return self._host.guest.device.last_refusal.encode()[:1024]

    # -- the segment ---------------------------------------------------------------------------------------------

    def _plug(self, client: Client, body: bytes) -> bytes:
        Values(body)
        if client.port is None:
            client.port = self._host.segment.attach(client.deliver)
        return b""

    def _unplug(self, client: Client, body: bytes) -> bytes:
        Values(body)
        if client.port is not None:
            self._host.segment.detach(client.port)
            client.port = None
        return b""

    def _sync(self, _: Client, body: bytes) -> bytes:
        Values(body)
        self._host.guest.settle()
        self._host.segment.settle()
        return b""


def _json(**values: Any) -> bytes:
    return json.dumps(values).encode()


def _start(body: bytes) -> int:
    return Values(body, "start").number("start", _ROW_LIMIT, 0)


def _page(rows: list[dict[str, Any]], start: int, total: int) -> bytes:
    """A page, and where the next one starts."""
    behind = start + len(rows)
    return _json(rows=rows, next=behind if rows and behind < total else None)


class _Commanded(Protocol):
    def admin(self, readable: bytes, writable_len: int) -> bytes: ...

    @property
    def last_refusal(self) -> str: ...


def _command(device: _Commanded | Device, body: bytes) -> bytes:
    """A group administration command: le32 length of the device-writable part, the device-readable octets."""
    if len(body) < LE32.size:
        raise BadRequest(f"{len(body)} octets", "send the length of the device-writable part, four octets, first")
    (writable_len,) = LE32.unpack_from(body)
    written = device.admin(body[LE32.size :], min(writable_len, MAX_WRITABLE))
    return pack_written(written, device.last_refusal)
