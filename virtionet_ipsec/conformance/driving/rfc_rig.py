"""What the checks of the 2025 RFC have in common: a device in that profile, its SAs, packets through them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

from ...driver.packet import RxPacket
from ...ipsec import Direction, Mode, Protocol, SaParams
from ...wire.enums import Feature
from ..verdict import NotApplicable
from . import associations, frames, rfc_v1
from .associations import OUTBOUND, SPI
from .on_the_wire import spi_of
from .rfc_v1 import created
from .rig import Rig
from .sa_objects import MODES, any_sa, mode_caps

FRAME, FRAME6 = frames.udp4_frame(), frames.udp6_frame()


def start(rig: Rig) -> None:
    """Up to rules that steer ESP, AH and UDP port 4500 into IPsec processing, with room for two SAs of either type."""
    rfc_v1.only(rig)
    associations.start(rig)
    device_limits(rig)


def bare(rig: Rig) -> None:
    """Up to where capabilities can be read and set, none of which is."""
    rfc_v1.only(rig)
    rig.needs(Feature.IPSEC, Feature.ADMIN_VQ)
    rig.negotiate()
    rig.driver.set_up_commands()


def sent_and_opened(rig: Rig, params: SaParams, frame: bytes = FRAME, resource_id: int = 1) -> bytes:
    """The frame on the wire after the device protected ``frame``; the far end has to open it and find the packet."""
    wire = associations.send(rig, resource_id, frame)
    rig.equal("the packet that the far end finds", frame[14:], associations.inside(associations.receiver(params), wire))
    return wire


def device_sends(rig: Rig, params: SaParams, frame: bytes = FRAME, resource_id: int = 1) -> bytes:
    """As :func:`sent_and_opened`, but all that the frame on the wire needs is the SPI of the SA."""
    wire = associations.send(rig, resource_id, frame)
    rig.equal("SPI of the frame on the wire", params.spi, spi_of(wire))
    return wire


def arrived(rig: Rig, params: SaParams, frame: bytes = FRAME, **changes: Any) -> RxPacket:
    """What the driver gets of ``frame`` from the far end, which has to be the plain packet."""
    packet = rig.delivered(associations.protected(associations.sender(params, **changes), frame))
    rig.equal("the packet that the driver gets", frame[14:], packet.frame[14:])
    return packet


def not_plain(rig: Rig, wire: bytes, what: str, frame: bytes = FRAME) -> RxPacket | None:
    """What the driver gets of ``wire``, which must not be the plain packet."""
    got = rig.receive(wire)
    rig.expect(got is None or got.frame[14:] != frame[14:], what, "not handed up as a plain packet", "the plain packet")
    return got


def device_limits(rig: Rig) -> tuple[int, int]:
    """inb_sa_limit and outb_sa_limit of the device, which have to leave room for two."""
    data = rig.ok(rfc_v1.cap_get(rig, rfc_v1.RESOURCE_CAP), "CAP_GET of 0x803")
    rig.expect(len(data) >= rfc_v1.LIMITS.size, "octets of 0x803", "8", str(len(data)))
    inbound, outbound = rfc_v1.LIMITS.unpack_from(data)
    if min(inbound, outbound) < 2:
        raise NotApplicable("the device does not have room for two SAs of either type")
    return inbound, outbound


def last_id(rig: Rig, wanted: int) -> int:
    return min(wanted, *(limit - 1 for limit in device_limits(rig)))


def set_limits(rig: Rig, inbound: int, outbound: int) -> None:
    """A device whose driver set these limits, and every SA that the device can do."""
    bare(rig)
    device_limits(rig)
    rig.ok(rfc_v1.cap_set(rig, rfc_v1.RESOURCE_CAP, rfc_v1.LIMITS.pack(inbound, outbound)), "CAP_SET of 0x803")
    modes = rig.ok(rfc_v1.cap_get(rig, rfc_v1.SA_CAP), "CAP_GET of 0x804")
    rig.ok(rfc_v1.cap_set(rig, rfc_v1.SA_CAP, modes), "CAP_SET of 0x804")


def mode_entries(rig: Rig) -> list[bytes]:
    """The entries of 0x804, each as long as the count says."""
    data = rig.ok(rfc_v1.cap_get(rig, rfc_v1.SA_CAP), "CAP_GET of 0x804")
    count, rest = data[0] if data else 0, len(data) - 8
    rig.expect(count > 0 and rest > 0, "0x804", "a count, 7 octets, entries", f"count {count}, {len(data)} octets")
    rig.equal(f"octets behind the first 8 of 0x804, modulo their count {count}", 0, rest % count)
    return [data[start : start + rest // count] for start in range(8, len(data), rest // count)]


def aead_and_cipher(rig: Rig, direction: Direction, **parameters: Any) -> Iterator[SaParams]:
    """An SA with an AEAD and one with cipher and MAC, as far as the device has them; tunnel mode where it can be."""
    for mode in (Mode.TUNNEL, Mode.TRANSPORT):
        with suppress(NotApplicable):
            choices = associations.algorithms(rig, Protocol.ESP, mode)
            for has in ("aead", "cipher"):
                for choice in [each for each in choices if has in each][:1]:
                    yield associations.sa(rig, direction, mode=mode, **choice, **parameters)
            return
    raise NotApplicable("the device has no ESP")


def every_mode(rig: Rig, direction: Direction, **parameters: Any) -> Iterator[SaParams]:
    """An SA for every mode that the device has, with another SPI each."""
    for at, cap in enumerate(mode_caps(rig)):
        protocol, mode = MODES[cap.mode]
        yield associations.sa(rig, direction, protocol=protocol, mode=mode, spi=SPI + at, **parameters)


def several(rig: Rig, direction: Direction) -> dict[int, SaParams]:
    """Some SAs by id, each with an SPI and keys of its own."""
    params = any_sa(rig, direction)
    ids = [number for number in (5, 1, 3, 0) if number <= last_id(rig, 5)]
    found = {}
    for at, number in enumerate(ids):
        keys = {name: bytes((at + 1,)) * len(getattr(params, name)) for name in ("cipher_key", "auth_key")}
        found[number] = created(rig, replace(params, spi=SPI + at, **keys), number)  # type: ignore[arg-type]
    return found


def with_longest_keys(params: SaParams, most_cipher: int, most_auth: int) -> SaParams:
    keys = {}
    for field, algorithm, most in (
        ("cipher_key", params.encryption, most_cipher),
        ("auth_key", params.integrity, most_auth),
    ):
        if algorithm is not None:
            keys[field] = bytes(range(max(each for each in algorithm.key_lengths if each <= most)))
    return replace(params, **keys)  # type: ignore[arg-type]


def header_size(rig: Rig) -> int:
    """The length of virtio_net_hdr with the negotiated features (D21)."""
    size = rfc_v1.BASE_HEADER
    if rig.layout.features >> Feature.HASH_REPORT & 1:
        size += rfc_v1.HASH_FIELDS
    if rig.layout.features >> Feature.IPSEC & 1:
        size += rfc_v1.RESOURCE_HDR.size
    return size


def expect_header_size(rig: Rig, size: int) -> None:
    """Either way the frame follows after ``size`` octets."""
    rig.equal(f"the frame behind {size} octets, transmitted", FRAME, rig.sent(bytes(size) + FRAME))
    got = rig.port.receive(FRAME)
    octets = b"".join(got.buffers) if got is not None else b""
    rig.equal(f"the frame behind {size} octets, received", FRAME, octets[size:])


def not_plain_nor_trusted(rig: Rig, wire: bytes, what: str, frame: bytes = FRAME) -> None:
    """The driver gets no plain packet, and nothing with SECURITY and without SECURITY_ERR, whatever is in it."""
    got = not_plain(rig, wire, what, frame)
    good = got is not None and set(got.flag_names) & {"SECURITY", "SECURITY_ERR"} == {"SECURITY"}
    rig.expect(not good, what, "not passed as good", "SECURITY without SECURITY_ERR")


def flag_names(packet: RxPacket) -> str:
    return "|".join(packet.flag_names) or "none"


def through_tunnel(rig: Rig, resource_id: int, frame: bytes, **parameters: Any) -> bytes:
    """The outer header, and all that follows, of ``frame`` through a new tunnel mode SA of these parameters."""
    params = created(rig, associations.sa(rig, OUTBOUND, spi=SPI + resource_id, **parameters), resource_id)
    return device_sends(rig, params, frame, resource_id)[14:]
