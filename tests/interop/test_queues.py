"""Several pairs of queues, receive-side scaling and the control queue, as Linux uses them (virtio 1.4, 5.1.9.5)."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from . import needs
from .frames import ethernet
from .lab import FAR, Lab

needs.require(*needs.GUEST)

PAIRS = 4
FEATURES = {"packed": "", "split": "-RING_PACKED", "automatic": "-RSS,-HASH_REPORT"}
STREAMS = 12
# The one of Microsoft's vectors.  With a random key, ports that follow each other may all end in one queue.
KEY = bytes.fromhex("6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa").hex(":")
SCALING = pytest.mark.parametrize("lab", ["packed", "split"], indirect=True)


@pytest.fixture(scope="module", params=FEATURES)
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    options = ("--queues", str(PAIRS), "--features", FEATURES[request.param])
    with Lab(tmp_path_factory.mktemp("queues"), *options) as lab:
        use_queues(lab, PAIRS)
        yield lab


def use_queues(lab: Lab, count: int) -> None:
    """Of the pairs of queues, this many; with RSS, its table has to name no other before."""
    scaling = "receive-hashing" in lab.near.do("ethtool -k eth0 | grep -v 'off .fixed.'")
    table = [f"ethtool -X eth0 hkey {KEY} equal {count}"] * scaling
    pairs = [f"ethtool -L eth0 combined {count}"]
    lab.near.do(" && ".join(table + pairs if count < PAIRS else pairs + table))


def packets(lab: Lab, way: str) -> list[int]:
    """What each queue of one direction, "rx" or "tx", has carried."""
    lines = lab.near.do("ethtool -S eth0")
    return [int(each) for each in re.findall(rf"{way}_queue_\d+_packets: (\d+)", lines)]


def carried(lab: Lab, way: str, before: list[int]) -> list[int]:
    return [now - then for now, then in zip(packets(lab, way), before, strict=True)]


def test_all_queues_carry(lab: Lab) -> None:
    """The guest spreads its flows; the device answers in the queue of the flow, or in that of the indirection table."""
    sent, received = packets(lab, "tx"), packets(lab, "rx")
    lab.tcp(up=200_000, down=200_000, streams=STREAMS)
    assert sum(count > 10 for count in carried(lab, "tx", sent)) >= 2  # they may be large ones
    assert sum(count > 50 for count in carried(lab, "rx", received)) >= 2


@SCALING
def test_the_indirection_table_decides(lab: Lab) -> None:
    lab.near.do("ethtool -X eth0 weight 0 0 1 0")
    before = packets(lab, "rx")
    lab.tcp(up=50_000, down=50_000, streams=STREAMS)
    lab.near.do(f"ethtool -X eth0 equal {PAIRS}")
    now = carried(lab, "rx", before)
    # What has no hash, such as ARP, is received in the first queue (5.1.9.5.7.1).
    assert now[2] > 200 and now[1] == now[3] == 0 and now[0] < 20


@SCALING
def test_a_flow_stays_in_its_queue(lab: Lab) -> None:
    before = packets(lab, "rx")
    lab.tcp(up=50_000, down=500_000)
    assert sum(count > 50 for count in carried(lab, "rx", before)) == 1


def test_fewer_queues(lab: Lab) -> None:
    """VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, down and up again; the device uses no other queue (5.1.9.5.5)."""
    use_queues(lab, 1)
    before = packets(lab, "rx")
    lab.tcp(up=20_000, down=20_000, streams=STREAMS)
    assert sum(count > 0 for count in carried(lab, "rx", before)) == 1
    use_queues(lab, PAIRS)
    test_all_queues_carry(lab)


# -- the control queue ---------------------------------------------------------------------------------------------


def received(lab: Lab, destination: str, vlan: int | None = None) -> bool:
    return lab.received(ethernet(destination, vlan=vlan, payload=b"is it for us?"))


def test_other_stations_frames_are_not_received(lab: Lab) -> None:
    """But in promiscuous mode (VIRTIO_NET_CTRL_RX_PROMISC)."""
    stranger = "52:54:00:99:99:99"
    assert not received(lab, stranger)
    lab.near.do("ip link set eth0 promisc on")
    assert received(lab, stranger)
    lab.near.do("ip link set eth0 promisc off")
    assert not received(lab, stranger)


def test_multicast(lab: Lab) -> None:
    """The groups of the MAC table, and all of them with VIRTIO_NET_CTRL_RX_ALLMULTI."""
    ours, others = "01:00:5e:01:02:03", "01:00:5e:03:02:01"
    assert not received(lab, ours)
    lab.near.do(f"ip maddr add {ours} dev eth0")
    assert received(lab, ours)
    assert not received(lab, others)
    lab.near.do("ip link set eth0 allmulticast on")
    assert received(lab, others)
    lab.near.do(f"ip link set eth0 allmulticast off; ip maddr del {ours} dev eth0")
    assert not received(lab, ours)


def test_the_vlan_filter(lab: Lab) -> None:
    assert not received(lab, lab.near_mac, vlan=7)
    lab.near.do("ip link add link eth0 name v7 type vlan id 7")
    assert received(lab, lab.near_mac, vlan=7)
    assert not received(lab, lab.near_mac, vlan=8)
    lab.near.do("ip link del v7")
    assert not received(lab, lab.near_mac, vlan=7)


def test_another_mac_address(lab: Lab) -> None:
    """VIRTIO_NET_CTRL_MAC_ADDR_SET, with a link that goes on working."""
    before, after = lab.near_mac, "02:00:00:aa:bb:cc"
    lab.near.do(f"ip link set eth0 address {after}; ip neigh flush dev eth0")
    lab.far.do("ip neigh flush dev vec0")
    assert received(lab, after) and not received(lab, before)
    lab.ping(FAR)
    lab.near.do(f"ip link set eth0 address {before}; ip neigh flush dev eth0")
    lab.far.do("ip neigh flush dev vec0")
    lab.ping(FAR)
