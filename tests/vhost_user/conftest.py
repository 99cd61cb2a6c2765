"""The rig of this folder; every test ends with as many open descriptors as it began with."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from .rig import Rig, descriptors


@pytest.fixture
def rig() -> Iterator[Rig]:
    gc.disable()  # what only the collector would close is left open, and what others left is not closed meanwhile
    try:
        before = descriptors()
        made = Rig()
        yield made
        made.close()
        assert made.device.status == 0
        assert descriptors() == before
    finally:
        gc.enable()
