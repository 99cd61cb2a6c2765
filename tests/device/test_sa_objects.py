"""SA objects: from structure to engine parameters, every refusal in words (virtio 1.4, 5.1.9.7, 5.9.9.9)."""

from __future__ import annotations

from typing import Any

import pytest

from virtionet_ipsec.device import Limits, ModelExtras, SaModeCap
from virtionet_ipsec.device.limits import ALL_SA_MODES
from virtionet_ipsec.ipsec import Direction, Lifetime, Mode, Protocol, SaParams, Tunnel, UdpEncap
from virtionet_ipsec.wire import (
    AeadAlgo,
    CipherAlgo,
    IpsecDir,
    IpsecMode,
    IpsecOption,
    MacAlgo,
    Profile,
    ResourceType,
)

from .control import INB, INVALID_FIELD, OK, OUTB, Control, array, key, sa, tunnel_v4, tunnel_v6

V1_4, RFC = Profile.VIRTIO_1_4, Profile.RFC_V1
SALT = b"\x01\x02\x03\x04"
K16, K20, K24, K32 = (bytes(range(1, n + 1)) for n in (16, 20, 24, 32))


def made(kind: ResourceType, profile: Profile = V1_4, **fields: Any) -> SaParams:
    """The parameters of the SA that an object makes."""
    control = Control(profile=profile).start()
    result = control.create(kind, 7, sa(kind, profile, **fields))
    assert result == OK, control.device.last_refusal
    return (control.device.outbound if kind is OUTB else control.device.inbound)[7].params


def test_an_outbound_sa() -> None:
    assert made(OUTB) == SaParams(
        direction=Direction.OUTBOUND,
        protocol=Protocol.ESP,
        mode=Mode.TUNNEL,
        spi=0x1000,
        aead="aes-gcm",
        cipher_key=bytes(range(16)),
        salt=SALT,
        tunnel=Tunnel(bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2)), ttl=64),
    )


def test_an_inbound_sa_without_tunnel_parameters() -> None:
    params = made(INB)
    assert params.direction is Direction.INBOUND
    assert params.tunnel is None
    assert params.replay_window == 64


def test_tables() -> None:
    control = Control().start()
    assert control.create(OUTB, 3, sa(OUTB)) == OK
    assert control.create(INB, 9, sa(INB, spi=0xABCD)) == OK
    device = control.device
    assert set(device.outbound) == {3}
    assert set(device.inbound) == {9}
    assert device.inbound_by_spi == {0xABCD: (9, device.inbound[9])}
    assert control.destroy(INB, 9) == control.destroy(OUTB, 3) == OK
    assert not device.outbound
    assert not device.inbound
    assert not device.inbound_by_spi


# -- algorithms --------------------------------------------------------------------------------------------------

ESP_ALGORITHMS: dict[str, tuple[dict[str, Any], tuple[str | None, str | None, str | None], bytes]] = {
    "gcm": ({"cipher_algo": AeadAlgo.GCM, "cipher_key": key(K24)}, ("aes-gcm", None, None), SALT),
    "ccm": ({"cipher_algo": AeadAlgo.CCM, "cipher_key": key(K16)}, ("aes-ccm", None, None), SALT[:3]),
    "chacha": (
        {"cipher_algo": AeadAlgo.CHACHA20_POLY1305, "cipher_key": key(K32)},
        ("chacha20-poly1305", None, None),
        SALT,
    ),
    "cbc": (
        {
            "cipher_algo": CipherAlgo.AES_CBC,
            "cipher_key": key(K32),
            "auth_algo": MacAlgo.HMAC_SHA_256,
            "auth_key": key(K32),
        },
        (None, "aes-cbc", "hmac-sha256"),
        b"",
    ),
    "ctr": (
        {
            "cipher_algo": CipherAlgo.AES_CTR,
            "cipher_key": key(K16),
            "auth_algo": MacAlgo.HMAC_SHA1,
            "auth_key": key(K20),
        },
        (None, "aes-ctr", "hmac-sha1"),
        SALT,
    ),
    "des": (
        {
            "cipher_algo": CipherAlgo.DES_CBC,
            "cipher_key": key(K16[:8]),
            "auth_algo": MacAlgo.HMAC_MD5,
            "auth_key": key(K16),
        },
        (None, "des-cbc", "hmac-md5"),
        b"",
    ),
    "3des": (
        {
            "cipher_algo": CipherAlgo.TDES_CBC,
            "cipher_key": key(K24),
            "auth_algo": MacAlgo.XCBC_AES,
            "auth_key": key(K16),
        },
        (None, "3des-cbc", "aes-xcbc"),
        b"",
    ),
    "null": (
        {"cipher_algo": 0, "cipher_key": key(b""), "auth_algo": MacAlgo.CMAC_AES, "auth_key": key(K16)},
        (None, "null", "aes-cmac"),
        b"",
    ),
    "gmac": (
        {"cipher_algo": 0, "cipher_key": key(b""), "auth_algo": MacAlgo.GMAC_AES, "auth_key": key(K16)},
        (None, "null", "aes-gmac"),
        SALT,
    ),
}


@pytest.mark.parametrize("profile", Profile)
@pytest.mark.parametrize("kind", [OUTB, INB])
@pytest.mark.parametrize("name", ESP_ALGORITHMS)
def test_esp_algorithms(name: str, kind: ResourceType, profile: Profile) -> None:
    fields, algorithms, salt = ESP_ALGORITHMS[name]
    params = made(kind, profile, **fields)
    assert (params.aead, params.cipher, params.auth) == algorithms
    assert params.cipher_key == fields["cipher_key"]["data"][: fields["cipher_key"]["length"]]
    auth = fields.get("auth_key", key(b""))
    assert params.auth_key == auth["data"][: auth["length"]]
    assert params.salt == salt


@pytest.mark.parametrize(("algorithm", "auth_key", "salt"), [(4, K32, b""), (41, K24, SALT), (53, K16, b"")])
def test_ah_algorithms(algorithm: int, auth_key: bytes, salt: bytes) -> None:
    params = made(
        OUTB,
        mode=IpsecMode.AH_TRANSPORT,
        cipher_algo=0,
        cipher_key=key(b""),
        auth_algo=algorithm,
        auth_key=key(auth_key),
    )
    assert (params.protocol, params.mode, params.aead, params.cipher) == (Protocol.AH, Mode.TRANSPORT, None, None)
    assert params.auth_key == auth_key
    assert params.salt == salt
    assert params.tunnel is None


CBC_SHA256 = ESP_ALGORITHMS["cbc"][0]
AH = {"mode": IpsecMode.AH_TUNNEL, "cipher_algo": 0, "cipher_key": key(b""), "auth_algo": 2, "auth_key": key(K20)}

BAD_SAS: dict[str, tuple[dict[str, Any], str]] = {
    "direction 0": ({"direction": 0}, "direction 0 is not OUTBOUND (1)"),
    "direction inbound": ({"direction": IpsecDir.INBOUND}, "direction 2 is not OUTBOUND (1), which IPSEC_OUTB_SA has"),
    "mode 0": ({"mode": 0}, "mode 0 is not in the driver's IPSEC_SA_CAP"),
    "mode 5": ({"mode": 5}, "mode 5"),
    "spi 0": ({"spi": 0}, "spi: 0x0 is not in 1 to"),
    "unknown option": ({"options": 1 << 7}, "option bit 7 is not in the capability of ESP_TUNNEL"),
    "option far up": ({"options": 1 << 63}, "option bit 63"),
    "option of tunnel mode": (
        {"mode": IpsecMode.ESP_TRANSPORT, "options": IpsecOption.COPY_DF},
        "option COPY_DF is not in the capability of ESP_TRANSPORT",
    ),
    "UDP for AH": ({**AH, "options": IpsecOption.UDP_ENCAP}, "option UDP_ENCAP is not in the capability of AH_TUNNEL"),
    "no algorithm": ({"cipher_algo": 0}, "cipher_algo and auth_algo are both none"),
    "unknown AEAD": ({"cipher_algo": 4}, "cipher_algo 4 is not in aead_algo of the capability of ESP_TUNNEL"),
    "cipher without MAC": ({"cipher_algo": CipherAlgo.TDES_CBC}, "cipher_algo 8 is not in aead_algo"),
    "huge AEAD": ({"cipher_algo": 1 << 63}, "cipher_algo 9223372036854775808"),
    "3DES-CTR": ({**CBC_SHA256, "cipher_algo": CipherAlgo.TDES_CTR}, "cipher_algo TDES_CTR is not in"),
    "ARC4": ({**CBC_SHA256, "cipher_algo": CipherAlgo.ARC4}, "cipher_algo ARC4 is not in"),
    "unknown cipher": ({**CBC_SHA256, "cipher_algo": 64}, "cipher_algo 64 is not in"),
    "SHA-224": ({**CBC_SHA256, "auth_algo": MacAlgo.HMAC_SHA_224}, "auth_algo HMAC_SHA_224 is not in"),
    "SHA-384": ({**CBC_SHA256, "auth_algo": MacAlgo.HMAC_SHA_384}, "auth_algo HMAC_SHA_384 is not in"),
    "SHA-512": ({**CBC_SHA256, "auth_algo": MacAlgo.HMAC_SHA_512}, "auth_algo HMAC_SHA_512 is not in"),
    "unknown MAC": ({**CBC_SHA256, "auth_algo": 1 << 40}, "auth_algo 1099511627776 is not in"),
    "CBC with GMAC": ({**CBC_SHA256, "auth_algo": 41}, "auth_algo: aes-gmac in ESP goes with the null cipher alone"),
    "GCM key": ({"cipher_key": key(K20)}, "cipher_key.length 20 is not 16, 24 or 32 for GCM"),
    "CBC key": ({**CBC_SHA256, "cipher_key": key(K20)}, "cipher_key.length 20 is not 16, 24 or 32 for AES_CBC"),
    "ChaCha key": ({"cipher_algo": 3}, "cipher_key.length 16 is not 32 for CHACHA20_POLY1305"),
    "no key": ({"cipher_key": key(b"")}, "cipher_key.length 0 is not 16, 24 or 32"),
    "lying length": ({"cipher_key": key(K32, 33)}, "cipher_key.length 33 is more than the 32 octets of the field"),
    "lying most": ({"cipher_key": key(K32, 0xFFFF)}, "cipher_key.length 65535"),
    "HMAC key": ({**CBC_SHA256, "auth_key": key(K16)}, "auth_key.length 16 is not 32 for HMAC_SHA_256"),
    "key for no MAC": ({"auth_key": key(K16)}, "auth_key.length 16 is not 0"),
    "key for no cipher": ({**CBC_SHA256, "cipher_algo": 0}, "cipher_key.length 32 is not 0"),
    "AH encrypts": ({**AH, "cipher_algo": 3}, "AH does not encrypt"),
    "AH without MAC": ({**AH, "auth_algo": 0}, "AH needs a MAC"),
    "AH with a cipher key": ({**AH, "cipher_key": key(K16)}, "cipher_key.length 16 is not 0"),
    "no tunnel": ({"param": {}}, "param.type 0 is neither IPV4 (1) nor IPV6 (2)"),
    "tunnel 3": ({"param": {"type": 3}}, "param.type 3"),
    "df 2": ({"param": tunnel_v4(df=2)}, "param.df 2"),
    "ttl 0": ({"param": tunnel_v4(ttl=0)}, "param.ttl"),
    "hlimit 0": ({"param": tunnel_v6(hlimit=0)}, "param.hlimit"),
    "dscp 64": ({"param": tunnel_v4(dscp=64)}, "param.dscp: 64"),
    "flow label": ({"param": tunnel_v6(flabel=1 << 20)}, "param.flabel"),
    "UDP without ports": ({"options": IpsecOption.UDP_ENCAP}, "udp_sport: 0"),
    "UDP without dport": ({"options": IpsecOption.UDP_ENCAP, "udp_sport": 4500}, "udp_dport: 0"),
}


@pytest.mark.parametrize("name", BAD_SAS)
def test_bad_sas(name: str) -> None:
    fields, words = BAD_SAS[name]
    control = Control().start()
    before = control.device.digest()
    control.refused(control.create(OUTB, 1, sa(OUTB, **fields)), INVALID_FIELD, words)
    assert control.device.digest() == before
    assert not control.device.outbound


def test_the_other_direction() -> None:
    control = Control().start()
    control.refused(control.create(INB, 1, sa(INB, direction=1)), INVALID_FIELD, "is not INBOUND (2)")


def test_all_zeros_is_no_sa() -> None:
    control = Control().start()
    control.refused(control.create(OUTB, 1, b""), INVALID_FIELD, "direction 0")


# -- options and what goes with them -----------------------------------------------------------------------------


def test_each_option() -> None:
    none = made(OUTB)
    assert not any((none.esn, none.copy_dscp, none.dec_ttl, none.copy_df, none.ecn))
    assert made(OUTB, options=IpsecOption.ESN).esn
    assert made(OUTB, options=IpsecOption.COPY_DSCP).copy_dscp
    assert made(OUTB, options=IpsecOption.DEC_TTL).dec_ttl
    assert made(OUTB, options=IpsecOption.COPY_DF).copy_df
    assert made(OUTB, options=IpsecOption.ECN).ecn


@pytest.mark.parametrize("kind", [OUTB, INB])
def test_ports_go_with_udp_encap(kind: ResourceType) -> None:
    ports: dict[str, Any] = {"udp_sport": 4500, "udp_dport": 4501}
    assert made(kind, options=IpsecOption.UDP_ENCAP, **ports).udp == UdpEncap(4500, 4501)
    assert made(kind, **ports).udp is None


LIFE = {"packets_soft_limit": 1, "bytes_soft_limit": 2, "packets_hard_limit": 3, "bytes_hard_limit": (1 << 64) - 1}


def test_limits_go_with_sa_lifetime() -> None:
    assert made(INB, options=IpsecOption.SA_LIFETIME, life=LIFE).lifetime == Lifetime(1, 2, 3, (1 << 64) - 1)
    assert made(INB, life=LIFE).lifetime == Lifetime()


@pytest.mark.parametrize("option", [IpsecOption.ECN, IpsecOption.SA_LIFETIME])
def test_options_that_the_rfc_does_not_have(option: IpsecOption) -> None:
    control = Control(profile=RFC).start()
    control.refused(control.create(OUTB, 0, sa(OUTB, RFC, options=option)), INVALID_FIELD, f"option {option.name}")


def test_the_replay_window_is_the_receivers() -> None:
    assert made(INB, replay_win_sz=4096).replay_window == 4096
    assert made(INB, replay_win_sz=0).replay_window == 0
    assert made(OUTB, replay_win_sz=0xFFFFFFFF).replay_window == 0
    control = Control().start()
    control.refused(control.create(INB, 0, sa(INB, replay_win_sz=4097)), INVALID_FIELD, "replay_win_sz 4097")


# -- the tunnel --------------------------------------------------------------------------------------------------


def test_an_ipv4_tunnel() -> None:
    params = made(OUTB, param=tunnel_v4(dscp=46, df=1, ttl=9))
    assert params.tunnel == Tunnel(bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2)), dscp=46, df=True, ttl=9)


def test_an_ipv6_tunnel() -> None:
    params = made(OUTB, param=tunnel_v6(dscp=46, flabel=0xABCDE, hlimit=9))
    src, dst = bytes(15) + b"\1", bytes(15) + b"\2"
    assert params.tunnel == Tunnel(src, dst, dscp=46, ttl=9, flow_label=0xABCDE)


@pytest.mark.parametrize(("profile", "octets"), [(V1_4, "0200000a"), (RFC, "0a000002")])
def test_octet_order_of_ipv4_addresses(profile: Profile, octets: str) -> None:
    """D06: s_addr is little-endian in 1.4, and in network order in the RFC."""
    data = sa(OUTB, profile)
    assert data[32:36].hex() == octets  # dst_ip
    tunnel = made(OUTB, profile).tunnel
    assert tunnel is not None
    assert tunnel.dst == bytes((10, 0, 0, 2))


def test_the_salt_lies_in_the_structure_as_it_is_used() -> None:
    """D07."""
    data = sa(OUTB)
    assert data[12:16] == SALT
    control = Control().start()
    assert control.create(OUTB, 0, data[:12] + b"\xca\xfe\xba\xbe" + data[16:]) == OK
    assert control.device.outbound[0].params.salt == b"\xca\xfe\xba\xbe"


@pytest.mark.parametrize("param", [tunnel_v4(), tunnel_v4(ttl=0, df=9), {"type": 99, "header": b"\xff" * 40}])
def test_nobody_looks_at_the_tunnel_parameters_of_an_inbound_sa(param: dict[str, object]) -> None:
    """D29: the driver need not set them, so that they may be anything."""
    assert made(INB, param=param).tunnel is None


def test_transport_mode_looks_at_no_tunnel() -> None:
    assert made(OUTB, mode=IpsecMode.ESP_TRANSPORT, param={"type": 99}).tunnel is None


# -- what the driver's capability says ---------------------------------------------------------------------------

ALL_16 = SaModeCap(
    IpsecMode.ESP_TUNNEL,
    max_replay_win_sz=32,
    cipher_algo=1 << 3,
    hmac_algo=1 << 1 | 1 << 2,
    aead_algo=1 << 1,
    max_cipher_key_len=16,
    max_auth_key_len=16,
)

CBC_SHA1 = {**CBC_SHA256, "cipher_key": key(K16), "auth_algo": MacAlgo.HMAC_SHA1, "auth_key": key(K20)}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"mode": IpsecMode.ESP_TRANSPORT}, "mode ESP_TRANSPORT is not in the driver's IPSEC_SA_CAP"),
        ({"options": IpsecOption.ESN}, "option ESN is not in the capability of ESP_TUNNEL"),
        ({"cipher_algo": AeadAlgo.CCM}, "cipher_algo CCM is not in aead_algo"),
        ({**CBC_SHA1, "cipher_algo": 0, "cipher_key": key(b"")}, "cipher_algo NO_CIPHER is not in the capability"),
        ({**CBC_SHA1, "cipher_algo": CipherAlgo.AES_CTR}, "cipher_algo AES_CTR is not in the capability"),
        ({**CBC_SHA1, "auth_algo": MacAlgo.XCBC_AES}, "auth_algo XCBC_AES is not in hmac_algo"),
        ({"cipher_key": key(K32)}, "cipher_key.length 32 is more than max_cipher_key_len 16"),
        (CBC_SHA1, "auth_key.length 20 is more than max_auth_key_len 16"),
        ({"replay_win_sz": 33}, "replay_win_sz 33 is more than max_replay_win_sz 32"),
    ],
)
def test_what_the_capability_does_not_have(fields: dict[str, Any], words: str) -> None:
    control = Control(limits=Limits(sa_modes=(ALL_16, ALL_SA_MODES[3]))).start()
    control.refused(control.create(INB, 0, sa(INB, **{"replay_win_sz": 32, **fields})), INVALID_FIELD, words)
    assert control.create(INB, 0, sa(INB, replay_win_sz=32)) == OK


def test_the_drivers_capability_counts_and_not_the_devices() -> None:
    control = Control().start()
    whole = control.get_cap(0x0804)
    tunnel = bytearray(whole[8 : 8 + 44])
    tunnel[4:8] = (16).to_bytes(4, "little")
    assert control.set_cap(0x0804, array(bytes(tunnel))) == OK
    assert control.create(INB, 0, sa(INB, replay_win_sz=17)) == INVALID_FIELD
    assert control.create(INB, 0, sa(INB, mode=IpsecMode.ESP_TRANSPORT)) == INVALID_FIELD
    assert control.create(INB, 0, sa(INB, replay_win_sz=16)) == OK


# -- SPI ---------------------------------------------------------------------------------------------------------


def test_an_inbound_spi_is_used_once() -> None:
    control = Control().start()
    assert control.create(INB, 0, sa(INB)) == OK
    before = control.device.digest()
    control.refused(control.create(INB, 1, sa(INB)), INVALID_FIELD, "spi 0x00001000 is that of IPSEC_INB_SA 0 already")
    assert control.device.digest() == before
    assert control.create(INB, 1, sa(INB, spi=0x1001)) == OK
    assert control.destroy(INB, 0) == OK
    assert control.create(INB, 2, sa(INB)) == OK


def test_outbound_spis_may_be_equal() -> None:
    control = Control().start()
    assert control.create(OUTB, 0, sa(OUTB)) == control.create(OUTB, 1, sa(OUTB)) == OK
    assert control.create(INB, 0, sa(INB)) == OK


def test_obj_id_is_the_drivers_own() -> None:
    control = Control().start()
    assert control.create(OUTB, 0, sa(OUTB, obj_id=0xDEADBEEF)) == OK


# -- MODIFY (D19) ------------------------------------------------------------------------------------------------

KEPT: dict[str, dict[str, Any]] = {
    "lifetime": {"options": IpsecOption.SA_LIFETIME, "life": {"packets_hard_limit": 9}},
    "replay window": {"replay_win_sz": 256},
    "tunnel": {"param": tunnel_v6()},
    "options": {"options": IpsecOption.COPY_DSCP | IpsecOption.DEC_TTL | IpsecOption.COPY_DF | IpsecOption.ECN},
    "obj_id": {"obj_id": 5},
}


@pytest.mark.parametrize("kind", [OUTB, INB])
@pytest.mark.parametrize("name", KEPT)
def test_what_changes_in_place(name: str, kind: ResourceType) -> None:
    control = Control().start()
    assert control.create(kind, 0, sa(kind)) == OK
    table = control.device.outbound if kind is OUTB else control.device.inbound
    live = table[0]
    live.state.packets, live.state.bytes, live.state.seq = 5, 500, 5
    changed = sa(kind, **KEPT[name])
    assert control.modify(kind, 0, changed) == OK
    assert table[0] is live
    assert (live.state.packets, live.state.bytes, live.state.seq) == (5, 500, 5)
    assert live.params == made(kind, **KEPT[name])
    assert control.query(kind, 0) == OK
    assert control.result == changed


REKEYED: dict[str, tuple[dict[str, Any], str]] = {
    "key": ({"cipher_key": key(K16)}, "cipher_key"),
    "salt": ({"salt": 0}, "salt"),
    "algorithm": ({"cipher_algo": AeadAlgo.CCM}, "aead"),
    "spi": ({"spi": 0x1001}, "spi"),
    "mode": ({"mode": IpsecMode.ESP_TRANSPORT}, "mode"),
    "esn": ({"options": IpsecOption.ESN}, "esn"),
    "udp": ({"options": IpsecOption.UDP_ENCAP, "udp_sport": 1, "udp_dport": 2}, "udp"),
}


@pytest.mark.parametrize("kind", [OUTB, INB])
@pytest.mark.parametrize("name", REKEYED)
def test_what_makes_another_sa(name: str, kind: ResourceType) -> None:
    fields, words = REKEYED[name]
    control = Control().start()
    assert control.create(kind, 0, sa(kind)) == OK
    before = control.device.digest()
    control.refused(control.modify(kind, 0, sa(kind, **fields)), INVALID_FIELD, f"{words} cannot change in a live SA")
    assert control.device.digest() == before


def test_a_salt_that_no_algorithm_takes_may_change() -> None:
    control = Control().start()
    assert control.create(OUTB, 0, sa(OUTB, **CBC_SHA256)) == OK
    assert control.modify(OUTB, 0, sa(OUTB, **{**CBC_SHA256, "salt": 0})) == OK


def test_the_direction_does_not_change() -> None:
    control = Control().start()
    assert control.create(OUTB, 0, sa(OUTB)) == OK
    assert control.modify(OUTB, 0, sa(OUTB, direction=2)) == INVALID_FIELD


def test_modify_is_held_against_the_capability() -> None:
    control = Control().start()
    assert control.create(INB, 0, sa(INB)) == OK
    assert control.modify(INB, 0, sa(INB, replay_win_sz=4097)) == INVALID_FIELD
    assert control.modify(INB, 0, sa(INB, options=1 << 20)) == INVALID_FIELD


# -- beside the structure ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [OUTB, INB])
def test_the_rfc_carries_the_last_sequence_number(kind: ResourceType) -> None:
    """D11."""
    assert made(kind, RFC, esn=0).first_seq == 1
    assert made(kind, RFC, esn=0xFFFFFFFF, options=IpsecOption.ESN).first_seq == 1 << 32
    control = Control(profile=RFC).start()
    refused = control.create(kind, 0, sa(kind, RFC, esn=0xFFFFFFFF))
    control.refused(refused, INVALID_FIELD, "first_seq")


def test_model_extras() -> None:
    control = Control().start()
    extras = ModelExtras(icv_len=8, iv=b"\1" * 8, first_seq=77)
    control.device.model_extras[OUTB, 3] = extras
    control.device.model_extras[INB, 3] = ModelExtras(first_seq=78)
    assert (
        control.create(OUTB, 3, sa(OUTB)) == control.create(OUTB, 4, sa(OUTB)) == control.create(INB, 3, sa(INB)) == OK
    )
    params = control.device.outbound[3].params
    assert (params.icv_len, params.iv, params.first_seq) == (8, b"\1" * 8, 77)
    assert control.device.outbound[4].params.icv_len is None
    assert control.device.inbound[3].params.first_seq == 78
    control.device.reset()
    assert control.device.model_extras[OUTB, 3] == extras


def test_model_extras_that_cannot_be() -> None:
    control = Control().start()
    control.device.model_extras[OUTB, 3] = ModelExtras(icv_len=5)
    control.refused(control.create(OUTB, 3, sa(OUTB)), INVALID_FIELD, "icv_len")


# -- keys stay out of sight --------------------------------------------------------------------------------------


def test_no_refusal_shows_a_key() -> None:
    secret = bytes.fromhex("5ec2e7") * 10
    shown = (secret.hex(), str(secret)[2:-1], str(int.from_bytes(secret, "big")))
    for fields, _ in BAD_SAS.values():
        control = Control().start()
        seen: list[str] = []
        control.device.observer = lambda event, seen=seen: seen.append(repr(event))
        keys = {"cipher_key": key(secret), "auth_key": key(secret)}
        for length in (0, 16, 30, 32, 33):
            for each in keys.values():
                each["length"] = length
            control.create(OUTB, 1, sa(OUTB, **{**fields, **keys}))
            seen += [control.device.last_refusal, repr(control.device), repr(control.device.outbound)]
        assert not any(text in "\n".join(seen) for text in shown)
