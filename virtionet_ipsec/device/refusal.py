"""How a command handler says no: a status, a qualifier and words.

The qualifier says where the cause lies (virtio 1.4, 2.12.1, table of
``status_qualifier``): INVALID_FIELD when it is something in
``command_specific_data``, NORESOURCE when the device is full, INVALID_COMMAND
("no additional information") when the command came at the wrong time.
"""

from __future__ import annotations

from ..wire.enums import AdminStatus, Qualifier


class CommandRefused(Exception):
    """A group administration command that fails.  ``why`` is for people and never holds key material."""

    def __init__(self, status: AdminStatus, qualifier: Qualifier, why: str) -> None:
        super().__init__(status, qualifier, why)
        self.status = status
        self.qualifier = qualifier
        self.why = why


def invalid_field(why: str) -> CommandRefused:
    """EINVAL: something in ``command_specific_data`` is unsupported or wrong."""
    return CommandRefused(AdminStatus.EINVAL, Qualifier.INVALID_FIELD, why)


def invalid_opcode(why: str) -> CommandRefused:
    """EINVAL: the opcode cannot be used, or not for this resource type now (D03)."""
    return CommandRefused(AdminStatus.EINVAL, Qualifier.INVALID_OPCODE, why)


def invalid_group(why: str) -> CommandRefused:
    """EINVAL: there is no such group."""
    return CommandRefused(AdminStatus.EINVAL, Qualifier.INVALID_GROUP, why)


def invalid_member(why: str) -> CommandRefused:
    """EINVAL: the group has no such member."""
    return CommandRefused(AdminStatus.EINVAL, Qualifier.INVALID_MEMBER, why)


def no_such(why: str) -> CommandRefused:
    """ENXIO: the capability or resource object does not exist."""
    return CommandRefused(AdminStatus.ENXIO, Qualifier.INVALID_FIELD, why)


def exists(why: str) -> CommandRefused:
    """EEXIST: the resource object exists already (D04)."""
    return CommandRefused(AdminStatus.EEXIST, Qualifier.INVALID_FIELD, why)


def busy(why: str) -> CommandRefused:
    """EBUSY: something depends on what was to be changed."""
    return CommandRefused(AdminStatus.EBUSY, Qualifier.INVALID_COMMAND, why)


def no_space(why: str) -> CommandRefused:
    """ENOSPC: as many objects exist as the driver said it would make."""
    return CommandRefused(AdminStatus.ENOSPC, Qualifier.NORESOURCE, why)
