"""Bad input: exit status 2 and one line on standard error, which says what, where and how to mend it."""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PCAPS = ROOT / "pcaps"
CAPTURE = PCAPS / "linux" / "gcm128-tunnel-v4.wire.pcap"
XFRM = PCAPS / "linux" / "gcm128-tunnel-v4.xfrm"

KEY = "7365637265742d6b65792d6f6374657d"  # 16 octets that must not be seen again
SA: dict[str, str] = {
    "id": "1",
    "direction": '"inbound"',
    "mode": '"esp-tunnel"',
    "spi": "0x1001",
    "aead": '"aes-gcm"',
    "cipher_key": f'"{KEY}"',
    "salt": '"53414c54"',
}
SECRETS = (KEY, bytes.fromhex(KEY).decode(), "53414c54")

Command = Callable[..., Any]


def table(**changes: str | None) -> str:
    """An [[sa]] table, one key a line in the order of SA; None takes a key out."""
    keys = {**SA, **changes}
    model = {name[6:]: keys.pop(name) for name in list(keys) if name.startswith("model_")}
    text = "[[sa]]\n" + "".join(f"{name} = {value}\n" for name, value in keys.items() if value is not None)
    return text + ("[sa.model]\n" + "".join(f"{name} = {value}\n" for name, value in model.items()) if model else "")


def complaint(done: Any) -> str:
    """The one line, without the program's name; no key is in it, and nothing else was said."""
    assert done.status == 2, done
    assert done.output == b""
    assert done.error.endswith("\n") and done.error.count("\n") == 1, done.error
    assert done.error.startswith("virtionet-ipsec: ") and done.error[:-1].isprintable()
    for secret in SECRETS:
        assert secret not in done.error
    return done.error[len("virtionet-ipsec: ") : -1]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: good and bad files by short names."""
    monkeypatch.chdir(tmp_path)
    good = CAPTURE.read_bytes()
    files = {
        "good.pcap": good,
        "good.toml": table().encode(),
        "empty": b"",
        "short": good[:10],
        "text.txt": b"this is not a capture, nor SAs\n",
        "zipped.gz": b"\x1f\x8b\x08\0" + bytes(40),
        "damaged.pcap": good[:24] + struct.pack("<IIII", 0, 0, 1 << 30, 0),
        "wifi.pcap": good[:20] + struct.pack("<I", 105) + good[24:],
        "old.pcap": good[:4] + b"\1\0" + good[6:],
        "block.pcapng": b"\x0a\x0d\x0d\x0a\x1c\0\0\0\x4d\x3c\x2b\x1a\1\0\0\0" + b"\xff" * 8 + b"\x1b\0\0\0",
        "latin1.toml": b'[[sa]]\nid = "\xe9"\n',
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "folder").mkdir()
    return tmp_path


# -- captures -------------------------------------------------------------------------------------------------------

CAPTURES = [
    ("none.pcap", "none.pcap: cannot be opened (No such file or directory); give the path of a readable file"),
    ("folder", "folder: cannot be "),
    ("good.pcap/x", "good.pcap/x: cannot be opened (Not a directory); give the path of a readable file"),
    ("empty", "empty: byte 0: the file is empty; capture again"),
    ("short", "short: byte 0: the file ends inside its header, after 10 of 24 bytes; capture again"),
    ("text.txt", "text.txt: byte 0: this is neither pcap nor pcapng; convert it"),
    ("good.toml", "good.toml: byte 0: this is neither pcap nor pcapng; convert it"),
    ("zipped.gz", "zipped.gz: byte 0: the file is compressed with gzip; decompress it first"),
    ("wifi.pcap", "wifi.pcap: byte 20: link type 105 (IEEE 802.11) is not supported; capture on an Ethernet"),
    ("old.pcap", "old.pcap: byte 4: pcap version 1.4 is unknown; versions 2.x can be read"),
    ("damaged.pcap", "damaged.pcap: byte 24: record 1 claims 1073741824 bytes, more than any snapshot length"),
    ("block.pcapng", "block.pcapng: byte 0: a block's two total lengths differ; the file is damaged there"),
    ("no\nsuch\x1b[31mfile", "no?such?[31mfile: cannot be opened (No such file or directory)"),
]


@pytest.mark.parametrize("words", [("replay",), ("explain", "--packet", "999")], ids=["replay", "explain"])
@pytest.mark.parametrize(("name", "expected"), CAPTURES, ids=[name for name, _ in CAPTURES])
def test_captures(folder: Path, command: Command, words: tuple[str, ...], name: str, expected: str) -> None:
    line = complaint(command(words[0], name, "--sa", XFRM, *words[1:]))
    assert line.startswith(expected) and "; " in line
    assert sorted(os.listdir()) == sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(("number", "mend"), [("91", "it has 90: give one of them"), ("9" * 30, "it has 90: give one")])
def test_a_packet_that_is_not_there(command: Command, number: str, mend: str) -> None:
    line = complaint(command("explain", CAPTURE, "--sa", XFRM, "--packet", number))
    assert line.startswith(f"{CAPTURE}: there is no packet {number}; {mend}")


# -- SA files -------------------------------------------------------------------------------------------------------

OTHER = SA | {"id": "2", "spi": "0x1002"}
OUTBOUND = {"direction": '"outbound"', "tunnel": '{src = "10.0.0.1", dst = "10.0.0.2"}'}

# what is in the file; line; what is said of it; how to mend it
SA_FILES: dict[str, tuple[str, str, str, str]] = {
    "not TOML": ("[[sa]]\nid = \n", "2", "this is not valid TOML (column 6)", "see toml.io"),
    "key cut": (f'[[sa]]\ncipher_key = "{KEY}\n', "2", "this is not valid TOML", "see toml.io"),
    "nothing": ("# nothing\n\n", "", "there is no SA in it", "write an [[sa]] table"),
    "no format": ("hello\n", "1", "this begins neither TOML, nor", "begin with [[sa]]"),
    "unknown key": (table(spy="1"), "9", "spy: is not a key of this table", "did you mean spi?"),
    "unknown table": (table() + "[tunnels]\n", "", "tunnels: is not a key of an SA file", "under [[sa]] headers"),
    "unknown model key": (table(model_icv="8"), "10", "model.icv: is not a key of this table", "one of: icv_len"),
    "no id": (table(id=None), "1", "id: is missing", "number of its own"),
    "no spi": (table(spi=None), "1", "spi: is missing", "such as 0x1001"),
    "no mode": (table(mode=None), "1", "mode: is missing", "esp-tunnel"),
    "no direction": (table(direction=None), "1", "direction: is missing", "inbound"),
    "bad direction": (table(direction='"in"'), "3", "direction", "inbound"),
    "bad mode": (table(mode='"tunnel"'), "4", "mode", "esp-tunnel"),
    "bad aead": (table(aead='"aes-gmc"'), "6", "aead", "aes-gcm"),
    "bad hex": (table(cipher_key=f'"{KEY}xy"'), "7", "cipher_key", "hex"),
    "odd hex": (table(cipher_key=f'"{KEY}5"'), "7", "cipher_key", "hex"),
    "key too long": (table(cipher_key=f'"{KEY}00"'), "7", "takes a key of 16 or 24 or 32 octets, not 17", "salt goes"),
    "key with salt": (table(cipher_key=f'"{KEY}53414c54"'), "7", "octets, not 20", "a salt goes under salt"),
    "no key": (table(cipher_key=None), "1", "octets, not 0", "in hex"),
    "salt too short": (table(salt='"53414c"'), "8", "takes a salt of 4 octets, not 3", "under salt"),
    "no salt": (table(salt=None), "1", "takes a salt of 4 octets, not 0", "under salt"),
    "no auth": (table(aead=None, cipher='"aes-cbc"', salt=None), "1", "encryption without authentication", "auth"),
    "auth key": (
        table(aead=None, cipher='"null"', auth='"hmac-sha1"', auth_key=f'"{KEY}"', cipher_key=None, salt=None),
        "8",
        "hmac-sha1 takes a key of 20 octets, not 16",
        "give the key alone",
    ),
    "spi 0": (table(spi="0"), "5", "spi", "1"),
    "window": (table(replay_window="5000"), "9", "replay_window: 5000 is not in 0 to 4096", "fits"),
    "ICV length": (table(model_icv_len="9"), "10", "has an ICV of", "leave icv_len out"),
    "no tunnel": (table(direction='"outbound"'), "1", "tunnel mode SA needs the outer addresses", "src ="),
    "bad address": (table(**OUTBOUND | {"tunnel": '{src = "10.0.0", dst = "10.0.0.2"}'}), "9", "tunnel.src", "such as"),
    "two families": (
        table(**OUTBOUND | {"tunnel": '{src = "10.0.0.1", dst = "::1"}'}),
        "9",
        "two IPv4 or two IPv6 addresses",
        "write tunnel =",
    ),
    "bad network": (table(**OUTBOUND, select='{dst = "10.0.0.1/33"}'), "10", "select.dst", "such as"),
    "port alone": (table(**OUTBOUND, select="{dport = 53}"), "10", "select.dport: needs a protocol", "proto"),
    "same id": (table() + table(spi="0x1002"), "9", "inbound SA 1 is given already at", "an id of its own"),
    "same SPI": (table() + table(id="2"), "9", "inbound SPI 0x00001001 is given already at", "keep one of the two"),
    "sha512": (
        table(aead=None, cipher='"null"', auth='"hmac-sha512"', auth_key=f'"{KEY * 4}"', cipher_key=None, salt=None),
        "1",
        "no virtio-1.4 SA object can carry this: 64 octets",
        "leave this SA out",
    ),
    "id too large": (table(id=str(1 << 20)), "1", "the device refuses this SA", "change what it names"),
    "esp_sa": (f'"IPv4","1.1.1.1","2.2.2.2","*","AES-GCM [RFC4106]","0x{KEY}","NULL",""\n', "1", "SPI", "SPI"),
    "esp_sa quotes": (f'"IPv4","1.1.1.1","2.2.2.2","1",0x{KEY}\n', "1", "is not in quotes", "as Wireshark does"),
    "xfrm": (
        XFRM.read_text().replace("mode tunnel", "mode beet", 1),
        "2",
        "the mode is neither tunnel nor transport",
        "take this SA out",
    ),
}


@pytest.mark.parametrize("name", SA_FILES)
def test_sa_files(folder: Path, command: Command, name: str) -> None:
    text, line, what, mend = SA_FILES[name]
    (folder / "sa.toml").write_text(text)
    said = complaint(command("replay", "good.pcap", "--sa", "sa.toml", "--report", "report.json"))
    assert re.match(rf"sa\.toml:{line}\b" if line else r"sa\.toml: ", said), said
    found, way_out = said.split("; ", 1)
    assert what in found and mend in way_out, said
    assert not (folder / "report.json").exists()


@pytest.mark.parametrize("words", [("replay", "good.pcap", "--sa"), ("sa", "convert")], ids=["replay", "convert"])
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("none.toml", "none.toml: cannot be read (No such file or directory); give the path of a readable file"),
        ("folder", "folder: cannot be read (Is a directory); give the path of a readable file"),
        ("empty", "empty: there is no SA in it; write an [[sa]] table for each SA"),
        ("latin1.toml", "latin1.toml: byte 13 is not UTF-8; give a text file, saved as UTF-8"),
        ("good.pcap", "good.pcap: byte 0 is not UTF-8; give a text file, saved as UTF-8"),
        ("text.txt", "text.txt:1: this begins neither TOML"),
    ],
)
def test_files_that_are_no_sa_files(
    folder: Path, command: Command, words: tuple[str, ...], name: str, expected: str
) -> None:
    assert complaint(command(*words, name)).startswith(expected)


def test_two_files_with_one_spi(folder: Path, command: Command) -> None:
    (folder / "b.toml").write_text(table(id="2"))
    said = complaint(command("replay", "good.pcap", "--sa", "good.toml", "--sa", "b.toml"))
    assert said.startswith("b.toml:1 spi: inbound SPI 0x00001001 is given already at good.toml:1; keep one of the two")


def test_what_the_profile_cannot_say(folder: Path, command: Command) -> None:
    (folder / "sa.toml").write_text(table(options='["ecn"]') + table(id="2", spi="7", lifetime="{bytes_soft = 5}"))
    assert command("replay", "good.pcap", "--sa", "sa.toml").status == 0
    said = complaint(command("replay", "good.pcap", "--sa", "sa.toml", "--profile", "rfc-v1"))
    assert said.startswith("sa.toml:1 options: no rfc-v1 SA object can carry this: the RFC's SA object has no ECN; use")


@pytest.mark.parametrize("to", ["esp_sa", "xfrm"])
def test_convert_what_a_format_cannot_hold(folder: Path, command: Command, to: str) -> None:
    keys = {"aead": None, "salt": '"53414c54"', "auth": '"aes-gmac"', "cipher_key": None, "auth_key": f'"{KEY}"'}
    (folder / "sa.toml").write_text(table(mode='"ah-tunnel"', **keys))
    said = complaint(command("sa", "convert", "sa.toml", "--to", to, "-o", "out"))
    assert said.startswith("sa.toml:1") and "; " in said
    assert not (folder / "out").exists()


# -- the command line -----------------------------------------------------------------------------------------------

GOOD = ("replay", "good.pcap", "--sa", "good.toml")
LINES = [
    (("frobnicate",), "No such command 'frobnicate'."),
    (("replay",), "Missing argument 'CAPTURE'."),
    (("replay", "good.pcap"), "Missing option '--sa'."),
    (("replay", "good.pcap", "--sa"), "Option '--sa' requires"),
    ((*GOOD, "--bogus"), "No such option '--bogus'."),
    ((*GOOD, "more.pcap"), "Got unexpected extra argument (more.pcap)"),
    ((*GOOD, "more\x1b[31m\n.pcap"), "Got unexpected extra argument (more?[31m .pcap)"),
    ((*GOOD, "--direction", "up"), "Invalid value for '--direction': 'up' is not one of 'auto',"),
    ((*GOOD, "--profile", "2.0"), "Invalid value for '--profile': '2.0' is not one of 'virtio-1.4', 'rfc-v1'."),
    ((*GOOD, "--seed", "x"), "Invalid value for '--seed': 'x' is not a valid integer."),
    ((*GOOD, "--mtu", "67"), "Invalid value for '--mtu': 67 is not in the range 68<=x<=65535."),
    ((*GOOD, "--mtu", "65536"), "Invalid value for '--mtu': 65536 is not in the range 68<=x<=65535."),
    ((*GOOD, "--local", "host"), "Invalid value for '--local': 'host' is not an IPv4 or IPv6 address."),
    (("explain", *GOOD[1:]), "Missing option '--packet'."),
    (("explain", *GOOD[1:], "--packet", "0"), "Invalid value for '--packet': 0 is not in the range x>=1."),
    (("explain", *GOOD[1:], "--packet", "one"), "Invalid value for '--packet': 'one' is not a valid integer"),
    (("sa", "convert"), "Missing argument 'FILE'."),
    (("sa", "convert", "good.toml", "--to", "json"), "Invalid value for '--to': 'json' is not one of"),
    (("sa", "revert"), "No such command 'revert'."),
    (("bench", "--repeats", "0"), "Invalid value for '--repeats': 0 is not in the range x>=1."),
]


@pytest.mark.parametrize(("words", "expected"), LINES, ids=[" ".join(words)[-30:] for words, _ in LINES])
def test_command_lines(folder: Path, command: Command, words: tuple[str, ...], expected: str) -> None:
    said = complaint(command(*words))
    assert said.startswith(expected)
    assert re.search(r"Try 'virtionet-ipsec[a-z ]* --help'\.$", said)


@pytest.mark.parametrize("words", [(), ("sa",)])
def test_no_command_is_help(process: Command, words: tuple[str, ...]) -> None:
    done = process(*words)
    assert done.status == 2 and done.output == b"" and done.error.startswith("Usage: virtionet-ipsec")


# -- outputs --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flag", ["--write", "--report", "--packets"])
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("no/such/out", "No such file or directory"),
        ("folder", "Is a directory"),
        ("good.toml/out", "Not a directory"),
        ("/dev/full", "No space left on device"),
        ("/proc/out", "No such file or directory"),
        ("x" * 300, "File name too long"),
    ],
)
def test_outputs_that_cannot_be_written(folder: Path, command: Command, flag: str, name: str, why: str) -> None:
    before = sorted(os.listdir())
    said = complaint(command(*GOOD, flag, name))
    assert said.startswith(f"{name}: cannot be written ({why}); ")
    assert sorted(os.listdir()) == before


@pytest.mark.parametrize("name", ["no/such/out", "folder", "/dev/full"])
def test_convert_outputs(folder: Path, command: Command, name: str) -> None:
    assert complaint(command("sa", "convert", "good.toml", "-o", name)).startswith(f"{name}: cannot be written (")


@pytest.mark.parametrize("name", ["good.pcap", "good.toml", "./good.toml"])
def test_inputs_are_not_overwritten(folder: Path, command: Command, name: str) -> None:
    before = (folder / name).read_bytes()
    for flag in ("--write", "--report", "--packets"):
        said = complaint(command(*GOOD, flag, name))
        assert said.startswith(f"{name}: {flag} names the same file as ") and "give each file a name of its own" in said
    assert (folder / name).read_bytes() == before


@pytest.mark.parametrize(
    "words",
    [GOOD, *((*GOOD, flag, "-") for flag in ("--report", "--packets", "--write")), ("sa", "convert", "good.toml")],
    ids=lambda words: words[-2:][0],
)
def test_standard_output_is_full(folder: Path, environment: dict[str, str], words: tuple[str, ...]) -> None:
    with open("/dev/full", "wb") as full:
        command = [sys.executable, "-m", "virtionet_ipsec", *words]
        done = subprocess.run(command, env=environment, stdout=full, stderr=subprocess.PIPE, timeout=60, text=True)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert re.search(r"(standard output|<stdout>): cannot be written \(No space left on device\)", done.stderr)


def test_two_files_from_one_standard_input(command: Command) -> None:
    done = command("replay", "-", "--sa", "-")
    assert done.status == 2
    assert done.error.splitlines() == [
        "virtionet-ipsec: Only one of CAPTURE and the SA files can be standard input."
        " Try 'virtionet-ipsec replay --help'."
    ]
