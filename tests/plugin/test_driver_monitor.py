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
    result.stdout.fnmatch_lines(
        ["*the driver violates *tx.drv.num-buffers*:", "*tx.drv.num-buffers*: num_buffers is 1*"]
    )
    assert "Traceback" not in result.stdout.str() and "testing.py" not in result.stdout.str(), "the plugin's own frames"


def test_the_test_s_own_failure_comes_first(inner: Inner) -> None:
    result = inner(WRONG + "    assert 1 == 2\n")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*assert 1 == 2*", "*driver_monitor: what the driver violated*", "tx.drv.num-buffers*"]
    )


def test_the_marker_s_own_parameter(inner: Inner) -> None:
    for wrong in ("srict=True", "True"):
        result = inner(SHOULD.replace("MARK", f"@pytest.mark.driver_monitor({wrong})"))
        result.assert_outcomes(errors=1)
        result.stdout.fnmatch_lines(["*the marker driver_monitor has one parameter: driver_monitor(strict=True)*"])


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


DRIVES_WRONG = """
def drive(device):
    for status in (0, 1, 3):
        device.set_status(status)
    device.set_driver_features(device.features)
    for status in (11, 15):
        device.set_status(status)
    device.transmit(bytes(10) + b"\\x01\\x00" + bytes(80))
"""

ELSEWHERE = {
    "unittest": """
import pytest, unittest
class TestIt(unittest.TestCase):
    @pytest.fixture(autouse=True)
    def monitor(self, driver_monitor):
        self.monitor = driver_monitor
    def test_it(self):
        drive(self.monitor.device)
""",
    "asked for late": """
def test_it(request):
    drive(request.getfixturevalue("driver_monitor").device)
""",
    "after the test": """
import pytest
@pytest.fixture
def driver(driver_monitor):
    driver_monitor.device.set_status(0)
    yield
    drive(driver_monitor.device)
def test_it(driver): ...
""",
    "in a class": """
class TestIt:
    def test_it(self, driver_monitor):
        drive(driver_monitor.device)
""",
}


@pytest.mark.parametrize("source", ELSEWHERE.values(), ids=ELSEWHERE)
def test_a_violation_anywhere_is_told_once(inner: Inner, source: str) -> None:
    result = inner(DRIVES_WRONG + source)
    outcomes = result.parseoutcomes()
    assert outcomes.get("failed", 0) + outcomes.get("errors", 0) == 1
    assert result.stdout.str().count("the driver violates") >= 1
