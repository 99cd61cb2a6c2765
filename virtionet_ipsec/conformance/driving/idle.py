"""A device that must not touch its queues: the stages of initialization before DRIVER_OK, and how to tell."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from ...wire.enums import Feature, Opcode, Status
from .rig import Rig


def stages(rig: Rig, features: int) -> Iterator[str]:
    """Reset, then go on towards DRIVER_OK with these driver features; gives the name of each stage, in words."""
    rig.reset()
    yield "after a reset"
    rig.set_status(Status.ACKNOWLEDGE)
    yield "with ACKNOWLEDGE set"
    rig.set_status(Status.DRIVER)
    yield "with DRIVER set"
    rig.port.set_driver_features(features)
    rig.set_status(Status.FEATURES_OK)
    yield "with FEATURES_OK set"


def check_idle(rig: Rig, when: str, buffers: Collection[bytes], frames: Collection[bytes]) -> None:
    """Fail unless the device leaves transmit buffers, receive buffers and administration commands where they are."""
    for buffer in buffers:
        rig.equal(f"frames on the wire {when}", (), rig.transmit(buffer))
    for frame in frames:
        got = rig.port.receive(frame)
        used = 0 if got is None else len(got.buffers)
        rig.equal(f"receive buffers used for a frame {when}", 0, used)
    if rig.offers(Feature.ADMIN_VQ):
        rig.equal(f"octets written for a command {when}", b"", rig.command(Opcode.LIST_QUERY).written)
