"""Whatever the text, loading gives entries or SaFileError: one line, and nothing of a key in it."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from virtionet_ipsec.safile import SaEntry, SaFileError, dumps_esp_sa, dumps_toml, loads

from . import kernel
from .examples import EVERYTHING, GCM

SEEDS = [
    EVERYTHING,
    GCM,
    kernel.GCM_PAIR,
    kernel.WITH_STATISTICS,
    kernel.CBC_SHA512_ESN,
    kernel.ATTRIBUTES,
    dumps_esp_sa(loads(kernel.GCM_PAIR, direction="inbound"))[0],
    dumps_esp_sa(loads(kernel.NULL_SHA256, direction="inbound"))[0],
]

# Twelve hex digits and more in a row, spaced or not: longer than any SPI.
SECRET = re.compile(r"[0-9A-Fa-f](?:[0-9A-Fa-f]|[ :](?=[0-9A-Fa-f])){11,}")

# fmt: off
WORDS = st.sampled_from([
    "[[sa]]", "[sa.model]", "=", '"', "'''", "{", "}", "|", "*", "0x", "0", "-1", "9" * 30, "true", "key", "spi",
    "aead", "esp-tunnel", "src ", "sel src ", "dir in", "limit:", "<<Keys hidden>>", "\\",
    "\n", "\t", "\0", "\x1c", "é",
])
# fmt: on


def secrets(text):
    for match in SECRET.finditer(text):
        digits = re.sub("[ :]", "", match[0]).lower()
        yield from (digits[at : at + 12] for at in range(len(digits) - 11))


def load(text):
    line = None
    try:
        entries = loads(text, "file")
    except SaFileError as error:
        line = str(error)
    if line is not None:
        assert "\n" not in line
        assert line.startswith("file")
        squeezed = re.sub("[ :]", "", line).lower()
        # Runs of one digit occur in numbers that are no key.
        assert not [secret for secret in secrets(text) if len(set(secret)) > 1 and secret in squeezed]
        return
    assert entries or "direction" in text or "dir " in text
    assert all(isinstance(entry, SaEntry) for entry in entries)
    dumps_toml(entries)


@given(st.text(max_size=300), st.sampled_from(["", "[[sa]]\n", "src 10.0.0.1 dst 10.0.0.2\n", '"IPv4",']))
def test_any_text(text, start):
    load(start + text)


@given(st.sampled_from(SEEDS), st.data())
def test_damaged_files(seed, data):
    text = seed
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        stop = start + data.draw(st.integers(0, 30))
        text = text[:start] + data.draw(WORDS | st.text(max_size=3)) + text[stop:]
    load(text)


@given(st.lists(st.sampled_from([line for seed in SEEDS for line in seed.splitlines()]), max_size=30))
def test_mixed_lines(lines):
    load("\n".join(lines))


def test_a_key_in_every_wrong_place():
    """A key where a name, a number or a keyword belongs is not repeated."""
    key = "00112233445566778899aabbccddeeff"
    for seed in SEEDS:
        for match in re.finditer(r"[\w.()/-]+", seed):
            for replacement in (key, f"0x{key}", f"k{key}"):
                text = seed[: match.start()] + replacement + seed[match.end() :]
                line = ""
                try:
                    loads(text, "file")
                except SaFileError as error:
                    line = str(error)
                assert key[:8] not in line, match[0]
                assert str(int(key, 16)) not in line
