"""What goes wrong with good packets: the kernel's captures, changed on the way.

Packet numbers in the docstrings are those of the capture that is made, from 1.
What a replay must say of each is in manifest.toml.  SPI 0x10.. goes from ga to
gb, 0x20.. back; both SAs have the kernel's window of 32.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from .files import Frame, Linux, pcap, pcapng
from .packets import ETH, changed, flipped, fragments4, fragments6, summed, tagged, with_packet

Edit = Callable[[bytes], bytes]

ESP4 = 20  # where ESP or AH starts behind an IPv4 header without options
GCM_ICV = 16
GA = bytes((10, 0, 0, 1))

_GCM = "gcm128-tunnel-v4.wire"
_CBC = "cbc128-sha256-tunnel-v4.wire"
_AH = "ah-sha256-tunnel-v4.wire"
_CCM6 = "ccm128-tunnel-v6.wire"
_CBC6 = "cbc128-sha1-transport-v6.wire"
_UDP = "gcm128-udpencap-tunnel-v4.wire"


def _edited(frames: list[Frame], edits: dict[int, Edit]) -> list[Frame]:
    """``frames`` with the IP packets in some of them changed, by number from 1."""
    return [
        with_packet(frame, edits[number](frame.data[ETH:])) if number in edits else frame
        for number, frame in enumerate(frames, 1)
    ]


def _later(frame: Frame, microseconds: int = 1) -> Frame:
    return frame._replace(time_ns=frame.time_ns + microseconds * 1000)


def _with_seq(packet: bytes, add: int) -> bytes:
    (seq,) = struct.unpack_from("!I", packet, ESP4 + 4)
    return changed(packet, ESP4 + 4, struct.pack("!I", seq + add))


# -- integrity -----------------------------------------------------------------------------------------------------


def bad_icv(linux: Linux) -> bytes:
    """AES-GCM.  One bit of ICV (3), ciphertext (5), IV (8); sequence number 1000 higher (7); ICV all zeros (10).

    The forged number of 7 must not move the window: the true 7 comes as 15, late and good.
    """
    frames = linux(_GCM, 14)
    edits: dict[int, Edit] = {
        3: lambda p: flipped(p, -1),
        5: lambda p: flipped(p, ESP4 + 16),
        7: lambda p: _with_seq(p, 1000),
        8: lambda p: flipped(p, ESP4 + 8),
        10: lambda p: changed(p, -GCM_ICV, bytes(GCM_ICV)),
    }
    return pcap([*_edited(frames, edits), _later(frames[6]._replace(time_ns=frames[-1].time_ns))])


def bad_icv_cbc(linux: Linux) -> bytes:
    """AES-CBC with HMAC-SHA-256-128.  One bit of IV (2), of the second block (4), of the ICV's last octet (6)."""
    edits: dict[int, Edit] = {
        2: lambda p: flipped(p, ESP4 + 8),
        4: lambda p: flipped(p, ESP4 + 24 + 16),
        6: lambda p: flipped(p, -1, 0x80),
    }
    return pcap(_edited(linux(_CBC, 8), edits))


def bad_icv_ah(linux: Linux) -> bytes:
    """AH covers the IP header, but for what routers change (RFC 4302 3.3.3.1.1).

    Harmless: TTL 32 (1), TOS 0xb8 (2), DF cleared (3), a wrong header checksum (4).  Not so: identification (5),
    source address (6), an octet of the inner packet (7), padding behind the ICV (8), AH's reserved field (9).
    """
    edits: dict[int, Edit] = {
        1: lambda p: summed(changed(p, 8, b"\x20")),
        2: lambda p: summed(changed(p, 1, b"\xb8")),
        3: lambda p: summed(changed(p, 6, b"\0\0")),
        4: lambda p: changed(p, 10, b"\xba\xad"),
        5: lambda p: summed(changed(p, 4, b"\x77\x77")),
        6: lambda p: summed(flipped(p, 15)),
        7: lambda p: flipped(p, -1),
        8: lambda p: flipped(p, ESP4 + 12 + 16),
        9: lambda p: flipped(p, ESP4 + 3),
    }
    return pcap(_edited(linux(_AH, 10), edits))


# -- anti-replay ---------------------------------------------------------------------------------------------------


def replayed(linux: Linux) -> bytes:
    """3, 4 and 9 come again as 11, 12 and 13, the last with a bad ICV: a replay is found before its ICV is looked at.

    14 is 10 with a bad ICV, 10 itself having been left out before: 15, the true one, is then no replay.
    """
    frames = linux(_GCM, 12)
    late = frames[-1]
    again = [frames[2], frames[3], _edited([frames[8]], {1: lambda p: flipped(p, -1)})[0]]
    kept_back = frames[9]
    forged = _edited([kept_back], {1: lambda p: flipped(p, -1)})[0]
    first = [*frames[:9], frames[10]]
    last = [
        frame._replace(time_ns=late.time_ns + n * 1000) for n, frame in enumerate([*again, forged, kept_back, late])
    ]
    return pcap([*first, *last])


def too_old(linux: Linux) -> bytes:
    """Only ga to gb, numbers 1 to 40 with 2, 3 and 4 kept back.

    After 33, the window of 32 is 2 to 33: 2 comes in time (31st packet).  After 36 it is 5 to 36: 3 and 4 (35th,
    36th) are too old; so is 1 again (37th), and 36 again (38th) is a replay.
    """
    sent = [frame for frame in linux(_GCM) if frame.data[ETH + 12 : ETH + 16] == GA]
    by_seq = {struct.unpack_from("!I", frame.data, ETH + ESP4 + 4)[0]: frame for frame in sent}
    order = [1, *range(5, 34), 2, 34, 35, 36, 3, 4, 1, 36, 37, 38, 39, 40]
    start = sent[0].time_ns
    return pcap(by_seq[seq]._replace(time_ns=start + place * 1_000_000) for place, seq in enumerate(order))


def unknown_spi(linux: Linux) -> bytes:
    """SPI 0xdeadbeef (3), 0 (5: never on the wire, RFC 4303 2.1), 255 (7: reserved), the true one plus one (8)."""
    spi = lambda value: lambda p: changed(p, ESP4, struct.pack("!I", value))  # noqa: E731
    edits: dict[int, Edit] = {3: spi(0xDEADBEEF), 5: spi(0), 7: spi(255), 8: spi(0x2011)}
    return pcap(_edited(linux(_GCM, 10), edits))


# -- fragments (D17) -----------------------------------------------------------------------------------------------


def fragments_v4(linux: Linux) -> bytes:
    """9 (1084 octets) in two fragments (9, 10), 16 (1500) in three, the last first (17 to 19); all others whole."""
    frames: list[Frame] = []
    for number, frame in enumerate(linux(_GCM, 18), 1):
        packet = summed(changed(frame.data[ETH:], 6, b"\0\0"))  # without DF, or nobody may fragment it
        if number == 9:
            frames += [with_packet(frame, piece) for piece in fragments4(packet, 552)]
        elif number == 16:
            frames += [with_packet(frame, piece) for piece in reversed(fragments4(packet, 552))]
        else:
            frames.append(frame)
    return pcap(frames)


def fragments_v6(linux: Linux) -> bytes:
    """9 (1124 octets) in two fragments (9, 10); 11 as an atomic fragment (12), which is a whole packet (RFC 6946)."""
    frames: list[Frame] = []
    for number, frame in enumerate(linux(_CCM6, 14), 1):
        size = {9: 1000, 11: 2000}.get(number)
        pieces = [frame.data[ETH:]] if size is None else fragments6(frame.data[ETH:], size, ident=number)
        frames += [with_packet(frame, piece) for piece in pieces]
    return pcap(frames)


def fragments_udp(linux: Linux) -> bytes:
    """UDP-encapsulated: 9 in three fragments (9 to 11), of which only the first shows its port and meets the rule."""
    frames: list[Frame] = []
    for number, frame in enumerate(linux(_UDP, 12), 1):
        pieces = fragments4(frame.data[ETH:], 400) if number == 9 else [frame.data[ETH:]]
        frames += [with_packet(frame, piece) for piece in pieces]
    return pcap(frames)


# -- files ---------------------------------------------------------------------------------------------------------


def vlan(linux: Linux) -> bytes:
    """No tag (1), 802.1Q (2), priority tag (3), 802.1ad with 802.1Q (4), 802.1Q twice (5), three tags (6), IPv6 (7, 8).

    Three are more than the model looks through: 6 is a frame without IP to it, and goes up as it came.
    """
    tags = [
        (),
        ((0x8100, 100),),
        ((0x8100, 0x6000),),
        ((0x88A8, 0x2064), (0x8100, 7)),
        ((0x8100, 10), (0x8100, 20)),
        ((0x88A8, 1), (0x8100, 2), (0x8100, 3)),
    ]
    four = [frame._replace(data=tagged(frame.data, *each)) for frame, each in zip(linux(_GCM, 6), tags, strict=True)]
    six = [
        frame._replace(data=tagged(frame.data, *each), time_ns=four[-1].time_ns + 1000)
        for frame, each in zip(linux(_CBC6, 2), (tags[1], tags[3]), strict=True)
    ]
    return pcap([*four, *six])


def snaplen(linux: Linux) -> bytes:
    """The first 30 packets as ``tcpdump -s 128`` would have kept them: whole up to 128 octets of frame."""
    short = [frame._replace(data=frame.data[:128], orig_len=len(frame.data)) for frame in linux(_GCM, 30)]
    return pcap(short, snaplen=128)


def cut_off(linux: Linux) -> bytes:
    """Ten packets, the file broken off 40 octets into the last: nine can be replayed."""
    whole = pcap(linux(_GCM, 10))
    return whole[: len(whole) - len(linux(_GCM, 10)[-1].data) + 40]


def cut_off_pcapng(linux: Linux) -> bytes:
    """Ten packets as pcapng, the file broken off inside the last block."""
    return pcapng([(0, frame) for frame in linux(_GCM, 10)], [1])[:-30]


# -- all together --------------------------------------------------------------------------------------------------


def demo(linux: Linux) -> bytes:
    """The first 60 packets of AES-GCM, some of them damaged: a bit of 12 is flipped, the SPI of 20 is another.

    26 and 27 are fragments of one packet; 34 is 31 once more; 41 comes late, which the window allows; of 46 there
    are 12 octets of ESP left.
    """
    edits: dict[int, Edit] = {
        12: lambda p: flipped(p, ESP4 + 40),
        20: lambda p: changed(p, ESP4, b"\0\0\x10\x99"),
        44: lambda p: summed(changed(p[: ESP4 + 12], 2, struct.pack("!H", ESP4 + 12))),
    }
    frames = _edited(linux(_GCM, 60), edits)
    order = [
        *frames[:25],
        *_cut_in_two(frames[25]),
        *frames[26:32],
        frames[29],
        *frames[33:39],
        frames[32],
        *frames[39:],
    ]
    start = frames[0].time_ns
    return pcap(frame._replace(time_ns=start + place * 1_000_000) for place, frame in enumerate(order))


def _cut_in_two(frame: Frame) -> list[Frame]:
    packet = summed(changed(frame.data[ETH:], 6, b"\0\0"))
    return [with_packet(frame, piece) for piece in fragments4(packet, 64)]


FILES = {
    "damaged/demo.pcap": demo,
    "damaged/bad-icv.pcap": bad_icv,
    "damaged/bad-icv-cbc.pcap": bad_icv_cbc,
    "damaged/bad-icv-ah.pcap": bad_icv_ah,
    "damaged/replayed.pcap": replayed,
    "damaged/too-old.pcap": too_old,
    "damaged/unknown-spi.pcap": unknown_spi,
    "damaged/fragments-v4.pcap": fragments_v4,
    "damaged/fragments-v6.pcap": fragments_v6,
    "damaged/fragments-udp.pcap": fragments_udp,
    "damaged/vlan.pcap": vlan,
    "damaged/snaplen.pcap": snaplen,
    "damaged/cut-off.pcap": cut_off,
    "damaged/cut-off.pcapng": cut_off_pcapng,
}
