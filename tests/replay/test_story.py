"""explain: events as sentences, and the packets before the one that is told of."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

from virtionet_ipsec.device import events as control
from virtionet_ipsec.device import packet_events as packets
from virtionet_ipsec.ipsec import Event, Lifetime, Reason
from virtionet_ipsec.ipsec import events as engine
from virtionet_ipsec.replay import story
from virtionet_ipsec.replay.captured import CaptureError
from virtionet_ipsec.replay.explain import explain
from virtionet_ipsec.safile import Select
from virtionet_ipsec.wire import Profile

from .files import KEY, PCAPS, SALT, TUNNELS, framed, packet, pcap, protected, sa, session

PLAIN = packet()
WIRES = [framed(each) for each in protected(PLAIN, PLAIN, PLAIN)]


def told(tmp_path: Path, frames: list[bytes], number: int, *entries: Any, **options: Any) -> tuple[Any, list[str]]:
    (tmp_path / "in").write_bytes(pcap(frames))
    made = session(*(entries or (sa("inbound"),)), **options)
    result = explain(made, str(tmp_path / "in"), number)
    assert result.index == number
    return result.outcome, list(result.lines)


def test_success(tmp_path: Path) -> None:
    outcome, lines = told(tmp_path, WIRES, 2)
    assert (outcome.flags, outcome.resource_id, outcome.data) == (16, 1, framed(PLAIN))
    size = len(WIRES[0])
    plain = len(PLAIN)
    assert lines == [
        f"a frame of {size} octets arrives from the wire",
        "flow filter rule 1 matches: IPSEC",
        "SA found: IPSEC_INB_SA 1, SPI 0x00001001",
        "sequence number 2 is new: the window of 64 ends at 1",
        f"ICV good (aes-gcm), {plain + 3} octets come out",
        "ESP trailer: 1 octets of padding, next header 4",
        f"tunnel mode headers removed: a plain IP packet of {plain} octets",
        f"delivered to receiveq1 in 1 buffer(s), frame of {plain + 14} octets",
        "virtio_net_hdr, 32 octets: 10" + " 00" * 9 + " 01" + " 00" * 15 + " 01 00 00 00 04 02\n"
        "    flags=SECURITY num_buffers=1 resource_id=1 resource_type=0x0204 (IPSEC_INB_SA)",
    ]


def test_what_came_before_counts(tmp_path: Path) -> None:
    frames = [WIRES[2], WIRES[0], WIRES[0], WIRES[1]]
    _, lines = told(tmp_path, frames, 2)
    assert "sequence number 1 has not been seen: the window of 64 is 1 to 3" in lines
    outcome, lines = told(tmp_path, frames, 3)
    assert lines[3] == "IPsec processing fails: replayed: sequence number 1 has been received before"
    assert outcome.refused.reason is Reason.REPLAYED
    assert "flags=SECURITY|SECURITY_ERR num_buffers=1 resource_id=1 resource_type=0x0204" in lines[-1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f[:-1] + bytes((f[-1] ^ 1,)), "IPsec processing fails: bad_icv: the integrity check value is wrong"),
        (lambda f: f[:37] + b"\x09" + f[38:], "IPsec processing fails: unknown_spi: no inbound SA has SPI 0x1009"),
        (lambda f: f[:60], "IPsec processing fails: truncated: the IP header says 88 octets, there are 46"),
        (lambda f: f[:20] + b"\x20\0" + f[22:], "IPsec processing fails: fragment: the packet is a fragment"),
        (lambda f: f[:23] + b"\x01" + f[24:], "no flow filter rule matches: steering decides"),
        (lambda f: f[:5], "dropped: truncated: 5 octets hold no Ethernet header"),
    ],
)
def test_failures(tmp_path: Path, change: Any, words: str) -> None:
    _, lines = told(tmp_path, [change(WIRES[0])], 1)
    assert words in lines


def test_outbound(tmp_path: Path) -> None:
    entry = sa("outbound", 3, Select(proto=17), tunnel=TUNNELS[6], lifetime=Lifetime(packets_soft=1, packets_hard=2))
    frames = [framed(PLAIN)] * 3
    _, lines = told(tmp_path, frames, 2, entry)
    assert lines[0].startswith("transmitq1: virtio_net_hdr, 32 octets: 10 00")
    assert lines[0].endswith("flags=SECURITY resource_id=3 resource_type=0x0203 (IPSEC_OUTB_SA)")
    length = len(PLAIN) + 3 + 32 + 40
    assert lines[1:] == [
        "SA found: IPSEC_OUTB_SA 3, SPI 0x00001003",
        f"soft lifetime reached: 2 packets, {2 * len(PLAIN)} bytes",
        f"ESP tunnel mode with aes-gcm: sequence number 2, an IP packet of {length} octets",
        f"a frame of {length + 14} octets goes on the wire, protected",
    ]
    _, lines = told(tmp_path, frames, 3, entry)
    assert lines[-1] == f"dropped: hard_lifetime: 2 packets, {2 * len(PLAIN)} bytes sent"
    _, lines = told(tmp_path, [framed(packet(tcp=True))], 1, entry)
    assert lines[-1] == f"a frame of {len(packet(tcp=True)) + 14} octets goes on the wire, in the clear"


def test_the_other_profile(tmp_path: Path) -> None:
    _, lines = told(tmp_path, WIRES, 1, profile=Profile.RFC_V1)
    assert lines[-1].startswith("virtio_net_hdr, 18 octets: 08 ")
    assert "flags=SECURITY num_buffers=1 resource_id=1" in lines[-1]


@pytest.mark.parametrize(("count", "number", "mend"), [(3, 4, "it has 3: give one"), (0, 1, "it has none: capture")])
def test_a_packet_that_is_not_there(tmp_path: Path, count: int, number: int, mend: str) -> None:
    with pytest.raises(CaptureError, match=rf"/in: there is no packet {number}; {mend}"):
        told(tmp_path, WIRES[:count], number)


def test_only_what_is_asked_for_is_read(tmp_path: Path) -> None:
    """Damage behind the packet does not matter."""
    (tmp_path / "in").write_bytes(pcap(WIRES) + b"\xff" * 16)
    assert explain(session(sa("inbound")), str(tmp_path / "in"), 3).outcome.flags == 16


def test_no_key_in_a_story(tmp_path: Path) -> None:
    for number in (1, 2):
        _, lines = told(tmp_path, [WIRES[0], WIRES[0]], number)
        text = "\n".join(lines)
        for secret in (KEY, SALT):
            assert secret.hex() not in text and secret.hex(" ") not in text and repr(secret)[2:-1] not in text


def test_every_event_has_a_sentence() -> None:
    """But those of the control plane that no packet meets, and the two that need the header's layout."""
    kinds = {
        kind
        for module in (packets, engine)
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, Event) and kind is not Event
    }
    assert kinds - story._SENTENCES.keys() == {packets.HeaderRead, packets.Delivered}
    assert story._SENTENCES.keys() - kinds == {control.AdminCompleted}


def test_every_reason_can_be_explained(tmp_path: Path) -> None:
    """A few packets of the corpus in each way: every line is a sentence of its own, none an event's repr."""
    made = session(sa("inbound"), sa("outbound", 2, Select(dport=9, proto=17)))
    for capture in sorted((PCAPS / "damaged").glob("malformed*.pcap")):
        for number in range(1, 6):
            try:
                result = explain(made, str(capture), number)
            except CaptureError:
                break
            assert result.lines and not any("(" in line.split(" ")[0] for line in result.lines)
