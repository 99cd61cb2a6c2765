"""Wireshark's ``esp_sa`` table."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from ipaddress import ip_network

import pytest

from virtionet_ipsec.ipsec.sa import Direction, Lifetime, Mode, Protocol, SaParams, Tunnel, UdpEncap
from virtionet_ipsec.replay.pcapng_writer import PcapngWriter
from virtionet_ipsec.safile import SaEntry, SaFileError, Select, dumps_esp_sa, loads

KEY16 = "000102030405060708090a0b0c0d0e0f"
KEY20 = KEY16 + "10111213"
KEY32 = KEY16 + KEY16
SHA256_DRAFT = "HMAC-SHA-256-96 [draft-ietf-ipsec-ciph-sha-256-00]"
GCM16 = "AES-GCM with 16 octet ICV [RFC4106]"
SHA256 = "HMAC-SHA-256-128 [RFC4868]"


def row(
    protocol="IPv4",
    src="10.0.0.1",
    dst="10.0.0.2",
    spi="0x100",
    encryption=GCM16,
    key="0x" + KEY20,
    auth="NULL",
    auth_key="",
    *more,
):
    columns = (protocol, src, dst, spi, encryption, key, auth, auth_key, *more)
    return ",".join(f'"{column}"' for column in columns) + "\n"


def refusal(text, direction="both", mode=None):
    with pytest.raises(SaFileError) as caught:
        loads(text, "esp_sa", direction, mode)
    line = str(caught.value)
    assert "\n" not in line
    return line


def plain(entries):
    return [(entry.id, entry.params, entry.select) for entry in entries]


def test_gcm_both_ways():
    inbound, outbound = loads("# a comment\n\n" + row(), "esp_sa")
    same = {
        "protocol": Protocol.ESP,
        "mode": Mode.TUNNEL,
        "spi": 0x100,
        "aead": "aes-gcm",
        "cipher_key": bytes.fromhex(KEY16),
        "salt": bytes.fromhex("10111213"),
        "tunnel": Tunnel(bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])),
    }
    assert inbound == SaEntry(1, SaParams(direction=Direction.INBOUND, **same), None, "esp_sa:3")
    assert outbound == SaEntry(1, SaParams(direction=Direction.OUTBOUND, **same), None, "esp_sa:3")


def test_transport_mode_when_told():
    inbound, outbound = loads(row(), "esp_sa", mode=Mode.TRANSPORT)
    assert (inbound.params.mode, inbound.params.tunnel, inbound.select) == (Mode.TRANSPORT, None, None)
    assert outbound.select == Select(ip_network("10.0.0.1/32"), ip_network("10.0.0.2/32"))


@pytest.mark.parametrize(
    ("protocol", "src", "dst"),
    [
        ("IPv4", "*", "*"),
        ("IPv4", "10.0.*", "10.0.0.1"),
        ("IPv6", "fd00::*", ""),
        ("Any", "*", "*"),
        ("IPv4", "10.0.0.0/8", "*"),
    ],
)
def test_wildcards_will_do_for_inbound(protocol, src, dst):
    (entry,) = loads(row(protocol, src, dst), direction="inbound")
    assert entry.params.tunnel is None
    assert "an outbound tunnel needs two addresses" in refusal(row(protocol, src, dst))


@pytest.mark.parametrize(
    ("encryption", "key", "auth", "auth_key", "says"),
    [
        ("AES-GCM with 8 octet ICV [RFC4106]", 20, "NULL", 0, ("aes-gcm", None, None, 8, 4)),
        ("AES-GCM with 12 octet ICV [RFC4106]", 28, "NULL", 0, ("aes-gcm", None, None, 12, 4)),
        (GCM16, 36, "NULL", 0, ("aes-gcm", None, None, 16, 4)),
        ("AES-GCM [RFC4106]", 20, "ANY 64 bit authentication [no checking]", 0, ("aes-gcm", None, None, 8, 4)),
        ("AES-GCM [RFC4106]", 20, "ANY 128 bit authentication [no checking]", 0, ("aes-gcm", None, None, 16, 4)),
        ("ChaCha20 with Poly1305 [RFC7634]", 36, "NULL", 0, ("chacha20-poly1305", None, None, 16, 4)),
        ("AES-CBC [RFC3602]", 16, SHA256, 32, (None, "aes-cbc", "hmac-sha256", 16, 0)),
        ("AES-CTR [RFC3686]", 36, "HMAC-SHA-1-96 [RFC2404]", 20, (None, "aes-ctr", "hmac-sha1", 12, 4)),
        ("TripleDES-CBC [RFC2451]", 24, "HMAC-MD5-96 [RFC2403]", 16, (None, "3des-cbc", "hmac-md5", 12, 0)),
        ("DES-CBC [RFC2405]", 8, "HMAC-SHA-384-192 [RFC4868]", 48, (None, "des-cbc", "hmac-sha384", 24, 0)),
        ("NULL", 0, "HMAC-SHA-512-256 [RFC4868]", 64, (None, "null", "hmac-sha512", 32, 0)),
    ],
)
def test_algorithms(encryption, key, auth, auth_key, says):
    text = row(encryption=encryption, key="0x" + "a5" * key, auth=auth, auth_key="0x" + "5a" * auth_key)
    (entry,) = loads(text, direction="inbound")
    params = entry.params
    assert (params.aead, params.cipher, params.auth, params.icv_length, len(params.salt)) == says
    assert params.cipher_key + params.salt == b"\xa5" * key
    assert params.auth_key == b"\x5a" * auth_key
    assert plain(loads(dumps_esp_sa([entry])[0], direction="inbound")) == plain([entry])


def test_keys_as_characters():
    (entry,) = loads(row(key=r"sixteen letters!s\x22lt"), direction="inbound")
    assert (entry.params.cipher_key, entry.params.salt) == (b"sixteen letters!", b's"lt')


def test_decimal_spi():
    assert loads(row(spi="4096"), direction="inbound")[0].params.spi == 4096


def test_columns_of_later_versions():
    entry = loads(row("IPv4", "10.0.0.1", "10.0.0.2", "0x1", GCM16, "0x" + KEY20, "NULL", "", "64-bit", "1f"))[0]
    assert (entry.params.esn, entry.params.first_seq) == (True, 0x1F00000001)
    text, warnings = dumps_esp_sa([entry])
    assert text.endswith(',"64-bit","1f"\n')
    assert "ignore that sequence numbers are extended" in warnings[0]
    assert loads(text)[0].params == entry.params
    (short,) = loads(row("IPv4", "*", "*", "1", GCM16, "0x" + KEY20, "NULL", "", "32-bit", ""), direction="inbound")
    assert not short.params.esn


LATER = ("IPv4", "10.0.0.1", "10.0.0.2", "0x1", GCM16, "0x" + KEY20, "NULL", "")
REFUSED = {
    "wildcard SPI": (row(spi="*"), "SPI: is a wildcard"),
    "half a wildcard": (row(spi="0x10*"), "SPI: is a wildcard"),
    "no SPI": (row(spi=""), "SPI: is a wildcard"),
    "SPI": (row(spi="12ab"), "is not an SPI"),
    "long SPI": (row(spi="0x123456789"), "is not an SPI"),
    "large SPI": (row(spi="9999999999"), "SPI: 0x2540be3ff is not in"),
    "SPI 0": (row(spi="0"), "SPI: 0x0 is not in"),
    "protocol": (row("IPv5"), "one of: IPv4, IPv6, Any"),
    "address": (row(src="gateway"), "source: is not an address"),
    "version": (row("IPv6"), "source: is not an IPv6 address"),
    "versions": (row("Any", "10.0.0.1", "fd00::1"), "destination: is not of the source's IP version"),
    "encryption": (row(encryption="AES-GCM with 16 octets ICV [RFC4106]"), f"did you mean {GCM16}?"),
    "twofish": (row(encryption="TWOFISH-CBC"), "encryption: is not an algorithm that the model has"),
    "which GCM": (row(encryption="AES-GCM [RFC4106]"), "does not say the ICV's length; choose AES-GCM with 16"),
    "GCM with an odd ICV": (
        row(encryption="AES-GCM [RFC4106]", auth="ANY 256 bit authentication [no checking]"),
        "does not say the ICV's length",
    ),
    "GCM and more": (row(auth=SHA256, auth_key="0x" + KEY32), "an AEAD takes none beside it; choose NULL"),
    "unauthenticated": (row(encryption="AES-CBC [RFC3602]", key="0x" + KEY16), "the model always checks the ICV"),
    "unchecked": (
        row(encryption="NULL", key="", auth="ANY 96 bit authentication [no checking]"),
        "the model always checks the ICV (RFC 8221 4)",
    ),
    "draft": (
        row(encryption="NULL", key="", auth=SHA256_DRAFT, auth_key="0x" + KEY32),
        "authentication: is not an algorithm",
    ),
    "short key": (row(key="0x" + KEY16), "encryption-key: the key has 16 octets; aes-gcm takes 20 or 28 or 36"),
    "no 0x": (row(key=KEY20), "the key has 40 octets"),
    "bad hex": (row(key="0xnothex"), "the key is not hexadecimal"),
    "odd hex": (row(key="0x123"), "odd number of hex digits (3)"),
    "auth key": (
        row(encryption="NULL", key="", auth=SHA256, auth_key="0x" + KEY20),
        "authentication-key: the key has 20 octets; hmac-sha256 takes 32",
    ),
    "columns": ('"IPv4","*","*"\n', "esp_sa:1: there are 3 columns; give 8: protocol, source"),
    "too many columns": (row(*LATER, "32-bit", "0", "x"), "there are 11 columns"),
    "SN": (row(*LATER, "48-bit"), "one of: 32-bit, 64-bit"),
    "ESN high": (row(*LATER, "64-bit", "xyz"), "ESN-high-bits: is not a 32-bit number"),
    "quotes": ('"IPv4",10.0.0.1,10.0.0.2\n', "column 2 is not in quotes"),
    "an open quote": (row()[:-2] + "\n", "column 8 is not in quotes"),
    "mixed": (row() + "[[sa]]\n", "esp_sa:2: column 1 is not in quotes"),
    "one SPI twice": (row() + row(), "esp_sa:2 spi: inbound SPI 0x00000100 is given already at esp_sa:1"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    text, says = REFUSED[name]
    assert says in refusal(text)


GCM_PARAMS = loads(row(), direction="outbound")[0].params


def test_what_the_table_cannot_say_is_warned_of():
    params = replace(
        GCM_PARAMS,
        mode=Mode.TRANSPORT,
        tunnel=None,
        udp=UdpEncap(4500, 4500),
        lifetime=Lifetime(packets_hard=5),
        copy_df=True,
        replay_window=32,
        first_seq=7,
        iv=bytes(8),
    )
    text, warnings = dumps_esp_sa([SaEntry(1, params, Select(), "here")])
    assert text.startswith('"IPv4","*","*","0x00000100"')
    assert warnings == [
        "here SA 1 outbound: the addresses are not known: esp_sa gets any IPv4 address",
        "here SA 1 outbound: esp_sa has no place for transport mode, replay_window, udp, lifetime, select, options, "
        "model.iv, model.first_seq",
    ]
    assert dumps_esp_sa([SaEntry(1, GCM_PARAMS, None, "here")])[1] == []


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"protocol": Protocol.AH, "aead": None, "auth": "hmac-sha1", "auth_key": bytes(20)}, "this is AH"),
        ({"aead": "aes-ccm", "salt": bytes(3), "cipher_key": bytes(16)}, "here aead: Wireshark has no aes-ccm"),
        (
            {"aead": None, "cipher": "null", "auth": "aes-gmac", "auth_key": bytes(16), "salt": bytes(4)},
            "here auth: Wireshark has no aes-gmac",
        ),
        ({"aead": None, "cipher": "null", "auth": "aes-xcbc", "auth_key": bytes(16)}, "Wireshark has no aes-xcbc"),
    ],
)
def test_inexpressible(changes, says):
    params = replace(GCM_PARAMS, **{"cipher_key": b"", "salt": b"", **changes})
    with pytest.raises(SaFileError, match=says):
        dumps_esp_sa([SaEntry(1, params, None, "here")])


def test_both_directions_become_one_line():
    assert dumps_esp_sa(loads(row()))[0].count("\n") == 1


def test_chacha20_is_warned_of():
    entry = loads(row(encryption="ChaCha20 with Poly1305 [RFC7634]", key="0x" + KEY32 + KEY16[:8]))[0]
    assert "do not know ChaCha20-Poly1305" in dumps_esp_sa([entry])[1][0]


WITNESSED = [
    ("AES-GCM", 20, None, 0, {"aead": "aes-gcm"}),
    ("AES-CBC", 32, "SHA2-256-128", 32, {"cipher": "aes-cbc", "auth": "hmac-sha256"}),
    ("AES-CTR", 20, "HMAC-SHA1-96", 20, {"cipher": "aes-ctr", "auth": "hmac-sha1"}),
    ("3DES", 24, "SHA2-384-192", 48, {"cipher": "3des-cbc", "auth": "hmac-sha384"}),
    ("DES", 8, "HMAC-MD5-96", 16, {"cipher": "des-cbc", "auth": "hmac-md5"}),
    ("NULL", 0, "SHA2-512-256", 64, {"cipher": "null", "auth": "hmac-sha512"}),
]


@pytest.mark.filterwarnings("ignore")
def test_tshark_decrypts_with_the_table(tmp_path):
    """scapy protects a packet with each algorithm; tshark, given the table that is written, reads them all."""
    tshark = shutil.which("tshark")
    if tshark is None:
        pytest.skip("tshark is not installed (Debian package tshark)")
    ipsec = pytest.importorskip("scapy.layers.ipsec")
    inet = pytest.importorskip("scapy.layers.inet")
    entries = []
    with PcapngWriter(tmp_path / "esp.pcapng", 101) as writer:
        for number, (crypt, key, auth, auth_key, names) in enumerate(WITNESSED, 1):
            material, auth_material = bytes(range(1, key + 1)), bytes(range(100, 100 + auth_key))
            sa = ipsec.SecurityAssociation(
                ipsec.ESP,
                spi=number,
                crypt_algo=crypt,
                crypt_key=material or None,
                auth_algo=auth,
                auth_key=auth_material or None,
                tunnel_header=inet.IP(src="10.0.0.1", dst="10.0.0.2"),
            )
            packet = inet.IP(src="192.0.2.1", dst="192.0.2.2") / inet.UDP(sport=7, dport=1000 + number) / b"payload"
            writer.write(bytes(sa.encrypt(packet)), number)
            cut = key - 4 if crypt in ("AES-GCM", "AES-CTR") else key
            keys = {"cipher_key": material[:cut], "salt": material[cut:], "auth_key": auth_material}
            params = replace(GCM_PARAMS, spi=number, **{"aead": None, **names, **keys})
            entries.append(SaEntry(number, params))
    text, warnings = dumps_esp_sa(entries)
    assert warnings == []
    profile = tmp_path / "profile"
    profile.mkdir()
    (profile / "esp_sa").write_text(text)
    preferences = ("esp.enable_encryption_decode:TRUE", "esp.enable_authentication_check:TRUE")
    command = [tshark, "-r", str(tmp_path / "esp.pcapng"), *(word for pair in preferences for word in ("-o", pair))]
    command += ["-T", "fields", "-e", "esp.icv_good", "-e", "udp.dstport"]
    environment = {**os.environ, "WIRESHARK_CONFIG_DIR": str(profile)}
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, env=environment).stdout
    assert output.splitlines() == [f"1\t{1000 + number}" for number in range(1, len(WITNESSED) + 1)]
