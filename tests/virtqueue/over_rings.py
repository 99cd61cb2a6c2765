"""A plugin for pytest that puts virtqueues between every driver and its device: ``-p tests.virtqueue.over_rings``.

The environment's OVER_RINGS says which rings: split, or packed.  What tests do
to the device directly goes through the rings as well.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any
from weakref import WeakKeyDictionary

import pytest

from virtionet_ipsec.device import Device, negotiation
from virtionet_ipsec.driver.driver import Driver
from virtionet_ipsec.virtqueue.in_memory import RING_FEATURES, MemoryTransport
from virtionet_ipsec.virtqueue.port import QueuePort, Rings
from virtionet_ipsec.wire.enums import Feature

_INIT = Driver.__init__
_SIZE = Device.receive_buffer_size
_MAX_PAIRS = slice(8, 10)  # of virtio_net_config
_PORTS: WeakKeyDictionary[Device, QueuePort] = WeakKeyDictionary()
_INSIDE: set[Device] = set()
"""Devices that are asked by their rings now."""


def _of_port(name: str) -> Callable[..., Any]:
    """A method of QueuePort, within which the device is the device."""
    original = getattr(QueuePort, name)

    def method(port: Any, *arguments: Any) -> Any:
        device = port.transport.device
        _INSIDE.add(device)
        try:
            return original(port, *arguments)
        finally:
            _INSIDE.discard(device)

    return method


def _of_device(name: str) -> Callable[..., Any]:
    """A method of Device that goes through its driver's rings."""
    original = getattr(Device, name)

    def method(device: Device, *arguments: Any) -> Any:
        if device not in _PORTS or device in _INSIDE:
            return original(device, *arguments)
        return getattr(_PORTS[device], name)(*arguments)

    return method


def _over_rings(self: Driver, port: Any, *rest: Any, **named: Any) -> None:
    if isinstance(port, Device):
        device = port
        transport = MemoryTransport(device, int.from_bytes(device.config[_MAX_PAIRS], "little") or 1)
        port = QueuePort(transport, Rings(packed=os.environ["OVER_RINGS"] == "packed"))
        _PORTS[device] = port
    _INIT(self, port, *rest, **named)


def _resize(device: Device, size: int) -> None:
    _SIZE.__set__(device, size)
    if device in _PORTS:
        _PORTS[device].receive_buffer_size = size


@pytest.fixture(scope="session", autouse=True)
def rings() -> Iterator[None]:
    """Devices offer what rings can do, and drivers find rings."""
    patch = pytest.MonkeyPatch()
    offered = tuple(feature for feature in Feature if RING_FEATURES >> feature & 1)
    patch.setattr(negotiation, "_OFFERED", negotiation._OFFERED + offered)
    patch.setattr(Driver, "__init__", _over_rings)
    patch.setattr(Device, "receive_buffer_size", property(_SIZE.__get__, _resize))
    for name in ("transmit", "receive", "admin", "control"):
        patch.setattr(QueuePort, name, _of_port(name))
        patch.setattr(Device, name, _of_device(name))
    yield
    patch.undo()
