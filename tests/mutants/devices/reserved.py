"""Devices that are wrong about reserved feature bits."""

from __future__ import annotations

from typing import Any

from virtionet_ipsec.device import Device
from virtionet_ipsec.wire.enums import Feature

from ..mutant import breaks


@breaks("reserved.dev.version-1")
class WithoutVersion1(Device):
    """VIRTIO_F_VERSION_1 is not offered."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        self.features &= ~(1 << Feature.VERSION_1)
