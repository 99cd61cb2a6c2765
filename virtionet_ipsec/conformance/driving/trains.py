"""Trains of packets that a device may coalesce: each a flow of its own, in order, of packets of one size.

TCP has PSH in the last segment alone, so that a device need hold none back when a train is over.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from . import frames
from .traffic import ACK, CWR, PSH, V4, V6, Sent, inside, ip, tcp_segment, transport_of, vxlan

SIZE = 64
"""Octets of data in each packet of a train: what a receiver can take for the MSS."""

DUPLICATES = 2
"""Duplicate ACKs in each train of :data:`WITH_DUPLICATES`."""

_LAST = 2
_ECT0 = 2  # RFC 3168
_FAMILIES = {"IPv4": V4, "IPv6": V6}
_ports = itertools.count(10000)


def _tcp(addresses: bytes, *, cwr: bool = False) -> list[bytes]:
    """The IP packets of three TCP segments, the first of them with CWR where that is asked for."""
    sport = next(_ports)
    packets = []
    for number in range(_LAST + 1):
        flags = ACK | (PSH if number == _LAST else 0) | (CWR if cwr and number == 0 else 0)
        segment = tcp_segment(number, addresses, flags, SIZE, sport=sport)
        packets.append(ip(addresses, segment, frames.TCP, _ECT0 if cwr else 0, number))
    return packets


def _udp(addresses: bytes) -> list[bytes]:
    sport = next(_ports)
    datagrams = [frames.udp(bytes((number,)) * SIZE, sport, addresses=addresses) for number in range(_LAST + 1)]
    return [ip(addresses, datagram, frames.UDP, 0, number) for number, datagram in enumerate(datagrams)]


def _named(what: str, packets: list[bytes]) -> list[Sent]:
    of = len(packets)
    return [Sent(f"{what}, {n} of {of}", frames.ethernet(packet)) for n, packet in enumerate(packets, start=1)]


def _trains() -> Iterator[Sent]:
    for name, addresses in _FAMILIES.items():
        yield from _named(f"TCP over {name}", _tcp(addresses))
        yield from _named(f"TCP over {name} with CWR", _tcp(addresses, cwr=True))
        yield from _named(f"UDP over {name}", _udp(addresses))
    for (outer, around), (inner, addresses) in itertools.product(_FAMILIES.items(), repeat=2):
        for number, packet in enumerate(_tcp(addresses)):
            what = f"TCP over {inner} in VXLAN over {outer}, {number + 1} of {_LAST + 1}"
            yield Sent(what, vxlan(around, number, frames.ethernet(packet)))


def _with_duplicates(addresses: bytes) -> list[bytes]:
    """Two segments, the ACK of them once more and again, and a third segment."""
    sport = next(_ports)
    segments = [tcp_segment(number, addresses, ACK, SIZE, sport=sport) for number in range(_LAST)]
    duplicate = tcp_segment(_LAST, addresses, ACK, SIZE, sport=sport, data=False)
    segments += DUPLICATES * [duplicate] + [tcp_segment(_LAST, addresses, sport=sport, size=SIZE)]
    return [ip(addresses, segment, frames.TCP, 0, number) for number, segment in enumerate(segments)]


TRAINS = tuple(_trains())
WITH_DUPLICATES = tuple(
    tuple(_named(f"TCP with duplicate ACKs over {name}", _with_duplicates(addresses)))
    for name, addresses in _FAMILIES.items()
)


def tcp_payload(frame: bytes) -> int | None:
    """Octets of data behind the TCP header of ``frame``, in VXLAN or not; None without such a header."""
    found = inside(frame) or transport_of(frame)
    return len(frame) - found.payload_at if found is not None and found.protocol == frames.TCP else None
