"""The files that a replay writes: all of them whole, or none of them.

Each is written beside its name and put in its place at the end, so that bad
input leaves nothing half-written and an older file stays until then.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from .captured import CaptureError, reason

_STDOUT = frozenset({"-", "/dev/stdout", "/dev/fd/1"})


def is_stdout(name: str) -> bool:
    """Whether an output of this name is standard output."""
    return name in _STDOUT


def is_special(name: str) -> bool:
    """Whether ``name`` is there and no regular file: a pipe, a device (or a folder, which nobody can write)."""
    return os.path.exists(name) and not os.path.isfile(name)


def put(file: IO[str], text: str, name: str) -> None:
    """Write ``text`` and hand it on; ``name`` is the file's for messages.

    Raises :class:`CaptureError`; but BrokenPipeError as it is, for that is the reader's choice and no error.
    """
    try:
        file.write(text)
        file.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _unwritable(name, error) from None


def _unwritable(name: str, error: OSError) -> CaptureError:
    where = "standard output" if is_stdout(name) else name
    return CaptureError(where, f"cannot be written ({reason(error)})", "make room, or give another path")


class Outputs:
    """Output files, opened by name; ``-`` is standard output, and other than regular files are written in place.

    A context manager: leaving it without :meth:`keep` removes what was written.
    Raises :class:`CaptureError` when a file cannot be made.
    """

    def __init__(self) -> None:
        self._open: list[tuple[IO[Any], str, str]] = []  # file, where it is, where it goes
        self._kept = False

    def open(self, name: str, mode: str, *, private: bool = False) -> IO[Any]:
        """A file for writing, ``mode`` ``w`` or ``wb``, that will be ``name``; ``private`` is for its owner alone."""
        if is_stdout(name):
            return sys.stdout.buffer if "b" in mode else sys.stdout
        encoding = None if "b" in mode else "utf-8"
        try:
            if is_special(name):
                file: IO[Any] = open(name, mode, encoding=encoding)  # noqa: SIM115 (closed by keep or __exit__)
                self._open.append((file, name, name))
                return file
            target = Path(os.path.realpath(name))  # a link stays, what it leads to is written
            handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
            if not private:  # a file that is there keeps its mode
                os.chmod(temporary, target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask())
            file = os.fdopen(handle, mode, encoding=encoding)
        except (OSError, ValueError) as error:
            raise CaptureError(
                name, f"cannot be written ({reason(error)})", "give a path in a folder that exists"
            ) from None
        self._open.append((file, temporary, str(target)))
        return file

    def keep(self) -> None:
        """Close all files and put them in their places.  Raises as :func:`put` does."""
        steps: list[tuple[Callable[[], object], str]] = [(file.close, name) for file, _, name in self._open]
        steps += [(partial(os.replace, at, name), name) for _, at, name in self._open if at != name]
        for step, name in steps:
            try:
                step()
            except BrokenPipeError:
                raise
            except OSError as error:
                raise _unwritable(name, error) from None
        self._kept = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._kept:
            return
        for file, temporary, name in self._open:
            with suppress(OSError):  # what could not be flushed is about to be removed
                file.close()
            if temporary != name:
                Path(temporary).unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
