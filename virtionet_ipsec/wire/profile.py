"""Which edition of the specification the bytes follow."""

from __future__ import annotations

import enum


class Profile(enum.Enum):
    """A set of layouts and flag values; the value is its name on the command line.

    ``VIRTIO_1_4`` is OASIS virtio 1.4 (Committee Specification 01).  ``RFC_V1``
    is the January 2025 RFC: fewer fields, and other values for the security
    flags of ``virtio_net_hdr``.
    """

    VIRTIO_1_4 = "virtio-1.4"
    RFC_V1 = "rfc-v1"
