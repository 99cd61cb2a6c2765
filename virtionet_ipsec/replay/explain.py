"""The story of one packet: everything before it is replayed, then it is watched."""

from __future__ import annotations

from dataclasses import dataclass

from .capture import open_capture
from .captured import CaptureError
from .session import Outcome, Session
from .story import Story


@dataclass(frozen=True, slots=True)
class Explained:
    """The packet's outcome, and its way in sentences."""

    index: int
    outcome: Outcome
    lines: tuple[str, ...]


def explain(session: Session, capture: str, index: int) -> Explained:
    """Replay ``capture`` up to packet ``index`` (the first is 1) and tell that one's story.

    The packets before it count: they moved windows, counters and lifetimes.
    Raises :class:`CaptureError` when the capture has no such packet.
    """
    seen = 0
    with open_capture(capture) as source:
        for packet in source:
            seen = packet.index
            if seen == index:
                story = Story(session.driver)
                session.driver.device.observer = story
                outcome = session.process(packet.data, packet.linktype)
                return Explained(index, outcome, tuple(story.lines))
            session.process(packet.data, packet.linktype)
    mend = f"it has {seen}: give one of them" if seen else "it has none: capture again"
    raise CaptureError(source.name, f"there is no packet {index}", mend)
