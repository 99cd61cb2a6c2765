"""Devices that are wrong about the hash of a packet, or how they report it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from virtionet_ipsec.device import Device
from virtionet_ipsec.device.flow_fields import Flow
from virtionet_ipsec.device.flow_hash import FlowHash
from virtionet_ipsec.device.negotiation import default_features
from virtionet_ipsec.device.steering import Steering
from virtionet_ipsec.wire.enums import CtrlAck, CtrlClass, CtrlMq, Feature, HashReport
from virtionet_ipsec.wire.profile import Profile

from ..mutant import breaks
from ..wrapping import answering_control
from .steering import Steered

R = HashReport
WITHOUT_RSS = default_features(Profile.VIRTIO_1_4) & ~(1 << Feature.RSS)


def hashing(wrong: Callable[[Any, Flow], tuple[int, int]]) -> type[Device]:
    """A device for whose hash ``wrong(right, flow)`` stands, ``right`` being the right one."""

    class Hashing(Steered):
        class steering_kind(Steering):  # noqa: N801
            def steer(self, packet: bytes, at: int, queue: int) -> tuple[int, int, int]:
                right = self._hash
                self._hash = right and (lambda flow: wrong(right, flow))  # type: ignore[assignment]
                try:
                    return super().steer(packet, at, queue)
                finally:
                    self._hash = right

    return Hashing


def reported_as(*reports: HashReport) -> Callable[[Callable[[FlowHash, Flow], int]], Callable[..., tuple[int, int]]]:
    """A wrong hash where ``hash_report`` is one of these, and the right one elsewhere."""

    def of(wrong: Callable[[FlowHash, Flow], int]) -> Callable[..., tuple[int, int]]:
        def value(right: FlowHash, flow: Flow) -> tuple[int, int]:
            number, report = right(flow)
            return (wrong(right, flow), report) if report in reports else (number, report)

        return value

    return of


def swapped_ports(right: FlowHash, flow: Flow) -> int:
    def swap(fields: bytes) -> bytes:
        return fields[:-4] + fields[-2:] + fields[-4:-2]

    return right((flow[0], swap(flow[1]), swap(flow[2])))[0]


def swapped_addresses(right: FlowHash, flow: Flow) -> int:
    def swap(fields: bytes) -> bytes:
        half = 4 if len(fields) < 32 else 16
        return fields[half : 2 * half] + fields[:half] + fields[2 * half :]

    return right((flow[0], swap(flow[1]), swap(flow[2])))[0]


def plain_addresses(right: FlowHash, flow: Flow) -> int:
    return right((flow[0], flow[1], flow[1]))[0]


for _entry, _report, _wrong, _what in (
    ("tcpv4", R.TCPV4, swapped_ports, "the ports exchanged"),
    ("udpv4", R.UDPV4, swapped_ports, "the ports exchanged"),
    ("ipv4", R.IPV4, swapped_addresses, "the addresses exchanged"),
    ("tcpv6", R.TCPV6, swapped_ports, "the ports exchanged"),
    ("udpv6", R.UDPV6, swapped_ports, "the ports exchanged"),
    ("ipv6", R.IPV6, swapped_addresses, "the addresses exchanged"),
    ("tcp-ex", R.TCPV6_EX, plain_addresses, "the addresses of the IPv6 header"),
    ("udp-ex", R.UDPV6_EX, plain_addresses, "the addresses of the IPv6 header"),
    ("ip-ex", R.IPV6_EX, plain_addresses, "the addresses of the IPv6 header"),
):
    breaks(f"hash.dev.{_entry}")(
        type(
            f"Wrong{_report.name.title()}",
            (hashing(reported_as(_report)(_wrong)),),
            {"__doc__": f"Hashes reported as {_report.name} are with {_what}."},
        )
    )


def hashes_anyway(kinds: range, report: HashReport) -> Callable[[FlowHash, Flow], tuple[int, int]]:
    """A hash over the addresses of packets of these kinds though no type is enabled for them."""

    def value(right: FlowHash, flow: Flow) -> tuple[int, int]:
        if flow[0] in kinds and not right(flow)[1]:
            return 0x1234, report
        return right(flow)

    return value


@breaks("hash.dev.ipv4-none")
class HashesIpv4(hashing(hashes_anyway(range(R.IPV4, R.IPV6), R.IPV4))):  # type: ignore[misc]
    """IPv4 is hashed over its addresses whatever is enabled."""


@breaks("hash.dev.ipv6-none")
class HashesIpv6(hashing(hashes_anyway(range(R.IPV6, R.IPV6_EX), R.IPV6))):  # type: ignore[misc]
    """IPv6 is hashed over its addresses whatever is enabled."""


@breaks("hash.dev.ex-skipped")
class NotBehindHeaders(hashing(lambda right, flow: (0, 0) if flow[0] >= R.IPV6_EX > right(flow)[1] else right(flow))):  # type: ignore[misc]
    """Packets with extension headers are hashed with the _EX types alone."""


@breaks("hash.dev.ex-skipped")
class AddressesOfHeaders(hashing(lambda right, flow: right((flow[0], flow[2], flow[2])))):  # type: ignore[misc]
    """Home address and routing header count without an _EX type."""


@breaks("hash.dev.report")
class ReportsTheProtocol(hashing(lambda right, flow: (right(flow)[0], min(right(flow)[1], R.UDPV6)))):  # type: ignore[misc]
    """No _EX type is ever reported."""


@breaks("hash.dev.report")
class ReportsNoValue(hashing(lambda right, flow: (0, right(flow)[1]))):  # type: ignore[misc]
    """hash_value is left zero."""


@breaks("hash.dev.report-none")
class AlwaysReports(hashing(lambda right, flow: (right(flow)[0], right(flow)[1] or R.IPV4))):  # type: ignore[misc]
    """What is not hashed is reported as IPV4."""


@breaks("hash.dev.rss-config-supported")
class NoRssConfig(Device):
    """RSS_CONFIG gets VIRTIO_NET_ERR."""

    _control = answering_control(CtrlClass.MQ, CtrlMq.RSS_CONFIG, CtrlAck.ERR)


@breaks("hash.dev.some-command", "hash.dev.hash-config-supported", features=WITHOUT_RSS)
class NoHashConfig(Device):
    """HASH_CONFIG gets VIRTIO_NET_ERR, and RSS is not offered."""

    _control = answering_control(CtrlClass.MQ, CtrlMq.HASH_CONFIG, CtrlAck.ERR)
