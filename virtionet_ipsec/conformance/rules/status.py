"""Device status, virtio 1.4, 2.1: which bits a driver sets, and in which order."""

from __future__ import annotations

from ...device.exchanges import FeaturesWritten, StatusWritten
from ...wire.enums import Status
from ..watching.rule import Finding, rule
from ..watching.view import View

# Each bit with those that have to be set by then; ACKNOWLEDGE and DRIVER may come with one write.
_AFTER = {
    Status.DRIVER: Status.ACKNOWLEDGE,
    Status.FEATURES_OK: Status.ACKNOWLEDGE | Status.DRIVER,
    Status.DRIVER_OK: Status.ACKNOWLEDGE | Status.DRIVER | Status.FEATURES_OK,
}
_STEPS = Status.ACKNOWLEDGE | Status.DRIVER | Status.FEATURES_OK | Status.DRIVER_OK
# The device sets and clears these on its own, so that a driver may not have seen them yet.
_THE_DEVICES = Status.DEVICE_NEEDS_RESET | Status.SUSPEND


def _names(bits: int) -> str:
    named = [flag.name or "" for flag in Status if bits & flag]
    return ", ".join(named + [f"bit {bit}" for bit in range(8) if bits >> bit & 1 and not _known(bit)])


def _known(bit: int) -> bool:
    return any(flag == 1 << bit for flag in Status)


@rule(StatusWritten)
def init_steps(view: View, written: StatusWritten) -> Finding:
    """Device status bits are set in the order ACKNOWLEDGE, DRIVER, FEATURES_OK, DRIVER_OK."""
    added = written.value & ~view.status & _STEPS
    if not added:
        return None
    found = []
    for bit, needed in _AFTER.items():
        done = view.status | (added & Status.ACKNOWLEDGE if bit == Status.DRIVER else 0)
        if added & bit and (missing := needed & ~done):
            found.append(f"{bit.name} is written before {_names(missing)} was set and read back")
    return found


@rule(StatusWritten)
def clears_no_bit(view: View, written: StatusWritten) -> Finding:
    """A write of device status keeps the bits that are set, but for a reset."""
    if not written.value or not view.status:
        return None
    cleared = view.status & ~written.value & ~_THE_DEVICES
    return [f"device status {written.value:#04x} clears {_names(cleared)}"] if cleared else []


@rule(StatusWritten, FeaturesWritten)
def reset_after_failed(view: View, written: StatusWritten | FeaturesWritten) -> Finding:
    """After FAILED, initialization begins with a reset."""
    if not view.history.failed:
        return None
    if isinstance(written, FeaturesWritten):
        return ["features are written after FAILED, without a reset"]
    if not written.value:
        return []
    added = written.value & ~view.status & _STEPS
    if not added:
        return None
    return [f"{_names(added)} is set after FAILED, without a reset"]
