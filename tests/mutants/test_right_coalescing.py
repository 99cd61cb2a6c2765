"""Checks on coalesced packets say nothing of what a device may well do."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from virtionet_ipsec.conformance.catalogue import catalogue
from virtionet_ipsec.conformance.driving import frames
from virtionet_ipsec.conformance.driving.traffic import inside, transport_of
from virtionet_ipsec.conformance.judge_device import judge_device
from virtionet_ipsec.conformance.verdict import Verdict
from virtionet_ipsec.device import Device
from virtionet_ipsec.ipsec.ip import checksum
from virtionet_ipsec.wire.enums import GsoType, HdrFlag
from virtionet_ipsec.wire.net_hdr import NetHdr
from virtionet_ipsec.wire.profile import Profile

from .coalescing import ECN, RSC, TUNNEL_BIT, TUNNEL_CSUM, Coalescing, put

ALL = ECN | RSC | TUNNEL_CSUM
JUDGED = {
    f"rx.{name}"
    for name in (
        "gso-needs-csum",
        "gso-size",
        "ecn-bit",
        "tunnel-bit-inner",
        "tunnel-offsets",
        "udp-tunnel-csum-pseudo-header",
        "udp-tunnel-csum-clear",
        "rsc-info",
        "rsc-segments",
        "rsc-duplicate-acks",
        "hdr-len",
    )
}


def _sum(frame: bytes, start: int, addresses: bytes, protocol: int, at: int) -> bytes:
    """``frame`` with the checksum at ``at`` of all from ``start`` on."""
    pseudo = frames.pseudo_header_sum(addresses, protocol, len(frame) - start).to_bytes(2, "big")
    return put(frame, at, checksum(pseudo + put(frame, at, 0)[start:]) or 0xFFFF)


class WithOuterChecksum(Coalescing):
    """The outer checksum is right for the packet with its inner one completed."""

    def altered(self, hdr: NetHdr, frame: bytes) -> tuple[NetHdr, bytes]:
        outer, inner = transport_of(frame), inside(frame)
        if outer is None or inner is None or hdr.flags & HdrFlag.UDP_TUNNEL_CSUM:
            return hdr, frame
        done = _sum(frame, inner.at, inner.addresses, frames.TCP, inner.csum_at)
        done = _sum(done, outer.at, outer.addresses, frames.UDP, outer.csum_at)
        return hdr, frame[: outer.csum_at] + done[outer.csum_at : outer.csum_at + 2] + frame[outer.csum_at + 2 :]


class WithSumOfAll(WithOuterChecksum):
    """The outer checksum is right for the packet as it is."""

    def altered(self, hdr: NetHdr, frame: bytes) -> tuple[NetHdr, bytes]:
        outer = transport_of(frame)
        if outer is None or outer.protocol != frames.UDP or hdr.flags & HdrFlag.UDP_TUNNEL_CSUM:
            return hdr, frame
        return hdr, _sum(frame, outer.at, outer.addresses, frames.UDP, outer.csum_at)


class WithOuterBit(Coalescing):
    """The tunnel bit is that of the outer header, as Linux has it."""

    def altered(self, hdr: NetHdr, frame: bytes) -> tuple[NetHdr, bytes]:
        outer = transport_of(frame)
        if not hdr.inner_nh_offset or outer is None:
            return hdr, frame
        both = TUNNEL_BIT[4] | TUNNEL_BIT[6]
        return replace(hdr, gso_type=hdr.gso_type & ~both | TUNNEL_BIT[outer.version]), frame


class LongHdrLen(Coalescing):
    """hdr_len is more than the headers, and ECN stands where CWR is not."""

    def altered(self, hdr: NetHdr, frame: bytes) -> tuple[NetHdr, bytes]:
        return replace(hdr, hdr_len=len(frame), gso_type=hdr.gso_type | GsoType.ECN), frame


@pytest.mark.parametrize("kind", [Coalescing, WithOuterChecksum, WithSumOfAll, WithOuterBit, LongHdrLen])
def test_passes(kind: type[Device]) -> None:
    report = judge_device(partial(kind, features=ALL), Profile.VIRTIO_1_4, "a right one", only=JUDGED)
    assert [result.why for result in report.results if result.verdict is not Verdict.PASS] == []


def test_what_does_not_coalesce_is_not_judged() -> None:
    """The model, which is told to offer all; hdr_len is due without coalescing."""
    report = judge_device(partial(Device, features=ALL), Profile.VIRTIO_1_4, "the model", only=JUDGED - {"rx.hdr-len"})
    assert {result.verdict for result in report.results} == {Verdict.NOT_OBSERVABLE}
    report = judge_device(Device, Profile.VIRTIO_1_4, "the model", only=JUDGED)
    assert {result.verdict for result in report.results} == {Verdict.NOT_APPLICABLE}


def test_all_that_is_received() -> None:
    """The right device fails nothing of what is said of incoming packets."""
    received = {entry.id for entry in catalogue() if entry.id.startswith(("rx.", "rxbuf."))}
    report = judge_device(partial(Coalescing, features=ALL), Profile.VIRTIO_1_4, "a right one", only=received)
    assert [(result.entry.id, result.why) for result in report.failures] == []
