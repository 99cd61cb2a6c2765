"""The event loop: file descriptors, timers, calls to make soon, signals.

One thread, no busy loop: with nothing to do, :meth:`Loop.run` sleeps in the
kernel.  A callback takes the mask of what its descriptor is ready for.
"""

from __future__ import annotations

import heapq
import os
import selectors
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE

Ready = Callable[[int], object]
Call = Callable[[], object]


class Loop:
    """Calls back until :meth:`stop`.  What a callback raises ends :meth:`run`."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._soon: deque[Call] = deque()
        self._timers: list[tuple[float, int, float, Call]] = []  # when, for order, how often, what
        self._order = count()
        self._stopped = False

    def register(self, fd: int, events: int, callback: Ready) -> None:
        """Call ``callback`` whenever ``fd`` is ready for one of ``events`` (READ, WRITE)."""
        self._selector.register(fd, events, callback)

    def modify(self, fd: int, events: int) -> None:
        """From here on ``fd`` waits for ``events``, of which there has to be one."""
        self._selector.modify(fd, events, self._selector.get_key(fd).data)

    def unregister(self, fd: int) -> None:
        """Forget ``fd``, before it is closed."""
        self._selector.unregister(fd)

    def call_soon(self, call: Call) -> None:
        """Make ``call`` once, after the descriptors that are ready now; before the loop sleeps."""
        self._soon.append(call)

    def call_every(self, seconds: float, call: Call) -> None:
        """Make ``call`` each ``seconds``, as long as the loop lives."""
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._order), seconds, call))

    def stop(self) -> None:
        """Let :meth:`run` return when the callbacks that are due have been made."""
        self._stopped = True

    def run(self) -> None:
        """Call back until :meth:`stop`; a stop that came before counts."""
        registered = self._selector.get_map()
        while not self._stopped:
            for key, events in self._selector.select(self._patience()):
                # A callback before this one may have closed the descriptor, and another may have got its number.
                now = registered.get(key.fd)
                if now is not None and now.data is key.data:
                    key.data(events)
            # Only what waited when the descriptors had been seen to: a call that asks for another lets them in between.
            for _ in range(len(self._soon)):
                self._soon.popleft()()
            if self._timers:
                self._ring()
        self._stopped = False

    def close(self) -> None:
        """Forget everything.  The descriptors stay their owners' to close."""
        self._selector.close()
        self._soon.clear()
        self._timers.clear()

    @contextmanager
    def on_signals(self, *numbers: int, call: Call) -> Iterator[None]:
        """Within the context, make ``call`` in the loop for each of these signals.  In the main thread only."""
        reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

        def ready(_: int) -> None:
            with suppress(BlockingIOError):
                if not set(numbers).isdisjoint(os.read(reader, 4096)):
                    call()

        # A handler has to be there for Python to write the number; it is the loop that acts.
        before = {number: signal.signal(number, lambda *_: None) for number in numbers}
        woken = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        self.register(reader, READ, ready)
        try:
            yield
        finally:
            self.unregister(reader)
            signal.set_wakeup_fd(woken)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(reader)
            os.close(writer)

    def _patience(self) -> float | None:
        """How long the loop may sleep, in seconds."""
        if self._soon:
            return 0
        return max(self._timers[0][0] - time.monotonic(), 0) if self._timers else None

    def _ring(self) -> None:
        now = time.monotonic()
        while self._timers[0][0] <= now:
            _, order, seconds, call = self._timers[0]
            heapq.heapreplace(self._timers, (now + seconds, order, seconds, call))
            call()
