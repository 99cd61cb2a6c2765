"""Listening at a path (AF_UNIX): what lies there already, who may connect, what is left behind."""

from __future__ import annotations

import os
import socket
import stat
from contextlib import suppress

from ..input_error import InputError, printable

_LONGEST = 107  # octets of sun_path, and a zero behind them

OWNER_ONLY = 0o600


def address(path: str) -> bytes:
    """``path`` as an address.  Raises :class:`InputError` for one that no socket can have."""
    octets = os.fsencode(path)
    if not octets or b"\0" in octets:
        raise InputError(f"socket {printable(path)!r}", "is not a file name", "give a path")
    if len(octets) > _LONGEST:
        what = f"a socket's path has at most {_LONGEST} octets, not {len(octets)}"
        raise InputError(path, what, "give a shorter one")
    return octets


def occupant(path: bytes) -> os.stat_result | None:
    """The socket that lies at ``path``, or None for nothing.  Raises :class:`InputError` for anything else.

    A link is something else, whatever it leads to.
    """
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise unusable(path, error) from None
    if not stat.S_ISSOCK(found.st_mode):
        raise InputError(os.fsdecode(path), "is there already, and no socket", "give another path, or remove it")
    return found


def unusable(path: bytes, error: OSError) -> InputError:
    """What to say of a path where no socket can be."""
    what = f"no socket can be made here ({error.strerror})"
    return InputError(os.fsdecode(path), what, "give a path in a folder that exists and that is yours to write")


def bind(listener: socket.socket, path: bytes, mode: int | None = None) -> os.stat_result:
    """Bind ``listener`` to ``path``, where nothing is; gives what lies there then.

    With ``mode`` nobody else can connect, not for a moment: Linux gives the
    file the mode that the socket has before it is bound.
    Raises :class:`OSError`.
    """
    if mode is not None:
        os.fchmod(listener.fileno(), mode)
    listener.bind(path)
    made = os.lstat(path)
    if mode is not None and stat.S_IMODE(made.st_mode) & ~mode:
        listener.close()
        os.unlink(path)
        raise PermissionError(0, "it would not be its owner's alone")
    return made


def listen(path: str, mode: int = OWNER_ONLY, backlog: int = 128) -> tuple[socket.socket, os.stat_result]:
    """A stream socket that listens at ``path``, and what lies there then, for :func:`remove`; it does not block.

    The socket of a process that has ended is replaced.  Raises
    :class:`InputError`: also for somebody else's socket, and when somebody
    listens there.
    """
    where = address(path)
    found = occupant(where)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        if found is not None:
            _take_over(where, found)
        made = bind(listener, where, mode)
        listener.listen(backlog)
    except InputError:
        listener.close()
        raise
    except OSError as error:
        listener.close()
        raise unusable(where, error) from None
    return listener, made


def _take_over(path: bytes, found: os.stat_result) -> None:
    """Remove the socket at ``path`` if it is ours and nobody listens there."""
    name = os.fsdecode(path)
    if found.st_uid != os.geteuid():
        raise InputError(name, "is a socket of another user", "give another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except OSError:
            pass
    raise InputError(name, "another process listens here", "end it, or give another path")


def is_ours(path: bytes, made: os.stat_result) -> bool:
    """Whether what lies at ``path`` is still what we made."""
    try:
        found = os.lstat(path)
    except OSError:
        return False
    return (found.st_dev, found.st_ino) == (made.st_dev, made.st_ino)


def remove(path: bytes, made: os.stat_result) -> None:
    """Remove what we made at ``path``, if it is still there."""
    if is_ours(path, made):
        with suppress(OSError):
            os.unlink(path)
