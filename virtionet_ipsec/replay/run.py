"""Replay: a capture in, what the device made of it out."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any, BinaryIO, Protocol, cast

from .capture import Capture, open_capture
from .captured import CaptureError, Packet
from .interrupt import Interrupt
from .linktypes import ETHERNET, IPV4, IPV6, RAW
from .outputs import Outputs, is_special, is_stdout, put
from .pcapng_writer import FlagsDirection, PcapngWriter
from .records import Comments, jsonl
from .report import Report
from .session import Outcome, Session

Progress = Callable[[Iterable[Packet]], Iterable[Packet]]

_LINES = 500  # of PACKETS.jsonl that are written together


class Sink(Protocol):
    """Where packets go, one after the other."""

    def __call__(self, packet: Packet, outcome: Outcome) -> None: ...

    def finish(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Files:
    """What to write, by path; None is "do not"."""

    write: str | None = None
    report: str | None = None
    packets: str | None = None

    def all(self) -> Iterator[tuple[str, str]]:
        """(flag, path) of those that are given."""
        for flag, path in (("--write", self.write), ("--report", self.report), ("--packets", self.packets)):
            if path is not None:
                yield flag, path


@dataclass(frozen=True, slots=True)
class Replayed:
    """A finished replay: the report, as adding-up object and as it was written."""

    report: Report
    document: dict[str, Any]


def replay(
    session: Session,
    capture: str,
    files: Files = Files(),
    progress: Progress = iter,
    *,
    sa_files: Sequence[str] = (),
) -> Replayed:
    """Send every packet of ``capture`` (a path, or ``-``) through ``session``.

    Ctrl-C ends it early: what was done is written, and ``interrupted`` is in
    the report; a second one ends it at once, and nothing is written.  No file
    may be the capture or one of ``sa_files``.  Raises :class:`CaptureError` for
    a capture that cannot be read or a file that cannot be written; then no file
    has been written.  Raises BrokenPipeError when a pipe is no longer read.
    """
    check_paths(capture, sa_files, files.all())
    with open_capture(capture) as source, Outputs() as outputs, Interrupt() as interrupt:
        report = Report(session)
        sinks = _sinks(session, source, files, outputs)
        totals = outputs.open(files.report, "w") if files.report is not None else None
        started = time.perf_counter()
        process, add = session.process, report.add
        for packet in interrupt.each(progress(source)):
            outcome = process(packet.data, packet.linktype)
            add(packet, outcome)
            for sink in sinks:
                sink(packet, outcome)
        for sink in sinks:
            sink.finish()
        seconds = time.perf_counter() - started
        document = report.as_dict(
            capture=source.name, seconds=seconds, truncated=source.truncated, interrupted=interrupt.asked
        )
        if totals is not None:
            put(totals, json.dumps(document, indent=2) + "\n", str(files.report))
        outputs.keep()
    return Replayed(report, document)


def _sinks(session: Session, source: Capture, files: Files, outputs: Outputs) -> list[Sink]:
    sinks: list[Sink] = []
    if files.write is not None:
        comments = Comments(session.driver.layout.flag_names)
        sinks.append(_PcapngSink(cast("BinaryIO", outputs.open(files.write, "wb")), source, comments))
    if files.packets is not None:
        sinks.append(_JsonlSink(outputs.open(files.packets, "w"), files.packets, session))
    return sinks


class _PcapngSink:
    """Writes what was delivered or sent, with the capture's timestamps and link types."""

    def __init__(self, file: BinaryIO, source: Capture, comments: Comments) -> None:
        self._described: list[int] = []  # link types of the interfaces
        self._interfaces: dict[int, int] = {}  # by the capture's link type
        self._comments = comments
        first = source.linktype if source.linktype is not None else ETHERNET
        self._writer = PcapngWriter(file, _linktype_out(first))
        self._described.append(_linktype_out(first))

    def __call__(self, packet: Packet, outcome: Outcome) -> None:
        if outcome.verdict == "dropped":
            return
        interface = self._interfaces.get(packet.linktype)
        if interface is None:
            interface = self._interfaces[packet.linktype] = self._interface(packet.linktype)
        direction: FlagsDirection = "inbound" if outcome.direction == "inbound" else "outbound"
        self._writer.write(outcome.data, packet.time_ns, self._comments(outcome), direction, interface=interface)

    def finish(self) -> None:
        self._writer.close()

    def _interface(self, linktype: int) -> int:
        linktype = _linktype_out(linktype)
        if linktype not in self._described:
            self._writer.add_interface(linktype)
            self._described.append(linktype)
        return self._described.index(linktype)


def _linktype_out(linktype: int) -> int:
    """Protection and its removal may change the IP version, so what comes out is not bound to one."""
    return RAW if linktype in (IPV4, IPV6) else linktype


class _JsonlSink:
    """Writes a line for each packet."""

    def __init__(self, file: IO[str], name: str, session: Session) -> None:
        self._file, self._name = file, name
        self._flag_names = session.driver.layout.flag_names
        self._lines: list[str] = []

    def __call__(self, packet: Packet, outcome: Outcome) -> None:
        self._lines.append(jsonl(packet, outcome, self._flag_names))
        if len(self._lines) >= _LINES:
            self.finish()

    def finish(self) -> None:
        put(self._file, "".join(self._lines), self._name)
        self._lines.clear()


def check_paths(
    capture: str, others: Sequence[str], outputs: Iterable[tuple[str, str]], what: str = "an SA file"
) -> None:
    """No output, a flag and a path, may be the capture or another input, and no two outputs one file.

    ``what`` says what the ``others`` are.  Raises :class:`CaptureError`.
    """
    seen = {os.path.realpath(name): what for name in others}
    if capture != "-":
        seen[os.path.realpath(capture)] = "the capture"
    for flag, path in outputs:
        real = "-" if is_stdout(path) else os.path.realpath(path)
        if real in seen and (real == "-" or not is_special(path)):
            raise CaptureError(path, f"{flag} names the same file as {seen[real]}", "give each file a name of its own")
        seen[real] = flag
