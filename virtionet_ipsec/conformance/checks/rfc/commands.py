"""Commands and capabilities of the RFC: numbers, layouts, limits."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from ....wire.enums import IpsecMode
from ...check import add, check
from ...driving import associations, rfc_v1
from ...driving.associations import INBOUND, OUTBOUND, SPI
from ...driving.on_the_wire import spi_of
from ...driving.rfc_rig import (
    FRAME,
    FRAME6,
    arrived,
    bare,
    device_limits,
    device_sends,
    last_id,
    mode_entries,
    not_plain,
    sent_and_opened,
    set_limits,
    start,
)
from ...driving.rfc_v1 import created
from ...driving.rig import Rig
from ...driving.sa_objects import MODES, any_sa

DIRECTIONS = (OUTBOUND, INBOUND)


@check
def cap_get(rig: Rig) -> None:
    """CAP_GET with an id and 6 reserved octets gives that capability, for every id that the device lists."""
    bare(rig)
    found = {cap: rig.ok(rfc_v1.cap_get(rig, cap), f"CAP_GET of {cap:#06x}") for cap in rig.cap_ids()}
    for cap, data in found.items():
        rig.expect(bool(data), f"CAP_GET of {cap:#06x}", "a capability", "no octets")
    limits, modes = found.get(rfc_v1.RESOURCE_CAP), found.get(rfc_v1.SA_CAP)
    rig.expect(
        limits is None or limits != modes, "CAP_GET of 0x803 and of 0x804", "two capabilities", "the same octets"
    )


@check
def cap_set(rig: Rig) -> None:
    """CAP_SET with an id, 6 reserved octets and the data sets both IPsec capabilities, so that SAs can be created."""
    bare(rig)
    device_limits(rig)
    for cap in (rfc_v1.RESOURCE_CAP, rfc_v1.SA_CAP):
        data = rig.ok(rfc_v1.cap_get(rig, cap), f"CAP_GET of {cap:#06x}")
        rig.ok(rfc_v1.cap_set(rig, cap, data), f"CAP_SET of {cap:#06x} to what the device has")
    for direction in DIRECTIONS:
        created(rig, any_sa(rig, direction))


@check
def create(rig: Rig) -> None:
    """CREATE with type, reserved octets, id, flags and the object makes an SA under that id."""
    start(rig)
    number = last_id(rig, 5)
    device_sends(rig, created(rig, any_sa(rig, OUTBOUND), number), resource_id=number)
    arrived(rig, created(rig, any_sa(rig, INBOUND), number))


@check
def ids_per_type(rig: Rig) -> None:
    """An outbound and an inbound SA can have the same id, and both work."""
    start(rig)
    outbound = created(rig, any_sa(rig, OUTBOUND))
    inbound = created(rig, any_sa(rig, INBOUND))
    device_sends(rig, outbound)
    arrived(rig, inbound)


@check
def delete(rig: Rig) -> None:
    """DELETE of an SA of either type succeeds, with flags or without, and the SA processes no packet after it."""
    start(rig)
    for flags in (True, False):
        outbound, inbound = (created(rig, any_sa(rig, direction)) for direction in DIRECTIONS)
        for kind in rfc_v1.TYPES.values():
            what = f"DELETE of {kind:#06x} 1 {'with' if flags else 'without'} flags"
            rig.ok(rfc_v1.delete(rig, kind, 1, flags=flags), what)
        spis = list(map(spi_of, rig.transmit(rig.driver.header(1) + FRAME)))
        rig.expect(outbound.spi not in spis, "a packet for a deleted SA", "not sent with it", "a frame with its SPI")
        not_plain(rig, associations.protected(associations.sender(inbound), FRAME), "a packet of a deleted SA")


@check
def resource_cap_id(rig: Rig) -> None:
    """CAP_GET of 0x803 gives 8 octets: VIRTIO_NET_IPSEC_RESOURCE_CAP."""
    bare(rig)
    rig.equal("octets of 0x803", 8, len(rig.ok(rfc_v1.cap_get(rig, 0x803), "CAP_GET of 0x803")))


@check
def sa_cap_id(rig: Rig) -> None:
    """CAP_GET of 0x804 gives a count and as many entries: VIRTIO_NET_IPSEC_SA_CAP."""
    bare(rig)
    data = rig.ok(rfc_v1.cap_get(rig, 0x804), "CAP_GET of 0x804")
    rig.expect(len(data) > 8, "octets of 0x804", "8 and the entries", str(len(data)))


@check
def resource_cap_layout(rig: Rig) -> None:
    """With 2 in the first le32 of the limits inbound SA 1 can be created, with 2 in the second outbound SA 1."""
    for direction, limits in ((INBOUND, (2, 1)), (OUTBOUND, (1, 2))):
        set_limits(rig, *limits)
        created(rig, any_sa(rig, direction), 1)


@check
def limits_used(rig: Rig) -> None:
    """With limits of 1 that the driver set, an SA with id 0 can be created and one with id 1 cannot."""
    set_limits(rig, 1, 1)
    for direction in DIRECTIONS:
        params = created(rig, any_sa(rig, direction), 0)
        data = rfc_v1.sa_object(replace(params, spi=SPI + 1), 1)
        answer = rfc_v1.create(rig, rfc_v1.TYPES[direction], 1, data)
        rig.refused(answer, f"CREATE of {direction.value} SA 1, the driver's limit being 1")


@check
def sa_cap_layout(rig: Rig) -> None:
    """0x804 is a count, 7 reserved octets, and entries of one length that begin with different modes."""
    bare(rig)
    modes = [entry[0] for entry in mode_entries(rig)]
    rig.expect(set(modes) <= {1, 2, 3, 4} and len(set(modes)) == len(modes), "modes in 0x804", "each of 1 to 4 once",
               ", ".join(map(str, modes)))  # fmt: skip


@check
def mode_cap_layout(rig: Rig) -> None:
    """Entries of 0x804 have 40 octets, and one that has just what an SA needs is enough for this SA."""
    bare(rig)
    for entry in mode_entries(rig):
        rig.equal("octets of an entry in 0x804", rfc_v1.MODE_CAP.size, len(entry))
    for entry in mode_entries(rig):
        mode, window, options, *_ = rfc_v1.MODE_CAP.unpack(entry)
        protocol, kind = MODES[IpsecMode(mode)]
        choices = associations.algorithms(rig, protocol, kind)
        for choice in choices[:1] + choices[-1:]:
            params = associations.sa(
                rig, INBOUND, protocol=protocol, mode=kind, **choice,
                replay_window=min(window, 64), esn=bool(options & 1),
            )  # fmt: skip
            least = rfc_v1.MODE_CAP.pack(
                mode, params.replay_window, options & 1, *rfc_v1.algorithm_masks(params),
                len(params.cipher_key), len(params.auth_key),
            )  # fmt: skip
            set_limits(rig, 2, 2)
            rig.ok(rfc_v1.cap_set(rig, rfc_v1.SA_CAP, rfc_v1.sa_cap(least)), "CAP_SET of 0x804 to one mode")
            created(rig, params)


@check
def resource_cap_get(rig: Rig) -> None:
    """The limits that the device gives can be set as they are, and the highest ids below them used."""
    bare(rig)
    inbound, outbound = device_limits(rig)
    set_limits(rig, inbound, outbound)
    created(rig, any_sa(rig, INBOUND), inbound - 1)
    created(rig, any_sa(rig, OUTBOUND), outbound - 1)


@check
def sa_cap_get(rig: Rig) -> None:
    """The device gives at least one mode, and in every mode that it gives an SA of either type can be created."""
    start(rig)
    for number, entry in enumerate(mode_entries(rig)):
        protocol, mode = MODES[IpsecMode(entry[0])]
        for direction in DIRECTIONS:
            params = associations.sa(rig, direction, protocol=protocol, mode=mode)
            created(rig, replace(params, spi=SPI + number), last_id(rig, number))
            rig.ok(rfc_v1.delete(rig, rfc_v1.TYPES[direction], last_id(rig, number)), "DELETE")


def _mode(mode: IpsecMode, rig: Rig) -> None:
    start(rig)
    protocol, kind = MODES[mode]
    outbound, inbound = associations.pair(rig, protocol=protocol, mode=kind, replay_window=0)
    created(rig, outbound)
    created(rig, inbound)
    for frame in (FRAME, FRAME6):
        sent_and_opened(rig, outbound, frame)
    far_end = associations.sender(inbound)
    for frame in (FRAME, FRAME6):
        packet = rig.delivered(associations.protected(far_end, frame))
        rig.equal("the packet that the driver gets", frame, packet.frame)


for _each in IpsecMode:
    _name = _each.name.replace("_", " ")
    add(
        f"rfc.mode-{_each.name.lower().replace('_', '-')}",
        f"If {_name} mode is listed, SAs of it can be created and take IPv4 and IPv6 packets either way.",
        partial(_mode, _each),
    )
