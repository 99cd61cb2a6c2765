"""What the report of a failing test has beside the failure, and where it points."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Inner = Callable[..., pytest.RunResult]

HEADING = "virtionet: the last packet's story"
FRAME = "FRAME = bytes(12) + b'\\x08\\x06' + bytes(46)\n"


def test_markers_without_keys(inner: Inner) -> None:
    result = inner(
        """
import pytest

@pytest.mark.virtionet(profile="rfc-v1", mtu=1280)
@pytest.mark.sa_pair(mode="esp-transport", cipher="aes-cbc", auth="hmac-sha256", udp=(4500, 10000))
def test_it(virtionet, sa_pair):
    assert sa_pair.inbound_params.algorithm_name == "aes-cbc+hmac-sha256"
    assert 10000 in virtionet.udp_ports

@pytest.mark.sa_pair(aead="chacha20-poly1305")
def test_key(sa_pair):
    assert len(sa_pair.outbound_params.cipher_key) == 32

@pytest.mark.sa_pair(mode="esp")
def test_wrong(sa_pair): ...
"""
    )
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines("*ValueError: mode 'esp' is not one of: esp-tunnel, esp-transport, *")


def test_a_dropped_send_that_is_unpacked(inner: Inner) -> None:
    result = inner(FRAME + "def test_it(virtionet):\n    (wire,) = virtionet.send(FRAME, sa=5)\n")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*ValueError: not enough values to unpack*",
            f"*{HEADING}*",
            "   1. transmitq1: virtio_net_hdr*",
            "   2. dropped: unknown_sa: no outbound SA has resource_id 5",
        ]
    )


def test_a_story_only_where_it_helps(inner: Inner) -> None:
    result = inner(
        FRAME
        + """
import pytest

def test_told_already(virtionet):
    virtionet.assert_flags(virtionet.receive(FRAME), "SECURITY")

def test_no_packet(virtionet):
    assert False

def test_no_fixture():
    assert False

def test_passes(virtionet):
    virtionet.receive(FRAME)

@pytest.mark.xfail
def test_expected(virtionet):
    virtionet.receive(FRAME)
    assert False
"""
    )
    result.assert_outcomes(failed=3, passed=1, xfailed=1)
    result.stdout.no_fnmatch_line(f"*{HEADING}*")
    assert result.stdout.str().count("the packet's story:") == 1


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ('assert_flags(virtionet.receive(FRAME), "SECURITY")', "AssertionError"),
        ('assert_dropped("too_big")', "AssertionError"),
        ("send(FRAME, sa=sa_pair)", "TypeError"),
    ],
)
def test_a_failure_points_into_the_test(inner: Inner, call: str, error: str) -> None:
    result = inner(FRAME + f"def test_it(virtionet, sa_pair):\n    virtionet.{call}\n")
    result.assert_outcomes(failed=1)
    result.stdout.no_fnmatch_line("*testing.py:*")
    result.stdout.fnmatch_lines(f"test_*.py:3: {error}")
