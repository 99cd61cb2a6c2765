"""Devices that are wrong about RSS contexts."""

from __future__ import annotations

from ..more_controls import FEATURES, OK, MoreControls
from ..mutant import breaks


@breaks("rssctx.dev.at-least-one", features=FEATURES)
class NoContexts(MoreControls):
    """max_rss_contexts is 0."""

    def context_cap(self, data: bytes, room: int) -> bytes:
        return OK + bytes(2)


@breaks("rssctx.dev.cleared-on-reset", features=FEATURES)
class ContextsStay(MoreControls):
    """RSS contexts survive a reset."""

    def forget(self) -> None:
        self.coalesced.clear()
