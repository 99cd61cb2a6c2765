"""Segmentation held against Linux's, to the octet: linux_gso/cases.toml has what a kernel made of the same buffers."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from virtionet_ipsec.ipsec import Reason
from virtionet_ipsec.wire import Feature, Profile

from .rig import PROFILES, mask, offering

RECORDED = tomllib.loads((Path(__file__).parent / "linux_gso" / "cases.toml").read_text())
CUT = {case["name"]: case for case in RECORDED["case"] if case["frames"]}
NOT_CUT = {case["name"]: case for case in RECORDED["case"] if not case["frames"]}

# With these alone virtio_net_hdr has the 12 octets that a tap device takes.
FEATURES = mask(
    Feature.VERSION_1, Feature.CSUM, Feature.HOST_TSO4, Feature.HOST_TSO6, Feature.HOST_USO, Feature.HOST_ECN
)

# Why the model drops what Linux drops.
WHY = {
    "gso_size 0": Reason.BAD_HEADER,
    "ECN alone": Reason.GSO_NOT_NEGOTIATED,
    "ECN with UDP": Reason.GSO_NOT_NEGOTIATED,
    "TCPV6 of IPv4": Reason.BAD_HEADER,
    "TCPV4 of IPv6": Reason.BAD_HEADER,
    "UDP_L4 of TCP": Reason.BAD_HEADER,
    "TCPV4 of UDP": Reason.BAD_HEADER,
    "UDP without NEEDS_CSUM": Reason.BAD_HEADER,
    "csum_start elsewhere": Reason.BAD_CSUM,
    "csum_start behind the end": Reason.BAD_CSUM,
    "csum_offset elsewhere": Reason.BAD_CSUM,
    "a first fragment": Reason.FRAGMENT,
    "a later fragment": Reason.FRAGMENT,
    "an IPv4 length of 0": Reason.MALFORMED,
    "an IPv4 length that is less": Reason.MALFORMED,
    "an IPv4 length that is more": Reason.TRUNCATED,
    "an IPv6 length that is more": Reason.TRUNCATED,
    "an IPv4 header of 16 octets": Reason.MALFORMED,
    "a TCP header of 16 octets": Reason.MALFORMED,
    "a TCP header that is longer than the packet": Reason.MALFORMED,
    "an EtherType of none": Reason.NOT_IP,
}


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("case", CUT.values(), ids=CUT)
def test_the_frames_are_those_of_linux(profile: Profile, case: dict[str, Any]) -> None:
    device = offering(FEATURES, profile)
    frames = device.transmit(bytes.fromhex(case["sent"]))
    assert [frame.hex() for frame in frames] == case["frames"]
    assert device.counters.tx_sent == len(case["frames"])


@pytest.mark.parametrize("case", NOT_CUT.values(), ids=NOT_CUT)
def test_what_linux_drops_is_dropped(case: dict[str, Any]) -> None:
    device = offering(FEATURES)
    assert device.transmit(bytes.fromhex(case["sent"])) == ()
    assert device.transmit_refused is not None
    assert device.transmit_refused.reason is WHY[case["name"]], device.transmit_refused
    assert device.counters.tx_dropped == {WHY[case["name"]]: 1}


def test_every_case_is_looked_at() -> None:
    assert WHY.keys() == NOT_CUT.keys() and len(CUT) == 42
