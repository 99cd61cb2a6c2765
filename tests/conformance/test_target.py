"""--target: the model, an adapter, and what is neither."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from virtionet_ipsec.conformance.judge_device import judge_device
from virtionet_ipsec.conformance.target import find_target
from virtionet_ipsec.conformance.verdict import Verdict
from virtionet_ipsec.device import Device
from virtionet_ipsec.input_error import InputError
from virtionet_ipsec.wire.profile import Profile

SPECS = Path(__file__).parents[2] / "specs"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder to be in; modules that were found there are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_the_adapter_of_the_documentation(here: Path) -> None:
    """It passes and fails what the model behind it passes and fails."""
    (here / "adapter.py").write_text((SPECS / "adapter.py").read_text())
    make = find_target("python:adapter:device", Profile.VIRTIO_1_4)
    report = judge_device(make, Profile.VIRTIO_1_4, "adapter")
    model = judge_device(Device, Profile.VIRTIO_1_4, "model")
    assert [each.verdict for each in report.results] == [each.verdict for each in model.results]
    lines = (SPECS / "adapter.py").read_text().split('"""')[2].splitlines()
    assert len([line for line in lines if line.strip()]) <= 30


BROKEN = {
    "factory": "def device(): raise OSError('no board')",
    "module": "1/0",
    "half": "class D: features = status = 0\ndef device(): return D()",
}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("model:x", "--target model:x: the model takes nothing after its name"),
        ("socket:x", "'socket' is not one of: model, rings, vhost-user, python"),
        ("rings:ring", "--target rings:ring: is neither format"),
        ("vhost-user:absent", "no back end takes a connection at absent"),
        ("vhost-user:absent,queue=1", "is no back end"),
        ("python:x", "--target python:x: has no module and factory"),
        ("python:absent:device", "cannot be made (ModuleNotFoundError: No module named 'absent')"),
        ("python:half:other", "cannot be made (AttributeError:"),
        ("python:factory:device", "cannot be made (OSError: no board)"),
        ("python:module:device", "cannot be made (ZeroDivisionError:"),
        ("python:half:device", "the device has no set_status, set_driver_features, read_config, admin,"),
    ],
)
def test_what_is_no_target(here: Path, name: str, said: str) -> None:
    for module, source in BROKEN.items():
        (here / f"{module}.py").write_text(source)
    with pytest.raises(InputError) as caught:
        find_target(name, Profile.VIRTIO_1_4)
    assert said in str(caught.value) and "\n" not in str(caught.value)


class Raises(Device):
    """A device whose commands break down."""

    def admin(self, readable: bytes, writable_len: int = 65536) -> bytes:
        raise OSError("the board does not answer")


class Garbles(Device):
    """A device that answers commands with two octets, and packets with what is no packet."""

    def admin(self, readable: bytes, writable_len: int = 65536) -> bytes:
        return b"\x00\x00"

    def receive(self, frame: bytes) -> None:
        return (0, [b""])  # type: ignore[return-value]


@pytest.mark.parametrize("kind", [Raises, Garbles])
@pytest.mark.parametrize("profile", Profile)
def test_a_target_that_breaks_down_is_judged(kind: type[Device], profile: Profile) -> None:
    """There is a verdict for every entry, whatever the target does."""
    report = judge_device(lambda: kind(profile), profile, "broken")
    assert report.summary[Verdict.FAIL.value] > 40
    for failed in report.failures:
        assert failed.why and "\n" not in failed.why
