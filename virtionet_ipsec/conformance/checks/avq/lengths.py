"""Administration virtqueues, virtio 1.4, 2.13: the lengths of buffers, and what is initialized in them.

Checks send every command that the device has in an order that can be repeated:
lists, capabilities, and each object from CREATE to DESTROY.  They do so once
as usual, and then with other lengths.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from ....wire.admin import AdminCmdHdr, AdminCmdList, AdminCmdResult, CapGetData, CapSetData, ResourceObjCreateData
from ....wire.bitmap import u64_bitmap
from ....wire.codec import build
from ....wire.enums import AdminStatus, Opcode
from ...check import check
from ...driving import objects
from ...driving.objects import Kind
from ...driving.rig import PATIENCE, ROOM, Answer, Rig
from ...verdict import NotApplicable, NotObservable

_HEADER = AdminCmdResult.sizeof()
_OBJECT_HEADER = 8  # struct virtio_admin_cmd_resource_obj_cmd_hdr, all of DESTROY
_MORE = 40
_RETRY = (AdminStatus.EAGAIN, AdminStatus.ENOMEM)


@dataclass(frozen=True, slots=True)
class _Command:
    """A command: ``readable`` is as long as its structure, ``written`` is how long the answer's is.

    None for an array of a length that the device chooses.
    """

    what: str
    readable: bytes
    written: int | None = _HEADER

    @property
    def padded(self) -> bytes:
        """As a driver sends it, a multiple of 64 bits."""
        return _padded(self.readable)


def _padded(readable: bytes) -> bytes:
    return readable + bytes(-len(readable) % 8)


def _command(what: str, opcode: int, data: bytes = b"", result: int | None = 0) -> _Command:
    length = None if result is None else _HEADER + result
    return _Command(what, build(AdminCmdHdr, opcode=opcode) + data, length)


def _commands(rig: Rig) -> list[_Command]:
    """Start the device; gives the commands that it has, each to be sent after the one before it."""
    rig.start()
    used = build(AdminCmdList, device_admin_cmd_opcodes=u64_bitmap(rig.list_query()))
    commands = [
        _command("LIST_QUERY", Opcode.LIST_QUERY, result=None),
        _command("LIST_USE", Opcode.LIST_USE, used),
    ]
    for more in (_on_capabilities, _on_objects):
        try:
            commands += more(rig)
        except NotApplicable:  # it has none of these
            continue
    return commands


def _on_capabilities(rig: Rig) -> Iterator[_Command]:
    caps = objects.set_up(rig)
    yield _command("CAP_ID_LIST_QUERY", Opcode.CAP_ID_LIST_QUERY, result=None)
    for cap, data in caps.items():
        length = objects.structure_length(rig, cap, data)
        yield _command(f"DEVICE_CAP_GET of {cap.name}", Opcode.DEVICE_CAP_GET, build(CapGetData, id=cap), length)
        given = build(CapSetData, id=cap) + data[:length]
        yield _command(f"DRIVER_CAP_SET of {cap.name}", Opcode.DRIVER_CAP_SET, given)


def _on_objects(rig: Rig) -> list[_Command]:
    kinds = list(objects.start(rig).values())
    born = [command for kind in kinds for command in _of_object(kind)]
    dead = [
        _command(f"DESTROY of {kind.name}", Opcode.RESOURCE_OBJ_DESTROY, _head(kind)[:_OBJECT_HEADER])
        for kind in reversed(kinds)
    ]
    return born + dead


def _head(kind: Kind) -> bytes:
    return build(ResourceObjCreateData, hdr={"type": kind.type, "id": 0})


def _of_object(kind: Kind) -> Iterator[_Command]:
    head, data, changed = _head(kind), kind.data(0), kind.changed(0)
    query = _command(f"QUERY of {kind.name}", Opcode.RESOURCE_OBJ_QUERY, head, len(data))
    yield _command(f"CREATE of {kind.name}", Opcode.RESOURCE_OBJ_CREATE, head + data)
    yield query
    yield _command(f"MODIFY of {kind.name}", Opcode.RESOURCE_OBJ_MODIFY, head + changed)
    yield query
    yield _command(f"MODIFY of {kind.name} back", Opcode.RESOURCE_OBJ_MODIFY, head + data)


def _usual(rig: Rig) -> list[Answer]:
    """The answers to all commands, as a driver sends them, with room for more than there is."""
    return [rig.raw_command(command.padded) for command in _commands(rig)]


def _check_same(rig: Rig, what: str, usual: Answer, got: Answer) -> None:
    """Fail unless the answer is the usual one, or what there was room for."""
    rig.equal(f"{what}: status", str(usual), str(got))
    differ = [at for at, (one, other) in enumerate(zip(usual.written, got.written, strict=False)) if one != other]
    rig.expect(not differ, f"{what}: result", "as usual", f"differs from octet {differ[:1]} on")


def _check_all_same(rig: Rig, vary: Callable[[_Command], tuple[bytes, int] | None]) -> None:
    """Send all as usual, then as ``vary`` says: device-readable part, room; None leaves a command as it is."""
    usual = _usual(rig)
    for command, expected in zip(_commands(rig), usual, strict=True):
        readable, room = vary(command) or (command.padded, ROOM)
        got = rig.raw_command(readable, room)
        what = f"{command.what} with {len(readable)} octets to read and {room} to write"
        rig.expect(len(got.written) <= room, f"{what}: octets written", f"up to {room}", str(len(got.written)))
        _check_same(rig, what, expected, got)
        if room >= len(expected.written):
            rig.expect(not _rest(expected, got), f"{what}: result", "as usual", "ends early, or goes on")


def _rest(expected: Answer, got: Answer) -> bytes:
    """What the longer of two answers that begin alike has more, without zeros."""
    longer = max(expected.written, got.written, key=len)
    return longer[min(len(expected.written), len(got.written)) :].strip(b"\0")


@check
def short_readable(rig: Rig) -> None:
    """Every command is sent without the zeros at its end, in multiples of 64 bits: the answers are the usual ones."""
    _check_all_same(rig, lambda command: (_padded(command.readable.rstrip(b"\0") or b"\0"), ROOM))


@check
def long_readable(rig: Rig) -> None:
    """Every command but LIST_USE is sent with ones behind it: the answers are the usual ones."""

    def vary(command: _Command) -> tuple[bytes, int] | None:
        if command.what == "LIST_USE":  # its array has no expected length (D66)
            return None
        return command.readable + b"\xff" * (_MORE + -len(command.readable) % 8), ROOM

    _check_all_same(rig, vary)


@check
def short_writable(rig: Rig) -> None:
    """Every command is sent with room for 8, and for 16 octets of the answer: what there is room for is written."""
    for room in (_HEADER, _HEADER + 8):
        _check_all_same(rig, lambda command, room=room: (command.padded, room))  # type: ignore[misc]


@check
def length_alone(rig: Rig) -> None:
    """Commands that succeed do so with shorter and longer buffers of both kinds, too."""
    usual = _usual(rig)
    for more, room in ((0, _HEADER), (_MORE, _HEADER), (_MORE, 2 * ROOM), (-1, _HEADER), (-1, 2 * ROOM)):
        for command, expected in zip(_commands(rig), usual, strict=True):
            short = _padded(command.readable.rstrip(b"\0") or b"\0")
            readable = short if more < 0 else command.padded + bytes(more)
            got = rig.raw_command(readable, room)
            if objects.succeeded(expected):
                rig.ok(got, f"{command.what} with {len(readable)} octets to read and {room} to write")


def _written(rig: Rig, rooms: tuple[int, ...]) -> Iterator[tuple[str, _Command, int, int]]:
    """Send all with each room: in words, the command, the room, how many octets were written."""
    for room in rooms:
        for command in _commands(rig):
            got = rig.raw_command(command.padded, room)
            refused = got.written and not objects.succeeded(got)
            written = _HEADER if refused else command.written
            what = f"{command.what} with room for {room}: octets written"
            yield what, _Command(command.what, command.readable, written), room, len(got.written)


def _refused(rig: Rig) -> Iterator[tuple[str, Answer]]:
    """Commands that are refused, and the answers."""
    rig.start()
    yield "an opcode that does not exist", rig.command(0x7FFF)
    yield "a group type that does not exist", rig.command(Opcode.LIST_QUERY, group=0x7FFF)
    yield "a type of objects that does not exist", rig.query(0x4FF, 0)
    yield "a capability that does not exist", rig.cap_get(0xFFFF)


@check
def long_writable(rig: Rig) -> None:
    """With room for much more, each answer ends with its structure, or with the zeros that fill up 64 bits (D30)."""
    for what, command, _, written in _written(rig, (ROOM,)):
        if command.written is not None:
            longest = command.written + -command.written % 8
            rig.expect(written <= longest, what, f"{command.written}, at most {longest}", str(written))


@check
def initializes_writable(rig: Rig) -> None:
    """Each answer is as long as its structure or the room that there is, also when it is refused."""
    for what, command, room, written in _written(rig, (_HEADER, _HEADER + 8, ROOM)):
        least = min(command.written or _HEADER, room)
        rig.expect(written >= least, what, f"{least} or more", str(written))
    for why, answer in _refused(rig):
        length = len(answer.written)
        rig.expect(length >= _HEADER, f"{why}: octets written", f"{_HEADER} or more", str(length))


@check
def writable_multiple(rig: Rig) -> None:
    """Each answer is a multiple of 64 bits long, or exactly as long as its structure (D30)."""
    for what, command, _, written in _written(rig, (_HEADER, _HEADER + 8, ROOM)):
        fits = written % 8 == 0 or written == command.written
        rig.expect(fits, what, f"a multiple of 8, or {command.written}", str(written))
    for why, answer in _refused(rig):
        rig.equal(f"{why}: octets written, modulo 8", 0, len(answer.written) % 8)


def _initializes(rig: Rig, field: str, end: int) -> None:
    for what, _, _, written in _written(rig, (_HEADER, ROOM)):
        rig.expect(written >= end, what, f"{end} or more, with {field}", str(written))
    for why, answer in _refused(rig):
        length = len(answer.written)
        rig.expect(length >= end, f"{why}: octets written", f"{end} or more, with {field}", str(length))


@check
def initializes_status(rig: Rig) -> None:
    """Every answer, of success and of failure, has a status."""
    _initializes(rig, "status", 2)


@check
def initializes_qualifier(rig: Rig) -> None:
    """Every answer, of success and of failure, has a status_qualifier."""
    _initializes(rig, "status_qualifier", 4)


@check
def retry_safe(rig: Rig) -> None:
    """CREATE that gets EAGAIN or ENOMEM leaves no object, and DESTROY leaves the object; for each type."""
    seen = False
    for kind in objects.each(rig):
        for number in range(kind.limit):
            if _once(rig, partial(rig.create, kind.type, number, kind.data(number))).status in _RETRY:
                seen = True
                rig.refused(rig.query(kind.type, number), f"QUERY of {kind.name} {number}, to be created again")
            elif _once(rig, partial(rig.destroy, kind.type, number)).status in _RETRY:
                seen = True
                rig.ok(rig.query(kind.type, number), f"QUERY of {kind.name} {number}, to be destroyed again")
    if not seen:
        raise NotObservable("no command came back with EAGAIN or ENOMEM")


def _once(rig: Rig, send: Callable[[], Answer]) -> Answer:
    """The first answer to a command, though it may be EAGAIN."""
    rig.patience = 1
    try:
        return send()
    finally:
        rig.patience = PATIENCE
