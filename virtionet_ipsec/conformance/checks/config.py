"""Device configuration space, virtio 1.4, 5.1.4."""

from __future__ import annotations

from collections.abc import Iterator

from ...wire.enums import Feature, NetStatus
from ..check import check
from ..driving import associations, frames
from ..driving.rig import Rig
from ..verdict import NotApplicable, NotObservable

# Offset and length in struct virtio_net_config (5.1.4).
STATUS, MAX_VIRTQUEUE_PAIRS, MTU = (6, 2), (8, 2), (10, 2)
SPEED, DUPLEX, RSS_MAX_KEY_SIZE, RSS_MAX_INDIRECTION_TABLE_LENGTH = (12, 4), (16, 1), (17, 1), (18, 2)

MOST_IPV4, MOST_IPV6 = 65535, 40 + 65535  # octets of a packet
TAG = bytes.fromhex("81000005")
TWO_TAGS = bytes.fromhex("88a8000781000005")
EXPERIMENTAL = bytes.fromhex("88b5")  # an EtherType for local experiments (IEEE 802)


def read(rig: Rig, field: tuple[int, int]) -> int:
    """A field of the configuration space; one that ends too early fails the check."""
    offset, length = field
    data = rig.port.read_config(offset, length)
    rig.equal(f"octets of the configuration space from {offset} on", length, len(data))
    return int.from_bytes(data, "little")


def negotiated_mtu(rig: Rig) -> int:
    """Bring the device up with VIRTIO_NET_F_MTU; gives ``mtu``."""
    rig.needs(Feature.MTU)
    rig.negotiate()
    mtu = read(rig, MTU)
    if mtu < 68:
        raise NotApplicable(f"mtu is {mtu}, less than any link's")
    return mtu


# -- fields ------------------------------------------------------------------------------------------------------


@check
def max_virtqueue_pairs(rig: Rig) -> None:
    """A device that offers VIRTIO_NET_F_MQ has max_virtqueue_pairs from 1 to 0x8000."""
    rig.needs(Feature.MQ)
    pairs = read(rig, MAX_VIRTQUEUE_PAIRS)
    rig.expect(1 <= pairs <= 0x8000, "max_virtqueue_pairs", "1 to 32768", str(pairs))


@check
def mtu_range(rig: Rig) -> None:
    """A device that offers VIRTIO_NET_F_MTU has mtu from 68 to 65535."""
    rig.needs(Feature.MTU)
    mtu = read(rig, MTU)
    rig.expect(mtu >= 68, "mtu", "68 to 65535", str(mtu))


@check
def mtu_ipv6(rig: Rig) -> None:
    """A device that offers VIRTIO_NET_F_MTU has an mtu of 1280 or more."""
    rig.needs(Feature.MTU)
    mtu = read(rig, MTU)
    rig.expect(mtu >= 1280, "mtu", "1280 or more", str(mtu))


@check
def mtu_constant(rig: Rig) -> None:
    """mtu reads the same before and after negotiation, after packets both ways, and after a reset."""
    rig.needs(Feature.MTU)
    first = read(rig, MTU)
    for session in ("", " after a reset"):
        rig.negotiate()
        rig.equal(f"mtu after DRIVER_OK{session}", first, read(rig, MTU))
        for frame in (frames.udp4_frame(), frames.sized_frame(MOST_IPV4)):
            rig.transmit(rig.header() + frame)
            rig.receive(frame)
            rig.equal(f"mtu after packets{session}", first, read(rig, MTU))
        rig.reset()
        rig.equal("mtu after a reset", first, read(rig, MTU))


@check
def rss_max_key_size(rig: Rig) -> None:
    """A device that offers VIRTIO_NET_F_RSS or VIRTIO_NET_F_HASH_REPORT has an rss_max_key_size of 40 or more."""
    if not rig.offers(Feature.RSS) and not rig.offers(Feature.HASH_REPORT):
        raise NotApplicable("neither VIRTIO_NET_F_RSS nor VIRTIO_NET_F_HASH_REPORT is offered")
    size = read(rig, RSS_MAX_KEY_SIZE)
    rig.expect(size >= 40, "rss_max_key_size", "40 or more", str(size))


@check
def rss_max_indirection_table_length(rig: Rig) -> None:
    """A device that offers VIRTIO_NET_F_RSS has an rss_max_indirection_table_length of 128 or more."""
    rig.needs(Feature.RSS)
    length = read(rig, RSS_MAX_INDIRECTION_TABLE_LENGTH)
    rig.expect(length >= 128, "rss_max_indirection_table_length", "128 or more", str(length))


@check
def speed(rig: Rig) -> None:
    """With VIRTIO_NET_F_SPEED_DUPLEX negotiated, speed is 0 to 0x7fffffff, or 0xffffffff."""
    rig.needs(Feature.SPEED_DUPLEX)
    rig.negotiate(also=(Feature.SPEED_DUPLEX,))
    value = read(rig, SPEED)
    rig.expect(value <= 0x7FFFFFFF or value == 0xFFFFFFFF, "speed", "0 to 0x7fffffff, or 0xffffffff", hex(value))


@check
def duplex(rig: Rig) -> None:
    """With VIRTIO_NET_F_SPEED_DUPLEX negotiated, duplex is 0, 1 or 0xff."""
    rig.needs(Feature.SPEED_DUPLEX)
    rig.negotiate(also=(Feature.SPEED_DUPLEX,))
    value = read(rig, DUPLEX)
    rig.expect(value in (0x00, 0x01, 0xFF), "duplex", "0x00, 0x01 or 0xff", hex(value))


@check
def speed_duplex_constant(rig: Rig) -> None:
    """speed and duplex read the same as long as VIRTIO_NET_S_LINK_UP is set, whatever packets pass."""
    rig.needs(Feature.SPEED_DUPLEX, Feature.STATUS)
    rig.negotiate(also=(Feature.SPEED_DUPLEX,))
    first = read(rig, SPEED), read(rig, DUPLEX)
    for _ in range(4):
        _needs_link(rig)
        rig.transmit(rig.header() + frames.udp4_frame())
        rig.receive(frames.udp4_frame())
        now = read(rig, SPEED), read(rig, DUPLEX)
        _needs_link(rig)
        rig.equal("speed, duplex", first, now)


def _needs_link(rig: Rig) -> None:
    if not read(rig, STATUS) & NetStatus.LINK_UP:
        raise NotObservable("the link is down")


@check
def hash_report_ctrl_vq(rig: Rig) -> None:
    """VIRTIO_NET_F_HASH_REPORT is not offered without VIRTIO_NET_F_CTRL_VQ."""
    _offered_with_ctrl_vq(rig, Feature.HASH_REPORT)


@check
def ctrl_rx_extra_ctrl_vq(rig: Rig) -> None:
    """VIRTIO_NET_F_CTRL_RX_EXTRA is not offered without VIRTIO_NET_F_CTRL_VQ."""
    _offered_with_ctrl_vq(rig, Feature.CTRL_RX_EXTRA)


def _offered_with_ctrl_vq(rig: Rig, feature: Feature) -> None:
    rig.needs(feature)
    rig.expect(rig.offers(Feature.CTRL_VQ), "VIRTIO_NET_F_CTRL_VQ", "offered", "not offered")


# -- what mtu does to packets ------------------------------------------------------------------------------------


def packets(length: int) -> Iterator[tuple[str, bytes]]:
    """Frames with ``length`` octets behind the link-layer header, each with its name."""
    if 28 <= length <= MOST_IPV4:
        yield f"IPv4, {length} octets", frames.sized_frame(length)
    if 48 <= length <= MOST_IPV6:
        yield f"IPv6, {length} octets", frames.udp6_frame(bytes(length - 48))
    yield f"neither IPv4 nor IPv6, {length} octets", frames.MACS + EXPERIMENTAL + bytes(length)


def _not_longer(rig: Rig, what: str, wire: bytes, most: int) -> None:
    """Let ``wire`` arrive: nothing with more than ``most`` octets may reach the driver, unless it is to be segmented.

    ECN alone, 0x80, counts as no segmentation, as the sentence has it.
    """
    got = rig.receive(wire)
    if got is not None and not got.hdr.gso_type & 0x7F:
        rig.expect(
            len(got.frame) <= most,
            f"a packet for the driver: {what}",
            f"{most} octets or less, or none",
            f"{len(got.frame)} octets",
        )


@check
def mtu_receive(rig: Rig) -> None:
    """A frame with more than mtu octets behind its link-layer header does not reach the driver."""
    mtu = negotiated_mtu(rig)
    rig.port.receive_buffer_size = rig.layout.size + mtu + 128
    if all(rig.receive(frame) is None for _, frame in packets(mtu)):
        raise NotObservable("no packet of mtu octets reaches the driver, so that a longer one does not says nothing")
    for length in (mtu + 1, mtu + 100):
        for what, frame in packets(length):
            _not_longer(rig, what, frame, mtu + 14)
            tagged = frame[:12] + TAG + frame[12:]
            _not_longer(rig, f"{what}, with a VLAN tag", tagged, mtu + 18)
            tagged = frame[:12] + TWO_TAGS + frame[12:]
            _not_longer(rig, f"{what}, with two VLAN tags", tagged, mtu + 22)


@check
def mtu_receive_protected(rig: Rig) -> None:
    """A packet of more than mtu octets does not reach the driver from IPsec processing, decrypted or failed."""
    mtu = negotiated_mtu(rig)
    if mtu > MOST_IPV4 - 256:
        raise NotApplicable("no IPv4 packet has room for ESP around one of more than mtu octets")
    associations.start(rig)
    rig.port.receive_buffer_size = rig.layout.size + mtu + 256
    inbound = associations.sa(rig, associations.INBOUND, replay_window=0)
    associations.create(rig, inbound)
    far_end = associations.sender(inbound)
    if rig.receive(associations.protected(far_end, frames.udp4_frame())) is None:
        raise NotObservable("no protected packet reaches the driver, so that a long one does not says nothing")
    for length in (mtu + 1, mtu + 4):
        wire = associations.protected(far_end, frames.sized_frame(length))
        _not_longer(rig, f"{length} octets after decryption", wire, mtu + 14)
    unknown = inbound.spi + 1
    wire = associations.tunnel_frame(unknown.to_bytes(4, "big") + bytes(mtu + 1 - 24))
    _not_longer(rig, f"{mtu + 1} octets of ESP with a SPI that no SA has", wire, mtu + 14)


def _transmittable(mtu: int) -> Iterator[tuple[str, bytes]]:
    """Frames that are not longer than mtu, on any reading: a VLAN tag may count as part of the packet."""
    for length in (68, mtu - 1, mtu):
        yield from packets(length)
    for tags in (TAG, TWO_TAGS):
        length, said = mtu - len(tags), "a VLAN tag" if tags is TAG else "two VLAN tags"
        frame = frames.sized_frame(length)
        yield f"IPv4, {length} octets, with {said}", frame[:12] + tags + frame[12:]


@check
def mtu_transmit(rig: Rig) -> None:
    """A transmitted packet of up to mtu octets, the link-layer header apart, leaves."""
    mtu = negotiated_mtu(rig)
    for what, frame in _transmittable(mtu):
        left = rig.transmit(rig.header() + frame)
        rig.expect(bool(left), f"frames on the wire of a packet: {what}", "at least one", "none")
        if len(left) == 1:
            rig.equal(f"the frame on the wire: {what}", frame, left[0])


@check
def mtu_no_fragmentation(rig: Rig) -> None:
    """A transmitted packet of up to mtu octets, the link-layer header apart, leaves in one frame if it does."""
    mtu = negotiated_mtu(rig)
    any_left = False
    for what, frame in _transmittable(mtu):
        left = rig.transmit(rig.header() + frame)
        any_left = any_left or bool(left)
        rig.expect(len(left) <= 1, f"frames on the wire of a packet: {what}", "1", str(len(left)))
    if not any_left:
        raise NotObservable("no packet leaves")
