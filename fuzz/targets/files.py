"""Files that somebody hands us: SA files of every kind, traces, captures.

Each is read, or refused in one line; what is read can be written again.
"""

from __future__ import annotations

import io
import json

from tests.replay_io import files as capture
from tests.safile import examples, kernel
from virtionet_ipsec.input_error import InputError
from virtionet_ipsec.replay.capture import open_capture
from virtionet_ipsec.replay.captured import CaptureError
from virtionet_ipsec.safile import SaFileError, dumps_esp_sa, dumps_toml, loads
from virtionet_ipsec.trace.format import SessionReader, SessionWriter


def _sas(data: bytes) -> None:
    entries = loads(data.decode("utf-8", "replace"), "file")
    again = loads(dumps_toml(entries)[0], "file") if entries else []
    assert [each.params for each in again] == [each.params for each in entries]


def _trace(data: bytes) -> None:
    reader = SessionReader(io.StringIO(data.decode("utf-8", "replace")), "file")
    exchanges = list(reader)
    lines: list[str] = []
    writer = SessionWriter(lines.append, reader.session)
    for each in exchanges:
        writer.write(each)
    assert list(SessionReader(lines, "file")) == exchanges


def _capture(data: bytes) -> None:
    for packet in open_capture(io.BytesIO(data)):
        assert len(packet.data) <= len(data)


READERS = (_sas, _trace, _capture)


def run(data: bytes) -> None:
    """Raises what is wrong.  The first octet chooses the reader."""
    if not data:
        return
    line = ""
    try:
        READERS[data[0] % len(READERS)](data[1:])
    except (SaFileError, InputError, CaptureError) as error:
        line = str(error)
        assert line
    assert "\n" not in line


def _session() -> bytes:
    head = {
        "format": "virtionet-ipsec trace",
        "version": 1,
        "profile": "virtio-1.4",
        "features": 1 << 70,
        "config": "00",
    }
    lines = (
        head,
        {"exchange": "StatusWritten", "value": 1, "status": 1},
        {"exchange": "FeaturesWritten", "features": 1 << 32},
        {"exchange": "Commanded", "readable": "00" * 24, "writable_len": 64, "written": "00"},
        {"exchange": "Controlled", "readable": "0000", "writable_len": 1, "written": "00"},
        {"exchange": "Transmitted", "queue": 0, "buffer": "00" * 26, "frames": ["00" * 14]},
        {"exchange": "Arrived", "frame": "00" * 14, "queue": 0, "buffers": ["00" * 26]},
    )
    return b"".join(json.dumps(each).encode() + b"\n" for each in lines)


def seeds() -> list[bytes]:
    """A good file of each kind."""
    pair = loads(kernel.GCM_PAIR, direction="inbound")
    texts = (
        *(examples.GCM, examples.EVERYTHING, kernel.GCM_PAIR, kernel.WITH_STATISTICS, kernel.ATTRIBUTES),
        *(kernel.UDP_ENCAPSULATED, kernel.GMAC, kernel.CTR, dumps_esp_sa(pair)[0]),
    )
    captures = (
        capture.pcap([(1, 2, b"first"), (3, 4, b"second")]),
        capture.pcap([(1, 2, bytes(20))], order=">", linktype=113),
        capture.section() + capture.interface(options=capture.option(9, b"\x06")) + capture.enhanced(b"packet", 5),
        capture.section(">") + capture.interface(276, order=">") + capture.enhanced(bytes(30), order=">"),
    )
    return [*(b"\0" + text.encode() for text in texts), b"\1" + _session(), *(b"\2" + each for each in captures)]
