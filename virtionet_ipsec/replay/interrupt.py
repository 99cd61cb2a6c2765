"""Ctrl-C between two packets: what is written then agrees with itself.

Python raises KeyboardInterrupt between any two steps, such as a packet's line
and its place in the totals.  So while a packet is worked on, Ctrl-C is noted,
and it ends the run before the next one; while the run waits for a packet it
ends at once.  A second Ctrl-C ends anything at once, for the first may have
come while an output could not be written, such as a pipe that nobody reads.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Self, TypeVar

T = TypeVar("T")


class Interrupt:
    """A context manager; ``asked`` tells whether Ctrl-C came.

    Until :meth:`each` hands out its first item, Ctrl-C is as usual.  Where it
    means something else already (in a thread, under ``nohup``), that stays.
    """

    __slots__ = ("_before", "_waiting", "asked")

    def __init__(self) -> None:
        self.asked = False
        self._waiting = True
        self._before: Callable[[int, FrameType | None], object] | int | None = None

    def each(self, items: Iterable[T]) -> Iterator[T]:
        """``items`` until there are no more, or until Ctrl-C."""
        iterator = iter(items)
        try:
            while True:
                self._waiting = True  # first, so that no Ctrl-C falls between the question and the wait
                if self.asked:
                    break
                item = next(iterator)
                self._waiting = False
                yield item
        except StopIteration:
            pass
        except KeyboardInterrupt:
            self.asked = True
        self._waiting = False

    def __enter__(self) -> Self:
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            with suppress(ValueError):  # only the main thread may
                self._before = signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._waiting or self.asked:
            raise KeyboardInterrupt
        self.asked = True
