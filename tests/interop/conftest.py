"""Real peers.  These tests run when they are asked for by name alone (``pytest tests/interop``, ``make interop``).

They boot guests, which takes both cores of a small machine.  At the end there
is a table of what ran and what did not.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
LINES = 30  # of each log, with a failed test


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    asked = (Path(config.invocation_params.dir, word.partition("::")[0]).resolve() for word in config.args)
    return None if any(path.is_relative_to(HERE) for path in asked) else True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With a failed test goes the end of what everybody said."""
    report = yield
    lab = getattr(item, "funcargs", {}).get("lab")
    if report.failed and lab is not None:
        for name, text in lab.logs().items():
            report.sections.append((name, "\n".join(text.splitlines()[-LINES:])))
    return report


# -- what ran ------------------------------------------------------------------------------------------------------

VERDICTS = ("passed", "failed", "error", "skipped")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """A row for each module: who the peer was, how many tests passed, and why others did not run."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    seconds: dict[str, float] = defaultdict(float)
    reasons: dict[str, set[str]] = defaultdict(set)
    for verdict in VERDICTS:
        for report in terminalreporter.stats.get(verdict, ()):
            module = Path(report.nodeid.partition("::")[0]).name
            counts[module][verdict] += 1
            if verdict == "skipped":
                reasons[module].add(str(report.longrepr[2]).removeprefix("Skipped: "))
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                seconds[Path(report.nodeid.partition("::")[0]).name] += report.duration
    write = terminalreporter.write_line
    terminalreporter.section("real peers")
    for module in sorted(counts):
        name = module.removesuffix(".py").removeprefix("test_")
        said = ", ".join(f"{count} {verdict}" for verdict in VERDICTS if (count := counts[module][verdict]))
        write(f"{name:14} {said:24} {seconds[module]:5.0f} s  {about(module)}")
        for reason in sorted(reasons[module]):
            write(f"{'':14} did not run: {reason}")


def about(module: str) -> str:
    """The first sentence of the module's docstring."""
    first = (HERE / module).read_text(encoding="utf-8").partition('"""')[2].partition("\n")[0]
    return first.rstrip('".')
