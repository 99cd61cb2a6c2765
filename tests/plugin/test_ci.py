"""tests/conftest.py: under CI a skipped test is a failure, with the reason."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

SOURCE = """
import pytest

def test_good(): ...

@pytest.mark.skip(reason="no tool")
def test_marked(): ...

@pytest.mark.skipif(True, reason="no system")
def test_conditional(): ...

def test_inside():
    pytest.skip("found out late")

@pytest.fixture
def missing():
    pytest.skip("no fixture")

def test_fixture(missing): ...

@pytest.mark.xfail(reason="known", strict=True)
def test_expected():
    assert False

@pytest.mark.parametrize("nothing", [])
def test_empty(nothing): ...
"""
MODULE = "import pytest\npytest.importorskip('no_such_module_at_all')\n"


def run(tmp_path: Path, environment: dict[str, str], ci: str, **files: str) -> tuple[int, str]:
    """Exit status and output of a pytest run of ``files`` beside a copy of the conftest."""
    (tmp_path / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    for name, source in files.items():
        (tmp_path / f"{name}.py").write_text(source)
    command = [sys.executable, "-m", "pytest", "-rA", "-p", "no:cacheprovider", "."]
    variables = environment | {"CI": ci}
    done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout


def test_under_ci(tmp_path: Path, environment: dict[str, str]) -> None:
    status, output = run(tmp_path, environment, "true", test_a=SOURCE)
    assert status == 1 and "1 failed, 1 passed, 1 xfailed, 4 errors" in output
    for reason in ("no tool", "no system", "found out late", "no fixture", "got empty parameter set"):
        assert f"skipped, which CI does not allow: Skipped: {reason}" in output


def test_a_module_under_ci(tmp_path: Path, environment: dict[str, str]) -> None:
    status, output = run(tmp_path, environment, "true", test_b=MODULE)
    assert status == 2 and "1 error during collection" in output
    assert "skipped, which CI does not allow: Skipped: could not import 'no_such_module_at_all'" in output


def test_elsewhere(tmp_path: Path, environment: dict[str, str]) -> None:
    status, output = run(tmp_path, environment, "", test_a=SOURCE, test_b=MODULE)
    assert status == 0 and "1 passed, 6 skipped, 1 xfailed" in output and "CI does not allow" not in output
