"""Devices that are wrong about fragments, SAs side by side and what is inside tunnels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from virtionet_ipsec.device import Device
from virtionet_ipsec.device.receive import Receiver
from virtionet_ipsec.device.transmit import Transmitter
from virtionet_ipsec.ipsec import InboundSa, Mode, OutboundSa, Reason, Refused, SaParams
from virtionet_ipsec.ipsec.ip import traffic_class, with_traffic_class
from virtionet_ipsec.wire.admin import AdminCmdHdr, ResourceObjCreateData
from virtionet_ipsec.wire.codec import parse
from virtionet_ipsec.wire.enums import Opcode
from virtionet_ipsec.wire.profile import Profile
from virtionet_ipsec.wire.sa import ipsec_sa

from ..mutant import breaks
from ..wrong_sas import mended, putting_in, taking_out, ttl, version, with_ttl, with_word


def _is_fragment(packet: bytes) -> bool:
    return version(packet) == 4 and bool((packet[6] << 8 | packet[7]) & 0x3FFF)


def _in_the_clear(reason: Reason) -> type[Transmitter]:
    """A transmitter that sends what IPsec refuses for this reason as it is."""

    class Wrong(Transmitter):
        def _protected(self, buffer: bytes) -> bytes:
            try:
                return super()._protected(buffer)
            except Refused as refused:
                if refused.reason is reason:
                    return buffer[self._size :]
                raise

    return Wrong


@breaks("arch.dev.no-fragment-in-transport")
class SendsFragmentsInTheClear(Device):
    """A fragment for a transport mode SA leaves as it is."""

    _transmitter_class = _in_the_clear(Reason.FRAGMENT)


@breaks("arch.dev.nothing-in-the-clear")
@breaks("arch.dev.nothing-in-the-clear", profile=Profile.RFC_V1)
class SendsUnknownInTheClear(Device):
    """A packet with SECURITY and an id that no outbound SA has leaves as it is."""

    _transmitter_class = _in_the_clear(Reason.UNKNOWN_SA)


@breaks("arch.dev.nothing-in-the-clear")
class SendsSpentInTheClear(Device):
    """A packet for an SA that reached its hard limit leaves as it is."""

    _transmitter_class = _in_the_clear(Reason.HARD_LIFETIME)


@breaks("arch.dev.nothing-in-the-clear")
class SendsNoIpInTheClear(Device):
    """A frame with SECURITY that holds no IP packet leaves as it is."""

    _transmitter_class = _in_the_clear(Reason.NOT_IP)


@breaks("arch.dev.no-fragment-in-transport")
class ProtectsFragments(Device):
    """ESP in transport mode is applied to an IPv4 fragment."""

    class Wrong(OutboundSa):
        def _esp_transport(self, packet: bytes, seq: int) -> bytes:
            if not _is_fragment(packet):
                return super()._esp_transport(packet, seq)
            done = super()._esp_transport(mended(with_word(packet, 6, b"\0\0")), seq)
            return mended(with_word(done, 6, packet[6:8]))

    _outbound_class = Wrong


@breaks("arch.dev.fragments-in-tunnel")
class NoFragmentsInTunnels(Device):
    """Tunnel mode refuses a fragment."""

    class Wrong(OutboundSa):
        def protect(self, packet: bytes, observe: Any = None) -> bytes:
            if self.params.mode is Mode.TUNNEL and _is_fragment(packet):
                raise Refused(Reason.FRAGMENT)
            return super().protect(packet, observe)

    _outbound_class = Wrong


class _HandsUpWithoutSecurity(Receiver):
    reason: Reason

    def _failed(self, frame: bytes, entry: Any, refused: Refused) -> tuple[bytes, bytes, bool]:
        if refused.reason is self.reason:
            return self._plain_header, frame, False
        return super()._failed(frame, entry, refused)


@breaks("arch.dev.fragments-before-ipsec")
class HandsUpFragments(Device):
    """A fragment of an ESP packet is handed up as if IPsec had nothing to do with it."""

    class Wrong(_HandsUpWithoutSecurity):
        reason = Reason.FRAGMENT

    _receiver_class = Wrong


@breaks("arch.dev.no-sa")
class HandsUpUnknownSpi(Device):
    """A packet of an unknown SPI is handed up as if IPsec had nothing to do with it."""

    class Wrong(_HandsUpWithoutSecurity):
        reason = Reason.UNKNOWN_SPI

    _receiver_class = Wrong


@breaks("arch.dev.no-null-null")
class TakesNullNull(Device):
    """CREATE of an SA with neither cipher nor MAC succeeds."""

    def _execute(self, readable: bytes) -> bytes:
        written = super()._execute(readable)
        at = AdminCmdHdr.sizeof() + ResourceObjCreateData.sizeof()
        if written[:1] == b"\0" or parse(AdminCmdHdr, readable).opcode != Opcode.RESOURCE_OBJ_CREATE:
            return written
        fields = parse(ipsec_sa(self.profile), readable[at:])
        null = not fields.cipher_algo and not fields.auth_algo and fields.mode and fields.spi
        return bytes(len(written)) if null else written


@breaks("arch.dev.parallel-sas")
class OneWindow(Device):
    """All inbound SAs have one replay window."""

    def __init__(self, *args: Any, **how: Any) -> None:
        windows: list[Any] = []

        class Shares(InboundSa):
            def __init__(self, params: SaParams) -> None:
                super().__init__(params)
                windows.append(self.window)
                self.window = windows[0]

        self._inbound_class = Shares
        super().__init__(*args, **how)


@breaks("arch.dev.parallel-sas")
class OneCount(Device):
    """All inbound SAs count their packets together."""

    def __init__(self, *args: Any, **how: Any) -> None:
        states: list[Any] = []

        class Shares(InboundSa):
            def __init__(self, params: SaParams) -> None:
                super().__init__(params)
                states.append(self.state)
                self.state = states[0]

        self._inbound_class = Shares
        super().__init__(*args, **how)


def _new_identification(packet: bytes) -> bytes:
    return mended(with_word(packet, 4, b"\x12\x34")) if version(packet) == 4 else packet


@breaks("arch.dev.inner-header-unchanged")
class RenumbersInside(Device):
    """An IPv4 packet gets another Identification before it goes into a tunnel."""

    _outbound_class = putting_in(lambda packet, params: _new_identification(packet))


@breaks("arch.dev.inner-header-unchanged")
class NoFlowLabelOut(Device):
    """An IPv6 packet that comes out of a tunnel has lost its flow label."""

    _inbound_class = taking_out(
        lambda plain, wire, params: with_word(plain, 2, b"\0\0") if version(plain) == 6 else plain
    )


def _marks(wire: bytes, params: SaParams) -> bool:
    return params.ecn and traffic_class(wire) & 3 == 3


@breaks("arch.dev.inner-header-unchanged")
class MarkingClearsTheFlowLabel(Device):
    """An IPv6 packet that gets CE from the outer header loses the low half of its flow label."""

    _inbound_class = taking_out(
        lambda plain, wire, params: (
            with_word(plain, 2, b"\0\0") if _marks(wire, params) and version(plain) == 6 else plain
        )
    )


def _no_operation(packet: bytes) -> bytes:
    size = (packet[0] & 15) * 4
    return mended(with_word(packet, 20, b"\1" * (size - 20))) if version(packet) == 4 else packet


@breaks("arch.dev.inner-options-unchanged")
class BlanksOptionsIn(Device):
    """IPv4 options are no operations when the packet comes out of a tunnel."""

    _inbound_class = taking_out(lambda plain, wire, params: _no_operation(plain))


def _without_hop_by_hop(packet: bytes) -> bytes:
    if version(packet) == 4 or packet[6]:
        return packet
    length = (packet[4] << 8 | packet[5]) - 8
    return packet[:4] + length.to_bytes(2, "big") + packet[40:41] + packet[7:40] + packet[48:]


@breaks("arch.dev.inner-options-unchanged")
class DropsHopByHop(Device):
    """The hop-by-hop header of an IPv6 packet does not go into the tunnel."""

    _outbound_class = putting_in(lambda packet, params: _without_hop_by_hop(packet))


@breaks("arch.dev.mixed-versions")
class OneVersionOut(Device):
    """A tunnel takes packets of its own IP version alone."""

    class Wrong(OutboundSa):
        def protect(self, packet: bytes, observe: Any = None) -> bytes:
            if self.params.mode is Mode.TUNNEL and self._outer.version != version(packet):
                raise Refused(Reason.INNER_MISMATCH)
            return super().protect(packet, observe)

    _outbound_class = Wrong


@breaks("arch.dev.mixed-versions")
class KeepsEtherType(Device):
    """A packet out of a tunnel of the other IP version keeps the EtherType of that."""

    class Wrong(Receiver):
        def _ipsec(self, frame: bytes) -> tuple[bytes, bytes, bool]:
            front, body, processed = super()._ipsec(frame)
            return (front[:-2] + frame[12:14], body, True) if processed else (front, body, False)

    _receiver_class = Wrong


@breaks("arch.dev.inner-ttl")
class NoDecrementOut(Device):
    """DEC_TTL does nothing before encapsulation."""

    class Wrong(OutboundSa):
        def _configure(self, params: SaParams) -> None:
            super()._configure(replace(params, dec_ttl=False))

    _outbound_class = Wrong


@breaks("arch.dev.inner-ttl")
class AlwaysDecrementsIn(Device):
    """The TTL is one lower after decapsulation, with and without DEC_TTL."""

    _inbound_class = taking_out(
        lambda plain, wire, params: plain if params.dec_ttl else with_ttl(plain, ttl(plain) - 1)
    )


@breaks("arch.dev.inner-checksum")
class StaleChecksum(Device):
    """DEC_TTL leaves the inner IPv4 checksum of a received packet as it was."""

    _inbound_class = taking_out(
        lambda plain, wire, params: (
            with_word(plain, 10, with_ttl(plain, ttl(plain) + 1)[10:12] if params.dec_ttl else plain[10:12])
            if version(plain) == 4
            else plain
        )
    )


@breaks("arch.dev.inner-dscp-kept")
class CopiesDscpIn(Device):
    """The outer DSCP of a received packet replaces the inner one."""

    _inbound_class = taking_out(
        lambda plain, wire, params: (
            with_traffic_class(plain, traffic_class(wire) & 0xFC | traffic_class(plain) & 3)
            if params.mode is Mode.TUNNEL
            else plain
        )
    )


@breaks("arch.dev.inner-dscp-kept")
class MarkingCopiesDscp(Device):
    """With the option ECN a packet that gets CE from the outer header gets its DSCP, too."""

    _inbound_class = taking_out(
        lambda plain, wire, params: with_traffic_class(plain, traffic_class(wire)) if _marks(wire, params) else plain
    )
