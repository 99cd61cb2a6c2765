"""Lets a Linux kernel segment packets, and prints cases.toml: what went in, and what came out.

    unshare -n python make.py > cases.toml     (as root; needs scapy, `ip`, TUN and bridge support)

A packet is written into a tap device with its virtio_net_hdr of 12 octets, goes over a bridge to a second tap device
that takes no offload, and so is segmented by the kernel's own code on the way (its GSO).  Nothing of the package is
used here.
"""

from __future__ import annotations

import fcntl
import os
import platform
import random
import select
import struct
import subprocess
from collections.abc import Iterator
from typing import Any

from scapy.layers.inet import IP, TCP, UDP, IPOption_Router_Alert
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrHopByHop, PadN, RouterAlert
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
from scapy.packet import Packet
from scapy.utils import checksum

TUNSETIFF, TUNSETVNETHDRSZ = 0x400454CA, 0x400454D8
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x2, 0x1000, 0x4000

TCPV4, TCPV6, UDP_L4, ECN = 1, 4, 5, 0x80
NEEDS_CSUM = 1
HEADER = struct.Struct("<BBHHHHH")

SOURCE = "02:00:00:00:00:02"
ETHERNET = Ether(dst="02:00:00:00:00:01", src=SOURCE)
QUEUE_SECONDS = 0.2
TIMESTAMP = [("NOP", None), ("NOP", None), ("Timestamp", (0x01020304, 0x05060708))]


def tap(name: str, flags: int) -> int:
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI | flags))
    if flags & IFF_VNET_HDR:
        fcntl.ioctl(device, TUNSETVNETHDRSZ, struct.pack("i", HEADER.size))
    return device


def bridge(*names: str) -> None:
    commands = [["link", "add", "br0", "type", "bridge", "stp_state", "0", "forward_delay", "0"]]
    commands += [["link", "set", name, "addrgenmode", "none"] for name in ("br0", *names)]
    commands += [["link", "set", name, "master", "br0", "mtu", "9000", "up"] for name in names]
    for command in (*commands, ["link", "set", "br0", "up"]):
        subprocess.run(["ip", *command], check=True)


def through(into: int, out: int, buffer: bytes) -> list[bytes]:
    """What comes out of the second device for one packet; the kernel may refuse it when it is written."""
    try:
        os.write(into, buffer)
    except OSError:
        return []
    frames = []
    while select.select([out], [], [], QUEUE_SECONDS)[0]:
        frame = os.read(out, 1 << 17)
        if frame[6:12] == bytes.fromhex(SOURCE.replace(":", "")):
            frames.append(frame)
    return frames


def payload(length: int) -> bytes:
    return random.Random(length).randbytes(length)


def pseudo_header(packet: Packet, protocol: int, length: int) -> bytes:
    if IP in packet:
        return bytes(packet[IP])[12:20] + struct.pack("!HH", protocol, length)
    return bytes(packet[IPv6])[8:40] + struct.pack("!II", length, protocol)


class Case:
    """A packet and its virtio_net_hdr as a Linux driver makes them; ``changes`` are fields, ``patches`` octets."""

    def __init__(
        self, name: str, packet: Packet, size: int, *, patches: dict[int, bytes] | None = None, **changes: Any
    ) -> None:
        self.name = name
        octets = bytes(packet)
        last = packet.getlayer(TCP) or packet.getlayer(UDP)
        start = len(octets) - len(bytes(last))
        tcp = packet.haslayer(TCP)
        at = start + (16 if tcp else 6)
        # The checksum field has the pseudo header's sum, with the whole packet's length in it.
        pseudo = pseudo_header(packet, 6 if tcp else 17, len(octets) - start)
        octets = octets[:at] + struct.pack("!H", checksum(pseudo) ^ 0xFFFF) + octets[at + 2 :]
        for where, what in (patches or {}).items():
            octets = octets[:where] + what + octets[where + len(what) :]
        self.frame = octets
        self.fields = {
            "flags": NEEDS_CSUM,
            "gso_type": (TCPV4 if IP in packet else TCPV6) if tcp else UDP_L4,
            "hdr_len": len(octets) - len(bytes(last.payload)),
            "gso_size": size,
            "csum_start": start,
            "csum_offset": at - start,
            "num_buffers": 0,
        }
        if tcp and last.flags.C:
            self.fields["gso_type"] |= ECN
        self.fields |= changes

    @property
    def buffer(self) -> bytes:
        return HEADER.pack(*self.fields.values()) + self.frame


def ip4(**fields: Any) -> Packet:
    return IP(src="198.51.100.1", dst="203.0.113.2", **({"id": 0xFFFE, "flags": "DF"} | fields))


def ip6(**fields: Any) -> Packet:
    return IPv6(src="2001:db8:1::1", dst="2001:db8:2::2", **fields)


def tcp(length: int, flags: str = "PA", **fields: Any) -> Packet:
    values = {"sport": 40000, "dport": 443, "seq": 0xFFFFFF80, "ack": 77, "flags": flags} | fields
    return TCP(**values) / payload(length)


def udp(length: int) -> Packet:
    return UDP(sport=40000, dport=443) / payload(length)


def summing_to_zero(header: Packet, size: int) -> Packet:
    """Three segments, of the first of which the checksum comes to 0."""
    first = header / (payload(size - 2) + b"\0\0")
    first = first.__class__(bytes(first))
    value = (first.getlayer(TCP) or first.getlayer(UDP)).chksum
    return header / (payload(size - 2) + struct.pack("!H", value) + payload(2 * size))


def cut() -> Iterator[Case]:
    """Packets that the kernel segments."""
    extensions = IPv6ExtHdrHopByHop(options=[RouterAlert()]) / IPv6ExtHdrDestOpt(options=[PadN(optdata=b"1234")])
    tags = {"one tag": Dot1Q(vlan=5, prio=3), "two tags": Dot1AD(vlan=7) / Dot1Q(vlan=5)}
    for name, network, tso in (("IPv4", ip4(), TCPV4), ("IPv6", ip6(tc=0x2E, fl=0x12345), TCPV6)):
        base = ETHERNET / network
        yield Case(f"TCP over {name}", base / tcp(350), 100)
        yield Case(f"TCP over {name} with options", base / tcp(350, options=TIMESTAMP), 100)
        yield Case(f"TCP over {name}, a multiple of the MSS", base / tcp(300), 100)
        yield Case(f"TCP over {name}, an odd MSS", base / tcp(350), 99)
        yield Case(f"TCP over {name}, FIN and PSH", base / tcp(350, "FPA"), 100)
        yield Case(f"TCP over {name}, CWR and ECE", base / tcp(350, "PAEC"), 100)
        yield Case(f"TCP over {name}, CWR without the ECN bit", base / tcp(350, "PAC"), 100, gso_type=tso)
        yield Case(f"TCP over {name}, every flag", base / tcp(350, "FSRPAUEC", urgptr=9), 100)
        yield Case(f"TCP over {name}, an MSS larger than the packet", base / tcp(350, "FPAC"), 1448)
        yield Case(f"TCP over {name}, an octet each", base / tcp(9), 1)
        yield Case(f"TCP over {name} as on Ethernet", base / tcp(4000, options=TIMESTAMP), 1428)
        yield Case(f"UDP over {name}", base / udp(350), 100)
        yield Case(f"UDP over {name}, an odd MSS", base / udp(350), 99)
        yield Case(f"UDP over {name}, an MSS larger than the packet", base / udp(350), 1448)
        for tagged, tag in tags.items():
            yield Case(f"TCP over {name}, {tagged}", ETHERNET / tag / network / tcp(350), 100)
        yield Case(f"UDP over {name}, one tag", ETHERNET / tags["one tag"] / network / udp(350), 100)
        zero = TCP(sport=40000, dport=443, seq=5, flags="A"), UDP(sport=40000, dport=443)
        yield Case(f"TCP over {name}, a checksum of 0", summing_to_zero(base / zero[0], 100), 100)
        yield Case(f"UDP over {name}, a checksum of 0", summing_to_zero(base / zero[1], 100), 100)
    with_options = ip4(options=[IPOption_Router_Alert()], tos=3)
    yield Case("TCP over IPv4 with IPv4 options", ETHERNET / with_options / tcp(350), 100)
    yield Case("UDP over IPv4 that may be fragmented", ETHERNET / ip4(flags=0, id=7, ttl=1) / udp(350), 100)
    yield Case("TCP over IPv6 with extension headers", ETHERNET / ip6() / extensions / tcp(350), 100)
    yield Case("UDP over IPv6 with extension headers", ETHERNET / ip6() / extensions / udp(350), 100)


def not_cut() -> Iterator[Case]:
    """Packets of which the kernel lets nothing through."""
    tcp4, tcp6 = ETHERNET / ip4() / tcp(350), ETHERNET / ip6() / tcp(350)
    udp4 = ETHERNET / ip4() / udp(350)
    yield Case("gso_size 0", tcp4, 0)
    yield Case("ECN alone", tcp4, 100, gso_type=ECN)
    yield Case("ECN with UDP", udp4, 100, gso_type=UDP_L4 | ECN)
    yield Case("TCPV6 of IPv4", tcp4, 100, gso_type=TCPV6)
    yield Case("TCPV4 of IPv6", tcp6, 100, gso_type=TCPV4)
    yield Case("UDP_L4 of TCP", tcp4, 100, gso_type=UDP_L4)
    yield Case("TCPV4 of UDP", udp4, 100, gso_type=TCPV4)
    yield Case("UDP without NEEDS_CSUM", udp4, 100, flags=0)
    yield Case("csum_start elsewhere", tcp4, 100, csum_start=38)
    yield Case("csum_start behind the end", tcp4, 100, csum_start=5000)
    yield Case("csum_offset elsewhere", tcp4, 100, csum_offset=6)
    yield Case("a first fragment", tcp4, 100, patches={20: b"\x20\0"})
    yield Case("a later fragment", tcp4, 100, patches={20: b"\0\5"})
    yield Case("an IPv4 length of 0", tcp4, 100, patches={16: b"\0\0"})
    yield Case("an IPv4 length that is less", tcp4, 100, patches={16: b"\0\x80"})
    yield Case("an IPv4 length that is more", tcp4, 100, patches={16: b"\x7f\xff"})
    yield Case("an IPv6 length that is more", tcp6, 100, patches={18: b"\x7f\xff"})
    yield Case("an IPv4 header of 16 octets", tcp4, 100, patches={14: b"\x44"})
    yield Case("a TCP header of 16 octets", tcp4, 100, patches={46: b"\x40"})
    yield Case("a TCP header that is longer than the packet", ETHERNET / ip4() / tcp(20), 10, patches={46: b"\xf0"})
    yield Case("an EtherType of none", tcp4, 100, patches={12: b"\x08\x06"})


def main() -> None:
    into, out = tap("in0", IFF_VNET_HDR), tap("out0", 0)
    bridge("in0", "out0")
    through(into, out, Case("to wake the bridge", ETHERNET / ip4() / tcp(350), 100).buffer)
    kernel = platform.release().split("-")[0]
    print(f"# Packets that Linux {kernel} segmented between two tap devices, and the frames that it made of them.")
    print("# Made by make.py beside this.  `sent` is virtio_net_hdr (12 octets) and frame; no `frames`: nothing came.")
    print(f'\nkernel = "Linux {kernel}"')
    for case in (*cut(), *not_cut()):
        frames = through(into, out, case.buffer)
        print(f'\n[[case]]\nname = "{case.name}"\nsent = "{case.buffer.hex()}"')
        print("frames = [" + "".join(f'\n    "{frame.hex()}",' for frame in frames) + ("\n]" if frames else "]"))


if __name__ == "__main__":
    main()
