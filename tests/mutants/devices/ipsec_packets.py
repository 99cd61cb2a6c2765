"""Devices that are wrong about packets and their SAs, and about IPSEC_RECIRCULATE."""

from __future__ import annotations

from typing import Any

from virtionet_ipsec.device import Device, Received
from virtionet_ipsec.device.ethernet import MAX_HEADER, ip_offset
from virtionet_ipsec.device.receive import Receiver
from virtionet_ipsec.device.refusal import exists, invalid_field
from virtionet_ipsec.device.transmit import Transmitter
from virtionet_ipsec.ipsec import Reason, Refused
from virtionet_ipsec.wire.enums import Action, Feature
from virtionet_ipsec.wire.net_hdr import HdrLayout

from ..flow_filters import receiver
from ..mutant import breaks


@breaks("ipsec.dev.sa-lookup")
class SendsWithTheLastSa(Device):
    """Every packet goes through the outbound SA that was created last."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        add, sas = self._outbound._add, self._outbound.sas

        def everywhere(resource_id: int, params: Any) -> None:
            add(resource_id, params)
            sas.update(dict.fromkeys(sas, sas[resource_id]))

        self._outbound._add = everywhere


@breaks("ipsec.dev.sa-lookup")
class CountsInboundSas(Device):
    """The driver is told the how manieth inbound SA it was, not its id."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        add, inbound = self._inbound._add, self._inbound

        def counted(resource_id: int, params: Any) -> None:
            add(resource_id, params)
            inbound.by_spi[params.spi] = len(inbound.sas), inbound.sas[resource_id]

        self._inbound._add = counted


class _NeedsCsum(Transmitter):
    def __init__(self, layout: HdrLayout, negotiated: int, *args: Any) -> None:
        super().__init__(layout, negotiated, *args)
        if not negotiated >> Feature.CSUM & 1:
            self._outbound = {}


@breaks("ipsec.dev.sa-lookup")
class ProtectsWithCsumAlone(Device):
    """Without VIRTIO_NET_F_CSUM no outbound SA is found."""

    _transmitter_class = _NeedsCsum


class _NeedsMtu(Receiver):
    def __init__(self, layout: HdrLayout, negotiated: int, flows: Any, by_spi: Any, *args: Any) -> None:
        super().__init__(layout, negotiated, flows, by_spi if negotiated >> Feature.MTU & 1 else {}, *args)


@breaks("ipsec.dev.sa-lookup")
class ReceivesWithMtuAlone(Device):
    """Without VIRTIO_NET_F_MTU no inbound SA is found."""

    _receiver_class = _NeedsMtu


class _DropsTags(Transmitter):
    def _protected(self, buffer: bytes) -> bytes:
        size = self._size
        frame = super()._protected(buffer)
        tags = ip_offset(buffer[size : size + MAX_HEADER]) - 14
        return frame[:12] + frame[12 + tags :]


@breaks("ipsec.dev.sa-lookup")
class SendsWithoutTags(Device):
    """VLAN tags are lost when a packet is protected."""

    _transmitter_class = _DropsTags


def _is_tagged(frame: bytes, tags: int) -> bool:
    return ip_offset(frame[:MAX_HEADER]) == 14 + 4 * tags


class _OneTagOut(Transmitter):
    def _protected(self, buffer: bytes) -> bytes:
        if _is_tagged(buffer[self._size :], 2):
            raise Refused(Reason.NOT_IP)
        return super()._protected(buffer)


@breaks("ipsec.dev.sa-lookup")
class ProtectsBehindOneTag(Device):
    """A packet behind two VLAN tags is not protected."""

    _transmitter_class = _OneTagOut


class _OneTagIn(Receiver):
    def _ipsec(self, frame: bytes) -> tuple[bytes, bytes, bool]:
        if _is_tagged(frame, 2):
            return self._plain_header, frame, False
        return super()._ipsec(frame)


@breaks("ipsec.dev.action-processed")
class ProcessesBehindOneTag(Device):
    """A protected packet behind two VLAN tags is handed up as if it were plain."""

    _receiver_class = _OneTagIn


@breaks("ipsec.dev.recreate-after-destroy")
class UsesIdsOnce(Device):
    """An inbound id can be used once until reset."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        create, used = self._inbound.create, set()

        def once(resource_id: int, data: bytes) -> bytes:
            if resource_id in used:
                raise invalid_field("an id that was used before")
            used.add(resource_id)
            return create(resource_id, data)

        self._inbound.create = once


@breaks("ipsec.dev.recreate-after-destroy")
class KeepsDestroyedIds(Device):
    """An outbound SA that was destroyed still exists when it is created again."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        create, used = self._outbound.create, set()

        def once(resource_id: int, data: bytes) -> bytes:
            if resource_id in used:
                raise exists("the id")
            used.add(resource_id)
            return create(resource_id, data)

        self._outbound.create = once


@breaks("ipsec.dev.reset-destroys-objects")
class KeepsOutboundSas(Device):
    """Outbound SAs go on protecting packets after a reset."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        self._outbound.reset = lambda: None


@breaks("ipsec.dev.reset-destroys-objects")
class KeepsSpis(Device):
    """Inbound SAs go on receiving, and their SPIs remain taken, after a reset."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        self._inbound.reset = lambda: None


class _Remembering(dict[int, Any]):
    """What was cleared is still found, and not among the keys."""

    def __init__(self) -> None:
        super().__init__()
        self.before: dict[int, Any] = {}

    def clear(self) -> None:
        self.before |= self
        super().clear()

    def get(self, spi: int, default: Any = None) -> Any:
        return super().get(spi) or self.before.get(spi, default)


@breaks("ipsec.dev.reset-destroys-objects")
class KeepsReceiving(Device):
    """Inbound SAs go on receiving after a reset, though their ids and SPIs are free."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        self._inbound.by_spi = _Remembering()


@breaks("ipsec.dev.reset-destroys-objects")
class KeepsRules(Device):
    """Flow filter rules go on matching after a reset."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        self.flow_table.clear = lambda: None


@breaks("ipsec.dev.recirculates")
class DoesNotRecirculate(Device):
    """IPSEC_RECIRCULATE is IPSEC."""

    _receiver_class = receiver(_recirculate=lambda receiver, frame: 0)


@breaks("ipsec.dev.recirculated-once")
class RecirculatesTwice(Device):
    """What comes out of IPsec goes through it again when it is an IPsec packet of a rule once more."""

    def receive(self, frame: bytes) -> Received | None:
        got = super().receive(frame)
        if got is None or self._receiver is None:
            return got
        rule = self.flow_table.lookup(frame)
        data = b"".join(got.buffers)[self._receiver._size :]
        if rule is None or rule.action != Action.IPSEC_RECIRCULATE or data == frame:
            return got
        again = self.flow_table.lookup(data)
        return super().receive(data) if again is not None and again.action == Action.IPSEC_RECIRCULATE else got


def _no_ipsec(receiver: Receiver, frame: bytes) -> tuple[bytes, bytes, bool]:
    return receiver._plain_header, frame, False


@breaks("ipsec.dev.action-processed")
class IgnoresIpsecActions(Device):
    """A packet that an IPsec rule matches is delivered as it came."""

    _receiver_class = receiver(_ipsec=_no_ipsec)
