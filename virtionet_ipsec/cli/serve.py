"""serve: the back end, from its settings on the command line."""

from __future__ import annotations

import os
import signal
import stat
import sys
from collections.abc import Callable, Sequence
from typing import TextIO

from ..device import DEFAULT_MAC, Device
from ..device.exchanges import Listener
from ..input_error import InputError, printable
from ..replay.run import check_paths
from ..safile import load_all
from ..serve.server import Server, Settings, offered
from ..trace import Session, SessionWriter
from ..wire.profile import Profile


def serve_command(
    socket: str,
    wire: Sequence[str],
    sa: Sequence[str],
    local: Sequence[str],
    profile: str,
    queues: int,
    features: str,
    mac: str | None,
    mtu: int | None,
    wire_mtu: int,
    trace: str | None,
    control: str | None,
    accept_cleartext: bool,
) -> int:
    check_paths("-", sa, [("--trace", trace)] if trace else [])
    settings = Settings(
        socket,
        wire,
        load_all(sa, "auto", local_addresses=local),
        Profile(profile),
        offered(features, Profile(profile)),
        queues,
        _mac(mac) if mac else DEFAULT_MAC,
        wire_mtu,
        mtu,
        control or "",
        accept_cleartext,
    )
    server = Server(settings, _tell, _tracing(trace) if trace else lambda device: None)
    try:
        server.run(signal.SIGTERM, signal.SIGINT)
    finally:
        server.close()
    return 0


def _mac(text: str) -> bytes:
    try:
        octets = bytes.fromhex(text.replace(":", " ").replace("-", " "))
    except ValueError:
        octets = b""
    if len(octets) != 6 or octets[0] & 1 or not any(octets):
        raise InputError(f"--mac {text}", "is no address of one station", "give for example 52:54:00:00:00:02")
    return octets


def _tracing(path: str) -> Callable[[Device], None]:
    """What writes down all that passes between driver and device, as it passes."""

    def watch(device: Device) -> None:
        device.on_exchange = _writing(device, _private(path), path)

    return watch


def _private(path: str) -> TextIO:
    """The file ``path``, emptied, for its owner alone.  Raises :class:`InputError`."""
    try:
        # It holds keys.  Not blocking, for a pipe would let us wait for whoever is to read it.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    except OSError as error:
        raise InputError(f"--trace {path}", f"cannot be written ({error.strerror})", "give another file") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise InputError(f"--trace {path}", "is no regular file", "give one: what passes cannot wait for a reader")
    return os.fdopen(descriptor, "w", buffering=1, encoding="utf-8")


def _writing(device: Device, stream: TextIO, path: str) -> Listener:
    writer = SessionWriter(stream.write, Session(device.profile, device.features, device.config))

    def write(exchange: object) -> None:
        try:
            writer.write(exchange)  # type: ignore[arg-type]
        except OSError as error:
            device.on_exchange = None
            _tell(f"{path}: the trace ends here ({error.strerror})")

    return write


def _tell(line: str) -> None:
    print(f"virtionet-ipsec serve: {printable(line)}", file=sys.stderr, flush=True)
