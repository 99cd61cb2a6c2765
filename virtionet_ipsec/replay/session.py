"""A driver, its SAs and its flow rules: what a replay sends packets through.

The session uses the device as a driver does: SAs are made with administration
commands, ESP, AH and UDP-encapsulated ESP are steered with flow filter rules,
and packets go through transmit and receive buffers.
"""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from ..device import Device
from ..device.ethernet import ETHERTYPE, ip_offset
from ..device.exchanges import Listener
from ..driver.in_process import InProcess
from ..ipsec import Direction, Refused
from ..ipsec.ip import PROTO_AH, PROTO_ESP, PROTO_UDP
from ..policy import Choice, create, flow_of, udp_ports
from ..safile import SaEntry
from ..wire.profile import Profile
from .linktypes import ETHERNET

_RESOURCE = struct.Struct("<IH").unpack_from
_NO_MACS = bytes(12)


@dataclass(frozen=True, slots=True)
class Options:
    """How to replay: ``direction`` is ``auto``, ``inbound`` or ``outbound``; ``seed`` makes runs repeat."""

    direction: Literal["auto", "inbound", "outbound"] = "auto"
    profile: Profile = Profile.VIRTIO_1_4
    seed: int | None = None
    mtu: int = 65535


class Outcome(NamedTuple):
    """What became of one packet.

    ``verdict`` is ``delivered``, ``sent`` or ``dropped``; ``data`` is what the
    driver got or the wire got, in the capture's own framing, empty when
    dropped.  ``flags``, ``resource_id`` and ``resource_type`` are those of the
    virtio_net_hdr that crossed the boundary: received inbound, sent outbound.
    """

    direction: str
    verdict: str
    data: bytes
    flags: int
    resource_id: int
    resource_type: int
    refused: Refused | None


class Session:
    """Sets up device and driver with ``entries``.

    ``watch`` is given the device before anything is done to it, and gives who
    is told of every exchange.  Raises :class:`SaFileError` for an SA that the
    device does not take.
    """

    def __init__(
        self,
        entries: Sequence[SaEntry],
        options: Options = Options(),
        watch: Callable[[Device], Listener] | None = None,
    ) -> None:
        self.options = options
        randbytes = os.urandom if options.seed is None else random.Random(options.seed).randbytes
        self.driver = InProcess(options.profile, watch=watch, mtu=options.mtu, randbytes=randbytes)
        self.driver.start()
        self.entries = [entry for entry in entries if self._wanted(entry)]
        for entry in self.entries:
            create(self.driver, entry)
        outbound = [entry for entry in self.entries if entry.params.direction is Direction.OUTBOUND]
        inbound = [entry for entry in self.entries if entry.params.direction is Direction.INBOUND]
        self._udp_ports = udp_ports(inbound)
        self.driver.steer_ipsec(tuple(sorted(self._udp_ports)))
        self._choose = Choice(outbound)
        self._headers = {None: self.driver.header()} | {entry.id: self.driver.header(entry.id) for entry in outbound}
        layout = self.driver.layout
        self._size, self._resource_offset = layout.size, layout.resource_offset or 0
        self.process: Callable[[bytes, int], Outcome] = self._strategy(bool(inbound), bool(outbound))

    def _wanted(self, entry: SaEntry) -> bool:
        return self.options.direction in ("auto", entry.params.direction.value)

    def _strategy(self, inbound: bool, outbound: bool) -> Callable[[bytes, int], Outcome]:
        """Which way packets go: told, or by what there are SAs for, or packet by packet."""
        told = self.options.direction
        if told == "inbound" or (told == "auto" and not outbound):
            return self.inbound
        if told == "outbound" or not inbound:
            return self.outbound
        return self._by_packet

    def _by_packet(self, data: bytes, linktype: int) -> Outcome:
        """IPsec packets arrive; of the others, those that an outbound SA's ``select`` names leave."""
        packet = data if linktype != ETHERNET else data[offset:] if (offset := ip_offset(data)) else b""
        if self._is_ipsec(packet) or self._choose(packet) is None:
            return self.inbound(data, linktype)
        return self.outbound(data, linktype)

    def _is_ipsec(self, packet: bytes) -> bool:
        flow = flow_of(packet)
        return flow is not None and (
            flow[2] in (PROTO_ESP, PROTO_AH) or (flow[2] == PROTO_UDP and flow[4] in self._udp_ports)
        )

    def inbound(self, data: bytes, linktype: int) -> Outcome:
        """Let a captured packet arrive from the wire."""
        device = self.driver.device
        frame = data if linktype == ETHERNET else _framed(data)
        got = device.receive(frame)
        refused = device.receive_refused
        if got is None:
            return Outcome("inbound", "dropped", b"", 0, 0, 0, refused)
        buffer = got.buffers[0]  # the model's receive buffers hold any packet whole
        resource_id, resource_type = _RESOURCE(buffer, self._resource_offset)
        start = self._size if linktype == ETHERNET else self._size + 14
        return Outcome("inbound", "delivered", buffer[start:], buffer[0], resource_id, resource_type, refused)

    def outbound(self, data: bytes, linktype: int) -> Outcome:
        """Let the driver send a captured packet."""
        if linktype == ETHERNET:
            frame, offset = data, ip_offset(data)
        else:
            frame, offset = _framed(data), 14
        header = self._headers[self._choose(frame[offset:]) if offset else None]
        device = self.driver.device
        sent = device.transmit(header + frame)
        resource_id, resource_type = _RESOURCE(header, self._resource_offset)
        if not sent:
            return Outcome("outbound", "dropped", b"", header[0], resource_id, resource_type, device.transmit_refused)
        out = sent[0] if linktype == ETHERNET else sent[0][14:]
        return Outcome("outbound", "sent", out, header[0], resource_id, resource_type, None)


def _framed(packet: bytes) -> bytes:
    """A bare IP packet in an Ethernet frame without addresses."""
    return _NO_MACS + ETHERTYPE.get(packet[0] >> 4 if packet else 4, b"\x08\x00") + packet
