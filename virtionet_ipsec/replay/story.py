"""Events as sentences: what ``explain`` and failing tests print of a packet's way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..device import events as control
from ..device import packet_events as packets
from ..driver.driver import Driver
from ..ipsec import Event
from ..ipsec import events as engine
from ..wire.enums import Action, AdminStatus, HashReport, Opcode, Qualifier, ResourceType
from ..wire.net_hdr import HdrLayout

_ECN = ("Not-ECT", "ECT(1)", "ECT(0)", "CE")


def _action(number: int) -> str:
    return Action(number).name


def _pass(again: bool) -> str:
    return "second pass (recirculated): " if again else ""


def _window(event: engine.WindowChecked) -> str:
    if not event.size:
        return f"sequence number {event.seq}: this SA has no anti-replay window"
    if event.seq > event.top:
        return f"sequence number {event.seq} is new: the window of {event.size} ends at {event.top}"
    bottom = max(event.top - event.size + 1, 1)
    return f"sequence number {event.seq} has not been seen: the window of {event.size} is {bottom} to {event.top}"


def _ecn(event: engine.EcnCombined) -> str:
    text = f"ECN: inner {_ECN[event.inner]}, outer {_ECN[event.outer]}, forwarded as {_ECN[event.result]}"
    return text + (" (unexpected combination, RFC 6040 4.2)" if event.unexpected else "")


_SENTENCES: dict[type[Event], Callable[[Any], str]] = {
    packets.FrameArrived: lambda e: f"a frame of {e.length} octets arrives from the wire",
    packets.RuleMatched: lambda e: f"{_pass(e.again)}flow filter rule {e.resource_id} matches: {_action(e.action)}",
    packets.NoRuleMatched: lambda e: f"{_pass(e.again)}no flow filter rule matches: steering decides",
    packets.SecondIpsecActionSkipped: lambda e: (
        f"second pass (recirculated): rule {e.resource_id} asks for IPsec again, which is done only once"
    ),
    packets.NotProcessed: lambda e: f"nothing for IPsec to process: {e.detail}",
    packets.SaSelected: lambda e: f"SA found: {ResourceType(e.resource_type).name} {e.resource_id}, SPI {e.spi:#010x}",
    packets.Steered: lambda e: (
        f"for receiveq{e.queue + 1}"
        + (f", hash {e.hash_value:#010x} ({_named(HashReport, e.hash_report)})" if e.hash_report else ", no hash")
    ),
    packets.IpsecFailed: lambda e: f"IPsec processing fails: {e.reason.value}: {e.detail}",
    packets.Dropped: lambda e: f"dropped: {e.reason.value}: {e.detail}",
    packets.Sent: lambda e: (
        f"a frame of {e.length} octets goes on the wire, {'protected' if e.protected else 'in the clear'}"
    ),
    packets.ChecksumFilled: lambda e: (
        f"checksum {e.checksum:#06x} put at csum_start {e.csum_start} + csum_offset {e.csum_offset}"
    ),
    packets.Segmented: lambda e: f"cut into {e.count} segment(s) of at most {e.gso_size} octets behind their headers",
    engine.WindowChecked: _window,
    engine.Verified: lambda e: f"ICV good ({e.algorithm}), {e.length} octets come out",
    engine.TrailerRead: lambda e: f"ESP trailer: {e.pad_length} octets of padding, next header {e.next_header}",
    engine.HeadersRemoved: lambda e: f"{e.mode} mode headers removed: a plain IP packet of {e.length} octets",
    engine.EcnCombined: _ecn,
    engine.SoftLifetimeReached: lambda e: f"soft lifetime reached: {e.packets} packets, {e.bytes} bytes",
    engine.Protected: lambda e: (
        f"{e.protocol} {e.mode} mode with {e.algorithm}: sequence number {e.seq}, an IP packet of {e.length} octets"
    ),
    control.AdminCompleted: lambda e: (
        f"command {_named(Opcode, e.opcode)}: {_named(AdminStatus, e.status)}/{_named(Qualifier, e.qualifier)}"
        + (f": {e.why}" if e.why else "")
    ),
}


def _named(enum: Any, value: int) -> str:
    try:
        return str(enum(value).name)
    except ValueError:
        return hex(value)


def decoded_header(layout: HdrLayout, header: bytes) -> str:
    """virtio_net_hdr: its octets in hex, and the fields that are not zero."""
    fields = layout.parse(header)
    shown = [f"flags={'|'.join(layout.flag_names(fields.flags)) or 'none'}"]
    for name in layout.fields:
        value = getattr(fields, name)
        if name == "resource_type" and value:
            shown.append(f"resource_type={value:#06x} ({_named(ResourceType, value)})")
        elif name != "flags" and value:
            shown.append(f"{name}={value}")
    return f"virtio_net_hdr, {len(header)} octets: {header.hex(' ')}\n    {' '.join(shown)}"


class Story:
    """Collects events as sentences; an observer of the device of ``driver``."""

    def __init__(self, driver: Driver) -> None:
        self._layout = driver.layout
        self.lines: list[str] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, packets.HeaderRead):
            self.lines.append(f"transmitq{event.queue + 1}: {decoded_header(self._layout, event.header)}")
        elif isinstance(event, packets.Delivered):
            self.lines.append(
                f"delivered to receiveq{event.queue + 1} in {event.num_buffers} buffer(s), "
                f"frame of {event.length} octets"
            )
            self.lines.append(decoded_header(self._layout, event.header))
        else:
            sentence = _SENTENCES.get(type(event))
            self.lines.append(sentence(event) if sentence is not None else str(event))
