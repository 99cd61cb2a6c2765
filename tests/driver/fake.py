"""A device that says what the test wants, and remembers what it was told."""

from __future__ import annotations

import struct
from collections.abc import Callable

from virtionet_ipsec.wire import Feature, Status


def mask(*features: Feature) -> int:
    return sum(1 << feature for feature in set(features))


def answer(status: int = 0, qualifier: int = 0, result: bytes = b"") -> bytes:
    """The device-writable part of a command."""
    return struct.pack("<HHI", status, qualifier, 0) + result


class FakePort:
    """Takes every status and feature, and answers commands with ``reply(opcode, data)``."""

    def __init__(self, reply: Callable[[int, bytes], bytes] = lambda opcode, data: answer()) -> None:
        self.features = mask(Feature.VERSION_1, Feature.ADMIN_VQ)
        self.reply = reply
        self.status = 0
        self.statuses: list[int] = []
        self.driver_features: int | None = None
        self.commands: list[tuple[int, int, int, bytes]] = []
        self.refuses_features = False
        self.last_refusal = ""

    def set_status(self, value: int) -> None:
        self.statuses.append(value)
        if self.refuses_features:
            value &= ~Status.FEATURES_OK
        self.status = value

    def set_driver_features(self, value: int) -> None:
        self.driver_features = value

    def admin(self, readable: bytes, writable_len: int = 0) -> bytes:
        assert len(readable) % 8 == 0 and writable_len > 0 and writable_len % 8 == 0
        opcode, group, reserved, member = struct.unpack_from("<HH12sQ", readable)
        assert reserved == bytes(12)
        self.commands.append((opcode, group, member, readable[24:]))
        return self.reply(opcode, readable[24:])[:writable_len]

    def transmit(self, buffer: bytes, queue: int = 0) -> tuple[bytes, ...]:
        return (buffer,)

    def receive(self, frame: bytes) -> None:
        return None
