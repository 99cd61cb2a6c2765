"""Devices that are wrong about the 2025 RFC."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

from construct import Struct

from virtionet_ipsec.device import Device
from virtionet_ipsec.device.limits import IpsecResourceLimits
from virtionet_ipsec.device.receive import Received, Receiver
from virtionet_ipsec.device.refusal import no_such
from virtionet_ipsec.device.sa_capabilities import IpsecSaCapability
from virtionet_ipsec.device.transmit import Transmitter
from virtionet_ipsec.ipsec import InboundSa, Mode, OutboundSa, Tunnel
from virtionet_ipsec.ipsec.outbound import trailers
from virtionet_ipsec.wire.capabilities import IpsecResourceCap
from virtionet_ipsec.wire.enums import Feature, IpsecMode, Opcode
from virtionet_ipsec.wire.net_hdr import HdrLayout
from virtionet_ipsec.wire.profile import Profile

from ..mutant import breaks
from .ipsec import judging

RFC: dict[str, Any] = {"profile": Profile.RFC_V1}

_SECURITY, _SECURITY_ERR = 8, 16
_RESOURCE_ID = 12  # offset of struct ipsec_resource_hdr without VIRTIO_NET_F_HASH_REPORT


def _of_sa(data: bytes) -> bool:
    """Whether a command is about an SA."""
    return data[:2] in (b"\x03\x02", b"\x04\x02")


class _Altered(Device):
    """A device that ``alter`` makes wrong, once it is put together."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        self.alter()

    def alter(self) -> None:
        raise NotImplementedError

    def handle(self, opcode: Opcode, change: Callable[[bytes], bytes]) -> None:
        """Carry out a command on ``change`` of its data."""
        handlers = self._admin._handlers
        handler = handlers[opcode]
        handlers[opcode] = lambda data: handler(change(data))


# -- commands and capabilities -----------------------------------------------------------------------------------


@breaks("rfc.dev.cap-get", **RFC)
class HasOneCapability(_Altered):
    """CAP_GET of either IPsec capability gives the limits."""

    def alter(self) -> None:
        self.handle(Opcode.DEVICE_CAP_GET, lambda data: data.replace(b"\x04\x08", b"\x03\x08", 1))


@breaks("rfc.dev.cap-set", **RFC)
class HasNoReservedOctets(_Altered):
    """CAP_SET expects the capability directly behind its id."""

    def alter(self) -> None:
        self.handle(Opcode.DRIVER_CAP_SET, lambda data: data[:2] + bytes(6) + data[2:])


@breaks("rfc.dev.create", **RFC)
class HasNoFlags(_Altered):
    """CREATE of an SA expects the object where flags are."""

    def alter(self) -> None:
        self.handle(Opcode.RESOURCE_OBJ_CREATE, lambda data: data[:8] + bytes(8) + data[8:] if _of_sa(data) else data)


@breaks("rfc.dev.create", **RFC)
class HasShortIds(_Altered):
    """CREATE of an SA takes bit 0 of id alone."""

    def alter(self) -> None:
        self.handle(
            Opcode.RESOURCE_OBJ_CREATE,
            lambda data: data[:4] + bytes((data[4] & 1,)) + data[5:] if _of_sa(data) else data,
        )


@breaks("rfc.dev.ids-per-type", **RFC)
class HasOneIdSpace(_Altered):
    """An inbound SA cannot have the id of an outbound one."""

    def alter(self) -> None:
        create, outbound = self._inbound.create, self._outbound.sas

        def unless_outbound(resource_id: int, data: bytes) -> bytes:
            if resource_id in outbound:
                raise no_such("an id that is free")
            return create(resource_id, data)

        self._inbound.create = unless_outbound


@breaks("rfc.dev.delete", **RFC)
class DeletesInNameOnly(_Altered):
    """A deleted inbound SA goes on processing packets."""

    def alter(self) -> None:
        self._inbound.destroy = lambda resource_id: None


@breaks("rfc.dev.delete", **RFC)
class NeedsNoDelete(_Altered):
    """DELETE is not supported for outbound SAs."""

    def alter(self) -> None:
        def refuse(resource_id: int) -> None:
            raise no_such("DELETE")

        self._outbound.destroy = refuse


class _Misplaced(_Altered):
    """A device that has the capability ``cap`` under 0x805."""

    cap: ClassVar[bytes]

    def alter(self) -> None:
        self.handle(Opcode.DEVICE_CAP_GET, lambda data: data.replace(self.cap, b"\0\0").replace(b"\x05\x08", self.cap))


@breaks("rfc.dev.resource-cap-id", **RFC)
class HasLimitsElsewhere(_Misplaced):
    """IPSEC_RESOURCE_CAP has the id 0x805."""

    cap = b"\x03\x08"


@breaks("rfc.dev.sa-cap-id", **RFC)
class HasModesElsewhere(_Misplaced):
    """IPSEC_SA_CAP has the id 0x805."""

    cap = b"\x04\x08"


@breaks("rfc.dev.resource-cap-layout", **RFC)
class HasOutboundFirst(_Altered):
    """outb_sa_limit comes before inb_sa_limit."""

    def alter(self) -> None:
        self._capabilities.ipsec_resource._structure = Struct(*reversed(IpsecResourceCap.subcons))


@breaks("rfc.dev.sa-cap-layout", **RFC)
class HasThreeReservedOctets(_Altered):
    """The entries of IPSEC_SA_CAP begin behind 3 reserved octets."""

    def alter(self) -> None:
        cap = self._capabilities.ipsec_sa
        data, check = cap.device_data, cap.check
        cap.device_data = lambda: data()[:4] + data()[8:]
        cap.check = lambda octets: check(octets[:4] + bytes(4) + octets[4:])


@breaks("rfc.dev.mode-cap-layout", **RFC)
class HasLongEntries(_Altered):
    """Entries of IPSEC_SA_CAP have 44 octets, as in virtio 1.4."""

    def alter(self) -> None:
        self._capabilities.ipsec_sa._structure = IpsecSaCapability({}, Profile.VIRTIO_1_4)._structure


@breaks("rfc.dev.resource-cap-get", **RFC)
class PromisesTooMuch(_Altered):
    """CAP_GET gives limits that the device does not have."""

    def alter(self) -> None:
        cap = self._capabilities.ipsec_resource
        data = cap.device_data
        cap.device_data = lambda: bytes(octet | 0x01 for octet in data())


@breaks("rfc.dev.limits-used", **RFC)
class IgnoresTheDriversLimits(_Altered):
    """Ids are bounded by the device's limits."""

    def alter(self) -> None:
        limits: IpsecResourceLimits = self._capabilities.ipsec_resource._device
        self._inbound.id_limit = lambda: limits.inb_sa_limit
        self._outbound.id_limit = lambda: limits.outb_sa_limit


@breaks("rfc.dev.sa-cap-get", **RFC)
class ListsNoMode(_Altered):
    """CAP_GET of IPSEC_SA_CAP gives no entries."""

    def alter(self) -> None:
        self._capabilities.ipsec_sa.device_data = lambda: bytes(8)


class _Without(_Altered):
    """A device that lists ``mode`` and cannot do it."""

    mode: ClassVar[IpsecMode]

    def alter(self) -> None:
        judging(self, lambda modes: {mode: cap for mode, cap in modes.items() if mode is not self.mode})


@breaks("rfc.dev.mode-esp-transport", "rfc.dev.sa-cap-get", **RFC)
class HasNoEspTransport(_Without):
    """ESP transport mode is listed and cannot be created."""

    mode = IpsecMode.ESP_TRANSPORT


@breaks("rfc.dev.mode-esp-tunnel", "rfc.dev.sa-cap-get", **RFC)
class HasNoEspTunnel(_Without):
    """ESP tunnel mode is listed and cannot be created."""

    mode = IpsecMode.ESP_TUNNEL


@breaks("rfc.dev.mode-ah-transport", "rfc.dev.sa-cap-get", **RFC)
class HasNoAhTransport(_Without):
    """AH transport mode is listed and cannot be created."""

    mode = IpsecMode.AH_TRANSPORT


@breaks("rfc.dev.mode-ah-tunnel", "rfc.dev.sa-cap-get", **RFC)
class HasNoAhTunnel(_Without):
    """AH tunnel mode is listed and cannot be created."""

    mode = IpsecMode.AH_TUNNEL


# -- SA objects --------------------------------------------------------------------------------------------------


@breaks("rfc.dev.outb-sa-type", "rfc.dev.inb-sa-type", **RFC)
class ExchangesTheTypes(_Altered):
    """0x0203 is an inbound SA, 0x0204 an outbound one."""

    def alter(self) -> None:
        other = {b"\x03\x02": b"\x04\x02", b"\x04\x02": b"\x03\x02"}
        self.handle(Opcode.RESOURCE_OBJ_CREATE, lambda data: other.get(data[:2], data[:2]) + data[2:])


class _Misread(_Altered):
    """A device that takes ``read(octets)`` for the SA object: what it would have to be for the right one."""

    def read(self, octets: bytes) -> bytes:
        raise NotImplementedError

    def alter(self) -> None:
        for table in (self._outbound, self._inbound):
            params = table._params
            table._params = lambda resource_id, data, params=params: params(resource_id, self.read(data))


@breaks("rfc.dev.sa-layout", **RFC)
class HasPortsBehindTheWindow(_Misread):
    """replay_win_sz comes before udp_sport and udp_dport."""

    def read(self, octets: bytes) -> bytes:
        return octets[:74] + octets[78:82] + octets[74:78] + octets[82:]


@breaks("rfc.dev.sa-layout", **RFC)
class HasSaltTurnedRound(_Misread):
    """The octets of salt are used in the reverse order."""

    def read(self, octets: bytes) -> bytes:
        return octets[:12] + octets[15:11:-1] + octets[16:]


@breaks("rfc.dev.tunnel-layout", **RFC)
class HasLongTunnels(_Misread):
    """param has 44 octets, as in virtio 1.4."""

    def read(self, octets: bytes) -> bytes:
        return octets[:66] + octets[68:] + bytes(2)


@breaks("rfc.dev.tunnel-layout", **RFC)
class HasShortIpv4Tunnels(_Misread):
    """param of type IPv4 has 15 octets."""

    def read(self, octets: bytes) -> bytes:
        return octets[:39] + bytes(27) + octets[39:] if octets[24] == 1 else octets


@breaks("rfc.dev.tunnel-ipv4-layout", **RFC)
class HasHostOrder(_Misread):
    """IPv4 addresses of a tunnel are numbers in le32, as in virtio 1.4."""

    def read(self, octets: bytes) -> bytes:
        return octets[:28] + octets[31:27:-1] + octets[35:31:-1] + octets[36:] if octets[24] == 1 else octets


@breaks("rfc.dev.tunnel-ipv4-layout", **RFC)
class HasNoDf(_Misread):
    """df of a tunnel is not looked at."""

    def read(self, octets: bytes) -> bytes:
        return octets[:37] + b"\0" + octets[38:] if octets[24] == 1 else octets


@breaks("rfc.dev.tunnel-ipv6-layout", **RFC)
class HasDscpFirst(_Misread):
    """dscp of an IPv6 tunnel comes before hlimit."""

    def read(self, octets: bytes) -> bytes:
        return octets[:64] + octets[65:63:-1] + octets[66:] if octets[24] == 2 else octets


@breaks("rfc.dev.key-layout", **RFC)
class HasReservedInKeys(_Misread):
    """There are two reserved octets between length and data of a key, as in virtio 1.4."""

    def read(self, octets: bytes) -> bytes:
        octets += bytes(4)
        return octets[:92] + octets[94:136] + octets[138:]


@breaks("rfc.dev.esn-field", **RFC)
class StartsWithOne(_Misread):
    """The first sequence number is 1, whatever esn says."""

    def read(self, octets: bytes) -> bytes:
        return octets[:66] + bytes(8) + octets[74:]


@breaks("rfc.dev.esn-field", **RFC)
class HasShortEsn(_Misread):
    """The upper half of esn is not looked at."""

    def read(self, octets: bytes) -> bytes:
        return octets[:70] + bytes(4) + octets[74:]


class _NoOption(_Misread):
    """A device that does nothing for the option ``bit``."""

    bit: ClassVar[int]

    def read(self, octets: bytes) -> bytes:
        return octets[:16] + bytes((octets[16] & ~(1 << self.bit),)) + octets[17:]


@breaks("rfc.dev.option-udp-encap", **RFC)
class HasNoUdpEncap(_NoOption):
    """An SA with UDP encapsulation has ESP behind the IP header."""

    bit = 1


@breaks("rfc.dev.option-copy-dscp", **RFC)
class HasNoCopyDscp(_NoOption):
    """An SA that copies DSCP has the tunnel's."""

    bit = 2


@breaks("rfc.dev.option-dec-ttl", **RFC)
class HasNoDecTtl(_NoOption):
    """An SA that decrements TTL leaves it."""

    bit = 3


@breaks("rfc.dev.option-copy-df", **RFC)
class HasNoCopyDf(_NoOption):
    """An SA that copies DF has the tunnel's."""

    bit = 4


@breaks("rfc.dev.option-esn", **RFC)
class ForgetsTheUpperHalf(_Altered):
    """The ICV of an SA with ESN does not cover the upper half."""

    def alter(self) -> None:
        sending(self, _NoUpperHalf)


class _NoUpperHalf(OutboundSa):
    def _esp(self, header: bytes, plain: bytes, seq: int) -> bytes:
        return super()._esp(header, plain, seq & 0xFFFFFFFF)


# -- flow filter -------------------------------------------------------------------------------------------------


@breaks("rfc.dev.action-ipsec", **RFC)
class HasNoIpsecAction(_Altered):
    """A rule with action 3 does nothing."""

    def alter(self) -> None:
        lookup = self.flow_table.lookup

        def found(frame: bytes) -> Any:
            rule = lookup(frame)
            return None if rule is not None and rule.action == 3 else rule

        self.flow_table.lookup = found


@breaks("rfc.dev.action-recirculate", **RFC)
class DoesNotRecirculate(_Altered):
    """Action 4 is the same as 3."""

    def alter(self) -> None:
        lookup = self.flow_table.lookup

        def found(frame: bytes) -> Any:
            rule = lookup(frame)
            return replace(rule, action=3) if rule is not None and rule.action == 4 else rule

        self.flow_table.lookup = found


# -- virtio_net_hdr ----------------------------------------------------------------------------------------------


class _OtherHeader(Device):
    """A device whose headers ``transmitted`` and ``received`` change on their way."""

    def transmitted(self, header: bytearray) -> None:
        """Change the header that the device is to see."""

    def received(self, header: bytearray) -> None:
        """Change the header that the driver is to see."""

    def transmit(self, buffer: bytes, queue: int = 0) -> tuple[bytes, ...]:
        changed = bytearray(buffer)
        self.transmitted(changed)
        return super().transmit(bytes(changed), queue)

    def receive(self, frame: bytes) -> Received | None:
        got = super().receive(frame)
        if got is None:
            return None
        first = bytearray(got.buffers[0])
        self.received(first)
        return Received(got.queue, (bytes(first), *got.buffers[1:]))


@breaks("rfc.dev.flags-kept", **RFC)
class ChecksumsForTwo(_OtherHeader):
    """The flag that asks for a checksum is 2."""

    def transmitted(self, header: bytearray) -> None:
        header[0] = header[0] & ~3 | header[0] >> 1 & 1


@breaks("rfc.dev.flag-security-value", **RFC)
class ProtectsForSixteen(_OtherHeader):
    """The flag that asks for protection is 16, as in virtio 1.4."""

    def transmitted(self, header: bytearray) -> None:
        header[0] = header[0] & ~8 | header[0] >> 1 & 8


@breaks("rfc.dev.flag-security-value", "rfc.dev.flag-security-err-value", **RFC)
class SaysSixteenForSecurity(_OtherHeader):
    """The flags of received packets are virtio 1.4's: SECURITY is 16, SECURITY_ERR 32."""

    def received(self, header: bytearray) -> None:
        header[0] = header[0] & 7 | header[0] << 1 & 48


@breaks("rfc.dev.rx-security", **RFC)
class SaysNoSecurity(_OtherHeader):
    """SECURITY is not set on a packet that was processed."""

    def received(self, header: bytearray) -> None:
        if header[0] == _SECURITY:
            header[0] = 0


@breaks("rfc.dev.rx-security", **RFC)
class SaysSecurityAlways(_OtherHeader):
    """SECURITY is set on every received packet."""

    def received(self, header: bytearray) -> None:
        header[0] |= _SECURITY


@breaks("rfc.dev.rx-security-err", "rfc.dev.flag-security-err-value", **RFC)
class SaysNoError(_OtherHeader):
    """SECURITY_ERR is never set."""

    def received(self, header: bytearray) -> None:
        header[0] &= ~_SECURITY_ERR


@breaks("rfc.dev.rx-resource-id", **RFC)
class NamesNoSa(_OtherHeader):
    """resource_id of received packets is 0."""

    def received(self, header: bytearray) -> None:
        header[_RESOURCE_ID : _RESOURCE_ID + 4] = bytes(4)


@breaks("rfc.dev.resource-hdr", **RFC)
class HasTheTypeFirst(_OtherHeader):
    """resource_type comes before resource_id in received headers."""

    def received(self, header: bytearray) -> None:
        if self.negotiated >> Feature.IPSEC & 1:
            at = _RESOURCE_ID
            header[at : at + 6] = header[at + 4 : at + 6] + header[at : at + 4]


class _OtherLayout(Device):
    """A device whose header is as if ``feature`` were negotiated always."""

    feature: ClassVar[Feature]

    def _go_live(self) -> None:
        super()._go_live()
        layout = HdrLayout(self.profile, self.negotiated | 1 << self.feature)
        self._transmitter = Transmitter(layout, self.negotiated, self._outbound.sas, self.mtu, self.counters)
        by_spi = self._inbound.by_spi
        self._receiver = Receiver(layout, self.negotiated, self.flow_table, by_spi, self.mtu, self.counters)


@breaks("rfc.dev.hash-padding", **RFC)
class HasHashFieldsAlways(_OtherLayout):
    """The fields for VIRTIO_NET_F_HASH_REPORT are in every header, as in virtio 1.4."""

    feature = Feature.HASH_REPORT


@breaks("rfc.dev.no-resource-hdr", **RFC)
class HasResourceHdrAlways(_OtherLayout):
    """struct ipsec_resource_hdr is in every header."""

    feature = Feature.IPSEC


# -- transmit ----------------------------------------------------------------------------------------------------


def sending(device: Any, kind: type[OutboundSa]) -> None:
    """Let the outbound SAs of ``device`` be of this kind."""
    make = device._outbound._make
    device._outbound._make = lambda params: kind(params, **make.keywords)


class _OtherParameters(_Altered):
    """A device that makes its outbound SAs with ``changed(params)``."""

    def changed(self, params: Any) -> Any:
        raise NotImplementedError

    def alter(self) -> None:
        make = self._outbound._make
        self._outbound._make = lambda params: make(self.changed(params))


@breaks("rfc.dev.tx-lookup", **RFC)
class SendsWithTheFirstSa(_Altered):
    """Every packet goes through the outbound SA that was created first, if there is any."""

    def alter(self) -> None:
        class First(dict[int, OutboundSa]):
            def get(self, resource_id: int, default: Any = None) -> Any:
                return next(iter(self.values()), None)

        self._outbound.sas = First()


@breaks("rfc.dev.tx-header", **RFC)
class TurnsSpisRound(_OtherParameters):
    """The SPI of outbound packets has its octets in the reverse order."""

    def changed(self, params: Any) -> Any:
        return replace(params, spi=int.from_bytes(params.spi.to_bytes(4, "big"), "little"))


@breaks("rfc.dev.tx-encrypt-authenticate", **RFC)
class EncryptsWithZeros(_OtherParameters):
    """Outbound packets are encrypted with a key of zeros."""

    def changed(self, params: Any) -> Any:
        return replace(params, cipher_key=bytes(len(params.cipher_key)))


@breaks("rfc.dev.tx-encrypt-authenticate", **RFC)
class AuthenticatesWithZeros(_OtherParameters):
    """Outbound packets are authenticated with a key of zeros, where there is one for that."""

    def changed(self, params: Any) -> Any:
        return replace(params, auth_key=bytes(len(params.auth_key)))


@breaks("rfc.dev.tx-outer-header", **RFC)
class ExchangesAddresses(_OtherParameters):
    """The outer header has source and destination exchanged."""

    def changed(self, params: Any) -> Any:
        tunnel: Tunnel | None = params.tunnel
        return params if tunnel is None else replace(params, tunnel=replace(tunnel, src=tunnel.dst, dst=tunnel.src))


class _NextHeaderZero(OutboundSa):
    def _configure(self, params: Any) -> None:
        super()._configure(params)
        self._trailers = dict.fromkeys((4, 6), trailers(4, 0))


@breaks("rfc.dev.tx-trailer", **RFC)
class ForgetsTheNextHeader(_Altered):
    """The next header of ESP in tunnel mode is 0."""

    def alter(self) -> None:
        sending(self, _NextHeaderZero)


class _OtherFrames(Device):
    """A device that sends ``altered(frame)`` for protected frames."""

    def altered(self, frame: bytes) -> tuple[bytes, ...]:
        raise NotImplementedError

    def transmit(self, buffer: bytes, queue: int = 0) -> tuple[bytes, ...]:
        frames = super().transmit(buffer, queue)
        if not buffer[0] & _SECURITY or not frames:
            return frames
        return self.altered(frames[0])


@breaks("rfc.dev.tx-icv", **RFC)
class SendsNoIcv(_OtherFrames):
    """The last 16 octets of protected packets are zero."""

    def altered(self, frame: bytes) -> tuple[bytes, ...]:
        return (frame[:-16] + bytes(16),)


@breaks("rfc.dev.tx-outer-header", **RFC)
class CountsTheInsideAlone(_OtherFrames):
    """The total length of the outer header does not count the header itself."""

    def altered(self, frame: bytes) -> tuple[bytes, ...]:
        return (frame[:16] + (len(frame) - 34).to_bytes(2, "big") + frame[18:],)


@breaks("rfc.dev.tx-send", **RFC)
class SendsTwice(_OtherFrames):
    """Protected packets are sent twice."""

    def altered(self, frame: bytes) -> tuple[bytes, ...]:
        return frame, frame


@breaks("rfc.dev.tx-send", **RFC)
class SendsNothing(_OtherFrames):
    """Protected packets are not sent."""

    def altered(self, frame: bytes) -> tuple[bytes, ...]:
        return ()


# -- receive -----------------------------------------------------------------------------------------------------


def receiving(device: Any, kind: type[InboundSa]) -> None:
    """Let the inbound SAs of ``device`` be of this kind."""
    inbound = device._inbound

    def add(resource_id: int, params: Any) -> None:
        sa = inbound.sas[resource_id] = kind(params)
        inbound.by_spi[params.spi] = resource_id, sa

    inbound._add = add


@breaks("rfc.dev.sa-created", **RFC)
class LooksNowhere(_Altered):
    """An inbound SA is created and not entered where packets look for it."""

    def alter(self) -> None:
        inbound = self._inbound

        def add(resource_id: int, params: Any) -> None:
            inbound.sas[resource_id] = InboundSa(params)

        inbound._add = add


@breaks("rfc.dev.rx-lookup", **RFC)
class ReceivesWithTheLastSa(_Altered):
    """Every packet goes through the inbound SA that was created last."""

    def alter(self) -> None:
        class Last(dict[int, tuple[int, InboundSa]]):
            def get(self, spi: int, default: Any = None) -> Any:
                return next(reversed(self.values()), None)

        self._inbound.by_spi = Last()


class _TrustingMac:
    """A MAC that every ICV is right for."""

    def __init__(self, mac: Any) -> None:
        self.compute = mac.compute

    def verify(self, *_: Any) -> bool:
        return True


class _TrustingSa(InboundSa):
    def __init__(self, params: Any) -> None:
        super().__init__(params)
        transform: Any = self._ah if params.cipher is None and params.aead is None else self._transform
        if params.aead is None:
            transform._mac = _TrustingMac(transform._mac)


@breaks("rfc.dev.rx-decrypt-authenticate", **RFC)
class VerifiesNoMac(_Altered):
    """The ICV of received packets is not verified, unless it is an AEAD's."""

    def alter(self) -> None:
        receiving(self, _TrustingSa)


@breaks("rfc.dev.rx-decrypt-authenticate", **RFC)
class HandsUpTheLastPacket(Device):
    """In the place of a packet that fails the last good one is handed up, with SECURITY_ERR."""

    last = b""

    def receive(self, frame: bytes) -> Received | None:
        got = super().receive(frame)
        if got is None:
            return None
        size, data = HdrLayout(self.profile, self.negotiated).size, b"".join(got.buffers)
        if not data[0] & _SECURITY_ERR:
            self.last = data[size:]
            return got
        return Received(got.queue, (data[:size] + self.last,))


@breaks("rfc.dev.rx-decrypt-authenticate", **RFC)
class DecryptsWithZeros(_Altered):
    """Received packets are decrypted with a key of zeros."""

    def alter(self) -> None:
        add = self._inbound._add
        self._inbound._add = lambda number, params: add(
            number, replace(params, cipher_key=bytes(len(params.cipher_key)))
        )


class _OtherPacket(InboundSa):
    """An SA that gives ``changed`` of what was inside."""

    def unprotect(self, packet: bytes, where: Any, observe: Any = None, start: int = 0) -> bytes:
        return self.changed(packet[start:], super().unprotect(packet, where, observe, start))

    def changed(self, outer: bytes, inner: bytes) -> bytes:
        raise NotImplementedError


class _WithTunnelHeader(_OtherPacket):
    def changed(self, outer: bytes, inner: bytes) -> bytes:
        return outer[:20] + inner if self.params.mode is Mode.TUNNEL else inner


@breaks("rfc.dev.rx-tunnel-header", **RFC)
class KeepsTheTunnelHeader(_Altered):
    """The driver gets the outer header as well."""

    def alter(self) -> None:
        receiving(self, _WithTunnelHeader)


class _WithEspHeader(_OtherPacket):
    def changed(self, outer: bytes, inner: bytes) -> bytes:
        return inner[:20] + outer[20:28] + inner[20:] if self.params.mode is Mode.TRANSPORT else inner


@breaks("rfc.dev.rx-header", **RFC)
class KeepsTheEspHeader(_Altered):
    """In transport mode the driver gets SPI and sequence number as well."""

    def alter(self) -> None:
        receiving(self, _WithEspHeader)


class _WithTrailer(_OtherPacket):
    def changed(self, outer: bytes, inner: bytes) -> bytes:
        return inner + b"\0\4" if self.params.mode is Mode.TUNNEL else inner


@breaks("rfc.dev.rx-trailer", **RFC)
class KeepsTheTrailer(_Altered):
    """In tunnel mode the driver gets two octets of the ESP trailer as well."""

    def alter(self) -> None:
        receiving(self, _WithTrailer)
