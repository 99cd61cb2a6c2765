"""Fuzzing: the inputs that the outside world controls, with coverage to guide the search (``make fuzz``).

    python -m fuzz [--seconds N] [TARGET ...]

A target (:mod:`fuzz.targets`) turns octets into acts of a driver, a front end
or a peer, and raises when the model does what it must not.  What was found and
mended stays as a case in ``tests/fuzz/cases``, which the tests run again.
"""

from __future__ import annotations

TARGETS = ("messages", "rings", "commands", "packets", "control_socket", "files")
"""The modules of :mod:`fuzz.targets`."""

DURATION = 60
"""Seconds that all targets together take."""
