"""A guest in QEMU, without KVM: a Debian kernel, busybox, and QEMU's vhost-user front end."""

from __future__ import annotations

import base64
import os
import socket
import stat
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Self

import pytest

from . import needs, process
from .uml import GuestError, Ran

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
PROGRAM = "qemu-system-x86_64"
KERNELS = (ROOT / "out" / "kernel", Path("/"))
NO_KERNEL = "no kernel for a QEMU guest found: make interop-kernel, or apt install linux-image-cloud-amd64"
MODULES = (
    *("virtio", "virtio_ring", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci"),
    *("failover", "net_failover", "virtio_net"),
)
BOOT = 120.0  # seconds; three on an idle machine


def kernel() -> tuple[Path, Path]:
    """A kernel and the directory of its modules; skips when there is none."""
    for root in KERNELS:
        for image in sorted(root.glob("boot/vmlinuz-*"), reverse=True):
            modules = root / "lib" / "modules" / image.name.removeprefix("vmlinuz-")
            if any(modules.rglob("virtio_net.ko")):
                return image, modules
    pytest.skip(NO_KERNEL)


def archive(files: Iterable[tuple[str, int, bytes]]) -> bytes:
    """An initial file system of name, mode and content: cpio, "newc" (Linux, early-userspace/buffer-format)."""
    parts = []
    for number, (name, mode, content) in enumerate((*files, ("TRAILER!!!", 0, b"")), 1):
        # Inode, mode, owner, group, links, time, size, device (2), device of a special file (2), length of name, check.
        fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
        parts += [head + bytes(-len(head) % 4), content + bytes(-len(content) % 4)]
    return b"".join(parts)


def initial_files(modules: Path) -> bytes:
    found = {path.stem: path for path in modules.rglob("*.ko") if path.stem in MODULES}
    busybox = needs.found("busybox")
    assert busybox is not None
    directories = [(name, stat.S_IFDIR | 0o755, b"") for name in ("bin", "proc", "sys", "dev", "modules")]
    files = [("init", HERE / "guest" / "qemu-init.sh"), ("bin/busybox", Path(busybox))]
    files += [(f"modules/{name}.ko", path) for name, path in found.items()]  # what is missing is built in
    contents = [(name, stat.S_IFREG | 0o755, path.read_bytes()) for name, path in files]
    return archive([*directories, *contents])


class QemuGuest:
    """A running guest with a virtio-net device at the vhost-user socket ``device``; ``options`` are of virtio-net-pci.

    QEMU connects again when its backend has gone.
    """

    def __init__(self, name: str, folder: Path, device: Path, *, options: str = "", queues: int = 1) -> None:
        image, modules = kernel()
        self.name = name
        self.log = folder / f"{name}.log"
        self._number = 0
        self._ready = False
        self._unread = b""
        initial = folder / "initial.cpio"
        initial.write_bytes(initial_files(modules))
        commands = folder / f"{name}.commands"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(os.fspath(commands))
        listener.listen(1)
        words = [PROGRAM, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-accel", "tcg"]
        words += ["-m", "256", "-machine", "q35", "-cpu", "max", "-smp", "1"]
        words += ["-object", "memory-backend-memfd,id=memory,size=256M,share=on", "-numa", "node,memdev=memory"]
        words += ["-kernel", str(image), "-initrd", str(initial), "-append", "console=ttyS0 panic=-1 net.ifnames=0"]
        words += ["-serial", f"file:{self.log}", "-chardev", f"socket,id=commands,path={commands}"]
        words += ["-serial", "chardev:commands", "-chardev", f"socket,id=vhost,path={device},reconnect=1"]
        words += ["-netdev", f"vhost-user,id=net,chardev=vhost,queues={queues}"]
        # With MSI-X, QEMU 7.2 itself ends under TCG.
        words += ["-device", f"virtio-net-pci,netdev=net,disable-legacy=on,vectors=0{',' + options if options else ''}"]
        if queues > 1:
            words[-1] += ",mq=on"
        self.said = folder / f"{name}.qemu.log"
        self._process = process.start(words, self.said)
        try:
            listener.settimeout(20)
            self._commands = listener.accept()[0]
        except TimeoutError:
            self.close()
            raise GuestError(f"QEMU did not start: {self.said.read_text()}") from None
        finally:
            listener.close()

    def run(self, script: str, *, timeout: float = 60.0) -> Ran:
        """What ``script`` prints (both of its outputs), and its status."""
        self._wait()
        self._number += 1
        encoded = base64.b64encode(script.encode()).decode()
        self._commands.sendall(f"{self._number} {encoded}\n".encode())
        number, status, *output = self._line(timeout).split()
        assert int(number) == self._number
        return Ran(int(status), base64.b64decode(output[0]).decode(errors="replace") if output else "", "")

    def do(self, script: str, *, timeout: float = 60.0) -> str:
        """What it prints; GuestError when its status is not 0."""
        ran = self.run(script, timeout=timeout)
        if ran.status:
            raise self._error(f"status {ran.status} of {script!r}\n{ran.out}")
        return ran.out

    def _wait(self) -> None:
        if not self._ready:
            assert self._line(BOOT) == b"ready 0"
            self._ready = True

    def _line(self, timeout: float) -> bytes:
        end = time.monotonic() + timeout
        try:
            while b"\n" not in self._unread:
                self._commands.settimeout(max(0.001, end - time.monotonic()))
                more = self._commands.recv(1 << 16)
                if not more:
                    raise self._error("is gone")
                self._unread += more
        except TimeoutError:
            raise self._error("gives no answer") from None
        line, _, self._unread = self._unread.partition(b"\n")
        return line.strip()

    def _error(self, what: str) -> GuestError:
        tail = "".join(self.log.read_text(errors="replace").splitlines(keepends=True)[-10:])
        return GuestError(f"guest {self.name} {what}\n{self.said.read_text()}\n--- the end of {self.log}:\n{tail}")

    def close(self) -> None:
        """End it at once."""
        process.kill(self._process)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
