"""Group administration commands: what they did, what they said of it, and what they must not do."""

from __future__ import annotations

from collections.abc import Callable

from ....ipsec import SaParams
from ....wire.enums import AdminStatus, Opcode, Status
from ...check import check
from ...driving import associations, frames, objects, refusals
from ...driving.objects import Kind
from ...driving.on_the_wire import seq_of, spi_of
from ...driving.rig import Answer, Rig

UNKNOWN_TYPE = 0x4FF  # of a resource: the last of the device types' range

_COMMANDS: dict[str, Callable[[Rig, Kind], Answer]] = {
    "CREATE": lambda rig, kind: rig.create(kind.type, 0, kind.data(0)),
    "MODIFY": lambda rig, kind: rig.modify(kind.type, 0, kind.changed(0)),
    "DESTROY": lambda rig, kind: rig.destroy(kind.type, 0),
}
"""Each with the effect that QUERY gives something else than before."""


def _seen(rig: Rig, kind: Kind) -> bytes | None:
    """What QUERY gives of object 0; None when it fails."""
    answer = rig.query(kind.type, 0)
    return answer.result if objects.succeeded(answer) else None


@check
def status_ok(rig: Rig) -> None:
    """CREATE, MODIFY and DESTROY whose effect shows in QUERY had the status OK; for each type of objects."""
    for kind in objects.each(rig):
        for name, send in _COMMANDS.items():
            before, answer = _seen(rig, kind), send(rig, kind)
            if _seen(rig, kind) != before:
                rig.ok(answer, f"{name} of {kind.name} 0, whose effect QUERY shows")


@check
def status_failure(rig: Rig) -> None:
    """QUERY of no object, CREATE of an unknown type, and of an object that stayed as it was: any status but OK."""
    for kind in objects.each(rig):
        rig.refused(rig.query(kind.type, 0), f"QUERY of {kind.name} 0, which does not exist")
        created = rig.create(UNKNOWN_TYPE, 0, kind.data(0))
        rig.refused(created, f"CREATE of the unknown type {UNKNOWN_TYPE:#x}")
        data = objects.make(rig, kind)
        again = rig.create(kind.type, 0, kind.changed(0))
        if kind.changed(0) != data and objects.held(rig, kind)[: len(data)] == data:
            rig.refused(again, f"CREATE of {kind.name} 0, which stayed as it was")


def _is_einval(answer: Answer) -> bool:
    return bool(answer.written) and answer.status == AdminStatus.EINVAL


@check
def einval_keeps_state(rig: Rig) -> None:
    """Commands get EINVAL: status, configuration, lists and all objects stay, and no object is made or unmade."""
    kinds = refusals.start_with_objects(rig)
    kept = [refusals.check_kept(rig, kinds, refusals.lists_to_be_refused(rig), _is_einval)]
    for kind in kinds.values():
        kept.append(refusals.check_kept(rig, {kind.type: kind}, refusals.objects_to_be_refused(rig, kind), _is_einval))
    for kind in kinds.values() if all(kept) else ():  # the capabilities that the driver set have not changed
        if kind.limit > 1:
            rig.ok(rig.create(kind.type, 1, kind.data(1)), f"CREATE of {kind.name} 1 after commands that got EINVAL")


def _constant(wire: bytes) -> bytes:
    """Of the outer IPv4 header what does not change from one packet of an SA to the next."""
    return wire[14:18] + wire[20:24] + wire[26:34]


@check
def einval_no_side_effects(rig: Rig) -> None:
    """Commands get EINVAL: both SAs go on with the same parameters, numbers and replay window."""
    outbound, inbound = _both_ways(rig)
    kinds = {associations.SA_TYPE[params.direction]: objects.sa_kind(rig, params, 2) for params in (outbound, inbound)}
    refused = []  # which commands get EINVAL: others may have effects
    for number, (_, send) in enumerate(refusals.to_be_refused(rig, kinds)):
        answer = send()
        if _is_einval(answer):
            refused.append(number)
        elif objects.succeeded(answer):
            _both_ways(rig)
    _both_ways(rig)
    near, far = associations.receiver(outbound), associations.sender(inbound)
    frame = frames.udp4_frame()
    wire = associations.send(rig, 0, frame)
    first, second = (associations.protected(far, frame) for _ in range(2))
    associations.accepted(rig, first)
    for number, (_, send) in enumerate(refusals.to_be_refused(rig, kinds)):
        if number in refused:
            send()
    when = "after commands that got EINVAL"
    again = associations.send(rig, 0, frame)
    rig.equal(f"outer header of a packet sent {when}", _constant(wire), _constant(again))
    rig.equal(f"SPI of a packet sent {when}", spi_of(wire), spi_of(again))
    rig.equal(f"sequence number sent {when}", seq_of(wire) + 1, seq_of(again))
    rig.equal(f"packet that the far end gets {when}", frame[14:], associations.inside(near, again))
    associations.rejected(rig, first, f"a packet that came before, {when}")
    packet = associations.accepted(rig, second, f"an IPsec packet {when}")
    rig.equal(f"resource_id of a packet received {when}", 0, packet.resource_id)


def _both_ways(rig: Rig) -> tuple[SaParams, SaParams]:
    """The device brought up, with an SA each way, both with id 0."""
    associations.start(rig)
    outbound, inbound = associations.pair(rig)
    for params in (outbound, inbound):
        associations.create(rig, params, 0)
    return outbound, inbound


@check
def einval_no_error_state(rig: Rig) -> None:
    """Each command that gets EINVAL leaves DEVICE_NEEDS_RESET clear, commands answered and packets on their way."""
    kinds = refusals.start_with_objects(rig)
    buffer = rig.header() + frames.udp4_frame()
    sent = rig.transmit(buffer)
    for what, send in refusals.to_be_refused(rig, kinds):
        if _is_einval(send()):
            needs_reset = bool(rig.port.status & Status.DEVICE_NEEDS_RESET)
            rig.equal(f"DEVICE_NEEDS_RESET after {what}", False, needs_reset)
            rig.ok(rig.command(Opcode.LIST_QUERY), f"LIST_QUERY after {what}")
            rig.equal(f"frames sent after {what}", sent, rig.transmit(buffer))


@check
def failure_keeps_state(rig: Rig) -> None:
    """Commands fail for what exists, is missing, is depended on, or is too much: QUERY gives what it gave before."""
    kinds = refusals.start_with_objects(rig)
    refusals.check_kept(rig, kinds, refusals.to_fail(rig, kinds), lambda answer: not objects.succeeded(answer))
