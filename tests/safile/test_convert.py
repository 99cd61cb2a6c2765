"""Files converted from one format to another, and what ``sa convert`` says of it."""

from __future__ import annotations

import io
import sys
from collections import Counter
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from virtionet_ipsec.cli.sa import convert_command
from virtionet_ipsec.ipsec.sa import Direction, Mode
from virtionet_ipsec.safile import SaFileError, Select, dumps_esp_sa, dumps_toml, dumps_xfrm, load, load_all, loads

from . import kernel

LINUX = Path(__file__).parents[2] / "pcaps" / "linux"
BEYOND_WIRESHARK = {"ah-sha1", "ah-sha256", "ccm128", "gmac128"}
EXPRESSIBLE = sorted(
    path for path in LINUX.glob("*.xfrm") if not any(path.name.startswith(f"{name}-") for name in BEYOND_WIRESHARK)
)
TRANSPORT = LINUX / "gcm128-transport-v4.xfrm"
A, B = "10.0.0.1", "10.0.0.2"


def test_there_are_captures():
    assert len(EXPRESSIBLE) >= 10
    assert TRANSPORT in EXPRESSIBLE


@pytest.mark.parametrize("through_toml", [False, True])
@pytest.mark.parametrize("path", EXPRESSIBLE, ids=lambda path: path.stem)
def test_what_is_written_for_wireshark_can_be_read(path, through_toml):
    entries = load(path)
    text, _ = dumps_esp_sa(loads(dumps_toml(entries)[0]) if through_toml else entries)
    spis = {entry.params.spi for entry in entries}
    assert "*" not in text
    inbound = Counter(e.params.spi for e in loads(text) if e.params.direction is Direction.INBOUND)
    assert inbound == dict.fromkeys(spis, 1)
    addresses = {line.split()[1::2][0] for line in path.read_text().splitlines() if line.startswith("src ")}
    assert all(f'"{address}"' in text for address in addresses)


@pytest.mark.parametrize("path", sorted(LINUX.glob("*.xfrm")), ids=lambda path: path.stem)
@pytest.mark.parametrize("direction", ["inbound", "outbound"])
def test_one_direction_keeps_its_addresses(path, direction):
    text, warnings = dumps_xfrm(load(path, direction))
    assert "0.0.0.0 dst 0.0.0.0\n" not in text
    assert warnings == []
    ends = [entry.ends for entry in load(path, direction)]
    assert [entry.ends for entry in loads(text, direction=direction)] == ends
    assert None not in ends


def test_transport_mode_hosts_of_a_table():
    text, _ = dumps_esp_sa(load(TRANSPORT))
    entries = loads(text, direction="inbound", mode=Mode.TRANSPORT)
    assert {entry.ends for entry in entries} == {(ip_address(A), ip_address(B)), (ip_address(B), ip_address(A))}
    assert dumps_esp_sa(entries)[0] == text


def test_directions_whose_upper_halves_differ_are_one_line():
    entries = loads(kernel.CBC_SHA512_ESN, "f")
    (inbound,) = (e for e in entries if e.params.direction is Direction.INBOUND)
    inbound = replace(inbound, params=replace(inbound.params, first_seq=(5 << 32) + 1))
    (outbound,) = (e for e in entries if e.params.direction is Direction.OUTBOUND)
    for order in ([inbound, outbound], [outbound, inbound]):
        text, warnings = dumps_esp_sa(order)
        assert text.count("\n") == 1
        assert text.endswith(',"64-bit","5"\n')
        assert any("one upper half of sequence numbers" in warning for warning in warnings)


def test_local_addresses_tell_the_directions_of_a_table():
    text, _ = dumps_esp_sa(loads(kernel.GCM_PAIR))
    for direction in ("both", "auto"):
        entries = loads(text, direction=direction, local_addresses=[A])
        assert [(e.params.spi, e.params.direction) for e in entries] == [
            (0x2010, Direction.INBOUND),
            (0x1010, Direction.OUTBOUND),
        ]
    wild = text.replace(f'"{B}","{A}"', '"*","*"')
    assert [e.params.direction for e in loads(wild, direction="auto", local_addresses=[A])] == [
        Direction.INBOUND,  # nothing tells
        Direction.OUTBOUND,
    ]


def test_auto_takes_a_kernel_that_tells_the_direction_at_its_word():
    text = kernel.CTR + "\tdir out\n"
    assert [e.params.direction for e in loads(text, direction="auto")] == [Direction.OUTBOUND]


@pytest.mark.parametrize("text", [kernel.GCM_PAIR, dumps_esp_sa(loads(kernel.GCM_PAIR))[0]])
@pytest.mark.parametrize("local", [["10.9.9.9"], [A, "10.9.9.9"]])
def test_a_local_address_that_is_nobody_s(text, local):
    with pytest.raises(SaFileError) as caught:
        loads(text, "f", local_addresses=local)
    assert str(caught.value) == "f: no SA begins or ends at 10.9.9.9; give an address that the file has"


def test_a_local_address_is_looked_for_in_all_files(tmp_path):
    for name, text in (("a", kernel.GCM_PAIR), ("b", kernel.AH_TRANSPORT_V6), ("c", dumps_toml(loads(kernel.CTR))[0])):
        (tmp_path / name).write_text(text)
    six = str(loads(kernel.AH_TRANSPORT_V6)[0].ends[0])
    assert load_all([tmp_path / "a", tmp_path / "b"], local_addresses=[A, six])
    with pytest.raises(SaFileError, match=f"no SA begins or ends at {six}"):
        load_all([tmp_path / "a"], local_addresses=[A, six])
    # A TOML file says its directions: local addresses tell it nothing.
    assert load_all([tmp_path / "c"], local_addresses=["10.9.9.9"])


def test_warnings_name_sa_direction_and_format(tmp_path, capsys):
    path = tmp_path / "a.xfrm"
    path.write_text(kernel.GCM_PAIR)
    assert convert_command(str(path), "esp_sa", "auto", (), "-") == 0
    output = capsys.readouterr()
    assert output.out.count("\n") == 2
    lines = output.err.splitlines()
    assert lines[0] == (
        f"virtionet-ipsec: warning: {path}:1 SA 1 inbound: esp_sa has no place for replay_window, options"
    )
    assert lines[1].startswith(f"virtionet-ipsec: warning: {path}:1 SA 1 outbound: esp_sa has no place for select")
    assert len(lines) == 4


def test_the_kernel_has_its_policies_for_what_may_arrive():
    inbound = next(e for e in loads(kernel.GCM_PAIR, "f") if e.params.direction is Direction.INBOUND)
    text, warnings = dumps_xfrm([replace(inbound, select=Select(proto=17))])
    assert "sel src" not in text
    assert warnings == ["f:1 SA 1 inbound: xfrm has no place for an inbound select: its policies say what may arrive"]


def test_what_both_directions_lose_is_said_once():
    _, warnings = dumps_esp_sa(loads(kernel.FROM_CAPTURES["chacha20"], "f"))
    assert len([warning for warning in warnings if "ChaCha20" in warning]) == 1
    assert any(warning.startswith("f:1 SA 1 inbound and outbound: Wireshark 4.0") for warning in warnings)


@pytest.mark.parametrize("text", [kernel.GCM_PAIR, dumps_toml(loads(kernel.GCM_PAIR))[0]])
def test_standard_input(text, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert convert_command("-", "toml", "auto", (), "-") == 0
    assert capsys.readouterr().out == dumps_toml(loads(text))[0]


def test_standard_input_in_messages(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"[[sa]]\nid = x\n")))
    with pytest.raises(SaFileError, match=r"^standard input:2: this is not valid TOML"):
        load("-")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    with pytest.raises(SaFileError, match=r"^standard input: there is no SA in it"):
        load("-")
