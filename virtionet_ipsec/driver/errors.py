"""What the driver raises."""

from __future__ import annotations

from ..wire.enums import AdminStatus, CtrlAck, Opcode, Qualifier


def _name(enum: type[AdminStatus | Qualifier], value: int) -> str:
    try:
        return enum(value).name
    except ValueError:
        return str(value)


class DriverError(Exception):
    """The driver cannot go on."""


class NegotiationError(DriverError):
    """The device did not accept the driver's features."""


class AdminError(DriverError):
    """A group administration command failed.

    ``status`` and ``qualifier`` are the device's numbers; a reserved status
    counts as EINVAL, a reserved qualifier as INVALID_COMMAND (virtio 1.4,
    2.12.1, driver requirements).  ``why`` is the model's reason in words, or "".
    """

    def __init__(self, opcode: Opcode, what: str, status: int, qualifier: int, why: str) -> None:
        self.opcode = opcode
        self.status = status
        self.qualifier = qualifier
        self.why = why
        subject = f"{opcode.name} {what}".strip()
        answer = f"{_name(AdminStatus, status)}/{_name(Qualifier, qualifier)}"
        super().__init__(f"{subject}: {answer}" + (f": {why}" if why else ""))


class ControlError(DriverError):
    """A command of the control virtqueue failed.

    ``ack`` is the device's number, None when it did not use the buffer; ``why``
    is the model's reason in words, or "".
    """

    def __init__(self, what: str, ack: int | None, why: str) -> None:
        self.what = what
        self.ack = ack
        self.why = why
        answer = "not answered" if ack is None else "ERR" if ack == CtrlAck.ERR else f"ack {ack}"
        super().__init__(f"{what}: {answer}" + (f": {why}" if why else ""))


class CannotExpress(DriverError):
    """An SA that no virtio SA object can carry: ``field`` names the parameter."""

    def __init__(self, field: str, message: str) -> None:
        self.field = field
        self.message = message
        super().__init__(f"{field}: {message}")


class CannotSegment(DriverError):
    """A frame that must not be handed to the device for segmentation."""
