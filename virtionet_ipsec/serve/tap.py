"""The wire to this machine's own network stack: a tap interface (Linux, networking/tuntap)."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import socket
import struct

from ..input_error import InputError, printable
from .frames import MAX_FRAME

_DEVICE = "/dev/net/tun"
_TUNSETIFF, _TUNSETOFFLOAD = 0x400454CA, 0x400454D0
_IFF_TAP, _IFF_NO_PI = 0x0002, 0x1000
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1
_IFREQ = struct.Struct("16sH22x")

# What the kernel takes for an interface's name, but "%", which would make it choose a number.
_NAME = re.compile(r"(?!.*[/:%])[!-~]{1,15}")

_MENDS = {
    errno.EPERM: "run as root, or let root make it: ip tuntap add {name} mode tap user $USER",
    errno.EBUSY: "another process has it: give another name, or end that process",
    errno.EINVAL: "{name} is no tap interface, or one with several queues: give another name",
    errno.ENOENT: "the machine has no tun driver: modprobe tun",
    errno.ENODEV: "the machine has no tun driver: modprobe tun",
}


class Tap:
    """A :class:`~.wires.Wire`.  Raises :class:`InputError`.

    An interface that is there already, such as one of ``ip tuntap add``, is
    taken as it is.  One that is not is made, brought up, and gone when it is
    closed; addresses and bridges are the user's to give it.
    """

    def __init__(self, name: str, interface: str) -> None:
        self.name = name
        self.sent = self.received = self.dropped = 0
        self.failed = ""
        if not _NAME.fullmatch(interface) or interface in (".", ".."):
            raise InputError(f"wire {printable(name)!r}", "has no interface's name", "give 1 to 15 letters or digits")
        self._buffer = bytearray(MAX_FRAME)
        self._fd = -1
        try:
            self._open(interface)
        except OSError as error:
            if self._fd >= 0:
                os.close(self._fd)
            code = error.errno or errno.EINVAL
            mend = _MENDS.get(code, "see networking/tuntap of the kernel's documentation")
            what = f"cannot be opened ({os.strerror(code)})"
            raise InputError(f"tap interface {interface}", what, mend.format(name=interface)) from None

    def _open(self, interface: str) -> None:
        name = interface.encode("ascii")
        made = interface not in (each for _, each in socket.if_nameindex())
        self._fd = os.open(_DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.ioctl(self._fd, _TUNSETIFF, _IFREQ.pack(name, _IFF_TAP | _IFF_NO_PI))
        fcntl.ioctl(self._fd, _TUNSETOFFLOAD, 0)  # whole checksums, no segmentation: frames as a cable has them
        if made:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
                _, flags = _IFREQ.unpack(fcntl.ioctl(control, _SIOCGIFFLAGS, _IFREQ.pack(name, 0)))
                fcntl.ioctl(control, _SIOCSIFFLAGS, _IFREQ.pack(name, flags | _IFF_UP))

    def fileno(self) -> int | None:
        return self._fd

    def send(self, frame: bytes) -> None:
        try:
            os.write(self._fd, frame)
        except OSError:  # the interface is down, or its queue is full
            self.dropped += 1
        else:
            self.sent += 1

    def receive(self, most: int) -> list[bytes]:
        frames: list[bytes] = []
        fd, buffer = self._fd, self._buffer
        vector = (buffer,)
        try:
            for _ in range(most):
                length = os.readv(fd, vector)
                frames.append(bytes(buffer[:length]))
        except BlockingIOError:
            pass
        except OSError as error:
            self.failed = f"the interface is gone ({error.strerror})"
        self.received += len(frames)
        return frames

    def tick(self) -> None:
        pass

    def close(self) -> None:
        os.close(self._fd)
