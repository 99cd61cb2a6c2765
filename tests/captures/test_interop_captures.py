"""What a guest behind our device and Linux's IPsec said to each other, packet by packet (pcaps/interop/).

Linux took every packet of ours when the captures were made; here what is on the
wire is taken apart again, and what is inside is what the guest sent and got.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import NamedTuple

import pytest

from virtionet_ipsec.ipsec import Direction, InboundSa, SaParams, locate
from virtionet_ipsec.safile import SaEntry, load

from .corpus import ETH, PCAPS, addresses, frames_of

FOLDER = PCAPS / "interop"
NAMES = sorted(path.name.removesuffix(".wire.pcap") for path in FOLDER.glob("*.wire.pcap"))
CROSSING = "gcm128-esn-crossing-tunnel-v4"
WITH_KERNELS_TEXT = [name for name in NAMES if name != CROSSING]


class Inside(NamedTuple):
    """Sequence numbers on the wire, and the packets inside, of one direction."""

    numbers: list[int]
    packets: list[bytes]


@cache
def ours(name: str) -> tuple[SaEntry, SaEntry]:
    """Our outbound and our inbound SA."""
    outbound, inbound = (load(FOLDER / f"{name}.toml", way) for way in ("outbound", "inbound"))
    assert len(outbound) == len(inbound) == 1
    return outbound[0], inbound[0]


@cache
def inside(name: str) -> tuple[Inside, Inside]:
    """From the guest and to it; the engine may refuse none."""
    outbound, inbound = (entry.params for entry in ours(name))
    # At the other end our outbound SA is the inbound one.
    found = {params.spi: Inside([], []) for params in (outbound, inbound)}
    engines = {params.spi: InboundSa(receiving(params)) for params in (outbound, inbound)}
    for frame in frames_of(FOLDER / f"{name}.wire.pcap"):
        wire = frame[ETH:]
        where = locate(wire)
        found[where[5]].numbers.append(where[6])
        found[where[5]].packets.append(engines[where[5]].unprotect(wire, where))
    return found[outbound.spi], found[inbound.spi]


def receiving(params: SaParams) -> SaParams:
    return replace(params, direction=Direction.INBOUND, replay_window=64)


def test_there_are_eleven() -> None:
    assert len(NAMES) == 11 and CROSSING in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_wire_holds_what_the_guest_sent_and_got(name: str) -> None:
    """To the octet and in order, both ways: nothing between the guest and the wire changes a packet."""
    select = ours(name)[0].select
    assert select is not None and select.src is not None
    guest = select.src.network_address.packed
    plain = [frame[ETH:] for frame in frames_of(FOLDER / f"{name}.plain.pcap")]
    sent = [packet.hex() for packet in plain if addresses(packet)[0] == guest]
    got = [packet.hex() for packet in plain if addresses(packet)[1] == guest]
    assert [[packet.hex() for packet in way.packets] for way in inside(name)] == [sent, got]
    assert len(sent) > 12 and len(got) > 12 and len(sent) + len(got) == len(plain)


@pytest.mark.parametrize("name", NAMES)
def test_sequence_numbers_go_up_by_one(name: str) -> None:
    for way, entry in zip(inside(name), ours(name), strict=True):
        first = entry.params.first_seq
        assert way.numbers == [number & 0xFFFFFFFF for number in range(first, first + len(way.numbers))]


def test_one_crosses_the_end_of_32_bits() -> None:
    """Both ways: the upper half, which no packet carries, is 0 before and 1 behind, and the ICVs are good."""
    for way in inside(CROSSING):
        assert way.numbers[0] == 0xFFFFFFF9 and way.numbers[-1] < 16


@pytest.mark.parametrize("name", WITH_KERNELS_TEXT)
def test_the_kernel_had_the_same_keys(name: str) -> None:
    """What `ip xfrm state` printed at the far end, and our file."""
    theirs = {entry.params.spi: entry.params for entry in load(FOLDER / f"{name}.xfrm", "inbound")}
    for entry in ours(name):
        mine, other = entry.params, theirs.pop(entry.params.spi)
        for field in ("protocol", "mode", "aead", "cipher", "auth", "cipher_key", "auth_key", "salt", "esn", "udp"):
            assert getattr(mine, field) == getattr(other, field), field
        assert mine.icv_length == other.icv_length
    assert not theirs
