"""scapy's `SecurityAssociation` as a second implementation.

Both sides get the same packet, keys, IV and sequence number: the results are
compared octet for octet, and each side undoes what the other did.  scapy has
no AES-XCBC, no GMAC in AH, and ignores ICV lengths other than 16 for GCM:
those are among the known answers.
"""

from __future__ import annotations

import random
import struct
from typing import Any

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.ipsec import AH as ScapyAH
from scapy.layers.ipsec import ESP as ScapyESP
from scapy.layers.ipsec import SecurityAssociation

from virtionet_ipsec.ipsec import Mode, locate

from .builders import (
    AH,
    ALL,
    ESP,
    FAMILIES,
    HOST6_A,
    HOST6_B,
    HOST_A,
    HOST_B,
    NATT,
    SPI,
    TUNNELS,
    header_length,
    inbound,
    ipv4,
    ipv6,
    octets,
    outbound,
    receive,
    udp,
)

_CRYPT = {
    "aes-gcm": "AES-GCM",
    "aes-ccm": "AES-CCM",
    "chacha20-poly1305": "CHACHA20-POLY1305",
    "null": "NULL",
    "aes-cbc": "AES-CBC",
    "aes-ctr": "AES-CTR",
    "3des-cbc": "3DES",
    "des-cbc": "DES",
}
_AUTH = {
    "hmac-md5": "HMAC-MD5-96",
    "hmac-sha1": "HMAC-SHA1-96",
    "hmac-sha256": "SHA2-256-128",
    "hmac-sha384": "SHA2-384-192",
    "hmac-sha512": "SHA2-512-256",
    "aes-cmac": "AES-CMAC-96",
}
SCAPY_ESP = [n for n in ESP if "xcbc" not in n and not (n.startswith("gcm") and "icv" in n)]
SCAPY_AH = [n for n in AH if ALL[n]["auth"] in _AUTH]
IDENT = 0x5151


def scapy_sa(name: str, seq: int, *, outer: int | None = None, esn: bool = False, natt: bool = False) -> Any:
    """scapy's SA with the algorithms called ``name``; ``seq`` in full."""
    given = ALL[name]
    more: dict[str, Any] = {}
    if name in ESP:
        if given.get("auth") == "aes-gmac":
            more = {"crypt_algo": "AES-NULL-GMAC", "crypt_key": given["auth_key"] + given["salt"]}
        elif given.get("aead"):
            more = {"crypt_algo": _CRYPT[given["aead"]], "crypt_key": given["cipher_key"] + given["salt"]}
            more["crypt_icv_size"] = given["icv_len"]
        else:
            more = {"crypt_algo": _CRYPT[given["cipher"]], "crypt_key": given["cipher_key"] + given["salt"]}
    if given.get("auth") in _AUTH:
        more |= {"auth_algo": _AUTH[given["auth"]], "auth_key": given["auth_key"]}
    if outer is not None:
        tunnel = TUNNELS[outer]
        more["tunnel_header"] = (
            IP(src=".".join(map(str, tunnel.src)), dst=".".join(map(str, tunnel.dst)), id=IDENT)
            if outer == 4
            else IPv6(src=_colons(tunnel.src), dst=_colons(tunnel.dst))
        )
    if natt:
        more["nat_t_header"] = UDP(sport=NATT.sport, dport=NATT.dport)
    proto = ScapyESP if name in ESP else ScapyAH
    make: Any = SecurityAssociation
    return make(proto, spi=SPI, seq_num=seq & 0xFFFFFFFF, esn_en=esn, esn=seq >> 32, **more)


def _colons(address: bytes) -> str:
    return ":".join(address.hex()[i : i + 4] for i in range(0, 32, 4))


def parsed(packet: bytes) -> Any:
    return (IP if packet[0] >> 4 == 4 else IPv6)(packet)


def some_packet(version: int, rng: random.Random) -> bytes:
    payload = udp(rng.randbytes(rng.choice((0, 1, 3, 17, rng.randrange(1400)))), rng.randrange(1, 65536), 9)
    if version == 4:
        return ipv4(
            payload,
            tos=rng.randrange(256),
            ttl=rng.randrange(1, 256),
            flags=rng.choice((0, 2)),
            ident=rng.randrange(65536),
        )
    return ipv6(payload, tc=rng.randrange(256), flow=rng.randrange(1 << 20), hlim=rng.randrange(1, 256))


def check_both_ways(
    name: str,
    plain: bytes,
    seq: int,
    *,
    mode: Mode = Mode.TUNNEL,
    outer: int = 4,
    esn: bool = False,
    natt: bool = False,
    same: bool = True,
) -> bytes:
    """Hold both implementations against each other on one packet; gives ours."""
    iv_length = outbound(name).params.iv_length
    iv = octets(iv_length, f"{seq}") if iv_length and name in ESP else None
    options: dict[str, Any] = {"esn": esn, "udp": NATT if natt else None}
    theirs_sa = scapy_sa(name, seq, outer=outer if mode is Mode.TUNNEL else None, esn=esn, natt=natt)
    our_packet = outbound(name, mode, outer, ident=IDENT, first_seq=seq, iv=iv, **options).protect(plain)
    their_packet = bytes(theirs_sa.encrypt(parsed(plain), **({"iv": iv} if iv else {})))
    if same:
        if natt and our_packet[0] >> 4 == 6:  # scapy leaves the checksum out, which RFC 8200 8.1 forbids
            at = locate(our_packet)[1] - 2
            assert our_packet[at : at + 2] != b"\0\0"
            their_packet = their_packet[:at] + our_packet[at : at + 2] + their_packet[at + 2 :]
        assert our_packet.hex() == their_packet.hex()
    assert bytes(theirs_sa.decrypt(parsed(our_packet))) == plain
    receiver = inbound(name, mode, outer, first_seq=max(1, seq - 3), **options)
    assert receive(receiver, their_packet) == plain
    return our_packet


@pytest.mark.parametrize(("inner", "outer"), FAMILIES)
@pytest.mark.parametrize("name", SCAPY_ESP + SCAPY_AH)
def test_tunnel(name: str, inner: int, outer: int) -> None:
    rng = random.Random(f"tunnel {name} {inner} {outer}")
    for _ in range(3):
        check_both_ways(name, some_packet(inner, rng), rng.randrange(1, 1 << 32), outer=outer)


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("name", SCAPY_ESP + SCAPY_AH)
def test_transport(name: str, version: int) -> None:
    rng = random.Random(f"transport {name} {version}")
    for _ in range(3):
        check_both_ways(name, some_packet(version, rng), rng.randrange(1, 1 << 32), mode=Mode.TRANSPORT)


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("name", SCAPY_ESP + SCAPY_AH)
def test_extended_sequence_numbers(name: str, mode: Mode) -> None:
    """The high half in the AAD of an AEAD and behind the packet for the others (RFC 4303 2.2.1, RFC 4302 2.5.1)."""
    rng = random.Random(f"esn {name} {mode}")
    for seq in (7, (1 << 32) - 1, 1 << 32, (0xABCD << 32) + 1, (1 << 64) - 1):
        check_both_ways(name, some_packet(4, rng), seq, mode=mode, esn=True)


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("name", SCAPY_ESP)
def test_udp_encapsulation(name: str, version: int, mode: Mode) -> None:
    rng = random.Random(f"natt {name} {version} {mode}")
    check_both_ways(name, some_packet(version, rng), 99, mode=mode, outer=version, natt=True)


# --- Headers between IP and IPsec -------------------------------------------------------------------------------------

# By number in IPv4: NOP, record route, security, timestamp, router alert, stream id, end of list and padding.
_OPTIONS = {
    "nops": b"\1\1\1\1",
    "record-route": b"\x07\x0b\x04" + bytes(8) + b"\0",
    "security": b"\x82\x0b\xab\xcd" + bytes(range(7)) + b"\1",
    "timestamp": b"\x44\x08\x05\x00" + bytes(range(4)),
    "router-alert": b"\x94\x04\0\0",
    "several": b"\x94\x04\0\0\1\x88\x04\x12\x34\x07\x07\x04\1\2\3\4" + b"\0\0\0\0",
}


@pytest.mark.parametrize("name", ["gcm128", "cbc128-sha1", "ah-sha256", "ah-md5"])
@pytest.mark.parametrize("options", _OPTIONS)
def test_transport_with_ipv4_options(name: str, options: str) -> None:
    plain = ipv4(udp(b"payload"), options=_OPTIONS[options])
    ours = check_both_ways(name, plain, 5, mode=Mode.TRANSPORT)
    assert locate(ours)[1] == header_length(plain) > 20


def extension(nh: int, body: bytes) -> bytes:
    """An IPv6 extension header of ``body``, padded with PadN."""
    rest = -(2 + len(body)) % 8
    padding = b"" if rest == 0 else b"\0" if rest == 1 else bytes((1, rest - 2)) + bytes(rest - 2)
    return struct.pack("!BB", nh, (2 + len(body)) // 8 if rest else (2 + len(body)) // 8 - 1) + body + padding


ROUTER_ALERT, MUTABLE_OPTION, FIXED_OPTION = b"\5\2\0\0", b"\x3e\4abcd", b"\x1e\3xyz"
FIRST_HOP = bytes.fromhex("20010db8") + bytes(11) + b"\x99"


def routing(nh: int, left: int, *addresses: bytes) -> bytes:
    """A type 0 routing header (RFC 2460 4.4)."""
    return struct.pack("!BBBBI", nh, 2 * len(addresses), 0, left, 0) + b"".join(addresses)


_V6_HEADERS = {
    "hop-by-hop": (0, extension(17, ROUTER_ALERT)),
    "hop-by-hop-mutable": (0, extension(17, ROUTER_ALERT + MUTABLE_OPTION + FIXED_OPTION)),
    "routing": (43, routing(17, 0, HOST6_A, FIRST_HOP)),
    "destination-then-routing": (60, extension(43, FIXED_OPTION + MUTABLE_OPTION) + routing(17, 0, HOST6_A)),
    "all": (0, extension(60, ROUTER_ALERT) + extension(43, MUTABLE_OPTION) + routing(17, 0, FIRST_HOP)),
    "all-and-destination": (
        0,
        extension(60, ROUTER_ALERT)
        + extension(43, FIXED_OPTION)
        + routing(60, 0, FIRST_HOP)
        + extension(17, FIXED_OPTION),
    ),
}


# scapy's AH predicts routing even where none is left to do (segments left 0): ESP alone for those.
_V6_CASES = [(name, headers) for name in ("gcm128", "cbc128-sha1") for headers in _V6_HEADERS]
_V6_CASES += [(name, headers) for name in ("ah-sha256", "ah-sha1") for headers in ("hop-by-hop", "hop-by-hop-mutable")]


@pytest.mark.parametrize(("name", "headers"), _V6_CASES)
def test_transport_with_ipv6_extension_headers(name: str, headers: str) -> None:
    nh, chain = _V6_HEADERS[headers]
    check_both_ways(name, ipv6(chain + udp(b"payload"), nh=nh), 5, mode=Mode.TRANSPORT)


@pytest.mark.parametrize("name", ["gcm128", "ah-sha256"])
def test_transport_with_destination_options_alone(name: str) -> None:
    """scapy leaves them in front, as Linux does; ours protects them (RFC 4303 3.1.1).  Either receiver takes either."""
    plain = ipv6(extension(17, FIXED_OPTION) + udp(b"payload"), nh=60)
    ours = check_both_ways(name, plain, 5, mode=Mode.TRANSPORT, same=False)
    assert locate(ours)[1] == 40


@pytest.mark.parametrize("headers", ["routing", "all"])
@pytest.mark.parametrize("left", [1, 2, 3])
def test_ah_predicts_type_0_routing(left: int, headers: str) -> None:
    """RFC 4302 3.3.3.1.2.3: the ICV is over the header as the last hop leaves it."""
    addresses = [bytes.fromhex("20010db8") + bytes(11) + bytes((n,)) for n in (1, 2, 3)][:left]
    if headers == "routing":
        plain = ipv6(routing(17, left, *addresses) + udp(b"payload"), nh=43)
    else:
        front = extension(60, ROUTER_ALERT + MUTABLE_OPTION) + extension(43, FIXED_OPTION)
        plain = ipv6(front + routing(17, left, *addresses) + udp(b"payload"), nh=0)
    ours = outbound("ah-sha256", Mode.TRANSPORT, first_seq=5).protect(plain)
    theirs = bytes(scapy_sa("ah-sha256", 5).encrypt(parsed(plain)))
    at = locate(ours)[1]
    assert ours[at:].hex() == theirs[at:].hex()
    assert ours[24:40] == HOST6_B  # on the wire it is still the first hop


@pytest.mark.parametrize("name", SCAPY_AH)
def test_ah_on_the_way(name: str) -> None:
    """What routers do to a packet (TTL, DSCP, ECN, flow label) is not what AH covers: scapy says so too."""
    for version in (4, 6):
        plain = some_packet(version, random.Random(name))
        sa = scapy_sa(name, 5)
        theirs = parsed(bytes(sa.encrypt(parsed(plain))))
        if version == 4:
            theirs.ttl, theirs.tos = 3, 0xB9
            del theirs.chksum
        else:
            theirs.hlim, theirs.tc, theirs.fl = 3, 0xB9, 0x12345
        got, start = receive(inbound(name, Mode.TRANSPORT), bytes(theirs)), header_length(plain)
        assert got[start:] == plain[start:]


def test_addresses_of_the_builders() -> None:
    """scapy reads the hand-made packets as they are meant."""
    four, six = IP(ipv4(udp(b"x"))), IPv6(ipv6(udp(b"x")))
    assert (four.src, four.dst) == (".".join(map(str, HOST_A)), ".".join(map(str, HOST_B)))
    whole = bytes(four)
    del four.chksum
    assert bytes(four) == whole
    assert bytes(six)[8:40] == HOST6_A + HOST6_B and six[UDP].len == 9
