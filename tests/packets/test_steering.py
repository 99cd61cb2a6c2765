"""Which receive queue a packet goes to (virtio 1.4, 5.1.9.5.5 to 5.1.9.5.7, and 5.1.9.6 for what comes before)."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt
from scapy.packet import Packet, Raw

from virtionet_ipsec.device import Received
from virtionet_ipsec.device.packet_events import Delivered, Steered
from virtionet_ipsec.driver.control import CONTROLLED
from virtionet_ipsec.driver.errors import AdminError, ControlError
from virtionet_ipsec.driver.in_process import InProcess
from virtionet_ipsec.driver.packet import RxPacket
from virtionet_ipsec.ipsec import Reason, Refused
from virtionet_ipsec.wire import Action, Feature, HashType, Profile

from .rig import DEFAULT, PROFILES, framed, inbound, mask, outbound, protocol_rule
from .test_hash import MICROSOFT_KEY, bit_by_bit

QUEUES = 4
MULTIQUEUE = DEFAULT | mask(*CONTROLLED - {Feature.CTRL_RX_EXTRA})
EVERY = int(sum(HashType))


def driver(profile: Profile = Profile.VIRTIO_1_4, features: int = MULTIQUEUE, queue_pairs: int = QUEUES) -> InProcess:
    made = InProcess(profile, features=features, queue_pairs=queue_pairs)
    made.start()
    return made


def flow(number: int, kind: type[Packet] = UDP, version: int = 4) -> tuple[bytes, bytes]:
    """A frame that the driver sends, and one of the same flow that comes back."""
    here, there = (
        (f"198.51.100.{number % 250 + 1}", "203.0.113.1")
        if version == 4
        else (f"2001:db8:1::{number + 1:x}", "2001:db8::1")
    )
    header = IP if version == 4 else IPv6
    out = header(src=here, dst=there) / kind(sport=1000 + number, dport=53)
    back = header(src=there, dst=here) / kind(sport=53, dport=1000 + number)
    return framed(out), framed(back)


def queue_of(made: InProcess, frame: bytes) -> int:
    got = made.receive(frame)
    assert got is not None
    return got.queue


# -- automatic receive steering ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("profile", "kind", "version"), [*product(PROFILES, (TCP, UDP), (4, 6))])
def test_back_on_the_queue_it_was_sent_on(profile: Profile, kind: type[Packet], version: int) -> None:
    """5.1.9.5.6: a flow that was sent on transmitqX comes to receiveqX; the last packet counts."""
    made = driver(profile)
    made.control.set_queue_pairs(QUEUES)
    for turn in range(2):
        for number in range(12):
            assert made.send(flow(number, kind, version)[0], queue=(number + turn) % QUEUES)
        for number in range(12):
            assert queue_of(made, flow(number, kind, version)[1]) == (number + turn) % QUEUES


def test_tcp_and_udp_are_two_flows() -> None:
    made = driver()
    made.control.set_queue_pairs(QUEUES)
    made.send(flow(1, TCP)[0], queue=1), made.send(flow(1, UDP)[0], queue=2)
    assert [queue_of(made, flow(1, kind)[1]) for kind in (TCP, UDP)] == [1, 2]


def test_what_has_no_ports_goes_by_addresses() -> None:
    made = driver()
    made.control.set_queue_pairs(QUEUES)
    ping, pong = (framed(IP(src=a, dst=b) / ICMP()) for a, b in (("10.0.0.1", "10.0.0.2"), ("10.0.0.2", "10.0.0.1")))
    for queue in (3, 1):
        made.send(ping, queue=queue)
        assert queue_of(made, pong) == queue


def test_extension_headers_do_not_hide_a_flow() -> None:
    made = driver()
    made.control.set_queue_pairs(QUEUES)
    here, there = "2001:db8::1", "2001:db8::2"
    made.send(framed(IPv6(src=here, dst=there) / IPv6ExtHdrDestOpt() / UDP(sport=7, dport=9)), queue=2)
    assert queue_of(made, framed(IPv6(src=there, dst=here) / IPv6ExtHdrDestOpt() / UDP(sport=9, dport=7))) == 2


def test_flows_that_were_not_sent() -> None:
    """Any of the queues in use, and always the same one; what is no IP comes to receiveq1."""
    made = driver()
    for pairs in (1, 2, 3, 4):
        made.control.set_queue_pairs(pairs)
        chosen = [queue_of(made, flow(number)[1]) for number in range(64)]
        assert chosen == [queue_of(made, flow(number)[1]) for number in range(64)]
        assert set(chosen) == set(range(pairs))
    assert queue_of(made, bytes(12) + b"\x08\x06" + bytes(28)) == 0


def test_a_dropped_packet_teaches_nothing() -> None:
    made = driver()
    made.control.set_queue_pairs(QUEUES)
    out, back = flow(1)
    made.send(out, queue=1)
    assert made.port.transmit(made.header(sa=77) + out, 2) == ()
    assert queue_of(made, back) == 1


def test_one_queue_until_there_is_a_command() -> None:
    """5.1.9.5.6.2, after initialization and reset: receiveq1."""
    made = driver()
    for _ in range(2):
        for number in range(8):
            made.send(flow(number)[0], queue=number % QUEUES)
        assert {queue_of(made, flow(number)[1]) for number in range(8)} == {0}
        made.control.set_queue_pairs(QUEUES)
        for number in range(8):
            made.send(flow(number)[0], queue=number % QUEUES)
        assert {queue_of(made, flow(number)[1]) for number in range(8)} == set(range(QUEUES))
        made.start()


def test_fewer_queues() -> None:
    """5.1.9.5.6.2: none greater than virtqueue_pairs; flows of the queues that stay keep theirs."""
    made = driver()
    made.control.set_queue_pairs(4)
    for number in range(8):
        made.send(flow(number)[0], queue=number % 4)
    made.control.set_queue_pairs(2)
    chosen = [queue_of(made, flow(number)[1]) for number in range(8)]
    assert set(chosen) <= {0, 1}
    assert [chosen[at] for at in (0, 1, 4, 5)] == [0, 1, 0, 1]
    made.send(flow(0)[0], queue=3)  # the driver MUST NOT
    assert queue_of(made, flow(0)[1]) == 0
    made.control.set_queue_pairs(4)
    assert [queue_of(made, flow(number)[1]) for number in (0, 1, 4, 5)] == [0, 1, 0, 1]


def test_a_refused_command_leaves_the_queues() -> None:
    made = driver()
    made.control.set_queue_pairs(2)
    for pairs in (0, 5):
        with pytest.raises(ControlError, match=f"MQ VQ_PAIRS_SET: ERR: virtqueue_pairs {pairs} is not in 1 to 4"):
            made.control.set_queue_pairs(pairs)
    assert {queue_of(made, flow(number)[1]) for number in range(32)} == {0, 1}


def test_many_flows() -> None:
    """The table is bounded, and forgets what was sent first."""
    made = driver()
    made.control.set_queue_pairs(2)
    header, steering = made.header(), made.device._controls.steering
    out, back = (bytearray(each) for each in flow(0))
    for number in range(20000):
        out[28:30] = number.to_bytes(2, "big")  # of the source address
        made.port.transmit(header + bytes(out), 1)
    assert len(steering._flows) == 1 << 14
    late = 20000 - (1 << 14)
    there: set[int] = set()
    for number in range(late - 50, late + 50):
        back[32:34] = number.to_bytes(2, "big")
        queue = queue_of(made, bytes(back))
        assert number < late or queue == 1
        if number < late:
            there.add(queue)
    assert there == {0, 1}


@pytest.mark.parametrize(("profile", "version"), [*product(PROFILES, (4, 6))])
def test_what_ipsec_hides_is_one_flow(profile: Profile, version: int) -> None:
    """Sent through an SA, and received through one: the packets inside belong together."""
    made = driver(profile)
    made.steer_ipsec()
    sa = outbound(made)
    inbound(made)
    made.control.set_queue_pairs(QUEUES)
    for number in range(8):
        out, back = flow(number, TCP, version)
        assert made.send(out, sa, queue=number % QUEUES)
        (wire,) = made.port.transmit(made.header(sa) + back, 0)
        made.send(out, sa, queue=number % QUEUES)
        got = made.receive(wire)
        assert got is not None and got.flag_names == ("SECURITY",) and got.frame == back
        assert got.queue == number % QUEUES


# -- receive-side scaling ----------------------------------------------------------------------------------------------


def data_of(frame: bytes) -> bytes:
    """The octets that TCPv4 and UDPv4 hash."""
    return frame[26:38]


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 7).flatmap(lambda bits: st.lists(st.integers(0, 3), min_size=1 << bits, max_size=1 << bits)),
    st.binary(min_size=40, max_size=40),
)
def test_the_table_decides(table: list[int], key: bytes) -> None:
    """5.1.9.5.7.3: the hash, masked, is the place in the table."""
    made = RSS
    made.control.set_rss(key, EVERY, table)
    for number in range(12):
        frame = flow(number, (TCP, UDP)[number % 2])[1]
        got = made.receive(frame)
        value = bit_by_bit(key, data_of(frame))
        assert got is not None and (got.queue, got.hdr.hash_value) == (table[value % len(table)], value)


RSS = driver()


def test_unclassified_packets() -> None:
    """Whatever has no hash: the type is not enabled, or there is none for it."""
    made = driver()
    arp = bytes(12) + b"\x08\x06" + bytes(28)
    for queue in range(QUEUES):
        other = (queue + 1) % QUEUES
        made.control.set_rss(MICROSOFT_KEY, HashType.TCPV4, [other] * 8, unclassified=queue)
        assert queue_of(made, flow(1, TCP)[1]) == other
        assert queue_of(made, flow(1, UDP)[1]) == queue_of(made, arp) == queue
        made.control.set_rss(b"", 0, [other], unclassified=queue)
        assert queue_of(made, flow(1, TCP)[1]) == queue


def test_what_is_sent_is_of_no_concern_to_rss() -> None:
    made = driver()
    made.control.set_rss(MICROSOFT_KEY, EVERY, [2])
    out, back = flow(1)
    made.send(out, queue=1)
    assert queue_of(made, back) == 2


def test_every_queue_can_be_in_the_table() -> None:
    """max_tx_vq is about transmit queues alone."""
    made = driver()
    made.control.set_rss(MICROSOFT_KEY, EVERY, [3], max_tx_vq=1)
    assert queue_of(made, flow(1)[1]) == 3
    assert made.device.pairs_in_use == 1


def test_the_last_command_decides() -> None:
    """5.1.9.5.5; D124: the hash is that of the last command that had one."""
    made = driver()
    out, back = flow(1)

    def seen() -> tuple[int, int]:
        got = made.receive(back)
        assert got is not None
        return got.queue, got.hdr.hash_value

    value = bit_by_bit(MICROSOFT_KEY, data_of(back))
    made.control.set_queue_pairs(4)
    made.send(out, queue=1)
    assert seen() == (1, 0)
    made.control.set_hash(MICROSOFT_KEY, EVERY)
    assert seen() == (1, value)
    made.control.set_rss(MICROSOFT_KEY, EVERY, [3], max_tx_vq=4)
    assert seen() == (3, value)
    made.control.set_queue_pairs(3)
    made.send(out, queue=2)
    assert seen() == (2, value)
    made.control.set_rss(bytes(range(40)), EVERY, [3], max_tx_vq=4)
    made.control.set_hash(MICROSOFT_KEY, EVERY)
    assert seen()[0] < 4 and seen()[1] == value
    made.send(out, queue=1)
    assert seen() == (1, value)
    made.control.set_hash(b"", 0)
    assert seen() == (1, 0)


def test_a_refused_table_leaves_the_one_before() -> None:
    made = driver()
    made.control.set_rss(MICROSOFT_KEY, EVERY, [2])
    with pytest.raises(ControlError, match="MQ RSS_CONFIG: ERR: 4 stands for no receive queue"):
        made.control.set_rss(bytes(40), EVERY, [1, 4], max_tx_vq=1)
    got = made.receive(flow(1)[1])
    assert got is not None
    assert (got.queue, got.hdr.hash_value) == (2, bit_by_bit(MICROSOFT_KEY, data_of(flow(1)[1])))


@pytest.mark.parametrize(("profile", "version"), [*product(PROFILES, (4, 6))])
def test_decrypted_packets_go_by_what_was_inside(profile: Profile, version: int) -> None:
    made = driver(profile)
    made.steer_ipsec()
    sa = outbound(made)
    inbound(made)
    made.control.set_rss(MICROSOFT_KEY, EVERY, range(4))
    queues = set()
    for number in range(16):
        back = flow(number, TCP, version)[1]
        (wire,) = made.send(back, sa)
        data = back[26:38] if version == 4 else back[22:58]
        value = bit_by_bit(MICROSOFT_KEY, data)
        assert queue_of(made, wire) == value % 4
        queues.add(value % 4)
    assert len(queues) > 1


# -- the flow filter comes first ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["pairs", "rss"])
def test_a_rule_beats_steering(mode: str) -> None:
    made = driver()
    protocol_rule(made, made.create_group(1), 0, 17, Action.DIRECT_RX_VQ, vq_index=4)
    if mode == "pairs":
        made.control.set_queue_pairs(QUEUES)
        for kind in (TCP, UDP):
            made.send(flow(1, kind)[0], queue=1)
    else:
        made.control.set_rss(MICROSOFT_KEY, EVERY, [1])
    assert queue_of(made, flow(1, UDP)[1]) == 2
    assert queue_of(made, flow(1, TCP)[1]) == 1


def test_recirculated_packets_too() -> None:
    made = driver()
    made.control.set_rss(MICROSOFT_KEY, EVERY, [1])
    sa = outbound(made)
    inbound(made)
    group = made.create_group(1)
    protocol_rule(made, group, 1, 50, Action.IPSEC_RECIRCULATE)
    protocol_rule(made, group, 0, 17, Action.DIRECT_RX_VQ, vq_index=6)
    assert queue_of(made, made.send(flow(1, UDP)[1], sa)[0]) == 3
    assert queue_of(made, made.send(flow(1, TCP)[1], sa)[0]) == 1


def test_a_rule_for_a_queue_that_is_not_in_use() -> None:
    """D127: the device MUST NOT queue there; the packet is steered as if the rule named no queue."""
    made = driver()
    protocol_rule(made, made.create_group(1), 0, 17, Action.DIRECT_RX_VQ, vq_index=6)
    out, back = flow(1, UDP)
    assert queue_of(made, back) == 0
    made.control.set_queue_pairs(3)
    made.send(out, queue=1)
    assert queue_of(made, back) == 1
    made.control.set_queue_pairs(4)
    assert queue_of(made, back) == 3
    made.control.set_rss(MICROSOFT_KEY, EVERY, [1], max_tx_vq=1)
    assert queue_of(made, back) == 3, "RSS knows no queue that is not in use"


@pytest.mark.parametrize(
    ("features", "last"),
    [
        (DEFAULT, 6),
        (DEFAULT | mask(Feature.CTRL_VQ), 0),
        (DEFAULT | mask(Feature.CTRL_VQ, Feature.HASH_REPORT), 0),
        (DEFAULT | mask(Feature.CTRL_VQ, Feature.MQ), 6),
        (DEFAULT | mask(Feature.CTRL_VQ, Feature.RSS), 6),
    ],
)
def test_the_queues_that_a_rule_can_name(features: int, last: int) -> None:
    """5.1.2: N is 1 with neither MQ nor RSS, and virtqueue 2 the control virtqueue; without that D69."""
    made = driver(features=features)
    group = made.create_group(1)
    protocol_rule(made, group, 0, 17, Action.DIRECT_RX_VQ, vq_index=last)
    with pytest.raises(AdminError, match=f"vq_index {last + 2} is no receive queue: those are .* 0 to {last}"):
        protocol_rule(made, group, 1, 6, Action.DIRECT_RX_VQ, vq_index=last + 2)


# -- queues that are being reset ---------------------------------------------------------------------------------------


def test_automatic_steering_takes_another_queue() -> None:
    """5.1.9.5.6.2: "SHOULD re-select another"; with none left the packet is dropped."""
    made = driver()
    made.control.set_queue_pairs(3)
    out, back = flow(1)
    made.send(out, queue=1)
    seen = []
    for down in (1, 2):
        made.device.set_queue_down(down, True)
        seen.append(queue_of(made, back))
    assert seen == [2, 0]
    made.device.set_queue_down(0, True)
    assert made.receive(back) is None
    assert made.device.receive_refused is not None
    assert str(made.device.receive_refused) == "no_buffer: receiveq2 is being reset"
    for up, queue in ((2, 2), (1, 1), (0, 1)):
        made.device.set_queue_down(up, False)
        assert queue_of(made, back) == queue


def test_rss_drops_what_is_for_it() -> None:
    """5.1.9.5.7.3: "MUST drop"."""
    made = driver()
    made.control.set_rss(MICROSOFT_KEY, EVERY, [1], unclassified=2)
    made.device.set_queue_down(1, True)
    assert made.receive(flow(1)[1]) is None
    assert made.device.counters.rx_dropped == {Reason.NO_BUFFER: 1}
    assert queue_of(made, bytes(12) + b"\x08\x06" + bytes(28)) == 2


def test_a_rule_takes_no_other_queue() -> None:
    """5.1.9.6: what a rule directs to a queue that is being reset "MUST" be dropped, with automatic steering too."""
    made = driver()
    made.control.set_queue_pairs(3)
    protocol_rule(made, made.create_group(1), 0, 17, Action.DIRECT_RX_VQ, vq_index=2)
    made.device.set_queue_down(1, True)
    assert made.receive(flow(1)[1]) is None
    made.device.set_queue_down(1, False)
    assert queue_of(made, flow(1)[1]) == 1


@pytest.mark.parametrize("features", [DEFAULT, MULTIQUEUE])
def test_the_only_queue(features: int) -> None:
    made = driver(features=features)
    made.device.set_queue_down(0, True)
    assert made.receive(flow(1)[1]) is None
    made.device.set_queue_down(0, False)
    assert queue_of(made, flow(1)[1]) == 0
    made.device.set_queue_down(0, True)
    made.start()
    assert queue_of(made, flow(1)[1]) == 0, "a device reset is one of every queue"


# -- who is told -------------------------------------------------------------------------------------------------------


def test_the_story() -> None:
    made = driver()
    told: list[object] = []
    made.device.observer = told.append
    back = flow(1)[1]
    made.receive(back)
    assert not [event for event in told if isinstance(event, Steered)], "there is nothing to choose"
    made.control.set_rss(MICROSOFT_KEY, EVERY, [2])
    made.receive(back)
    assert [event for event in told if isinstance(event, Steered)] == [
        Steered(2, bit_by_bit(MICROSOFT_KEY, data_of(back)), 3)
    ]
    assert [event.queue for event in told if isinstance(event, Delivered)] == [0, 2]


# -- other buffers -----------------------------------------------------------------------------------------------------


class Placed:
    """Receive buffers of 100 octets, and room for so many of them."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.calls: list[tuple[int, bytes]] = []

    def __call__(self, queue: int, data: bytes) -> Received:
        self.calls.append((queue, data))
        count = -(-len(data) // 100)
        if count > self.room:
            raise Refused(Reason.NO_BUFFER, f"receiveq{queue + 1} has {self.room} buffers")
        self.room -= count
        data = data[:10] + count.to_bytes(2, "little") + data[12:]
        return Received(queue, tuple(data[at : at + 100] for at in range(0, len(data), 100)))


@pytest.mark.parametrize("profile", PROFILES)
def test_placed_elsewhere(profile: Profile) -> None:
    """Device.place is asked for every packet; what it says is what is told, counted and returned."""
    made = driver(profile)
    made.device.place = placed = Placed(5)
    made.control.set_rss(MICROSOFT_KEY, EVERY, [1])
    told: list[object] = []
    exchanges: list[object] = []
    made.device.observer, made.device.on_exchange = told.append, exchanges.append
    frame = framed(IP() / UDP() / Raw(bytes(300)))
    got = made.device.receive(frame)
    assert got is not None and got.queue == 1 and len(got.buffers) == 4
    packet = RxPacket(made.layout, *got)
    assert packet.frame == frame and packet.hdr.num_buffers == 4
    ((queue, data),) = placed.calls
    assert queue == 1 and data[10:12] == b"\1\0" and data[made.layout.size :] == frame
    delivered = [event for event in told if isinstance(event, Delivered)]
    assert delivered == [Delivered(1, got.buffers[0][: made.layout.size], 4, len(frame))]
    assert made.device.receive(frame) is None
    assert str(made.device.receive_refused) == "no_buffer: receiveq2 has 1 buffers"
    assert made.device.counters.rx_dropped == {Reason.NO_BUFFER: 1} and made.device.counters.rx_delivered == 1
    assert [(each.queue, each.buffers) for each in exchanges] == [(1, got.buffers), (0, ())]  # type: ignore[attr-defined]
    made.device.place = None
    assert made.device.receive(frame) is not None and len(placed.calls) == 2


def test_the_placing_stays_after_a_reset() -> None:
    made = driver()
    made.device.place = placed = Placed(10)
    made.start()
    assert made.device.place is placed
    assert made.receive(flow(1)[1]) is not None and len(placed.calls) == 1


def test_another_queue_than_asked_for() -> None:
    made = driver()
    told: list[object] = []
    made.device.place = lambda queue, data: Received(3, (data,))
    made.device.observer = told.append
    assert queue_of(made, flow(1)[1]) == 3
    assert [event.queue for event in told if isinstance(event, Delivered)] == [3]
