"""Any octets may come, from the driver and from the wire: nothing raises, and no setting changes."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtionet_ipsec.device import Received
from virtionet_ipsec.device.digest import digest
from virtionet_ipsec.driver.in_process import InProcess
from virtionet_ipsec.ipsec import Mode, Protocol, Reason, UdpEncap
from virtionet_ipsec.replay.story import Story
from virtionet_ipsec.wire import Action, Profile

from .rig import KEY, PROFILES, framed, inbound, ip, outbound, protocol_rule, rig

FRAME = framed(ip(payload=b"hello"))
AH = {"protocol": Protocol.AH, "auth": "hmac-sha256", "auth_key": bytes(32)}
CBC = {"cipher": "aes-cbc", "cipher_key": KEY, "auth": "hmac-sha1", "auth_key": bytes(20)}

SAS: list[dict[str, Any]] = [
    {"spi": 0x1000},
    {"spi": 0x1001, "mode": Mode.TRANSPORT},
    {"spi": 0x1002, **AH},
    {"spi": 0x1003, "mode": Mode.TRANSPORT, **AH},
    {"spi": 0x1004, "udp": UdpEncap(4500, 4500)},
    {"spi": 0x1005, "esn": True, **CBC},
]


def control_plane(driver: InProcess) -> bytes:
    """What commands have set, without what packets may count: a digest of it."""
    device = driver.device
    parts = [
        device.status,
        device.negotiated,
        device.features,
        device.config,
        device._admin.in_use,
        device._capabilities.driver_values(),
        [(number, sa.params) for table in (device.outbound, device.inbound) for number, sa in sorted(table.items())],
        sorted((spi, number) for spi, (number, _) in device.inbound_by_spi.items()),
        sorted(device.flow_table.rules.items()),
        sorted(device.flow_table.groups.items()),
        device.model_extras,
        device.receive_buffer_size,
    ]
    return digest(parts, device._objects.stored())


class Target:
    """A device with something of everything."""

    def __init__(self, profile: Profile, recirculate: bool) -> None:
        self.driver = rig(profile, steer=False, queue_pairs=2)
        self.driver.steer_ipsec(recirculate=recirculate)
        for fields in SAS:
            outbound(self.driver, **fields), inbound(self.driver, **fields)
        group = self.driver.create_group(0)
        protocol_rule(self.driver, group, 1, 17, Action.DIRECT_RX_VQ, 2)
        protocol_rule(self.driver, group, 0, 1, Action.DROP)
        self.driver.device.receive_buffer_size = 200
        self.driver.device.observer = Story(self.driver)  # whatever happens can be told
        self.settings = control_plane(self.driver)
        self.wires = [self.driver.send(FRAME, number)[0] for number in range(1, len(SAS) + 1)]

    def transmits(self, buffer: bytes) -> None:
        device = self.driver.device
        before = device.counters.tx_sent + device.counters.tx_dropped.total()
        sent = device.transmit(buffer)
        assert all(type(frame) is bytes and len(frame) >= 14 for frame in sent)
        assert (device.transmit_refused is None) == (len(sent) == 1)
        assert device.counters.tx_sent + device.counters.tx_dropped.total() == before + 1
        assert control_plane(self.driver) == self.settings

    def receives(self, frame: bytes) -> Received | None:
        device = self.driver.device
        counters = device.counters
        before = counters.rx_delivered + counters.rx_dropped.total()
        got = device.receive(frame)
        assert counters.rx_delivered + counters.rx_dropped.total() == before + 1
        if got is not None:
            layout = self.driver.layout
            hdr = layout.parse(got.buffers[0])
            known = layout.security | layout.security_err | layout.soft_expiry_warn
            assert not hdr.flags & ~known and (hdr.flags & layout.security or not hdr.flags)
            assert hdr.num_buffers == len(got.buffers) and got.queue in (0, 1)
            assert (hdr.resource_type == 0x0204) == (hdr.resource_id != 0) and (hdr.flags or not hdr.resource_id)
            body = b"".join(got.buffers)[layout.size :]
            if hdr.flags & layout.security_err:
                assert body == frame and device.receive_refused is not None
            elif not hdr.flags:
                assert body == frame and device.receive_refused is None
        else:
            assert device.receive_refused is not None
        assert control_plane(self.driver) == self.settings
        return got


@pytest.fixture(scope="module", params=[(p, r) for p in PROFILES for r in (False, True)], ids=str)
def target(request: pytest.FixtureRequest) -> Target:
    return Target(*request.param)


@settings(max_examples=150, deadline=None)
@given(octets=st.binary(max_size=200))
def test_arbitrary_octets(target: Target, octets: bytes) -> None:
    target.transmits(octets)
    target.receives(octets)


ethertypes = st.sampled_from([b"\x08\x00", b"\x86\xdd", b"\x81\x00\0\1\x08\x00", b"\x88\xa8\0\1\x81\0\0\1\x86\xdd"])
starts = st.sampled_from([b"\x45", b"\x4f", b"\x46", b"\x44", b"\x60", b"\x65", b"\x50", b""])


@settings(max_examples=300, deadline=None)
@given(
    flags=st.integers(0, 255),
    csum=st.tuples(st.integers(0, 80), st.integers(0, 80)),
    number=st.integers(0, len(SAS) + 1),
    ethertype=ethertypes,
    start=starts,
    rest=st.binary(max_size=120),
)
def test_nearly_right_buffers(
    target: Target, flags: int, csum: tuple[int, int], number: int, ethertype: bytes, start: bytes, rest: bytes
) -> None:
    size = target.driver.layout.size
    header = bytes((flags, 0)) + bytes(4) + struct.pack("<HH", *csum)
    header = header.ljust(size - 6, b"\0") + struct.pack("<IH", number, 0)
    target.transmits(header + bytes(12) + ethertype + start + rest)


@settings(max_examples=300, deadline=None)
@given(
    ethertype=ethertypes,
    version=st.sampled_from([4, 6]),
    protocol=st.sampled_from([50, 51, 17, 0, 44, 60, 1]),
    spi=st.integers(0x0FFF, 0x1006),
    rest=st.binary(max_size=120),
    data=st.data(),
)
def test_nearly_right_frames(
    target: Target, ethertype: bytes, version: int, protocol: int, spi: int, rest: bytes, data: st.DataObject
) -> None:
    payload = struct.pack("!I", spi) + rest
    if protocol == 51:
        payload = bytes((data.draw(st.integers(0, 255)), data.draw(st.integers(0, 12)), 0, 0)) + payload
    elif protocol == 17:
        payload = struct.pack("!HHHH", 4500, 4500, data.draw(st.integers(0, 8 + len(payload))), 0) + payload
    if version == 4:
        length = data.draw(st.integers(0, 24 + len(payload)))
        fragment = data.draw(st.sampled_from([0, 0, 0, 0x4000, 0x2000, 1]))
        packet = struct.pack("!BBHHHBBH8s", 0x45, 0, length, 0, fragment, 64, protocol, 0, bytes(8)) + payload
    else:
        length = data.draw(st.integers(0, 4 + len(payload)))
        packet = struct.pack("!IHBB32s", 6 << 28, length, protocol, 64, bytes(32)) + payload
    target.receives(bytes(12) + ethertype + packet)


@settings(max_examples=300, deadline=None)
@given(
    number=st.integers(0, len(SAS) - 1),
    cut=st.integers(0, 200),
    changes=st.lists(st.tuples(st.integers(0, 199), st.integers(1, 255)), max_size=4),
    tail=st.binary(max_size=10),
)
def test_damaged_wires(target: Target, number: int, cut: int, changes: list[tuple[int, int]], tail: bytes) -> None:
    """Good packets, changed in a few places, cut, or with something behind them."""
    wire = bytearray(target.wires[number])
    for at, change in changes:
        wire[at % len(wire)] ^= change
    target.receives(bytes(wire[: cut or None]) + tail)


def test_every_octet_of_every_wire_changed(target: Target) -> None:
    """Whatever octet is changed: a packet that is delivered as processed is the one that was sent."""
    allowed = (None, Reason.RULE_DROP)
    for wire in target.wires:
        for at in range(12, len(wire)):
            changed = wire[:at] + bytes((wire[at] ^ 0xFF,)) + wire[at + 1 :]
            got = target.receives(changed)
            layout = target.driver.layout
            if got is not None and got.buffers[0][0] & (layout.security | layout.security_err) == layout.security:
                body = b"".join(got.buffers)[layout.size :]
                inner = body[14:]
                assert inner[20:] == FRAME[34:], at  # what is inside is authentic
                assert target.driver.device.receive_refused in allowed
