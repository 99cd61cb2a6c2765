"""The trace file: what is written is read, and what is no trace is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtionet_ipsec.conformance.rerun import Rerun
from virtionet_ipsec.conformance.target import model_like
from virtionet_ipsec.conformance.watching.monitor import judge_driver
from virtionet_ipsec.device.exchanges import (
    Arrived,
    BuffersSized,
    Commanded,
    ConfigRead,
    Controlled,
    Exchange,
    FeaturesWritten,
    StatusWritten,
    Transmitted,
)
from virtionet_ipsec.input_error import InputError
from virtionet_ipsec.trace import Session, SessionReader, SessionWriter, read_session
from virtionet_ipsec.wire.profile import Profile

octets, number = st.binary(max_size=40), st.integers(0, 2**32)
many = st.lists(octets, max_size=3).map(tuple)
exchanges = st.one_of(
    st.builds(StatusWritten, st.integers(0, 255), st.integers(0, 255)),
    st.builds(FeaturesWritten, st.integers(0, 2**128 - 1)),
    st.builds(ConfigRead, number, octets),
    st.builds(BuffersSized, number),
    st.builds(Commanded, octets, number, octets),
    st.builds(Controlled, octets, number, octets),
    st.builds(Transmitted, number, octets, many),
    st.builds(Arrived, octets, number, many),
)
sessions = st.builds(Session, st.sampled_from(Profile), st.integers(0, 2**128 - 1), octets)


def written(session: Session, told: list[Exchange]) -> list[str]:
    lines: list[str] = []
    writer = SessionWriter(lines.append, session)
    for each in told:
        writer.write(each)
    return lines


@given(session=sessions, told=st.lists(exchanges, max_size=6))
def test_what_is_written_is_read(session: Session, told: list[Exchange]) -> None:
    reader = SessionReader(written(session, told), "a trace")
    assert (reader.session, list(reader)) == (session, told)


def test_a_line_as_documented() -> None:
    """specs/trace.md: octets are hexadecimal, names are those of the exchanges."""
    session = Session(Profile.RFC_V1, 3, b"\x01")
    head, line = (json.loads(each) for each in written(session, [Arrived(b"\x0a\xff", 1, (b"\x02", b""))]))
    assert head == {"format": "virtionet-ipsec trace", "version": 1, "profile": "rfc-v1", "features": 3, "config": "01"}
    assert line == {"exchange": "Arrived", "frame": "0aff", "queue": 1, "buffers": ["02", ""]}


HEAD = written(Session(Profile.VIRTIO_1_4, 0, b""), [])[0]
BAD = [
    ("", "line 1: is no JSON object"),
    ("[]", "line 1: is no JSON object"),
    ("{}", "line 1: is no trace"),
    (HEAD.replace(": 1,", ": 2,"), "line 1: version 2 is not 1"),
    (HEAD.replace("virtio-1.4", "2.0"), "line 1: profile '2.0' is not one of: virtio-1.4, rfc-v1"),
    (HEAD.replace(": 0,", ": -1,"), "line 1: features is not a number of 128 bits"),
    (HEAD + "garbage", "line 2: is no JSON object"),
    (HEAD + '{"exchange": "Slept"}', "line 2: exchange 'Slept' is not one of: StatusWritten,"),
    (HEAD + '{"exchange": "StatusWritten", "value": 1}', "line 2: has no status"),
    (HEAD + '{"exchange": "StatusWritten", "value": true, "status": 1}', "line 2: value is not a number of 128 bits"),
    (HEAD + '{"exchange": "Commanded", "readable": "0g", "writable_len": 1, "written": ""}', "readable is not hexa"),
    (HEAD + '{"exchange": "Commanded", "readable": 7, "writable_len": 1, "written": ""}', "readable is not a string"),
    (HEAD + '{"exchange": "Arrived", "frame": "", "queue": 0, "buffers": "00"}', "line 2: buffers is not a list"),
    (HEAD + '{"exchange": "StatusWritten", "value": 1, "status": 1, "to": 2}', "StatusWritten has no field 'to'"),
    (HEAD + '{"exchange": "StatusWritten", "value": 300, "status": 1}', "line 2: the device status is one octet"),
    (HEAD.replace("virtio-1.4", "x" * 5000), "is not one of: virtio-1.4, rfc-v1"),
    (HEAD + " " * (1 << 24), "a line has more than 16777216 characters"),
    (HEAD + "[" * 100_000, "line 2: is no JSON object"),
]


@pytest.mark.parametrize(("text", "said"), BAD, ids=[said for _, said in BAD])
def test_what_is_no_trace(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "trace"
    path.write_text(text)
    with pytest.raises(InputError, match=r"trace, line|trace:") as caught:
        read_session(str(path))
    assert said in str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for name, said in (("binary", "is no text"), ("absent", "No such file")):
        with pytest.raises(InputError, match=said):
            read_session(str(tmp_path / name))


@settings(max_examples=200)
@given(text=st.text(max_size=200))
def test_any_text(text: str) -> None:
    for lines in ([text], [HEAD, text]):
        try:
            list(SessionReader(lines, "a trace"))
        except InputError:
            continue


def test_the_documentation_s_session() -> None:
    """specs/trace.md: a whole session; the model does as it says, and its driver is judged."""
    text = (Path(__file__).parents[2] / "specs" / "trace.md").read_text()
    lines = text.split("```json\n")[1].split("```")[0].splitlines()
    reader = SessionReader(lines, "trace.md")
    exchanges = list(reader)
    assert list(Rerun(reader.session).differences(exchanges, model_like(reader.session))) == []
    report = judge_driver(reader.session, exchanges, "trace.md")
    assert report.failures == () and report.summary["pass"] > 5
