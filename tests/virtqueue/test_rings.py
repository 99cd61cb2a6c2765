"""The queues against simple models of a driver and of a device, in random sessions with all features."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from .models import EVENT_IDX, IN_ORDER, INDIRECT_DESC
from .parties import ROOM, Parties

FEATURES = st.sets(st.sampled_from((INDIRECT_DESC, EVENT_IDX, IN_ORDER))).map(sum)
SIZES = {False: st.sampled_from((1, 2, 4, 8, 16)), True: st.sampled_from((1, 2, 3, 5, 8, 13))}
STARTS = st.sampled_from((0, 0, 65535, 65530, 65520, 32767))


class Session(RuleBasedStateMachine):
    """One driver and one device on one ring."""

    packed: bool
    real: set[str]

    def __init__(self) -> None:
        super().__init__()
        self.parties: Any = None

    @initialize(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        start = 0 if self.packed or "driver" in self.real else data.draw(STARTS)
        self.parties = Parties(self.packed, data.draw(SIZES[self.packed]), data.draw(FEATURES), self.real, start)

    @precondition(lambda self: self.parties.driver.free)
    @rule(data=st.data(), publish=st.booleans())
    def add(self, data: st.DataObject, publish: bool) -> None:
        parties = self.parties
        indirect = bool(parties.features & INDIRECT_DESC) and data.draw(st.booleans())
        most = parties.size if indirect else parties.driver.free
        lengths = data.draw(st.lists(st.integers(0, 12), min_size=1, max_size=min(most, 8)))
        readable = data.draw(st.integers(0, len(lengths)))
        direct = data.draw(st.integers(0, min(len(lengths), parties.driver.free) - 1)) if indirect else 0
        outside = "driver" not in self.real and "device" in self.real and data.draw(st.integers(0, 9)) == 0
        parties.add(lengths, readable, indirect, direct, outside)
        if publish:
            parties.publish()

    @rule()
    def publish(self) -> None:
        self.parties.publish()

    @rule()
    def kick(self) -> None:
        self.parties.kick()

    @rule()
    def collect(self) -> None:
        self.parties.collect()

    @rule(wanted=st.booleans())
    def interrupts(self, wanted: bool) -> None:
        there = self.parties.driver.ask_for_interrupts(wanted)
        assert there == (wanted and bool(self.parties.shown))

    @rule(most=st.integers(1, 20))
    def take(self, most: int) -> None:
        self.parties.take(most)

    @precondition(lambda self: self.parties.taken)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        parties = self.parties
        which = data.draw(
            st.lists(st.integers(0, len(parties.taken) - 1), min_size=1, max_size=len(parties.taken), unique=True)
        )
        if parties.features & IN_ORDER and "device" not in self.real:
            which = list(range(len(which)))
        full = st.just(ROOM)
        parties.finish(which, [data.draw(full | st.integers(0, 12)) for _ in which])

    @precondition(lambda self: self.parties.taken)
    @rule(data=st.data())
    def untake(self, data: st.DataObject) -> None:
        """Only those behind which nothing was finished."""
        parties = self.parties
        free = [expected.token for _, expected in parties.taken if expected.token > parties.last_finished]
        if free:
            parties.untake(data.draw(st.integers(1, len(free))))

    @rule(wanted=st.booleans())
    def kicks(self, wanted: bool) -> None:
        there = self.parties.device.ask_for_kicks(wanted)
        assert there == (wanted and bool(self.parties.available))

    @rule()
    def interrupt(self) -> None:
        self.parties.interrupt()

    @precondition(lambda self: "device" in self.real and not self.parties.taken and not self.parties.held)
    @rule()
    def replace(self) -> None:
        self.parties.replace_device()

    def teardown(self) -> None:
        if self.parties is not None:
            self.parties.drain()


@pytest.mark.parametrize("real", [{"device"}, {"driver"}, {"driver", "device"}], ids=["device", "driver", "both"])
@pytest.mark.parametrize("packed", [False, True], ids=["split", "packed"])
def test_sessions(packed: bool, real: set[str]) -> None:
    kind = type("Session", (Session,), {"packed": packed, "real": real})
    run_state_machine_as_test(kind, settings=settings(max_examples=80, stateful_step_count=50, deadline=None))
