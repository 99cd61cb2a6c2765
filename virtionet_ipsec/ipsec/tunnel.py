"""The outer IP header of tunnel mode (RFC 4301 5.1.2), and UDP encapsulation (RFC 3948).

An :class:`OuterHeader` is made once per SA and holds all that does not change
from packet to packet.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from .ip import IPV4_DF, PROTO_UDP, ones_complement_sum, too_big
from .sa import SaParams, Tunnel, UdpEncap

_IPV4 = struct.Struct("!BBHHHHH8s")
_IPV6 = struct.Struct("!IHBB32s")
_UDP = struct.Struct("!HHHH")

NextId = Callable[[], int]


def outer_traffic_classes(params: SaParams, tunnel: Tunnel) -> bytes:
    """The outer TOS or Traffic Class octet for each of the 256 inner ones.

    DSCP is copied or set (RFC 4301 5.1.2.1 note 5); ECN is copied with the
    option (RFC 6040 4.1) and zero without (D23).
    """
    dscp_mask = 0xFC if params.copy_dscp else 0
    ecn_mask = 0x03 if params.ecn else 0
    base = 0 if params.copy_dscp else tunnel.dscp << 2
    return bytes(base | inner & (dscp_mask | ecn_mask) for inner in range(256))


class OuterHeader:
    """Builds the outer header in front of ``length`` octets of ESP or AH.

    ``protocol`` is the IP protocol behind it, 50 or 51; with ``udp`` it is
    UDP's.  ``build`` raises ``TOO_BIG`` for a packet of more than ``mtu`` octets.
    """

    __slots__ = (
        "_addresses",
        "_classes",
        "_copy_df",
        "_df",
        "_flow",
        "_mtu",
        "_next_id",
        "_protocol",
        "_sum",
        "_ttl",
        "build",
        "version",
    )

    def __init__(self, params: SaParams, tunnel: Tunnel, protocol: int, next_id: NextId, mtu: int) -> None:
        self._classes = outer_traffic_classes(params, tunnel)
        self._addresses = tunnel.src + tunnel.dst
        self._next_id = next_id
        self._mtu = mtu
        self._copy_df = params.copy_df
        self._df = IPV4_DF if tunnel.df else 0
        self._ttl = tunnel.ttl
        self._protocol = protocol
        self._flow = 6 << 28 | tunnel.flow_label
        # The part of the IPv4 checksum that is the same for every packet.
        self._sum = ones_complement_sum(self._addresses) + 0x4500 + (tunnel.ttl << 8 | protocol)
        self.version = 4 if len(tunnel.src) == 4 else 6
        self.build = self._ipv4 if self.version == 4 else self._ipv6

    def _ipv4(self, inner: bytes, inner_class: int, length: int) -> bytes:
        total = length + 20
        if total > self._mtu:
            raise too_big(total, self._mtu)
        tos = self._classes[inner_class]
        ident = self._next_id() & 0xFFFF
        if not self._copy_df:
            fragment = self._df
        elif inner[0] >> 4 == 4:
            fragment = (inner[6] & 0x40) << 8
        else:
            fragment = IPV4_DF  # IPv6 routers never fragment: its packets all have DF, so to speak
        total_sum = self._sum + tos + total + ident + fragment
        total_sum = (total_sum & 0xFFFF) + (total_sum >> 16)
        total_sum = (total_sum & 0xFFFF) + (total_sum >> 16)
        return _IPV4.pack(
            0x45, tos, total, ident, fragment, self._ttl << 8 | self._protocol, total_sum ^ 0xFFFF, self._addresses
        )

    def _ipv6(self, inner: bytes, inner_class: int, length: int) -> bytes:
        if length + 40 > self._mtu:
            raise too_big(length + 40, self._mtu)
        first = self._flow | self._classes[inner_class] << 20
        return _IPV6.pack(first, length, self._protocol, self._ttl, self._addresses)


def udp_header(udp: UdpEncap, length: int) -> bytes:
    """The UDP header in front of ``length`` octets of ESP, checksum zero (RFC 3948 2.1)."""
    return _UDP.pack(udp.sport, udp.dport, length + 8, 0)


def udp_checksum(source_and_destination: bytes, datagram: bytes) -> bytes:
    """``datagram`` with its checksum over IPv6 filled in: zero is not allowed there (RFC 8200 8.1)."""
    pseudo = source_and_destination + struct.pack("!II", len(datagram), PROTO_UDP)
    value = ones_complement_sum(pseudo + datagram) ^ 0xFFFF
    return datagram[:6] + struct.pack("!H", value or 0xFFFF) + datagram[8:]
