"""The bytes of an SA object, field by field (virtio 1.4, 5.9.9.9.2), and what no object can carry.

The expected objects are put together here, from offsets and widths, by struct alone.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any

import pytest

from virtionet_ipsec.driver.errors import CannotExpress, DriverError
from virtionet_ipsec.driver.in_process import connect
from virtionet_ipsec.driver.sa_object import options_of, sa_object
from virtionet_ipsec.ipsec import Direction, Lifetime, Mode, Protocol, SaParams, Tunnel, UdpEncap
from virtionet_ipsec.wire import Profile, ResourceType

V1_4, RFC = Profile.VIRTIO_1_4, Profile.RFC_V1
LENGTH = {V1_4: 196, RFC: 166}

SRC4, DST4 = bytes((10, 1, 2, 3)), bytes((192, 0, 2, 77))
SRC6, DST6 = bytes(range(0x20, 0x30)), bytes(range(0x30, 0x40))
KEY16, KEY20, KEY32 = bytes(range(16)), bytes(range(50, 70)), bytes(range(100, 132))

# offset and struct code of each field
OFFSETS: dict[Profile, dict[str, tuple[int, str]]] = {
    V1_4: {
        "mode": (0, "B"),
        "direction": (1, "B"),
        "obj_id": (4, "<I"),
        "spi": (8, "<I"),
        "salt": (12, "4s"),
        "options": (16, "<Q"),
        "tunnel_type": (24, "B"),
        "tunnel": (28, "40s"),
        "udp_sport": (68, "<H"),
        "udp_dport": (70, "<H"),
        "replay_win_sz": (72, "<I"),
        "cipher_algo": (76, "<Q"),
        "cipher_key_length": (84, "<H"),
        "cipher_key": (88, "32s"),
        "auth_algo": (120, "<Q"),
        "auth_key_length": (128, "<H"),
        "auth_key": (132, "32s"),
        "packets_soft": (164, "<Q"),
        "bytes_soft": (172, "<Q"),
        "packets_hard": (180, "<Q"),
        "bytes_hard": (188, "<Q"),
    },
    RFC: {
        "mode": (0, "B"),
        "direction": (1, "B"),
        "obj_id": (4, "<I"),
        "spi": (8, "<I"),
        "salt": (12, "4s"),
        "options": (16, "<Q"),
        "tunnel_type": (24, "B"),
        "tunnel": (28, "38s"),
        "esn": (66, "<Q"),
        "udp_sport": (74, "<H"),
        "udp_dport": (76, "<H"),
        "replay_win_sz": (78, "<I"),
        "cipher_algo": (82, "<Q"),
        "cipher_key_length": (90, "<H"),
        "cipher_key": (92, "32s"),
        "auth_algo": (124, "<Q"),
        "auth_key_length": (132, "<H"),
        "auth_key": (134, "32s"),
    },
}


def by_hand(profile: Profile, **fields: Any) -> bytes:
    out = bytearray(LENGTH[profile])
    for name, value in fields.items():
        offset, code = OFFSETS[profile][name]
        struct.pack_into(code, out, offset, value)
    return bytes(out)


def gcm(direction: Direction = Direction.OUTBOUND, **fields: Any) -> SaParams:
    values: dict[str, Any] = {
        "protocol": Protocol.ESP,
        "mode": Mode.TUNNEL,
        "spi": 0x0A0B0C0D,
        "aead": "aes-gcm",
        "cipher_key": KEY16,
        "salt": b"\xde\xad\xbe\xef",
        "tunnel": Tunnel(SRC4, DST4, dscp=46, df=True, ttl=33),
    }
    return SaParams(direction=direction, **(values | fields))


# D06: host-order addresses little-endian in 1.4, the four octets in the RFC.
TUNNEL4 = {
    V1_4: bytes((3, 2, 1, 10)) + bytes((77, 2, 0, 192)) + bytes((46, 1, 33, 0)),
    RFC: SRC4 + DST4 + bytes((46, 1, 33)),
}
TUNNEL6 = {
    V1_4: SRC6 + DST6 + struct.pack("<IBB2x", 0xABCDE, 44, 17),
    RFC: SRC6 + DST6 + struct.pack("<IBB", 0xABCDE, 44, 17),
}
COMMON = {
    "mode": 1,
    "direction": 1,
    "obj_id": 0x01020304,
    "spi": 0x0A0B0C0D,
    "salt": b"\xde\xad\xbe\xef",
    "tunnel_type": 1,
    "cipher_algo": 1,
    "cipher_key_length": 16,
    "cipher_key": KEY16,
}


@pytest.mark.parametrize("profile", Profile)
def test_esp_tunnel_over_ipv4(profile: Profile) -> None:
    expected = by_hand(profile, **COMMON, tunnel=TUNNEL4[profile])
    assert sa_object(gcm(), 0x01020304, profile) == expected


@pytest.mark.parametrize("profile", Profile)
def test_esp_tunnel_over_ipv6(profile: Profile) -> None:
    params = gcm(tunnel=Tunnel(SRC6, DST6, dscp=17, ttl=44, flow_label=0xABCDE))
    expected = by_hand(profile, **COMMON | {"tunnel_type": 2}, tunnel=TUNNEL6[profile])
    assert sa_object(params, 0x01020304, profile) == expected


@pytest.mark.parametrize("profile", Profile)
@pytest.mark.parametrize(
    ("protocol", "mode", "number"),
    [
        (Protocol.ESP, Mode.TUNNEL, 1),
        (Protocol.ESP, Mode.TRANSPORT, 2),
        (Protocol.AH, Mode.TUNNEL, 3),
        (Protocol.AH, Mode.TRANSPORT, 4),
    ],
)
@pytest.mark.parametrize(("direction", "side"), [(Direction.OUTBOUND, 1), (Direction.INBOUND, 2)])
def test_modes_and_directions(
    profile: Profile, protocol: Protocol, mode: Mode, number: int, direction: Direction, side: int
) -> None:
    fields: dict[str, Any] = {"cipher": "null"} if protocol is Protocol.ESP else {}
    tunnel = Tunnel(SRC4, DST4) if direction is Direction.OUTBOUND and mode is Mode.TUNNEL else None
    params = SaParams(direction, protocol, mode, 0x0A0B0C0D, auth="hmac-sha1", auth_key=KEY20, tunnel=tunnel, **fields)
    expected = {"mode": number, "direction": side, "obj_id": 9, "spi": 0x0A0B0C0D}
    expected |= {"auth_algo": 2, "auth_key_length": 20, "auth_key": KEY20}
    if tunnel is not None:
        reserved = 1 if profile is V1_4 else 0
        addresses = TUNNEL4[profile][:8]
        expected |= {"tunnel_type": 1, "tunnel": addresses + bytes((0, 0, 64)) + bytes(reserved)}
    assert sa_object(params, 9, profile) == by_hand(profile, **expected)


ALGORITHMS = [
    # aead, cipher, auth, key lengths and salt; cipher_algo, auth_algo
    ({"aead": "aes-gcm"}, (16, 0, 4), (1, 0)),
    ({"aead": "aes-gcm"}, (24, 0, 4), (1, 0)),
    ({"aead": "aes-gcm"}, (32, 0, 4), (1, 0)),
    ({"aead": "aes-ccm"}, (16, 0, 3), (2, 0)),
    ({"aead": "chacha20-poly1305"}, (32, 0, 4), (3, 0)),
    ({"cipher": "null", "auth": "hmac-md5"}, (0, 16, 0), (0, 1)),
    ({"cipher": "null", "auth": "hmac-sha1"}, (0, 20, 0), (0, 2)),
    ({"cipher": "aes-cbc", "auth": "hmac-sha256"}, (32, 32, 0), (3, 4)),
    ({"cipher": "aes-ctr", "auth": "aes-xcbc"}, (16, 16, 4), (4, 53)),
    ({"cipher": "des-cbc", "auth": "aes-cmac"}, (8, 16, 0), (6, 26)),
    ({"cipher": "3des-cbc", "auth": "hmac-sha1"}, (24, 20, 0), (8, 2)),
    ({"cipher": "null", "auth": "aes-gmac"}, (0, 16, 4), (0, 41)),
]


@pytest.mark.parametrize("profile", Profile)
@pytest.mark.parametrize(("names", "lengths", "numbers"), ALGORITHMS)
def test_algorithms_and_keys(
    profile: Profile, names: dict[str, str], lengths: tuple[int, int, int], numbers: tuple[int, int]
) -> None:
    """D01: an AEAD is a cipher_algo without an auth_algo; D07 and D26: the salt's octets as they are."""
    cipher_key, auth_key, salt = KEY32[: lengths[0]], KEY32[::-1][: lengths[1]], b"SALT"[: lengths[2]]
    params = SaParams(
        Direction.INBOUND,
        Protocol.ESP,
        Mode.TRANSPORT,
        7,
        cipher_key=cipher_key,
        auth_key=auth_key,
        salt=salt,
        **names,
    )
    expected = by_hand(
        profile,
        mode=2,
        direction=2,
        obj_id=1,
        spi=7,
        salt=salt,
        cipher_algo=numbers[0],
        cipher_key_length=len(cipher_key),
        cipher_key=cipher_key,
        auth_algo=numbers[1],
        auth_key_length=len(auth_key),
        auth_key=auth_key,
    )
    assert sa_object(params, 1, profile) == expected


OPTIONS = [
    ({"esn": True}, 1 << 0),
    ({"udp": UdpEncap(0x1234, 4500)}, 1 << 1),
    ({"copy_dscp": True}, 1 << 2),
    ({"dec_ttl": True}, 1 << 3),
    ({"copy_df": True}, 1 << 4),
    ({"ecn": True}, 1 << 5),
    ({"lifetime": Lifetime(packets_soft=1)}, 1 << 6),
    ({"lifetime": Lifetime(bytes_soft=1)}, 1 << 6),
    ({"lifetime": Lifetime(packets_hard=1)}, 1 << 6),
    ({"lifetime": Lifetime(bytes_hard=1)}, 1 << 6),
    ({"lifetime": Lifetime()}, 0),
]


@pytest.mark.parametrize(("fields", "bits"), OPTIONS)
def test_options(fields: dict[str, Any], bits: int) -> None:
    assert options_of(gcm(**fields)) == bits
    assert sa_object(gcm(**fields), 1, V1_4)[16:24] == struct.pack("<Q", bits)
    if bits < 1 << 5:
        assert sa_object(gcm(**fields), 1, RFC)[16:24] == struct.pack("<Q", bits)


def test_all_options_together() -> None:
    everything: dict[str, Any] = {}
    for fields, _ in OPTIONS[:7]:
        everything |= fields
    everything["lifetime"] = Lifetime(1, 2**40, 3, 2**64 - 1)
    expected = by_hand(
        V1_4,
        **COMMON,
        tunnel=TUNNEL4[V1_4],
        options=0x7F,
        udp_sport=0x1234,
        udp_dport=4500,
        packets_soft=1,
        bytes_soft=2**40,
        packets_hard=3,
        bytes_hard=2**64 - 1,
    )
    assert sa_object(gcm(**everything), 0x01020304, V1_4) == expected


@pytest.mark.parametrize("profile", Profile)
def test_replay_window(profile: Profile) -> None:
    params = gcm(Direction.INBOUND, replay_window=4096, tunnel=None)
    expected = by_hand(profile, **COMMON | {"direction": 2, "tunnel_type": 0}, replay_win_sz=4096)
    assert sa_object(params, 0x01020304, profile) == expected


def test_first_sequence_number() -> None:
    """D11: rfc-v1 has the last number used; 1.4 has no place for it."""
    params = gcm(esn=True, first_seq=0x1_0000_0005)
    assert sa_object(params, 1, RFC)[66:74] == struct.pack("<Q", 0x1_0000_0004)
    assert sa_object(params, 1, V1_4) == sa_object(gcm(esn=True), 1, V1_4)
    assert sa_object(gcm(), 1, RFC)[66:74] == bytes(8)


# -- what cannot be said --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", Profile)
@pytest.mark.parametrize(("auth", "length"), [("hmac-sha384", 48), ("hmac-sha512", 64)])
@pytest.mark.parametrize("protocol", Protocol)
def test_long_keys(profile: Profile, auth: str, length: int, protocol: Protocol) -> None:
    """D09."""
    cipher = {"cipher": "null"} if protocol is Protocol.ESP else {}
    params = SaParams(
        Direction.INBOUND, protocol, Mode.TRANSPORT, 1, auth=auth, auth_key=bytes(range(length)), **cipher
    )
    with pytest.raises(CannotExpress) as caught:
        sa_object(params, 1, profile)
    assert caught.value.field == "auth_key" and isinstance(caught.value, DriverError)
    assert str(caught.value) == f"auth_key: {length} octets, and the SA object holds 32: no {auth} (D09)"
    assert bytes(range(length)).hex() not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"ecn": True}, "no ECN"),
        ({"lifetime": Lifetime(packets_hard=5)}, "no SA_LIFETIME"),
        ({"ecn": True, "lifetime": Lifetime(bytes_soft=5)}, "no ECN and no SA_LIFETIME"),
    ],
)
def test_what_the_rfc_does_not_have(fields: dict[str, Any], names: str) -> None:
    with pytest.raises(CannotExpress) as caught:
        sa_object(gcm(**fields), 1, RFC)
    assert str(caught.value) == f"options: the RFC's SA object has {names}"
    assert len(sa_object(gcm(**fields), 1, V1_4)) == 196
    driver = connect(RFC)
    with pytest.raises(CannotExpress):
        driver.create_sa(gcm(**fields))
    assert driver.device.outbound == {} and driver.create_sa(gcm()) == 1


# -- on a device ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", Profile)
@pytest.mark.parametrize("direction", Direction)
def test_create_query_modify_destroy(profile: Profile, direction: Direction) -> None:
    driver = connect(profile)
    params = gcm(direction)
    sa = driver.create_sa(params)
    kind = ResourceType(0x0203 if direction is Direction.OUTBOUND else 0x0204)
    table = {Direction.OUTBOUND: driver.device.outbound, Direction.INBOUND: driver.device.inbound}[direction]
    assert driver.admin.query(kind, sa) == sa_object(params, sa, profile)
    changed = replace(params, copy_dscp=True, dec_ttl=True, tunnel=Tunnel(SRC6, DST6))
    driver.modify_sa(changed, sa)
    assert driver.admin.query(kind, sa) == sa_object(changed, sa, profile)
    assert table[sa].params.dec_ttl and table[sa].params.copy_dscp
    if direction is Direction.OUTBOUND:
        assert table[sa].params.tunnel == Tunnel(SRC6, DST6)
    driver.destroy_sa(direction, sa)
    assert table == {}


def test_modify_changes_what_happens_and_counters_go_on() -> None:
    driver = connect()
    driver.steer_ipsec()
    out = driver.create_sa(gcm(tunnel=Tunnel(SRC4, DST4)))
    sa = driver.create_sa(gcm(Direction.INBOUND, replay_window=64))
    frame = bytes(12) + b"\x08\x00" + struct.pack("!BBHHHBBH", 0x45, 0xB8, 24, 0, 0, 64, 17, 0) + SRC4 + DST4 + bytes(4)
    (wire,) = driver.send(frame, out)
    assert wire[15] == 0
    driver.modify_sa(gcm(tunnel=Tunnel(SRC4, DST4), copy_dscp=True), out)
    (wire,) = driver.send(frame, out)
    assert wire[15] == 0xB8 and wire[38:42] == b"\0\0\0\2"
    assert driver.receive(wire).frame == frame
    driver.modify_sa(gcm(Direction.INBOUND, replay_window=64, lifetime=Lifetime(packets_hard=1)), sa)
    (wire,) = driver.send(frame, out)
    assert driver.receive(wire).flag_names == ("SECURITY", "SECURITY_ERR")
    assert driver.device.inbound[sa].state.packets == 1
