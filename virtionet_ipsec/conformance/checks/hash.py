"""The hash of incoming packets, virtio 1.4, 5.1.9.4.3 and 5.1.9.4.5."""

from __future__ import annotations

from functools import partial

from ...wire.enums import Feature, HashType
from ..check import add, check
from ..driving import controls, hashing
from ..driving.frames import TCP, UDP
from ..driving.hashing import ICMP, KEY, NO_IP, OTHER_KEY, enable, expect_hash, expect_none, extended, packets, start
from ..driving.rig import Rig
from ..verdict import Failed, NotApplicable

T = HashType
_V4, _V6, _EX = T.IPV4 | T.TCPV4 | T.UDPV4, T.IPV6 | T.TCPV6 | T.UDPV6, T.IP_EX | T.TCP_EX | T.UDP_EX

# The type that asks for addresses and ports, by version and protocol.
_PORTS = {(4, TCP): T.TCPV4, (4, UDP): T.UDPV4, (6, TCP): T.TCPV6, (6, UDP): T.UDPV6}
_PORTS_EX = {TCP: T.TCP_EX, UDP: T.UDP_EX}
_PLAIN = {4: T.IPV4, 6: T.IPV6}


# -- commands ----------------------------------------------------------------------------------------------------


@check
def some_command(rig: Rig) -> None:
    """RSS_CONFIG or HASH_CONFIG, whichever is due, gets VIRTIO_NET_OK."""
    start(rig)
    try:
        enable(rig, hashing.supported_types(rig))
    except Failed:
        hashing.hash_config(rig, hashing.supported_types(rig))


@check
def rss_config_supported(rig: Rig) -> None:
    """With VIRTIO_NET_F_HASH_REPORT and VIRTIO_NET_F_RSS, RSS_CONFIG gets VIRTIO_NET_OK."""
    controls.start(rig, Feature.HASH_REPORT, Feature.RSS)
    hashing.rss_config(rig, hashing.supported_types(rig))


@check
def hash_config_supported(rig: Rig) -> None:
    """Where VIRTIO_NET_F_HASH_REPORT is offered and VIRTIO_NET_F_RSS is not, HASH_CONFIG gets VIRTIO_NET_OK."""
    controls.start(rig, Feature.HASH_REPORT)
    if rig.offers(Feature.RSS):
        raise NotApplicable("VIRTIO_NET_F_RSS is offered")
    hashing.hash_config(rig, hashing.supported_types(rig))


# -- packets without extension headers -----------------------------------------------------------------------------


def _with_ports(version: int, protocol: int, rig: Rig) -> None:
    wanted = _PORTS[version, protocol]
    start(rig, wanted)
    for types in (wanted, hashing.supported_types(rig)):
        for key in (KEY, OTHER_KEY):
            enable(rig, types, key)
            for packet in packets(protocol, version):
                when = f"hash_types {types:#x}"
                expect_hash(rig, packet, when, packet.addresses + packet.ports, key)


def _addresses_alone(version: int, rig: Rig) -> None:
    plain = _PLAIN[version]
    start(rig, plain)
    supported = hashing.supported_types(rig)
    for protocol in (TCP, UDP, ICMP[version]):
        # What would add the ports of this protocol is not enabled, what would add another's may be.
        others = supported & (_V4 if version == 4 else _V6) & ~_PORTS.get((version, protocol), 0)
        for types in (plain, others):
            enable(rig, types)
            for packet in packets(protocol, version):
                expect_hash(rig, packet, f"hash_types {types:#x}", packet.addresses)


def _no_hash(version: int, rig: Rig) -> None:
    start(rig)
    supported = hashing.supported_types(rig)
    for protocol in (TCP, UDP, ICMP[version]):
        applies = _PLAIN[version] | _PORTS.get((version, protocol), 0)
        types = supported & ~applies
        if not types:
            continue
        enable(rig, types)
        for packet in packets(protocol, version):
            expect_none(rig, f"{packet.what}, hash_types {types:#x}", packet.frame)


for _version in (4, 6):
    for _protocol, _name in ((TCP, "tcp"), (UDP, "udp")):
        add(
            f"hash.{_name}v{_version}",
            f"With hash_type {_name.upper()}v{_version} the hash of {_name.upper()} over IPv{_version} is that of "
            "addresses and ports, with two keys.",
            partial(_with_ports, _version, _protocol),
        )
    add(
        f"hash.ipv{_version}",
        f"With hash_type IPv{_version}, and none for the protocol, the hash of TCP, UDP and ICMP is that of addresses.",
        partial(_addresses_alone, _version),
    )
    add(
        f"hash.ipv{_version}-none",
        f"With every other hash_type, TCP, UDP and ICMP over IPv{_version} are reported without a hash.",
        partial(_no_hash, _version),
    )


# -- IPv6 with extension headers -----------------------------------------------------------------------------------


def _extended_ports(protocol: int, rig: Rig) -> None:
    wanted = _PORTS_EX[protocol]
    start(rig, wanted)
    for types in (wanted, hashing.supported_types(rig)):
        enable(rig, types)
        for packet, addresses in extended(protocol):
            expect_hash(rig, packet, f"hash_types {types:#x}", addresses + packet.ports)


for _protocol, _name in ((TCP, "tcp"), (UDP, "udp")):
    add(
        f"hash.{_name}-ex",
        f"With hash_type {_name.upper()}_EX the hash of {_name.upper()} behind extension headers is that of home "
        "address or source, type 2 routing address or destination, and ports.",
        partial(_extended_ports, _protocol),
    )


@check
def ip_ex(rig: Rig) -> None:
    """With hash_type IP_EX, and none for the protocol, the hash is that of the two addresses alone."""
    start(rig, T.IP_EX)
    supported = hashing.supported_types(rig)
    for protocol in (TCP, UDP, ICMP[6]):
        for types in (T.IP_EX, supported & ~_PORTS_EX.get(protocol, 0)):
            enable(rig, types)
            for packet, addresses in extended(protocol):
                expect_hash(rig, packet, f"hash_types {types:#x}", addresses)


@check
def ex_skipped(rig: Rig) -> None:
    """Without an _EX type, packets behind extension headers are hashed as those without, or not, as these."""
    start(rig)
    supported = hashing.supported_types(rig)
    for protocol in (TCP, UDP):
        ports = _PORTS[6, protocol]
        for types, counted in ((ports, True), (T.IPV6, False), (supported & ~_EX, bool(supported & ports))):
            if not types or types & ~supported:
                continue
            enable(rig, types)
            for packet, _ in extended(protocol):
                data = packet.addresses + packet.ports if counted else packet.addresses
                if types & (ports | T.IPV6):
                    expect_hash(rig, packet, f"hash_types {types:#x}", data)
        if others := supported & ~_EX & ~ports & ~T.IPV6:
            enable(rig, others)
            for packet, _ in extended(protocol):
                expect_none(rig, f"{packet.what}, hash_types {others:#x}", packet.frame)


# -- reports -------------------------------------------------------------------------------------------------------


@check
def report(rig: Rig) -> None:
    """hash_report names the hash type that applies, and hash_value is not left zero, for each kind of packet."""
    start(rig)
    supported = hashing.supported_types(rig)
    enable(rig, supported)
    due = [(packet, _PORTS.get(key)) for key in _PORTS for packet in packets(key[1], key[0])]
    due += [(packet, _PLAIN[version]) for version in (4, 6) for packet in packets(ICMP[version], version)]
    due += [(packet, _PORTS_EX[protocol]) for protocol in (TCP, UDP) for packet, _ in extended(protocol)]
    due += [(packet, T.IP_EX) for packet, _ in extended(ICMP[6])]
    seen = False
    for packet, kind in due:
        if kind is None or not kind & supported:
            continue
        seen = True
        got = rig.delivered(packet.frame).hdr
        named = int(kind).bit_length()
        rig.equal(f"hash_report of {packet.what}", named, got.hash_report)
        rig.expect(got.hash_value != 0, f"hash_value of {packet.what}", "the hash", "0")
    if not seen:
        raise NotApplicable("no hash type is supported")


@check
def report_none(rig: Rig) -> None:
    """hash_report is VIRTIO_NET_HASH_REPORT_NONE before a type is enabled, for what is no IP, and after all is off."""
    start(rig)
    every = [packet for version in (4, 6) for packet in packets(TCP, version)]
    for packet in every:
        expect_none(rig, f"{packet.what}, before any command", packet.frame)
    enable(rig, hashing.supported_types(rig))
    expect_none(rig, "ARP", NO_IP)
    enable(rig, 0)
    for packet in every:
        expect_none(rig, f"{packet.what}, hash_types 0", packet.frame)
