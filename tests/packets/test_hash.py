"""The hash of received packets (virtio 1.4, 5.1.9.4.3 and 5.1.9.4.5), and the Toeplitz function under it."""

from __future__ import annotations

import struct
from itertools import product
from socket import AF_INET, AF_INET6, inet_pton

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    HAO,
    ICMPv6EchoRequest,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    MIP6OptUnknown,
    Pad1,
    PadN,
)
from scapy.packet import Packet, Raw

from virtionet_ipsec.device import Device
from virtionet_ipsec.device.flow_fields import flow_fields
from virtionet_ipsec.device.toeplitz import Toeplitz
from virtionet_ipsec.driver.control import ControlClient
from virtionet_ipsec.driver.in_process import InProcess
from virtionet_ipsec.wire import CtrlClass, CtrlMq, Feature, HashReport, HashType, Profile

from .rig import DEFAULT, PROFILES, framed, inbound, ip, mask, outbound, protocol_rule

# The key and the values of Microsoft's "Verifying the RSS Hash Calculation" (Windows driver documentation):
# destination and source with their ports, the hash of the addresses, the hash with TCP ports.
MICROSOFT_KEY = bytes.fromhex("6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa")
MICROSOFT = [
    ("161.142.100.80", 1766, "66.9.149.187", 2794, 0x323E8FC2, 0x51CCC178),
    ("65.69.140.83", 4739, "199.92.111.2", 14230, 0xD718262A, 0xC626B0EA),
    ("12.22.207.184", 38024, "24.19.198.95", 12898, 0xD2D0A5DE, 0x5C2B394A),
    ("209.142.163.6", 2217, "38.27.205.30", 48228, 0x82989176, 0xAFC7327F),
    ("202.188.127.2", 1303, "153.39.163.191", 44251, 0x5D1809C5, 0x10E828A2),
    ("3ffe:2501:200:3::1", 1766, "3ffe:2501:200:1fff::7", 2794, 0x2CC18CD5, 0x40207D3D),
    ("ff02::1", 4739, "3ffe:501:8::260:97ff:fe40:efab", 14230, 0x0F0C461C, 0xDDE51BBF),
    (
        "fe80::200:f8ff:fe21:67cf",
        38024,
        "3ffe:1900:4545:3:200:f8ff:fe21:67cf",
        44251,
        0x4B61E985,
        0x02D1FEEF,
    ),
]

T = HashType
EVERY = int(sum(T))
NONE = (0, HashReport.NONE)


def bit_by_bit(key: bytes, data: bytes) -> int:
    """The function as it is defined: for every bit that is set, the leftmost 32 bits of the key as shifted so far."""
    bits, width = int.from_bytes(key, "big"), 8 * len(key)
    result = 0
    for octet in data:
        for bit in range(7, -1, -1):
            if octet >> bit & 1:
                result ^= bits >> width - 32
            bits = bits << 1 & (1 << width) - 1
    return result


def octets(address: str) -> bytes:
    return inet_pton(AF_INET6 if ":" in address else AF_INET, address)


@pytest.mark.parametrize(("destination", "dport", "source", "sport", "addresses", "ports"), MICROSOFT)
def test_the_published_values(
    destination: str, dport: int, source: str, sport: int, addresses: int, ports: int
) -> None:
    function = Toeplitz(MICROSOFT_KEY)
    data = octets(source) + octets(destination)
    assert function(data) == bit_by_bit(MICROSOFT_KEY, data) == addresses
    data += struct.pack("!HH", sport, dport)
    assert function(data) == bit_by_bit(MICROSOFT_KEY, data) == ports


@given(st.binary(max_size=48), st.binary(max_size=36))
def test_any_key_and_data(key: bytes, data: bytes) -> None:
    """D126: where the key ends, zeros follow."""
    assert Toeplitz(key)(data) == bit_by_bit(key[:40].ljust(40, b"\0"), data)


# -- packets -----------------------------------------------------------------------------------------------------------

HASHING = DEFAULT | mask(Feature.CTRL_VQ, Feature.HASH_REPORT)
V4 = {"src": "66.9.149.187", "dst": "161.142.100.80"}
V6 = {"src": "3ffe:2501:200:1fff::7", "dst": "3ffe:2501:200:3::1"}
A4, A6 = (octets(each["src"]) + octets(each["dst"]) for each in (V4, V6))
PORTS = struct.pack("!HH", 2794, 1766)
LAYERS: dict[str, Packet] = {
    "tcp": TCP(sport=2794, dport=1766),
    "udp": UDP(sport=2794, dport=1766),
    "other": Raw(bytes(20)),
}
HOME = "2001:db8::1"
WAY = "2001:db8::2"


def hashed(types: int = EVERY, profile: Profile = Profile.VIRTIO_1_4, **device: object) -> InProcess:
    """A driver that has enabled ``types``, with the key of the published values."""
    features = HASHING & (Device(profile).features if profile is Profile.RFC_V1 else HASHING)
    driver = InProcess(profile, features=features, **device).start()  # type: ignore[arg-type,return-value]
    driver.control.set_hash(MICROSOFT_KEY, types)
    return driver  # type: ignore[return-value]


def reported(driver: InProcess, packet: Packet | bytes, tags: int = 0) -> tuple[int, int]:
    frame = framed(packet, tags)
    got = driver.receive(frame)
    assert got is not None and got.frame == frame
    return got.hdr.hash_value, got.hdr.hash_report


def expected(report: HashReport, data: bytes) -> tuple[int, int]:
    return bit_by_bit(MICROSOFT_KEY, data), report


def by_the_text(types: int, version: int, layer: str, extended: bool, ex: bytes) -> tuple[int, int]:
    """5.1.9.4.3.2 to .4, in the order of its Else; ``ex`` are the addresses of the _EX types."""
    if extended:
        for wanted, kind, data, report in (
            ("tcp", T.TCP_EX, ex + PORTS, HashReport.TCPV6_EX),
            ("udp", T.UDP_EX, ex + PORTS, HashReport.UDPV6_EX),
            (layer, T.IP_EX, ex, HashReport.IPV6_EX),
        ):
            if types & kind and layer == wanted:
                return expected(report, data)
    addresses = A4 if version == 4 else A6
    tcp, udp, plain = ("TCPV4", "UDPV4", "IPV4") if version == 4 else ("TCPV6", "UDPV6", "IPV6")
    if types & T[tcp] and layer == "tcp":
        return expected(HashReport[tcp], addresses + PORTS)
    if types & T[udp] and layer == "udp":
        return expected(HashReport[udp], addresses + PORTS)
    return expected(HashReport[plain], addresses) if types & T[plain] else NONE


CHAINS: dict[str, tuple[Packet | None, bytes]] = {
    "none": (None, A6),
    "hop by hop": (IPv6ExtHdrHopByHop(options=[PadN(optdata=bytes(4))]), A6),
    "home address": (
        IPv6ExtHdrDestOpt(options=[Pad1(), Pad1(), PadN(optdata=b"\0\0"), HAO(hoa=HOME)]),
        octets(HOME) + A6[16:],
    ),
    "no home address": (IPv6ExtHdrDestOpt(options=[MIP6OptUnknown(otype=0x1E, odata=bytes(8))]), A6),
    "two home addresses": (
        IPv6ExtHdrDestOpt(options=[HAO(hoa=WAY)]) / IPv6ExtHdrDestOpt(options=[HAO(hoa=HOME)]) / IPv6ExtHdrDestOpt(),
        octets(HOME) + A6[16:],
    ),
    "type 2": (IPv6ExtHdrRouting(type=2, segleft=1, addresses=[WAY]), A6[:16] + octets(WAY)),
    "type 0": (IPv6ExtHdrRouting(type=0, segleft=1, addresses=[WAY]), A6),
    "all": (
        IPv6ExtHdrHopByHop()
        / IPv6ExtHdrRouting(type=2, segleft=1, addresses=[WAY])
        / IPv6ExtHdrDestOpt(options=[HAO(hoa=HOME)]),
        octets(HOME) + octets(WAY),
    ),
    "not fragmented": (IPv6ExtHdrFragment(offset=0, m=0), A6),
}


def test_every_set_of_types_over_ipv4() -> None:
    driver = hashed(0)
    for types in range(1 << 3):
        driver.control.set_hash(MICROSOFT_KEY, types)
        for layer, packet in LAYERS.items():
            assert reported(driver, IP(**V4) / packet) == by_the_text(types, 4, layer, False, b"")


@pytest.mark.parametrize("chain", CHAINS)
def test_every_set_of_types_over_ipv6(chain: str) -> None:
    headers, ex = CHAINS[chain]
    driver = hashed(0)
    packets = {
        layer: bytes(IPv6(**V6) / (packet if headers is None else headers / packet)) for layer, packet in LAYERS.items()
    }
    for types in range(0, 1 << 9, 8):
        driver.control.set_hash(MICROSOFT_KEY, types)
        for layer, packet in packets.items():
            assert reported(driver, packet) == by_the_text(types, 6, layer, headers is not None, ex), (types, layer)


@pytest.mark.parametrize(("profile", "tags"), [*product(PROFILES, range(3))])
def test_on_the_wire(profile: Profile, tags: int) -> None:
    """The published values in the header of both profiles, whatever tags the frame has."""
    driver = hashed(profile=profile)
    for destination, dport, source, sport, addresses, ports in MICROSOFT:
        version = 6 if ":" in source else 4
        header = (IPv6 if version == 6 else IP)(src=source, dst=destination)
        kind = HashReport.TCPV6 if version == 6 else HashReport.TCPV4
        assert reported(driver, header / TCP(sport=sport, dport=dport), tags) == (ports, kind)
        kind = HashReport.IPV6 if version == 6 else HashReport.IPV4
        icmp = ICMPv6EchoRequest() if version == 6 else ICMP()
        assert reported(driver, header / icmp, tags) == (addresses, kind)
        raw = driver.device.receive(framed(header / icmp))
        assert raw is not None
        assert raw.buffers[0][12:20] == struct.pack("<IHH", addresses, kind, 0)


@pytest.mark.parametrize(
    ("packet", "answer"),
    [
        (bytes(IP(**V4, flags="MF") / LAYERS["udp"]), (HashReport.IPV4, A4)),
        (bytes(IP(**V4, frag=1) / LAYERS["udp"]), (HashReport.IPV4, A4)),
        (bytes(IP(**V4, frag=256) / LAYERS["udp"]), (HashReport.IPV4, A4)),
        (bytes(IP(**V4, flags="DF") / LAYERS["udp"]), (HashReport.UDPV4, A4 + PORTS)),
        (bytes(IP(**V4, options=[b"\x94\4\0\0"]) / LAYERS["tcp"]), (HashReport.TCPV4, A4 + PORTS)),
        (bytes(IP(**V4, options=[b"\x94\4\0\0"], flags="MF") / LAYERS["tcp"]), (HashReport.IPV4, A4)),
        (b"\x44" + bytes(IP(**V4) / LAYERS["tcp"])[1:], (HashReport.IPV4, A4)),
        (bytes(IP(**V4) / LAYERS["tcp"])[:23], (HashReport.IPV4, A4)),
        (bytes(IP(**V4) / LAYERS["tcp"])[:24], (HashReport.TCPV4, A4 + PORTS)),
        (bytes(IP(**V4) / LAYERS["tcp"])[:19], (HashReport.NONE, b"")),
        (bytes(IPv6(**V6) / IPv6ExtHdrFragment(m=1) / LAYERS["udp"]), (HashReport.IPV6_EX, A6)),
        (bytes(IPv6(**V6) / IPv6ExtHdrFragment(offset=1) / LAYERS["udp"]), (HashReport.IPV6_EX, A6)),
        (bytes(IPv6(**V6) / IPv6ExtHdrFragment(offset=32) / LAYERS["udp"]), (HashReport.IPV6_EX, A6)),
        (bytes(IPv6(**V6, nh=0))[:40], (HashReport.IPV6_EX, A6)),
        (bytes(IPv6(**V6, nh=60)) + b"\6\x01" + bytes(8), (HashReport.IPV6_EX, A6)),
        (bytes(IPv6(**V6) / LAYERS["udp"])[:43], (HashReport.IPV6, A6)),
        (bytes(IPv6(**V6) / LAYERS["udp"])[:39], (HashReport.NONE, b"")),
        (bytes(IPv6(**V6, nh=50)) + bytes(30), (HashReport.IPV6, A6)),
        (bytes(IPv6(**V6, nh=60)) + b"\6\0\xc9\x10" + bytes(24), (HashReport.TCPV6_EX, A6 + bytes(4))),
    ],
)
def test_what_has_no_ports(packet: bytes, answer: tuple[HashReport, bytes]) -> None:
    """D125: fragments, the first one's too; what is cut; D68: ESP is no extension header."""
    report, data = answer
    assert reported(hashed(), packet) == (expected(report, data) if report else NONE)


def test_what_is_no_ip() -> None:
    driver = hashed()
    for frame in (bytes(12) + b"\x08\x06" + bytes(28), bytes(14), framed(ip())[:13] + b"\xdd" + bytes(40)):
        got = driver.receive(frame)
        assert got is not None and (got.hdr.hash_value, got.hdr.hash_report) == NONE


@settings(deadline=None, max_examples=500)
@given(st.binary(max_size=120), st.integers(-1, 20), st.sampled_from([b"", b"\x45", b"\x60", b"\x46"]))
def test_any_octets(packet: bytes, at: int, first: bytes) -> None:
    """Nothing is read that is not there."""
    kind, plain, ex = flow_fields(first + packet, at)
    assert len(plain) == len(ex) == {0: 0, 1: 8, 2: 12, 3: 12}.get(kind, 32 if kind in (4, 7) else 36)


@settings(deadline=None, max_examples=300)
@given(st.lists(st.tuples(st.sampled_from([0, 43, 44, 60, 135, 6]), st.binary(max_size=40)), max_size=20), st.binary())
def test_any_chain(chain: list[tuple[int, bytes]], end: bytes) -> None:
    packet = bytes(IPv6(**V6, nh=chain[0][0] if chain else 17))
    for (_, data), (following, _) in zip(chain, [*chain[1:], (17, b"")], strict=False):
        body = data.ljust(-(-(len(data) + 2) // 8) * 8 - 2, b"\0")
        packet += bytes((following, len(body) // 8)) + body
    kind, plain, ex = flow_fields(packet + end, 0)
    assert len(plain) == len(ex) == (32 if kind in (4, 7) else 36)
    assert plain[:32] == A6


@pytest.mark.parametrize("pads", range(4))
def test_padding_in_front_of_a_home_address(pads: int) -> None:
    """Pad1 is one octet, without a length."""
    options = bytes(pads) + b"\xc9\x10" + octets(HOME)
    packet = bytes(IPv6(**V6, nh=60)) + b"\x11\x02" + options.ljust(22, b"\0") + PORTS
    assert flow_fields(packet, 0) == (HashReport.UDPV6_EX, A6 + PORTS, octets(HOME) + A6[16:] + PORTS)


def test_endless_padding_ends() -> None:
    """A destination options header of 2048 octets of Pad1, in every place of the chain."""
    packet = bytes(IPv6(**V6, nh=60)) + b"".join(b"\x3c\xff" + bytes(2046) for _ in range(40))
    assert flow_fields(packet, 0) == (HashReport.IPV6_EX, A6, A6)


# -- the command -------------------------------------------------------------------------------------------------------


def test_before_any_command() -> None:
    """5.1.9.5.6.4: "Initially the device has all hash types disabled"; after a reset again."""
    driver = hashed()
    assert reported(driver, IP(**V4) / LAYERS["tcp"]) != NONE
    driver.start()
    assert driver.layout.size == 32
    assert reported(driver, IP(**V4) / LAYERS["tcp"]) == NONE


def test_another_key() -> None:
    driver, packet = hashed(), IP(**V4) / LAYERS["tcp"]
    for key in (bytes(range(40)), b"\x80", bytes(39) + b"\1", MICROSOFT_KEY[:20]):
        driver.control.set_hash(key, EVERY)
        value = bit_by_bit(key.ljust(40, b"\0"), A4 + PORTS)
        assert reported(driver, packet) == reported(driver, packet) == (value, HashReport.TCPV4)


def test_more_flows_than_are_remembered() -> None:
    driver = hashed()
    frame = bytearray(framed(IP(**V4) / LAYERS["udp"]))
    for port in range(6000):
        frame[34:36] = port.to_bytes(2, "big")
        got = driver.device.receive(bytes(frame))
        assert got is not None
        if port % 500 == 0 or port > 5990:
            data = A4 + port.to_bytes(2, "big") + PORTS[2:]
            assert struct.unpack_from("<I", got.buffers[0], 12)[0] == bit_by_bit(MICROSOFT_KEY, data)


def test_the_fields_stay_zero_without_the_feature() -> None:
    """With RSS alone there is a hash, and nobody is told; the header has the fields, for the sake of those behind."""
    driver = InProcess(features=DEFAULT | mask(Feature.CTRL_VQ, Feature.RSS)).start()
    driver.control.set_rss(MICROSOFT_KEY, EVERY, [0])
    assert reported(driver, IP(**V4) / LAYERS["tcp"]) == NONE  # type: ignore[arg-type]


@pytest.mark.parametrize("profile", PROFILES)
def test_a_directed_packet_has_a_hash(profile: Profile) -> None:
    driver = hashed(profile=profile)
    protocol_rule(driver, driver.create_group(1), 0, 6, 2)  # DIRECT_RX_VQ to receiveq1
    assert reported(driver, IP(**V4) / LAYERS["tcp"])[1] == HashReport.TCPV4


# -- IPsec -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("profile", "version"), [*product(PROFILES, (4, 6))])
def test_the_decrypted_packet_is_hashed(profile: Profile, version: int) -> None:
    """D80: the packet that the driver gets; and next to the hash everything that IPsec says."""
    driver = hashed(profile=profile)
    driver.steer_ipsec()
    sa = outbound(driver)
    inbound(driver)
    packet = (IP(**V4) if version == 4 else IPv6(**V6)) / LAYERS["tcp"]
    (wire,) = driver.send(framed(packet), sa)
    got = driver.receive(wire)
    assert got is not None and got.frame == framed(packet)
    assert got.flag_names == ("SECURITY",) and got.resource_id == 1
    kind = HashReport.TCPV4 if version == 4 else HashReport.TCPV6
    data = (A4 if version == 4 else A6) + PORTS
    assert (got.hdr.hash_value, got.hdr.hash_report) == expected(kind, data)


@pytest.mark.parametrize("profile", PROFILES)
def test_a_packet_that_failed_is_hashed_as_it_is(profile: Profile) -> None:
    driver = hashed(profile=profile)
    driver.steer_ipsec()
    sa = outbound(driver)
    inbound(driver)
    (wire,) = driver.send(framed(IP(**V4) / LAYERS["tcp"]), sa)
    got = driver.receive(wire[:-1] + bytes((wire[-1] ^ 1,)))
    assert got is not None and got.flag_names == ("SECURITY", "SECURITY_ERR") and got.resource_id == 1
    assert (got.hdr.hash_value, got.hdr.hash_report) == expected(HashReport.IPV4, wire[26:34])


def test_in_several_buffers() -> None:
    driver = hashed()
    driver.port.receive_buffer_size = 64
    frame = framed(IP(**V4) / LAYERS["udp"] / bytes(300))
    got = driver.receive(frame)
    assert got is not None and got.frame == frame and got.hdr.num_buffers == len(got.buffers) > 5
    assert got.hdr.hash_report == HashReport.UDPV4


def test_what_linux_sends() -> None:
    """D126: it has a number of queues where the reserved octets are."""
    driver = InProcess(features=HASHING).start()
    client = ControlClient(driver.port)
    data = struct.pack("<I6xHB", EVERY, 4, len(MICROSOFT_KEY)) + MICROSOFT_KEY
    client.command(CtrlClass.MQ, CtrlMq.HASH_CONFIG, data)
    assert reported(driver, IP(**V4) / LAYERS["tcp"])[0] == 0x51CCC178  # type: ignore[arg-type]
