"""parse and build: short, long and hostile input; defaults; refusals; nothing shows a key."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from virtionet_ipsec.wire import Profile
from virtionet_ipsec.wire import structs as s
from virtionet_ipsec.wire.codec import build, parse
from virtionet_ipsec.wire.net import net_hdr

V1_4, RFC = Profile.VIRTIO_1_4, Profile.RFC_V1

ALL: dict[str, Any] = {
    "AdminCmdHdr": s.AdminCmdHdr,
    "AdminCmdResult": s.AdminCmdResult,
    "AdminCmdList": s.AdminCmdList,
    "QueryCapIdResult": s.QueryCapIdResult,
    "CapGetData": s.CapGetData,
    "CapSetData": s.CapSetData,
    "ResourceObjHdr": s.ResourceObjHdr,
    "ResourceObjFlags": s.ResourceObjFlags,
    "ResourceObjCreateData": s.ResourceObjCreateData,
    "FfResourceCap": s.FfResourceCap,
    "FfSelector": s.FfSelector,
    "FfSelectorCap": s.FfSelectorCap,
    "FfActionCap": s.FfActionCap,
    "FfGroup": s.FfGroup,
    "FfClassifier": s.FfClassifier,
    "FfRule": s.FfRule,
    "IpsecResourceCap": s.IpsecResourceCap,
    "Lifetime": s.Lifetime,
    "NetConfig": s.NetConfig,
    "CryptoOpHeader": s.CryptoOpHeader,
    "CryptoOpDataReq": s.CryptoOpDataReq,
    "CryptoInhdr": s.CryptoInhdr,
}
for profile in Profile:
    for make in (s.ipsec_sa, s.ipsec_sa_cap, s.ipsec_mode_cap, s.tunnel_ipv4, s.tunnel_ipv6):
        ALL[f"{make.__name__}({profile.value})"] = make(profile)
    ALL[f"net_hdr({profile.value})"] = net_hdr(profile, -1)

LONGEST = 70_000  # 255 selectors of 263 octets each, and some
long_bytes = st.builds(lambda head, fill: head + bytes([fill]) * LONGEST, st.binary(max_size=9), st.integers(0, 255))
some_bytes = st.binary(max_size=400) | long_bytes


@pytest.mark.parametrize("name", ALL)
@settings(max_examples=50, deadline=None)
@given(data=some_bytes)
@example(data=b"")
@example(data=b"\xff" * LONGEST)
def test_any_bytes_parse_and_build_to_a_fixed_point(name: str, data: bytes) -> None:
    parsed = parse(ALL[name], data)
    built = build(ALL[name], **parsed)
    assert parse(ALL[name], built) == parsed
    assert built[: len(data)] == data[: len(built)]
    assert not any(built[len(data) :])


@pytest.mark.parametrize("name", ALL)
@settings(max_examples=50, deadline=None)
@given(data=st.binary(max_size=250), cut=st.integers(0, 250))
def test_short_reads_as_if_zeros_followed(name: str, data: bytes, cut: int) -> None:
    if not name.startswith(("AdminCmdList", "QueryCapId")):  # their length is their own
        assert parse(ALL[name], data[:cut]) == parse(ALL[name], data[:cut] + bytes(LONGEST))


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_kinds_of_input(kind: Any) -> None:
    assert parse(s.FfGroup, kind(b"\x01\x02\x03")).group_priority == 0x0201


def test_a_list_of_opcodes_cut_within_an_entry() -> None:
    assert parse(s.AdminCmdList, b"\x03").device_admin_cmd_opcodes == [3]
    assert parse(s.AdminCmdList, bytes(8) + b"\x01\x02").device_admin_cmd_opcodes == [0, 0x0201]
    assert parse(s.AdminCmdList, b"").device_admin_cmd_opcodes == []


def test_hostile_counts_cost_little() -> None:
    began = time.perf_counter()
    for structure in ALL.values():
        parse(structure, b"\xff" * LONGEST)
        parse(structure, b"\xff")
    assert time.perf_counter() - began < 2  # tens of milliseconds; the bound is for slow machines


@pytest.mark.parametrize("name", ALL)
def test_everything_has_a_zero_default(name: str) -> None:
    assert not any(build(ALL[name]))
    assert parse(ALL[name], build(ALL[name])) == parse(ALL[name], b"")


def test_counts_that_are_not_given_are_those_of_the_arrays() -> None:
    built = build(s.FfClassifier, selectors=[{"type": 1, "mask": bytes(14)}, {"type": 2, "length": 20}])
    parsed = parse(s.FfClassifier, built)
    assert parsed.count == 2
    assert [(each.length, len(each.mask)) for each in parsed.selectors] == [(14, 14), (20, 20)]
    assert build(s.FfRule, keys=b"abc")[9] == 3
    assert build(s.FfActionCap, actions=[1, 2])[0] == 2
    assert build(s.ipsec_sa_cap(V1_4), cap_mode=[{"mode": 1}])[0] == 1


@pytest.mark.parametrize(
    ("structure", "fields"),
    [
        (s.FfSelector, {"typ": 1}),
        (s.FfClassifier, {"selectors": [{"masc": b""}]}),
        (s.ResourceObjCreateData, {"hdr": {"identifier": 1}}),
        (s.ResourceObjCreateData, {"type": 1}),
        (s.ResourceObjCreateData, {"hdr": 5}),
        (s.FfClassifier, {"selectors": 5}),
        (s.ipsec_sa(RFC), {"life": {}}),
        (s.ipsec_sa(V1_4), {"esn": 1}),
        (s.ipsec_sa(V1_4), {"param": {"header": "text"}}),
    ],
)
def test_build_refuses_what_is_not_there(structure: Any, fields: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        build(structure, **fields)


@pytest.mark.parametrize(
    ("structure", "fields"),
    [
        (s.FfSelector, {"type": 256}),
        (s.FfSelector, {"type": -1}),
        (s.FfSelector, {"length": 3, "mask": b"12"}),
        (s.FfSelector, {"mask": bytes(256)}),
        (s.FfClassifier, {"count": 2, "selectors": [{}]}),
        (s.FfGroup, {"group_priority": 1 << 16}),
        (s.AdminCmdHdr, {"reserved1": b"short"}),
        (s.AdminCmdList, {"device_admin_cmd_opcodes": [1 << 64]}),
        (s.ipsec_sa(V1_4), {"cipher_key": {"data": bytes(33)}}),
        (s.ipsec_sa(V1_4), {"param": {"header": bytes(41)}}),
        (s.ipsec_sa(RFC), {"param": {"header": bytes(39)}}),
    ],
)
def test_build_refuses_what_does_not_fit(structure: Any, fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        build(structure, **fields)


@pytest.mark.parametrize("profile", Profile)
def test_no_repr_shows_a_key(profile: Profile) -> None:
    secret = b"correct horse battery staple ***"
    built = build(
        s.ipsec_sa(profile),
        salt=int.from_bytes(b"SALT", "little"),
        cipher_key={"length": 32, "data": secret},
        auth_key={"length": 32, "data": secret},
    )
    assert built[12:16] == b"SALT"
    parsed = parse(s.ipsec_sa(profile), built)
    key = parsed.cipher_key.data
    assert key == secret
    assert key[0] == secret[0]
    assert key[:16] == secret[:16]
    assert parsed.salt == int.from_bytes(b"SALT", "little")
    shown = f"{parsed} {parsed!r} {key} {key!r} {key[:7]!r} {key[:7]} {parsed.salt} {parsed.salt!r}"
    assert "corr" not in shown
    assert "hors" not in shown
    assert str(int.from_bytes(b"SALT", "little")) not in shown


@pytest.mark.parametrize("key", ["correct horse", b"correct horse battery staple, too long", ["correct horse"]])
def test_no_error_shows_a_key(key: Any) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        build(s.ipsec_sa(V1_4), cipher_key={"data": key})
    assert "horse" not in str(caught.value)
