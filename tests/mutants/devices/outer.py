"""Devices that are wrong about the outer header of tunnel mode."""

from __future__ import annotations

from dataclasses import replace

from virtionet_ipsec.device import Device
from virtionet_ipsec.device.limits import ALL_SA_MODES, Limits
from virtionet_ipsec.ipsec import OutboundSa, SaParams
from virtionet_ipsec.ipsec.ip import traffic_class, with_traffic_class
from virtionet_ipsec.wire.enums import IpsecOption
from virtionet_ipsec.wire.profile import Profile

from ..mutant import breaks
from ..wrong_sas import ttl, version, with_outer, with_ttl, with_word


def _addresses(packet: bytes) -> slice:
    return slice(12, 20) if version(packet) == 4 else slice(8, 40)


@breaks("arch.dev.outer-addresses")
class CopiesAddresses(Device):
    """The outer addresses are the inner ones where the versions are the same."""

    _outbound_class = with_outer(
        lambda header, inner: (
            with_word(header, _addresses(header).start, inner[_addresses(inner)])
            if version(header) == version(inner)
            else header
        )
    )


@breaks("arch.dev.outer-dscp")
class AlwaysCopiesDscp(Device):
    """The inner DSCP is copied without COPY_DSCP."""

    _outbound_class = with_outer(
        lambda header, inner: with_traffic_class(header, traffic_class(inner) & 0xFC | traffic_class(header) & 3)
    )


@breaks("arch.dev.outer-dscp")
class NeverCopiesDscp(Device):
    """COPY_DSCP does nothing."""

    class Wrong(OutboundSa):
        def _configure(self, params: SaParams) -> None:
            super()._configure(replace(params, copy_dscp=False))

    _outbound_class = Wrong


@breaks("arch.dev.outer-lengths")
class PayloadLengthOfAll(Device):
    """The outer Payload Length counts the IPv6 header."""

    _outbound_class = with_outer(
        lambda header, inner: (
            with_word(header, 4, (int.from_bytes(header[4:6], "big") + 40).to_bytes(2, "big"))
            if version(header) == 6
            else header
        )
    )


@breaks("arch.dev.outer-lengths")
class TotalLengthOfPayload(Device):
    """The outer Total Length does not count the IPv4 header."""

    _outbound_class = with_outer(
        lambda header, inner: (
            with_word(header, 2, (int.from_bytes(header[2:4], "big") - 20).to_bytes(2, "big"))
            if version(header) == 4
            else header
        )
    )


@breaks("arch.dev.outer-id")
class CopiesIdentification(Device):
    """The outer Identification is the inner one."""

    _outbound_class = with_outer(
        lambda header, inner: with_word(header, 4, inner[4:6]) if version(header) == version(inner) == 4 else header
    )


def _with_df(header: bytes, df: bool) -> bytes:
    return with_word(header, 6, b"\x40\0" if df else b"\0\0") if version(header) == 4 else header


@breaks("arch.dev.outer-df", "arch.dev.df-choice")
class NoDf(Device):
    """The outer DF is clear, whatever the SA says."""

    _outbound_class = with_outer(lambda header, inner: _with_df(header, False))


@breaks("arch.dev.outer-df", "arch.dev.df-choice")
class NeverCopiesDf(Device):
    """COPY_DF does nothing."""

    class Wrong(OutboundSa):
        def _configure(self, params: SaParams) -> None:
            super()._configure(replace(params, copy_df=False))

    _outbound_class = Wrong


@breaks("arch.dev.outer-df")
class NoDfOverIpv6(Device):
    """The outer DF is clear around an IPv6 packet."""

    _outbound_class = with_outer(lambda header, inner: _with_df(header, False) if version(inner) == 6 else header)


@breaks("arch.dev.df-copy")
class NoCopyDf(Device):
    """No mode has the option COPY_DF."""

    def __init__(self, profile: Profile) -> None:
        modes = tuple(replace(mode, options=mode.options & ~IpsecOption.COPY_DF) for mode in ALL_SA_MODES)
        super().__init__(profile, limits=Limits(sa_modes=modes))


@breaks("arch.dev.outer-no-fragment")
class CopiesFragmentFields(Device):
    """MF and Fragment Offset are copied into the outer header."""

    _outbound_class = with_outer(
        lambda header, inner: (
            with_word(header, 6, bytes((header[6] | inner[6] & 0x3F, inner[7])))
            if version(header) == version(inner) == 4
            else header
        )
    )


@breaks("arch.dev.outer-ttl")
class CopiesTtl(Device):
    """The outer TTL is the inner one."""

    _outbound_class = with_outer(lambda header, inner: with_ttl(header, ttl(inner)))


@breaks("arch.dev.outer-protocol")
class IpInIp(Device):
    """The outer header names what is inside the tunnel instead of ESP or AH."""

    _outbound_class = with_outer(
        lambda header, inner: with_word(
            header, 9 if version(header) == 4 else 6, bytes((4 if version(inner) == 4 else 41,))
        )
    )


@breaks("arch.dev.outer-checksum")
class NoChecksum(Device):
    """The outer IPv4 checksum is zero."""

    _outbound_class = with_outer(
        lambda header, inner: with_word(header, 10, b"\0\0") if version(header) == 4 else header, mend=False
    )


def _with_options_of(header: bytes, inner: bytes) -> bytes:
    if not version(header) == version(inner) == 4:
        return header
    options = inner[20 : (inner[0] & 15) * 4]
    total = int.from_bytes(header[2:4], "big") + len(options)
    return inner[:1] + header[1:2] + total.to_bytes(2, "big") + header[4:] + options


@breaks("arch.dev.outer-no-options")
class CopiesOptions(Device):
    """IPv4 options are copied into the outer header."""

    _outbound_class = with_outer(_with_options_of)


@breaks("arch.dev.outer-flow-label")
class CopiesFlowLabel(Device):
    """The outer flow label is the inner one where the inner packet has one."""

    _outbound_class = with_outer(
        lambda header, inner: (
            header[:1] + bytes((header[1] & 0xF0 | inner[1] & 0x0F,)) + inner[2:4] + header[4:]
            if version(header) == version(inner) == 6
            else header
        )
    )
