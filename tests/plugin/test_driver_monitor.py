"""The driver_monitor fixture: a test fails with what its driver violated, by id."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Inner = Callable[..., pytest.RunResult]

RIGHT = """
def test_right(virtionet, sa_pair, driver_monitor):
    packet = bytes.fromhex("4500001400000000403bf1e9c0000201c0000202")
    (wire,) = virtionet.send(bytes(12) + b"\\x08\\x00" + packet, sa_pair.outbound)
    assert virtionet.receive(wire) is not None
"""

WRONG = """
def test_wrong(virtionet, driver_monitor):
    header = bytearray(virtionet.header())
    header[10] = 1  # num_buffers
    virtionet.port.transmit(bytes(header) + bytes(60))
"""

OWN = """
def test_own_driver(driver_monitor):
    device = driver_monitor.device
    for status in (0, 1, 3):
        device.set_status(status)
    device.set_driver_features(1 << 32)
    for status in (11, 15):
        device.set_status(status)
    device.transmit(bytes(10) + b"\\x01\\x00" + bytes(60))
"""


def test_a_right_driver_passes(inner: Inner) -> None:
    inner(RIGHT).assert_outcomes(passed=1)


@pytest.mark.parametrize("source", [WRONG, OWN])
def test_a_wrong_driver_fails_its_test(inner: Inner, source: str) -> None:
    result = inner(source)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*the driver violates the specification:", "*tx.drv.num-buffers*: num_buffers is 1*"])
    assert "Traceback" not in result.stdout.str() and "testing.py" not in result.stdout.str(), "the plugin's own frames"


def test_the_test_s_own_failure_comes_first(inner: Inner) -> None:
    result = inner(WRONG + "    assert 1 == 2\n")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*assert 1 == 2*"])


def test_a_monitor_that_watches_nothing(inner: Inner) -> None:
    result = inner("def test_nothing(driver_monitor): ...")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*the driver monitor saw nothing: drive driver_monitor.device, or use virtionet*"])


SHOULD = """
import pytest

MARK
def test_it(driver_monitor):
    device = driver_monitor.device
    for status in (0, 1, 3):
        device.set_status(status)
    device.set_driver_features(1 << 32)  # MAC is offered, and a driver should take it
    for status in (11, 15):
        device.set_status(status)
"""


def test_a_should_is_a_warning_unless_strict(inner: Inner) -> None:
    result = inner(SHOULD.replace("MARK", ""))
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*DriverWarning: SHOULD: config.drv.mac-accepted: *"])
    result = inner(SHOULD.replace("MARK", "@pytest.mark.driver_monitor(strict=True)"))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*config.drv.mac-accepted*"])


def test_the_marker_s_parameters(inner: Inner) -> None:
    source = """
import pytest

@pytest.mark.virtionet(profile="rfc-v1", mtu=1280, features=1 << 32)
def test_it(virtionet, driver_monitor):
    assert driver_monitor.device.profile.value == "rfc-v1" and driver_monitor.device.mtu == 1280
    assert virtionet.negotiated == 1 << 32 != driver_monitor.device.features
    assert len(driver_monitor.monitors) == 2
"""
    inner(source).assert_outcomes(passed=1)
