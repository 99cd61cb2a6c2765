"""``ip xfrm state``: what Linux printed, and what cannot be used of it."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest

from virtionet_ipsec.ipsec.sa import Direction, Lifetime, Mode, Protocol, SaParams, Tunnel, UdpEncap
from virtionet_ipsec.safile import SaEntry, SaFileError, Select, dumps_toml, dumps_xfrm, loads

from . import kernel

A, B = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])
KEY20 = "000102030405060708090a0b0c0d0e0f10111213"


def one(text, direction="inbound", **keywords):
    (entry,) = loads(text, "sa.xfrm", direction, **keywords)
    return entry


def plain(entries):
    return [(entry.id, entry.params, entry.select) for entry in entries]


def refusal(text, direction="both"):
    with pytest.raises(SaFileError) as caught:
        loads(text, "sa.xfrm", direction)
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith("sa.xfrm")
    return line


def test_both_directions_of_a_pair():
    entries = loads(kernel.GCM_PAIR, "sa.xfrm")
    assert [(e.id, e.params.direction, e.params.spi, e.origin) for e in entries] == [
        (1, Direction.INBOUND, 0x2010, "sa.xfrm:1"),
        (1, Direction.OUTBOUND, 0x2010, "sa.xfrm:1"),
        (2, Direction.INBOUND, 0x1010, "sa.xfrm:7"),
        (2, Direction.OUTBOUND, 0x1010, "sa.xfrm:7"),
    ]
    inbound, outbound = entries[:2]
    same = {
        "protocol": Protocol.ESP,
        "mode": Mode.TUNNEL,
        "spi": 0x2010,
        "aead": "aes-gcm",
        "cipher_key": bytes.fromhex("7c98e54cc4c1eccf58d48c58107d6ae3"),
        "salt": bytes.fromhex("9cdca9ae"),
        "tunnel": Tunnel(B, A),
        "ecn": True,
    }
    assert inbound.params == SaParams(direction=Direction.INBOUND, replay_window=32, **same)
    assert outbound.params == SaParams(direction=Direction.OUTBOUND, copy_dscp=True, copy_df=True, **same)
    anything = ip_network("0.0.0.0/0")
    assert (inbound.select, outbound.select) == (None, Select(anything, anything))


def test_one_direction():
    assert [e.params.direction for e in loads(kernel.GCM_PAIR, direction="inbound")] == [Direction.INBOUND] * 2
    assert [e.params.direction for e in loads(kernel.GCM_PAIR, direction="outbound")] == [Direction.OUTBOUND] * 2


def test_local_addresses_tell_the_directions():
    entries = loads(kernel.GCM_PAIR, local_addresses=["10.0.0.1"])
    assert [(e.params.spi, e.params.direction) for e in entries] == [
        (0x2010, Direction.INBOUND),
        (0x1010, Direction.OUTBOUND),
    ]


@pytest.mark.parametrize(
    "line",
    ["dir in", "crypto offload parameters: dev eth0 dir in mode packet", "crypto offload parameters: dev eth0 dir in"],
)
def test_a_kernel_that_tells_the_direction(line):
    text = kernel.CTR + f"\t{line}\n"
    assert [e.params.direction for e in loads(text)] == [Direction.INBOUND]
    assert [e.params.direction for e in loads(text.replace("dir in", "dir out"))] == [Direction.OUTBOUND]


ALGORITHMS = {
    "3des": ("3des-cbc", 24, "hmac-sha1", 20, b""),
    "ah transport v4": (None, 0, "hmac-sha1", 20, b""),
    "ah transport v6": (None, 0, "hmac-sha256", 32, b""),
    "cbc transport v6": ("aes-cbc", 16, "hmac-sha1", 20, b""),
    "cbc sha512 esn": ("aes-cbc", 32, "hmac-sha512", 64, b""),
    "ctr": ("aes-ctr", 16, "hmac-sha1", 20, bytes.fromhex("96b0bb3d")),
    "gmac": ("null", 0, "aes-gmac", 16, bytes.fromhex("d496ead6")),
    "null": ("null", 0, "hmac-sha256", 32, b""),
}
AEADS = {
    "ccm v6": ("aes-ccm", 16, bytes.fromhex("358de9")),
    "chacha20": ("chacha20-poly1305", 32, bytes.fromhex("10d41371")),
    "udp": ("aes-gcm", 16, bytes.fromhex("c2d5baeb")),
}


@pytest.mark.parametrize("name", ALGORITHMS)
def test_ciphers_and_authentication(name):
    params = one(kernel.FROM_CAPTURES[name]).params
    lengths = (params.cipher, len(params.cipher_key), params.auth, len(params.auth_key), params.salt)
    assert lengths == ALGORITHMS[name]
    assert (params.aead, params.icv_len) == (None, None)


@pytest.mark.parametrize("name", AEADS)
def test_aeads(name):
    params = one(kernel.FROM_CAPTURES[name]).params
    assert (params.aead, len(params.cipher_key), params.salt) == AEADS[name]
    assert (params.cipher, params.auth, params.icv_len) == (None, None, None)


def test_extended_sequence_numbers():
    params = one(kernel.CBC_SHA512_ESN).params
    assert (params.esn, params.replay_window, params.first_seq) == (True, 64, 1)


def test_a_large_window_without_extended_sequence_numbers():
    text = kernel.GCM_PAIR.split("src 10.0.0.1 ")[0].replace(
        "anti-replay context: seq 0x0, oseq 0x0, bitmap 0x00000000",
        "anti-replay esn context:\n\t seq-hi 0x0, seq 0x0, oseq-hi 0x0, oseq 0x0\n"
        "\t replay_window 128, bitmap-length 4\n\t 00000000 00000000 00000000 00000000 ",
    )
    params = one(text.replace("replay-window 32", "replay-window 0")).params
    assert (params.esn, params.replay_window) == (False, 128)


def test_udp_encapsulation():
    assert one(kernel.UDP_ENCAPSULATED).params.udp == UdpEncap(4500, 4500)


def test_transport_mode_selects_its_own_two_ends():
    entry = one(kernel.AH_TRANSPORT_V4, "outbound")
    assert entry.select == Select(ip_network("10.0.0.2/32"), ip_network("10.0.0.1/32"))
    assert entry.params.tunnel is None
    assert one(kernel.AH_TRANSPORT_V4).select is None
    without = "\n".join(line for line in kernel.AH_TRANSPORT_V4.splitlines() if "sel src" not in line)
    assert one(without, "outbound").select == entry.select


def test_the_kernel_pads_ah_to_eight_octets_on_ipv4():
    assert one(kernel.AH_TRANSPORT_V4).params.ah_align == 8
    assert one(kernel.AH_TRANSPORT_V4.replace("window 32 ", "window 32 flag align4")).params.ah_align is None
    assert one(kernel.AH_TRANSPORT_V6).params.ah_align is None
    assert one(kernel.CTR).params.ah_align is None


def test_statistics():
    entries = loads(kernel.WITH_STATISTICS, direction="inbound")
    assert [e.params.spi for e in entries] == [0x1008, 0x1005, 0x1001, 0x100D]
    esn, ah, limited, des = (e.params for e in entries)
    # Of the last number received the high half alone is taken; sending goes on where it was.
    assert esn.first_seq == (1 << 32) + 1
    assert (ah.auth, ah.ah_align) == ("aes-xcbc", None)
    assert limited.lifetime == Lifetime(packets_soft=10, bytes_soft=1000, packets_hard=20, bytes_hard=2000)
    assert (limited.icv_len, limited.ecn, limited.copy_dscp) == (12, False, True)
    assert (des.cipher, des.auth, des.replay_window, des.esn) == ("des-cbc", "hmac-md5", 256, True)
    esn, _, limited, des = (e.params for e in loads(kernel.WITH_STATISTICS, direction="outbound"))
    assert esn.first_seq == (2 << 32) + 8
    assert (limited.ecn, limited.copy_df, limited.copy_dscp) == (False, False, True)
    assert (des.ecn, des.copy_df, des.copy_dscp) == (True, True, False)


def test_on_one_line():
    assert one(kernel.ON_ONE_LINE).params == loads(kernel.WITH_STATISTICS, direction="inbound")[3].params


def test_attributes_and_selector():
    entry = one(kernel.ATTRIBUTES, "outbound")
    assert entry.select == Select(ip_network("10.0.0.2/32"), ip_network("10.0.0.1/32"), 6, 5, 80)


def test_comments_and_empty_lines():
    assert one("# ga\n\n" + kernel.CTR).origin == "sa.xfrm:3"


def test_untruncated_authentication():
    assert one(kernel.TRIPLE_DES.replace("auth-trunc", "auth").replace("941d 96", "941d")).params.auth == "hmac-sha1"
    line = refusal(kernel.NULL_SHA256.replace("auth-trunc", "auth").replace("b9b7 128", "b9b7"))
    assert "sa.xfrm:4: SA 1 auth: an ICV of 96 bits is not RFC 4868's for hmac-sha256; set the SA up" in line


@pytest.mark.parametrize("name", kernel.FROM_CAPTURES)
def test_round_trip_to_the_line(name):
    """What the kernel printed comes back, but for request ids and spaces at the ends of lines."""
    text = kernel.FROM_CAPTURES[name]
    entries = loads(text, name)
    again, warnings = dumps_xfrm(entries)
    assert warnings == []
    assert plain(loads(again)) == plain(entries)
    expected = [line.rstrip().replace("reqid 1", "reqid 0") for line in text.splitlines()]
    if "transport" in name:  # the selector is that of the two ends now
        expected[-1] = again.splitlines()[-1].rstrip()
    assert [line.rstrip() for line in again.splitlines()] == expected


@pytest.mark.parametrize("text", [kernel.WITH_STATISTICS, kernel.ON_ONE_LINE, kernel.ATTRIBUTES])
@pytest.mark.parametrize("direction", ["inbound", "outbound", "both"])
def test_round_trip(text, direction):
    entries = loads(text, direction=direction)
    assert plain(loads(dumps_xfrm(entries)[0], direction=direction)) == plain(entries)
    assert plain(loads(dumps_toml(entries)[0], direction=direction)) == plain(entries)


GCM = kernel.UDP_ENCAPSULATED
REFUSED = {
    "hidden keys": (
        GCM.replace("0x70558ff3f8e5e51c7e48ed0e82c5a8f8c2d5baeb", "<<Keys hidden>>"),
        "the key is hidden; print",
    ),
    "bad hex": (GCM.replace("0x7055", "0xzz55"), "SA 1 aead: the key is not hexadecimal"),
    "half an octet": (GCM.replace("0x7055", "0x705"), "the key has an odd number of hex digits (39)"),
    "short key": (GCM.replace("0x7055", "0x70"), "has 19 octets; aes-gcm takes 20 or 28 or 36, 4 of them salt"),
    "no key": (
        kernel.TRIPLE_DES.replace("0xc9c747f5b977cedf430b23a1c807ae97180a988a11451086", ""),
        "SA 1 enc: the key has 0",
    ),
    "icv": (GCM.replace("baeb 128", "baeb 80"), "SA 1 aead: aes-gcm has an ICV of 8 or 12 or 16 octets"),
    "gmac icv": (kernel.GMAC.replace("ead6 128", "ead6 64"), "aes-gmac has an ICV of 16 octets"),
    "aead": (GCM.replace("rfc4106(gcm(aes))", "rfc4106(gcm(sm4))"), "one of: rfc4106(gcm(aes)), rfc4309"),
    "cipher": (
        kernel.CTR.replace("rfc3686(ctr(aes))", "cbc(twofish)"),
        "SA 1 enc: is not an algorithm that the model has",
    ),
    "auth": (kernel.CTR.replace("hmac(sha1)", "digest_null"), "SA 1 auth-trunc: is not an algorithm"),
    "cut too short": (kernel.NULL_SHA256.replace("b9b7 128", "b9b7 96"), "an ICV of 96 bits"),
    "no auth": (
        "\n".join(kernel.CTR.splitlines()[:3] + kernel.CTR.splitlines()[4:]),
        "SA 1 auth-trunc: encryption without",
    ),
    "aead and enc": (GCM + "\tenc cbc(aes) 0x000102030405060708090a0b0c0d0e0f\n", "an AEAD takes no cipher"),
    "ah and enc": (kernel.AH_TRANSPORT_V4 + "\tenc ecb(cipher_null) \n", "AH takes an integrity algorithm and nothing"),
    "ipcomp": (kernel.CTR.replace("proto esp", "proto comp"), "SA 1 proto: is neither esp nor ah; take this SA out"),
    "comp": (kernel.CTR + "\tcomp deflate \n", "IPComp is not modelled"),
    "ip in ip": (kernel.CTR.replace("proto esp", "proto 4"), "is neither esp nor ah"),
    "beet": (kernel.CTR.replace("mode tunnel", "mode beet"), "the mode is neither tunnel nor transport"),
    "acquire": (
        "src 10.0.0.2 dst 10.0.0.1\n\tproto esp spi 0x00000000 reqid 1 mode tunnel\n\treplay-window 0 \n",
        "still being negotiated",
    ),
    "spi 0": (GCM.replace("0x00002019", "0x00000000"), "SA 1 spi: 0x0 is not in"),
    "encap": (GCM.replace("espinudp", "espinudp-nonike"), "is not ESP in UDP as of RFC 3948"),
    "espintcp": (GCM.replace("espinudp", "espintcp"), "is not ESP in UDP as of RFC 3948"),
    "encap port": (GCM.replace("sport 4500", "sport 0"), "SA 1 encap: 0 is not in 1 to 65535"),
    "ah in udp": (kernel.AH_TRANSPORT_V4 + "\tencap type espinudp sport 1 dport 1 addr 0.0.0.0\n", "not AH"),
    "used up": (GCM.replace("oseq 0x0", "oseq 0xffffffff"), "the SA is used up"),
    "names": (GCM.replace("src 10.0.0.2", "src gateway-b"), "SA 1 src: an end is not an IPv4 or IPv6 address"),
    "policy": (GCM.replace("src 10.0.0.2 dst", "src 10.0.0.0/24 dst"), "is not an IPv4 or IPv6 address"),
    "selector": (GCM.replace("sel src 0.0.0.0/0", "sel src 10.0.0.1/8"), "the network is 10.0.0.0/8"),
    "icmp type": (GCM.rstrip() + " proto icmp type 8 \n", "SA 1 sel: selects by type"),
    "gre key": (GCM.rstrip() + " proto gre key 8 \n", "selects by key"),
    "ports of icmp": (GCM.rstrip() + " proto 89 sport 8 \n", "ports of a protocol that has none"),
    "port": (GCM.rstrip() + " proto tcp sport 99999 \n", "a port is beyond 65535"),
    "protocol": (GCM.rstrip() + " proto nonsense \n", "neither the number of a protocol nor a name"),
    "protocol number": (GCM.rstrip() + " proto 256 \n", "neither the number of a protocol nor a name"),
    "mixed": (GCM + '"IPv4","*","*","0x1","NULL","","NULL",""\n', "sa.xfrm:8: SA 1: this line is not as"),
    "toml behind": (GCM + "[[sa]]\n", "sa.xfrm:8: SA 1: this line is not as `ip xfrm state` prints it"),
    "a broken line": (GCM.replace("encap type espinudp sport", "encap espinudp"), "sa.xfrm:5: SA 1: this line is not"),
    "no id": ("src 10.0.0.2 dst 10.0.0.1\n", "SA 1 proto: is missing"),
    "one SPI twice": (GCM + GCM, "sa.xfrm:8 spi: inbound SPI 0x00002019 is given already at sa.xfrm:1"),
    "window": (kernel.CBC_SHA512_ESN.replace("replay_window 64", "replay_window 8192"), "8192 is not in 0 to 4096"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    text, says = REFUSED[name]
    assert says in refusal(text)


def test_what_outbound_cannot_say_does_not_matter_inbound():
    assert len(loads(REFUSED["icmp type"][0], direction="inbound")) == 1


def test_what_the_text_cannot_say_is_warned_of():
    tunnel = Tunnel(A, B, dscp=10, df=True, ttl=3)
    params = replace(one(kernel.CTR, "outbound").params, tunnel=tunnel, copy_dscp=False, copy_df=False, dec_ttl=True)
    _, warnings = dumps_xfrm([SaEntry(1, replace(params, iv=bytes(8)), None, "here")])
    assert [warning.split(":")[0] for warning in warnings] == ["here SA 1 outbound"] * 5
    _, warnings = dumps_xfrm([SaEntry(1, replace(one(kernel.CBC_SHA512_ESN).params, first_seq=9, tunnel=None))])
    assert any("first sequence number" in warning for warning in warnings)
    assert any("addresses are not known" in warning for warning in warnings)


def test_gmac_for_ah_is_not_linux_s():
    params = SaParams(
        direction=Direction.INBOUND,
        protocol=Protocol.AH,
        mode=Mode.TRANSPORT,
        spi=1,
        auth="aes-gmac",
        auth_key=bytes(16),
        salt=bytes(4),
    )
    with pytest.raises(SaFileError, match="here auth: the Linux kernel has no aes-gmac for AH"):
        dumps_xfrm([SaEntry(1, params, None, "here")])
