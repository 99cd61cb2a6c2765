"""virtio_net_hdr: sizes and flags by hand, and struct against construct for every combination of features."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtionet_ipsec.wire import Feature, HdrFlag, HdrFlagRfcV1, Profile, ResourceType
from virtionet_ipsec.wire.codec import build, parse
from virtionet_ipsec.wire.net import net_hdr
from virtionet_ipsec.wire.net_hdr import HdrLayout, NetHdr

V1_4, RFC = Profile.VIRTIO_1_4, Profile.RFC_V1

SHAPING = (
    Feature.HASH_REPORT,
    Feature.HOST_UDP_TUNNEL_GSO,
    Feature.GUEST_UDP_TUNNEL_GSO,
    Feature.OUT_NET_HEADER,
    Feature.IPSEC,
)
COMBINATIONS = [
    sum(1 << feature for feature in chosen)
    for size in range(len(SHAPING) + 1)
    for chosen in itertools.combinations(SHAPING, size)
]
WIDE = ("hash_value", "resource_id")
BYTES = ("flags", "gso_type")


def bits(*features: Feature) -> int:
    return sum(1 << feature for feature in features)


def value_of(name: str) -> st.SearchStrategy[int]:
    return st.integers(0, 0xFF if name in BYTES else 0xFFFFFFFF if name in WIDE else 0xFFFF)


@pytest.mark.parametrize(
    ("profile", "features", "size", "resource_offset"),
    [
        (V1_4, 0, 12, None),
        (V1_4, bits(Feature.HASH_REPORT), 20, None),
        (V1_4, bits(Feature.HOST_UDP_TUNNEL_GSO), 24, None),
        (V1_4, bits(Feature.GUEST_UDP_TUNNEL_GSO), 24, None),
        (V1_4, bits(Feature.HASH_REPORT, Feature.GUEST_UDP_TUNNEL_GSO), 24, None),
        (V1_4, bits(Feature.OUT_NET_HEADER), 32, None),
        (V1_4, bits(Feature.IPSEC), 32, 26),
        (V1_4, bits(Feature.IPSEC, Feature.OUT_NET_HEADER), 32, 26),
        (V1_4, bits(*SHAPING), 32, 26),
        (V1_4, bits(Feature.CSUM, Feature.MRG_RXBUF, Feature.VERSION_1), 12, None),
        (RFC, 0, 12, None),
        (RFC, bits(Feature.HASH_REPORT), 20, None),
        (RFC, bits(Feature.IPSEC), 18, 12),
        (RFC, bits(Feature.HASH_REPORT, Feature.IPSEC), 26, 20),
        (RFC, bits(Feature.OUT_NET_HEADER, Feature.HOST_UDP_TUNNEL_GSO), 12, None),
        (RFC, bits(*SHAPING), 26, 20),
    ],
)
def test_size(profile: Profile, features: int, size: int, resource_offset: int | None) -> None:
    layout = HdrLayout(profile, features)
    assert layout.size == layout.struct.size == net_hdr(profile, features).sizeof() == size
    assert layout.resource_offset == resource_offset
    assert (layout.profile, layout.features) == (profile, features)


def test_offsets_with_everything() -> None:
    expected = {
        "flags": 0,
        "gso_type": 1,
        "hdr_len": 2,
        "gso_size": 4,
        "csum_start": 6,
        "csum_offset": 8,
        "num_buffers": 10,
        "hash_value": 12,
        "hash_report": 16,
        "outer_th_offset": 20,
        "inner_nh_offset": 22,
        "outer_nh_offset": 24,
        "resource_id": 26,
        "resource_type": 30,
    }
    layout = HdrLayout(V1_4, bits(*SHAPING))
    for name, offset in expected.items():
        assert layout.build(NetHdr(**{name: 1})) == bytes(offset) + b"\x01" + bytes(31 - offset), name


def test_examples() -> None:
    octets = bytes.fromhex(
        "11 01 2a00 dc05 0e00 1000 0100  44332211 0200 0000  3200 3600  0e00  07000000 0302".replace(" ", "")
    )
    hdr = NetHdr(
        flags=HdrFlag.SECURITY | HdrFlag.NEEDS_CSUM,
        gso_type=1,
        hdr_len=42,
        gso_size=1500,
        csum_start=14,
        csum_offset=16,
        num_buffers=1,
        hash_value=0x11223344,
        hash_report=2,
        outer_th_offset=50,
        inner_nh_offset=54,
        outer_nh_offset=14,
        resource_id=7,
        resource_type=ResourceType.IPSEC_OUTB_SA,
    )
    layout = HdrLayout(V1_4, bits(*SHAPING))
    assert layout.build(hdr) == octets
    assert layout.parse(octets + b"frame") == hdr

    rfc = HdrLayout(RFC, bits(Feature.IPSEC))
    octets = bytes.fromhex("18 00 0000 0000 0000 0000 0100  09000000 0402".replace(" ", ""))
    hdr = NetHdr(flags=0x18, num_buffers=1, resource_id=9, resource_type=ResourceType.IPSEC_INB_SA)
    assert rfc.build(hdr) == octets
    assert rfc.parse(memoryview(octets)) == hdr


def flat(parsed: Any) -> dict[str, int]:
    """A construct container as NetHdr's fields."""
    fields = {name: value for name, value in parsed.items() if name in NetHdr.__slots__}
    return fields | {name: value for name, value in parsed.get("ipsec_resource_hdr", {}).items() if name[0] != "_"}


@pytest.mark.parametrize("features", COMBINATIONS)
@pytest.mark.parametrize("profile", Profile)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_struct_is_what_construct_declares(profile: Profile, features: int, data: st.DataObject) -> None:
    layout = HdrLayout(profile, features)
    declared = net_hdr(profile, features)
    assert layout.size == declared.sizeof()

    octets = data.draw(st.binary(min_size=layout.size, max_size=layout.size + 4))
    hdr = layout.parse(octets)
    assert dataclasses.asdict(hdr) == dataclasses.asdict(NetHdr(**flat(parse(declared, octets))))
    assert tuple(flat(parse(declared, octets))) == layout.fields
    assert layout.parse(layout.build(hdr)) == hdr

    values = {name: data.draw(value_of(name), label=name) for name in layout.fields}
    resource = {name: values[name] for name in ("resource_id", "resource_type") if name in values}
    plain = {name: value for name, value in values.items() if name not in resource}
    nested = {"ipsec_resource_hdr": resource} if resource else {}
    assert layout.build(NetHdr(**values)) == build(declared, **plain, **nested)
    assert layout.struct.pack(*values.values()) == layout.build(NetHdr(**values))


@pytest.mark.parametrize("features", COMBINATIONS)
@pytest.mark.parametrize("profile", Profile)
def test_short_and_unavailable(profile: Profile, features: int) -> None:
    layout = HdrLayout(profile, features)
    for size in range(layout.size):
        with pytest.raises(ValueError, match=f"is {layout.size} octets .* there are {size}$"):
            layout.parse(bytes(size))
    for name in NetHdr.__slots__:
        hdr = NetHdr(**{name: 1})
        if name in layout.fields:
            assert layout.parse(layout.build(hdr)) == hdr
        else:
            with pytest.raises(ValueError, match=f"has no {name} "):
                layout.build(hdr)


def test_values_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="virtio_net_hdr"):
        HdrLayout(V1_4, 0).build(NetHdr(flags=256))


def test_flags() -> None:
    layout = HdrLayout(V1_4, 0)
    assert (layout.security, layout.security_err, layout.soft_expiry_warn) == (16, 32, 64)
    assert layout.flags is HdrFlag
    assert layout.flag_names(0) == ()
    assert layout.flag_names(16 | 32 | 64) == ("SECURITY", "SECURITY_ERR", "SECURITY_SA_SOFT_EXPIRY_WARN")
    assert layout.flag_names(0x8F) == ("NEEDS_CSUM", "DATA_VALID", "RSC_INFO", "UDP_TUNNEL_CSUM", "0x80")

    rfc = HdrLayout(RFC, 0)
    assert (rfc.security, rfc.security_err, rfc.soft_expiry_warn) == (8, 16, 0)
    assert rfc.flags is HdrFlagRfcV1
    assert rfc.flag_names(8 | 16 | 64) == ("SECURITY", "SECURITY_ERR", "0x40")
