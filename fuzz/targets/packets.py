"""Transmit buffers with any header, and frames of any making, on a device with SAs, rules and policies set up.

A buffer is sent or counted as dropped, a frame is delivered or counted as
dropped; what leaves is no longer than the MTU allows; what is delivered has a
header that says the truth about it; and no setting changes.
"""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import fields
from functools import cache

from tests.packets import rig as driver
from virtionet_ipsec.device.digest import digest
from virtionet_ipsec.device.negotiation import default_features
from virtionet_ipsec.driver.in_process import InProcess
from virtionet_ipsec.ipsec import InboundSa, Mode, OutboundSa, Protocol, UdpEncap
from virtionet_ipsec.wire import Action, Feature, Profile

from ..octets import Octets

PROFILES = (Profile.VIRTIO_1_4, Profile.RFC_V1)
AH = {"protocol": Protocol.AH, "auth": "hmac-sha256", "auth_key": bytes(32)}
CBC = {"cipher": "aes-cbc", "cipher_key": driver.KEY, "auth": "hmac-sha1", "auth_key": bytes(20)}
SAS = (
    {"spi": 0x1000},
    {"spi": 0x1001, "mode": Mode.TRANSPORT},
    {"spi": 0x1002, **AH},
    {"spi": 0x1003, "mode": Mode.TRANSPORT, **AH},
    {"spi": 0x1004, **CBC},
    {"spi": 0x1005, "udp": UdpEncap(4500, 4500)},
    {"spi": 0x1006, "tunnel": driver.V6},
    {"spi": 0x1007, "mode": Mode.TRANSPORT, **CBC},
)
MTU = 1500

TCP = struct.pack("!HHIIBBHHH", 1000, 80, 1, 2, 0x50, 0x18, 1000, 0, 0)
PLAIN = tuple(
    driver.framed(each, tags)
    for tags in (0, 1)
    for each in (
        bytes(driver.ip(4, b"hello")),
        bytes(driver.ip(6, b"hello")),
        bytes.fromhex("45000428 00014000 4006 0000 c6336401 cb007101") + TCP + bytes(1024),
        bytes.fromhex("60000000 0414 0640 20010db8000100000000000000000001 20010db8000200000000000000000001")
        + TCP
        + bytes(1024),
        driver.sized(4, 1400),
        driver.sized(6, 1400),
    )
)


@cache
def driven(profile: Profile, recirculate: bool, mergeable: bool) -> InProcess:
    """A driver that has set all up; what packets change of its device is made anew for each input."""
    accepted = default_features(profile) & ~(0 if mergeable else 1 << Feature.MRG_RXBUF)
    made = InProcess(profile, accepted, mtu=MTU, queue_pairs=2, randbytes=bytes)
    made.start()
    made.steer_ipsec(recirculate=recirculate)
    for sa in SAS:
        driver.outbound(made, **sa)
        driver.inbound(made, **sa)
    group = made.create_group(0)
    driver.protocol_rule(made, group, 1, 17, Action.DIRECT_RX_VQ, 0)
    driver.protocol_rule(made, group, 0, 1, Action.DROP)
    return made


class Session:
    """The device as it is before the first packet."""

    def __init__(self, octets: Octets) -> None:
        chosen = octets.number()
        self.driver = driven(PROFILES[chosen & 1], bool(chosen & 2), bool(chosen & 4))
        device = self.device = self.driver.device
        self.wires: list[bytes] = []
        for each in fields(device.counters):
            value = getattr(device.counters, each.name)
            if isinstance(value, Counter):
                value.clear()
            else:
                setattr(device.counters, each.name, 0)
        for number, outbound in device.outbound.items():
            identification = iter(range(1 << 16, 1 << 20)).__next__
            made = OutboundSa(outbound.params, randbytes=bytes, next_id=identification, mtu=MTU)
            device.outbound[number] = made
        for number, inbound in device.inbound.items():
            device.inbound[number] = InboundSa(inbound.params)
            device.inbound_by_spi[inbound.params.spi] = (number, device.inbound[number])
        device.receive_buffer_size = octets.pick((1 << 17, 200, 64, 34, 1))
        self.settings = self.control_plane()

    def control_plane(self) -> bytes:
        device = self.device
        sas = [each.params for each in (*device.outbound.values(), *device.inbound.values())]
        flows = device.flow_table
        return digest([device.status, device.negotiated, sas, device.config, flows.groups, flows.rules], [])

    def transmit(self, buffer: bytes) -> None:
        device = self.device
        sent, dropped = device.counters.tx_sent, device.counters.tx_dropped.total()
        frames = device.transmit(buffer, len(buffer) % 2)
        assert all(type(frame) is bytes and len(frame) >= 14 for frame in frames)
        assert bool(frames) == (device.transmit_refused is None)
        assert device.counters.tx_sent + device.counters.tx_dropped.total() > sent + dropped
        for frame in frames:
            assert len(frame) <= MTU + 14 + 8, "a frame is longer than the MTU allows"
        self.wires = [*self.wires, *frames][-8:]

    def receive(self, frame: bytes) -> None:
        device, layout = self.device, self.driver.layout
        before = device.counters.rx_delivered + device.counters.rx_dropped.total()
        got = device.receive(frame)
        assert device.counters.rx_delivered + device.counters.rx_dropped.total() == before + 1
        if got is None:
            assert device.receive_refused is not None
            return
        octets = b"".join(got.buffers)
        header, body = layout.parse(octets), octets[layout.size :]
        assert not header.flags & ~(layout.security | layout.security_err | layout.soft_expiry_warn)
        assert header.num_buffers == len(got.buffers)
        assert (header.resource_type == 0x0204) == (header.resource_id != 0)
        assert got.queue in (0, 1)
        if not header.flags or header.flags & layout.security_err:
            assert body == frame
        if header.flags & layout.security_err:
            assert device.receive_refused is not None


def _changed(frame: bytes, octets: Octets) -> bytes:
    """``frame``, a few octets changed, cut, continued."""
    data = bytearray(frame)
    for _ in range(octets.number() % 4):
        data[octets.number(2) % len(data)] = octets.number()
    end = octets.number()
    if end & 1:
        del data[octets.number(2) % len(data) :]
    if end & 2:
        data += octets.take(octets.number() % 64)
    return bytes(data)


def _header(session: Session, octets: Octets) -> bytes:
    flags, kind = octets.number(), octets.pick((0, 0, 1, 4, 5, 0x81, 3, 0x21, octets.number()))
    start, offset = octets.pick((34, 54, 38, 58, octets.number(2))), octets.pick((16, 6, octets.number(2)))
    size = octets.pick((100, 1, 0, 8, 1000, 0xFFFF, octets.number(2)))
    header = struct.pack("<BBHHHHH", flags, kind, octets.number(), size, start, offset, 0)
    layout = session.driver.layout
    middle = octets.take(octets.number() % 16)
    return (header + middle).ljust(layout.size - 6, b"\0")[: layout.size - 6] + struct.pack(
        "<IH", octets.number() % (len(SAS) + 2), octets.pick((0x203, 0))
    )


def _send(session: Session, octets: Octets) -> None:
    """A buffer with any header."""
    session.transmit(_header(session, octets) + _changed(octets.pick(PLAIN), octets))


def _protect(session: Session, octets: Octets) -> None:
    """A good packet under an SA, whole or to be segmented, so that there is something to receive."""
    layout = session.driver.layout
    number, frame = 1 + octets.number() % len(SAS), octets.pick(PLAIN)
    header = bytearray(layout.size)
    header[0] = layout.security
    tags = (len(PLAIN) // 2 <= PLAIN.index(frame)) * 4
    gso = {2: (1, 34 + tags), 3: (4, 54 + tags)}.get(PLAIN.index(frame) % 6)
    if gso and octets.number() & 1:
        header[0] |= 1
        header[1] = gso[0]
        struct.pack_into("<HHHH", header, 2, gso[1] + 20, octets.pick((100, 500, 1)), gso[1], 16)
    struct.pack_into("<IH", header, layout.resource_offset or 0, number, 0x203)
    session.transmit(bytes(header) + frame)


def _loop(session: Session, octets: Octets) -> None:
    """What was sent comes back, changed or not."""
    if session.wires:
        session.receive(_changed(octets.pick(session.wires), octets))


def _arrive(session: Session, octets: Octets) -> None:
    session.receive(_changed(octets.pick(PLAIN), octets))


def _raw(session: Session, octets: Octets) -> None:
    data = octets.take(octets.number())
    session.transmit(data)
    session.receive(data)


ACTS = (_protect, _loop, _send, _arrive, _raw)
MOST_ACTS = 30


def run(data: bytes) -> None:
    """Raises what is wrong."""
    octets = Octets(data)
    session = Session(octets)
    for _ in range(MOST_ACTS):
        if not octets:
            break
        octets.pick(ACTS)(session, octets)
    assert session.control_plane() == session.settings, "packets changed a setting"


def seeds() -> list[bytes]:
    """Each SA with each packet there and back, in each profile; every kind of segmentation."""
    found = []
    for chosen in range(8):
        for first in range(0, len(PLAIN), 4):
            traffic = b"".join(
                bytes((0, sa, number, 1, 0, 1, number, 0, 0)) for number in range(first, first + 4) for sa in range(8)
            )
            found += [bytes((chosen, first % 3)) + traffic[at : at + 72] for at in range(0, len(traffic), 144)]
    return found
