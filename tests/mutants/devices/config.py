"""Devices that are wrong about the configuration space, or what it says of packets."""

from __future__ import annotations

from typing import Any

from virtionet_ipsec.conformance.driving import frames
from virtionet_ipsec.device import Device
from virtionet_ipsec.device.receive import Receiver
from virtionet_ipsec.device.transmit import Transmitter
from virtionet_ipsec.wire.enums import Feature

from ..mutant import breaks


def mask(*features: Feature) -> int:
    """These features and VIRTIO_F_VERSION_1."""
    return sum(1 << feature for feature in {Feature.VERSION_1, *features})


class Patched(Device):
    """A device whose configuration space has ``octets`` at ``offset``."""

    offset: int
    octets: bytes

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        self.patch(self.offset, self.octets)

    def patch(self, offset: int, octets: bytes) -> None:
        self.config = self.config[:offset] + octets + self.config[offset + len(octets) :]


@breaks("config.dev.max-virtqueue-pairs", features=mask(Feature.MQ, Feature.CTRL_VQ))
class NoQueuePair(Patched):
    """max_virtqueue_pairs is 0."""

    offset, octets = 8, b"\0\0"


@breaks("config.dev.max-virtqueue-pairs", features=mask(Feature.MQ, Feature.CTRL_VQ))
class TooManyQueuePairs(Patched):
    """max_virtqueue_pairs is 0x8001."""

    offset, octets = 8, b"\x01\x80"


@breaks("config.dev.mtu-range")
class MtuBelow68(Patched):
    """mtu is 67."""

    offset, octets = 10, b"\x43\0"


@breaks("config.dev.mtu-ipv6")
class MtuBelow1280(Device):
    """mtu is 1279."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, mtu=1279, **how)


@breaks("config.dev.rss-max-key-size", features=mask(Feature.RSS, Feature.CTRL_VQ))
@breaks("config.dev.rss-max-key-size", features=mask(Feature.HASH_REPORT, Feature.CTRL_VQ))
class ShortRssKey(Patched):
    """rss_max_key_size is 39."""

    offset, octets = 17, b"\x27"


@breaks("config.dev.rss-max-indirection-table-length", features=mask(Feature.RSS, Feature.CTRL_VQ))
class ShortIndirectionTable(Patched):
    """rss_max_indirection_table_length is 127."""

    offset, octets = 18, b"\x7f\0"


@breaks("config.dev.speed", features=mask(Feature.SPEED_DUPLEX))
class SpeedBeyondTheMost(Patched):
    """speed is 0x80000000."""

    offset, octets = 12, b"\0\0\0\x80"


@breaks("config.dev.duplex", features=mask(Feature.SPEED_DUPLEX))
class UnknownDuplex(Patched):
    """duplex is 2."""

    offset, octets = 16, b"\x02"


class Changing(Patched):
    """A device whose configuration space changes when it transmits."""

    def __init__(self, *args: Any, **how: Any) -> None:
        Device.__init__(self, *args, **how)

    def transmit(self, buffer: bytes, queue: int = 0) -> tuple[bytes, ...]:
        left = super().transmit(buffer, queue)
        self.patch(self.offset, self.octets)
        return left


@breaks("config.dev.mtu-constant")
class MtuShrinks(Changing):
    """mtu is another one as soon as a packet was transmitted."""

    offset, octets = 10, b"\0\x05"


@breaks("config.dev.speed-duplex-constant", features=mask(Feature.SPEED_DUPLEX, Feature.STATUS))
class SpeedChanges(Changing):
    """speed is another one as soon as a packet was transmitted, and the link stays up."""

    offset, octets = 12, b"\x10\x27\0\0"


@breaks("config.dev.speed-duplex-constant", features=mask(Feature.SPEED_DUPLEX, Feature.STATUS))
class DuplexChanges(Changing):
    """duplex is another one as soon as a packet was transmitted, and the link stays up."""

    offset, octets = 16, b"\x01"


@breaks("config.dev.mtu-constant")
class MtuChangesWithReset(Patched):
    """mtu is another one after a device reset that follows DRIVER_OK."""

    offset, octets = 10, b"\0\x05"

    def __init__(self, *args: Any, **how: Any) -> None:
        Device.__init__(self, *args, **how)

    def reset(self) -> None:
        if self.status:
            self.patch(self.offset, self.octets)
        super().reset()


# -- what mtu does to packets; _check_mtu has header and frame for a packet that may be too long -----------------


class _PassesAnyLength(Receiver):
    def _check_mtu(self, data: bytes) -> None:
        pass


@breaks("config.dev.mtu-receive")
class PassesAnyLength(Device):
    """A received packet is passed to the driver whatever its length."""

    _receiver_class = _PassesAnyLength


class _PassesOneOctetMore(Receiver):
    def _check_mtu(self, data: bytes) -> None:
        super()._check_mtu(data[:-1])


@breaks("config.dev.mtu-receive")
class PassesOneOctetMore(Device):
    """A received packet is passed to the driver up to a length of mtu and one octet."""

    _receiver_class = _PassesOneOctetMore


class _CountsTheTagTwice(Receiver):
    def _check_mtu(self, data: bytes) -> None:
        super()._check_mtu(data[:-4] if data[self._size + 12 :].startswith(b"\x81\x00") else data)


@breaks("config.dev.mtu-receive")
class CountsTheTagTwice(Device):
    """A received packet with a VLAN tag is passed to the driver up to a length of mtu and four octets."""

    _receiver_class = _CountsTheTagTwice


class _CountsTwoTagsTwice(Receiver):
    def _check_mtu(self, data: bytes) -> None:
        super()._check_mtu(data[:-8] if data[self._size + 12 :].startswith(b"\x88\xa8") else data)


@breaks("config.dev.mtu-receive")
class CountsTwoTagsTwice(Device):
    """A received packet with two VLAN tags is passed to the driver up to a length of mtu and eight octets."""

    _receiver_class = _CountsTwoTagsTwice


class _PassesWhatItDecrypted(Receiver):
    def _check_mtu(self, data: bytes) -> None:
        if data[0] & (self._security | self._err) != self._security:
            super()._check_mtu(data)


@breaks("config.dev.mtu-receive")
class PassesWhatItDecrypted(Device):
    """A packet that IPsec processing decrypted is passed to the driver whatever its length."""

    _receiver_class = _PassesWhatItDecrypted


class _PassesWhatFailed(Receiver):
    def _check_mtu(self, data: bytes) -> None:
        if not data[0] & self._err:
            super()._check_mtu(data)


@breaks("config.dev.mtu-receive")
class PassesWhatFailed(Device):
    """A packet that failed in IPsec processing is passed to the driver whatever its length."""

    _receiver_class = _PassesWhatFailed


class _NoTwoTags(Transmitter):
    def transmit(self, buffer: bytes, queue: int = 0) -> tuple[bytes, ...]:
        tagged = buffer[self._size + 12 :].startswith(b"\x88\xa8")
        return () if tagged and len(buffer) > self._size + self._plain_most - 4 else super().transmit(buffer, queue)


@breaks("config.dev.mtu-transmit")
class DropsTwoTags(Device):
    """A transmitted packet with two VLAN tags is dropped when its frame has more than mtu and ten octets."""

    _transmitter_class = _NoTwoTags


class _DropsTheLongest(Transmitter):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._plain_most -= 1


@breaks("config.dev.mtu-transmit")
class DropsTheLongest(Device):
    """A transmitted packet of mtu octets is dropped."""

    _transmitter_class = _DropsTheLongest


@breaks("config.dev.mtu-transmit")
class CountsTheHeader(Device):
    """A transmitted frame of more than mtu octets, link-layer header included, is dropped."""

    def transmit(self, buffer: bytes, queue: int = 0) -> tuple[bytes, ...]:
        return tuple(frame for frame in super().transmit(buffer, queue) if len(frame) <= self.mtu)


@breaks("config.dev.mtu-transmit")
class CutsTheEnd(Device):
    """A transmitted frame loses what is beyond mtu octets, link-layer header included."""

    def transmit(self, buffer: bytes, queue: int = 0) -> tuple[bytes, ...]:
        return tuple(frame[: self.mtu] for frame in super().transmit(buffer, queue))


@breaks("config.dev.mtu-no-fragmentation")
class Fragments(Device):
    """A transmitted IPv4 packet of more than 1280 octets leaves in two fragments."""

    def transmit(self, buffer: bytes, queue: int = 0) -> tuple[bytes, ...]:
        left = super().transmit(buffer, queue)
        if not left or len(left[0]) <= 14 + 1280 or left[0][12:14] != b"\x08\x00":
            return left
        payload = left[0][34:]
        return (
            frames.ethernet(frames.ipv4(payload[:1024], more=True)),
            frames.ethernet(frames.ipv4(payload[1024:], offset=1024 // 8)),
        )


class WithoutCtrlVq(Device):
    """A device that offers all but VIRTIO_NET_F_CTRL_VQ."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        self.features &= ~(1 << Feature.CTRL_VQ)


@breaks("config.dev.hash-report-ctrl-vq", features=mask(Feature.HASH_REPORT, Feature.CTRL_VQ))
class HashReportAlone(WithoutCtrlVq):
    """VIRTIO_NET_F_HASH_REPORT is offered without VIRTIO_NET_F_CTRL_VQ."""


@breaks("config.dev.ctrl-rx-extra-ctrl-vq", features=mask(Feature.CTRL_RX_EXTRA, Feature.CTRL_VQ))
class CtrlRxExtraAlone(WithoutCtrlVq):
    """VIRTIO_NET_F_CTRL_RX_EXTRA is offered without VIRTIO_NET_F_CTRL_VQ."""
