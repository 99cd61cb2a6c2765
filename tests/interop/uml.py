"""A User Mode Linux guest: boots on the host's own file system, read-only, and does what it is told over a console."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, Self

from . import process

HERE = Path(__file__).parent
KERNEL = "linux.uml"
MODULES = ",".join(
    (
        "failover,net_failover,virtio_net,esp4,esp6,ah4,ah6,xfrm_user,drbg,jitterentropy_rng",
        # So that the kernel need not look for each of them when it comes to an SA.
        "authenc,authencesn,echainiv,seqiv,hmac,md5,sha1_generic,sha256_generic,sha512_generic,xcbc,cmac,cbc,ctr",
        "gcm,ccm,ghash-generic,aes_generic,des_generic,crypto_null,chacha20poly1305,chacha_generic,poly1305_generic",
    )
)
PYTHON = Path(sys.executable).resolve()
TRAFFIC = f"{PYTHON} -I -S {HERE / 'guest' / 'traffic.py'}"
BOOT = 60.0  # seconds; two come up in three


class GuestError(Exception):
    """What went wrong in a guest, with the end of its log."""


class Ran(NamedTuple):
    """A command that has ended in a guest; ``status`` is -9 when its time was over."""

    status: int
    out: str
    err: str


class Guest:
    """One running guest.

    ``devices`` are vhost-user sockets, each a virtio-net device; ``links`` are
    sockets of the host, one frame a message, each an Ethernet device vec0,
    vec1, ... that is no virtio device.  Everything it writes is in its own
    memory or in ``folder``, which the guest has as /run/shared; the log is
    there too.  The constructor returns while the guest still boots: commands
    wait for it.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        *,
        devices: Iterable[Path] = (),
        links: Sequence[socket.socket] = (),
        memory: str = "192M",
    ) -> None:
        self.name = name
        self.folder = folder
        self.log = folder / f"{name}.log"
        shared = folder / name
        for each in (shared, folder / "uml"):
            each.mkdir(exist_ok=True)
        self.shared = shared
        self._number = 0
        self._ready = False
        self._unread = b""
        self._console, theirs = socket.socketpair()
        handed = [theirs, *links]
        words = [
            shutil.which(KERNEL) or KERNEL,
            f"mem={memory}",
            "rootfstype=hostfs",
            "rootflags=/",
            "ro",
            "init=/bin/sh",
            "con=null",
            "con0=null,fd:1",
            f"con1=fd:{theirs.fileno()}",
            f"uml_dir={folder}/uml/",
            f"umid={name}",
            *(f"virtio_uml.device={device}:1" for device in devices),
            *(f"vec{number}:transport=fd,fd={link.fileno()}" for number, link in enumerate(links)),
            f"SCRATCH={shared}",
            f"PYTHON={PYTHON}",
            f"AGENT={HERE / 'guest' / 'agent.py'}",
            f"MODULES={MODULES}",
            "--",
            str(HERE / "guest" / "init.sh"),
        ]
        temporary = os.environ.get("TMPDIR", "/dev/shm")
        self._process = process.start(
            words,
            self.log,
            environment={"HOME": str(folder), "TMPDIR": temporary, "PATH": os.environ["PATH"]},
            pass_fds=[each.fileno() for each in handed],
        )
        theirs.close()

    # -- commands ------------------------------------------------------------------------------------------------------

    def run(self, script: str, *, stdin: str = "", timeout: float = 30.0) -> Ran:
        """What ``sh -c script`` says in the guest, whatever its status."""
        self.wait()
        self._number += 1
        asked = {"script": script, "stdin": stdin, "timeout": timeout}
        (self.shared / str(self._number)).write_text(json.dumps(asked))
        try:
            self._console.sendall(b"%d\n" % self._number)
            answer = json.loads(self._line(timeout + 10))
        except OSError as error:
            raise self._error(f"gave no answer to {script!r}: {error}") from None
        assert answer["number"] == self._number
        return Ran(answer["status"], answer["out"], answer["err"])

    def do(self, script: str, *, stdin: str = "", timeout: float = 30.0) -> str:
        """What it prints; GuestError when its status is not 0."""
        ran = self.run(script, stdin=stdin, timeout=timeout)
        if ran.status:
            raise self._error(f"status {ran.status} of {script!r}\n{ran.out}{ran.err}")
        return ran.out

    def ip(self, lines: Iterable[str]) -> None:
        """What ``ip`` is told, a command a line; GuestError when one of them fails."""
        self.do("ip -batch -", stdin="".join(line + "\n" for line in lines))

    def traffic(self, what: str, *words: object, timeout: float = 60.0) -> list[str]:
        """A client of guest/traffic.py: what was not as it was sent."""
        ran = self.run(f"{TRAFFIC} {what} {' '.join(map(str, words))}", timeout=timeout)
        try:
            wrong: list[str] = json.loads(ran.out)["wrong"]
        except ValueError:
            raise self._error(f"status {ran.status} of {what}\n{ran.out}{ran.err}") from None
        return wrong

    def serve_traffic(self, port: int, what: str = "serve", *words: object) -> None:
        """One of its servers, from now on."""
        self.do(f"{TRAFFIC} {what} {port} {' '.join(map(str, words))} >/run/{what}.log 2>&1 &")
        self.do(f"for i in $(seq 100); do grep -q :{port:04X} /proc/net/tcp6 && exit 0; sleep 0.05; done; exit 1")

    def reboot(self) -> None:
        """At once, as with a button; returns when it is up again."""
        self.wait()
        self._console.sendall(b"reboot\n")
        self._ready = False
        self.wait()

    def wait(self) -> None:
        """Until it has booted."""
        if not self._ready:
            try:
                line = self._line(BOOT)
            except OSError as error:
                raise self._error(f"did not boot: {error}") from None
            assert line == b"ready"
            self._ready = True

    def _line(self, timeout: float) -> bytes:
        end = time.monotonic() + timeout
        while b"\n" not in self._unread:
            self._console.settimeout(max(0.001, end - time.monotonic()))
            more = self._console.recv(1 << 16)
            if not more:
                raise OSError("it is gone")
            self._unread += more
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def _error(self, what: str) -> GuestError:
        status = self._process.poll()
        if status is not None:
            what += f" (the kernel has ended with status {status})"
        tail = "".join(self.log.read_text(errors="replace").splitlines(keepends=True)[-10:])
        return GuestError(f"guest {self.name} {what}\n--- the end of {self.log}:\n{tail}")

    # -- the end -------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """End it at once, whatever it does."""
        process.kill(self._process)
        self._console.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
