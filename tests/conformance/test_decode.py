"""Exchanges in words: every field by its name, and never a key."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtionet_ipsec.conformance.decode import decoded
from virtionet_ipsec.device import Device
from virtionet_ipsec.device.exchanges import Commanded, Controlled, Transmitted
from virtionet_ipsec.driver.sa_object import sa_object
from virtionet_ipsec.wire.admin import AdminCmdHdr, ResourceObjCreateData
from virtionet_ipsec.wire.codec import build
from virtionet_ipsec.wire.enums import Opcode, ResourceType
from virtionet_ipsec.wire.profile import Profile

from .sample import AUTH_KEY, CIPHER_KEY, SALT, sas, told


def octets_of(lines: tuple[str, ...]) -> str:
    return "".join("\n".join(lines).split())


@pytest.mark.parametrize("profile", Profile)
def test_a_session_in_words(profile: Profile) -> None:
    device, exchanges = told(profile)
    lines = decoded(exchanges, profile, device.features)
    text = "\n".join(lines)
    for said in (
        "status: write ACKNOWLEDGE|DRIVER; reads back ACKNOWLEDGE|DRIVER",
        "VIRTIO_NET_F_IPSEC",
        "command LIST_QUERY: group_type 0, group_member_id 0",
        "command DRIVER_CAP_SET: group_type 0, group_member_id 0; IPSEC_SA_CAP",
        "command RESOURCE_OBJ_CREATE: group_type 0, group_member_id 0; IPSEC_OUTB_SA id 1",
        "flags=SECURITY resource_id=4711 resource_type=515",
        "on the wire: nothing",
        "flags=SECURITY num_buffers=1 resource_id=1 resource_type=516",
        "receive buffers: 65536 octets each",
        "the buffer was not used",
    ):
        assert said in text


@pytest.mark.parametrize("profile", Profile)
@pytest.mark.parametrize("opcode", [Opcode.RESOURCE_OBJ_CREATE, Opcode.RESOURCE_OBJ_MODIFY, Opcode.RESOURCE_OBJ_QUERY])
def test_keys_are_not_shown(profile: Profile, opcode: Opcode) -> None:
    """Neither on the way in nor on the way out (QUERY gives the object back)."""
    params = sas()[2]
    data = sa_object(params, 3, profile)
    head = build(AdminCmdHdr, opcode=opcode) + build(
        ResourceObjCreateData, hdr={"type": ResourceType.IPSEC_OUTB_SA, "id": 3}
    )
    for cut in (len(data), 120, 100):
        exchange = Commanded(head + data[:cut], 4096, bytes(8) + data[:cut])
        shown = octets_of(decoded([exchange], profile, Device(profile).features, own=True))
        for key in (CIPHER_KEY, AUTH_KEY, SALT):
            for part in (key[:4], key[-4:]):
                assert part.hex() not in shown
        assert "**" in shown


@pytest.mark.parametrize("profile", Profile)
def test_a_session_shows_no_key(profile: Profile) -> None:
    device, exchanges = told(profile)
    for own in (True, False):
        shown = octets_of(decoded(exchanges, profile, device.features, own=own))
        assert [key for key in (CIPHER_KEY, AUTH_KEY, SALT) if key.hex() in shown] == []
    assert [key for key in (CIPHER_KEY, AUTH_KEY, SALT) if str(key)[2:-1] in repr(exchanges)] == []


@given(opcode=st.integers(0, 0x100), kind=st.integers(0x1FF, 0x206), cut=st.integers(0, 60), more=st.binary(max_size=9))
def test_keys_of_others_are_not_shown_wherever_they_are(opcode: int, kind: int, cut: int, more: bytes) -> None:
    """A wrong driver may put them behind any opcode and type, and at any place."""
    data = sa_object(sas()[2], 3, Profile.VIRTIO_1_4)
    head = build(AdminCmdHdr, opcode=opcode) + build(ResourceObjCreateData, hdr={"type": kind, "id": 3})
    for readable in (head + more + data + data, head[:24] + data, head + data[cut:], data, head[: 24 + cut] + data):
        for exchange in (Commanded(readable, 4096, bytes(8)), Controlled(readable, 1, b"\1")):
            shown = octets_of(decoded([exchange], Profile.VIRTIO_1_4, 0))
            for key in (CIPHER_KEY, AUTH_KEY):
                assert not any(key[at : at + 4].hex() in shown for at in range(len(key) - 3))


def test_control_commands() -> None:
    exchanges = [Controlled(b"\4\0\2\0", 1, b"\0"), Controlled(b"\x0b\x07", 1, b"\1"), Controlled(b"\4", 0, b"")]
    assert decoded(exchanges, Profile.VIRTIO_1_4, 0, own=True) == (
        "control command MQ VQ_PAIRS_SET",
        "    readable: 04000200",
        "    ack: 0",
        "control command class 11 command 7",
        "    readable: 0b07",
        "    ack: 1",
        "control command (cut short)",
        "    readable: 04",
        "    no ack was written",
    )
    assert decoded(exchanges[:1], Profile.VIRTIO_1_4, 0)[1:] == (
        "    readable: 4 octets, not shown: they may hold keys",
        "    ack: 0",
    )


@given(octets=st.binary(max_size=60))
def test_any_octets(octets: bytes) -> None:
    for profile in Profile:
        for exchange in (
            Commanded(octets, 0, octets),
            Controlled(octets, 0, octets),
            Transmitted(0, octets, (octets,)),
        ):
            assert decoded([exchange], profile, Device(profile).features)
