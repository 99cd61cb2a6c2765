"""The event loop."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time

import pytest

from virtionet_ipsec.serve.loop import READ, WRITE, Loop


@pytest.fixture
def loop():
    made = Loop()
    yield made
    made.close()


def test_descriptors_call_back_with_what_they_are_ready_for(loop: Loop) -> None:
    one, other = socket.socketpair()
    seen = []

    def ready(events: int) -> None:
        seen.append(events)
        if events & WRITE:
            other.send(b"x")
            loop.modify(one.fileno(), READ)
        else:
            seen.append(one.recv(10))
            loop.stop()

    loop.register(one.fileno(), READ | WRITE, ready)
    loop.run()
    loop.unregister(one.fileno())
    assert seen == [WRITE, READ, b"x"]
    one.close()
    other.close()


def test_calls_to_make_soon_let_descriptors_in_between(loop: Loop) -> None:
    """A call that asks for another is no reason to forget the rest."""
    one, other = socket.socketpair()
    seen: list[str] = []

    def again() -> None:
        if not seen:
            other.send(b"x")
        seen.append("call")
        if len(seen) < 20:
            loop.call_soon(again)

    def ready(_: int) -> None:
        seen.append("ready")
        loop.stop()

    loop.call_soon(again)
    loop.register(one.fileno(), READ, ready)
    loop.run()
    assert seen.index("ready") == 1
    loop.unregister(one.fileno())
    one.close()
    other.close()


def test_a_descriptor_that_was_closed_and_came_back_as_another_is_not_called(loop: Loop) -> None:
    """Two are ready in one round; the first closes the second, whose number a third one gets."""
    pairs = [socket.socketpair() for _ in range(2)]
    seen: list[str] = []
    new: list[socket.socket] = []

    def ready(mine: int) -> None:
        seen.append(f"old {mine}")
        theirs = pairs[1 - mine][0]
        loop.unregister(pairs[mine][0].fileno())
        loop.unregister(theirs.fileno())
        number = theirs.fileno()
        theirs.close()
        new.extend(socket.socketpair())
        assert number in [each.fileno() for each in new]  # the lowest that is free
        loop.register(number, READ, lambda _: seen.append("new"))
        loop.call_soon(loop.stop)

    for index, (near, far) in enumerate(pairs):
        far.send(b"x")
        loop.register(near.fileno(), READ, lambda _, index=index: ready(index))
    loop.run()
    assert len(seen) == 1 and seen[0].startswith("old")
    for each in [*new, *(end for pair in pairs for end in pair)]:
        each.close()


def test_every_so_often(loop: Loop) -> None:
    seen: list[float] = []

    def call() -> None:
        seen.append(time.monotonic())
        if len(seen) == 3:
            loop.stop()

    began = time.monotonic()
    loop.call_every(0.02, call)
    loop.run()
    assert len(seen) == 3 and seen[0] - began >= 0.02 and seen[2] - seen[0] >= 0.04


def test_with_nothing_to_do_it_sleeps(loop: Loop) -> None:
    """The processor's time while half a second passes, not the clock's."""
    one, other = socket.socketpair()
    loop.register(one.fileno(), READ, lambda _: loop.stop())
    rounds = []
    patience = loop._patience
    loop._patience = lambda: (rounds.append(1), patience())[1]
    thread = threading.Timer(0.5, other.send, (b"x",))
    thread.start()
    loop.run()
    assert len(rounds) == 1
    thread.join()
    loop.unregister(one.fileno())
    one.close()
    other.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_are_calls_in_the_loop(loop: Loop, number: int) -> None:
    before = signal.getsignal(number)
    with loop.on_signals(signal.SIGTERM, signal.SIGINT, call=loop.stop):
        thread = threading.Timer(0.05, os.kill, (os.getpid(), number))
        thread.start()
        loop.run()
        thread.join()
    assert signal.getsignal(number) is before


def test_a_stop_before_the_run_counts(loop: Loop) -> None:
    with loop.on_signals(signal.SIGTERM, call=loop.stop):
        os.kill(os.getpid(), signal.SIGTERM)
        loop.run()
    loop.stop()
    loop.run()


def test_other_signals_do_not_call(loop: Loop) -> None:
    seen = []
    with loop.on_signals(signal.SIGTERM, call=lambda: seen.append(1)):
        before = signal.signal(signal.SIGUSR1, lambda *_: None)
        os.kill(os.getpid(), signal.SIGUSR1)
        signal.signal(signal.SIGUSR1, before)
        loop.call_every(0.02, loop.stop)
        loop.run()
    assert seen == []


def test_what_a_callback_raises_ends_the_run(loop: Loop) -> None:
    loop.call_soon(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        loop.run()
