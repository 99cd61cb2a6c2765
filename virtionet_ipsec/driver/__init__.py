"""The reference driver: does what virtio 1.4 asks of a driver, over bytes."""

from .driver import Driver
from .errors import AdminError, CannotExpress, CannotSegment, ControlError, DriverError, NegotiationError
from .in_process import InProcess, connect
from .packet import RxPacket

__all__ = [
    "AdminError",
    "CannotExpress",
    "CannotSegment",
    "ControlError",
    "Driver",
    "DriverError",
    "InProcess",
    "NegotiationError",
    "RxPacket",
    "connect",
]
