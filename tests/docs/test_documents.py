"""README and specs against the package: commands, options, links, names, decisions."""

from __future__ import annotations

import importlib
import re
import shlex
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from virtionet_ipsec.cli.commands import app
from virtionet_ipsec.safile import loads
from virtionet_ipsec.wire import HdrFlag, HdrFlagRfcV1, Profile
from virtionet_ipsec.wire.net_hdr import HdrLayout
from virtionet_ipsec.wire.sa import ipsec_sa

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *ROOT.glob("specs/*.md"), *ROOT.glob("pcaps/**/*.md")])
PACKAGE = sorted((ROOT / "virtionet_ipsec").rglob("*.py"))
LEDGER = (ROOT / "specs" / "decisions.md").read_text()

Command = Callable[..., Any]


def blocks(text: str, language: str = "") -> list[str]:
    """The fenced blocks in ``language``."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [block for name, block in fenced if name == language]


def options_of(command: click.Command) -> set[str]:
    return {name for parameter in command.params for name in parameter.opts if name.startswith("-")}


def commands(group: click.Group = app, *path: str) -> dict[tuple[str, ...], click.Command]:
    found: dict[tuple[str, ...], click.Command] = {}
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            found |= commands(command, *path, name)
        else:
            found[(*path, name)] = command
    return found


# -- commands -------------------------------------------------------------------------------------------------------


def synopses() -> dict[tuple[str, ...], str]:
    """The commands of README's synopsis and what stands behind them."""
    (block,) = [each for each in blocks(README) if each.startswith("virtionet-ipsec replay CAPTURE")]
    found = {}
    for written in re.split(r"^virtionet-ipsec ", block, flags=re.MULTILINE)[1:]:
        entry = written.replace("ctl SOCKET", "ctl", 1)  # the argument stands in the middle of the command's name
        words = tuple(re.match(r"[a-z ]*[a-z]", entry)[0].split())  # type: ignore[index]
        found[words] = " ".join(entry.split())
    return found


def test_the_synopsis_names_every_command() -> None:
    assert synopses().keys() == commands().keys()


@pytest.mark.parametrize("words", synopses(), ids=" ".join)
def test_the_synopsis_names_the_options(words: tuple[str, ...]) -> None:
    command, text = commands()[words], synopses()[words]
    named = set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", text))
    assert named <= options_of(command)
    left_out = {"--output", "--repeats"}  # the long form of -o, and what nobody needs
    assert options_of(command) - named <= left_out
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            assert str(parameter.metavar) in text
        elif isinstance(parameter.type, click.Choice) and "|" in text.partition(parameter.opts[0])[2].partition("]")[0]:
            choices = re.search(rf"{parameter.opts[0]} ([\w.|-]+)", text)
            assert choices is not None and choices[1] == "|".join(parameter.type.choices)


def test_options_in_the_text_exist() -> None:
    known = set().union(*map(options_of, commands().values())) | {"--version", "--help"}
    for path in (ROOT / "README.md", *ROOT.glob("specs/*.md")):
        named = set(re.findall(r"`(--[a-z][\w-]*)", path.read_text()))
        assert named <= known, path


def test_shell_lines_of_the_documents_work(command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every command line with real files in it."""
    monkeypatch.chdir(ROOT)
    ran = 0
    for path in DOCUMENTS:
        for line in re.findall(r"^(?:    |\$ )?virtionet-ipsec (.*pcaps/.*)$", path.read_text(), re.MULTILINE):
            words = line.split()
            if words[0] in ("replay", "explain"):
                done = command(*words)
                assert done.status == 0 and not done.error, line
                ran += 1
    assert ran


def test_lines_about_the_specification_work(command: Command) -> None:
    lines = {
        line
        for path in DOCUMENTS
        for line in re.findall(r"^virtionet-ipsec (spec .*[^\]])$", path.read_text(), re.MULTILINE)
    }
    assert len(lines) > 3
    for line in sorted(lines):
        if "[--" not in line:
            assert command(*shlex.split(line)).status == 0, line


def test_make_targets() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^(\w+):", makefile, re.MULTILINE))
    for path in DOCUMENTS:
        named = set(re.findall(r"(?:^|`)make (\w+)", path.read_text(), re.MULTILINE))
        assert named <= targets, path
    assert {"demo", "test", "check"} <= targets
    for script in re.findall(r"\bsh (specs/\S+)", makefile):
        assert (ROOT / script).is_file(), script


# -- links and names ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", DOCUMENTS, ids=[str(path.relative_to(ROOT)) for path in DOCUMENTS])
def test_links(path: Path) -> None:
    text = path.read_text()
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" not in target:
            file, _, anchor = target.partition("#")
            aim = path.parent / file if file else path
            assert aim.exists(), target
            if anchor:
                headings = re.findall(r"^#+ (.*)$", aim.read_text(), re.MULTILINE)
                slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
                assert anchor in slugs, target
    for name in re.findall(r"`((?:specs|pcaps|tests|virtionet_ipsec)/[\w./-]+)`", text):
        assert (ROOT / name).exists() or (path.parent / name).exists(), name


def test_modules_and_names_of_the_package_exist() -> None:
    """Dotted names, and what README imports."""
    for path in DOCUMENTS:
        for name in set(re.findall(r"\bvirtionet_ipsec(?:\.\w+)+", path.read_text())):
            parts = name.split(".")
            for length in range(len(parts), 0, -1):
                try:
                    found: Any = importlib.import_module(".".join(parts[:length]))
                    break
                except ModuleNotFoundError:
                    continue
            for part in parts[length:]:
                found = getattr(found, part)
    for line in re.findall(r"from (virtionet_ipsec[\w.]*) import ([\w, ]+)", README):
        module = importlib.import_module(line[0])
        for name in line[1].split(","):
            assert hasattr(module, name.strip()), line


def test_the_layout_names_every_package() -> None:
    table = README.split("## Layout")[1].split("\n## ")[0]
    first_column = "".join(line.split("|")[1] for line in table.splitlines() if line.startswith("| `"))
    named = set(re.findall(r"`(\w+)`", first_column))
    package = ROOT / "virtionet_ipsec"
    there = {path.parent.name for path in package.glob("*/__init__.py")} | {path.stem for path in package.glob("*.py")}
    assert named <= there
    assert there - named <= {"__init__", "__main__", "input_error"}


# -- what README says of formats ------------------------------------------------------------------------------------


def test_sa_files_in_the_documents_can_be_read() -> None:
    found = 0
    for path in DOCUMENTS:
        for block in blocks(path.read_text(), "toml"):
            if "[[sa]]" in block:
                assert loads(block, str(path))
                found += 1
    assert found >= 2


def test_the_flags_table() -> None:
    table = README.split("## Reading the flags")[1].split("\n## ")[0]
    named = set(re.findall(r"`([A-Z_]+)`", table))
    assert named <= {str(flag.name) for flag in HdrFlag}
    assert {"SECURITY", "SECURITY_ERR", "SECURITY_SA_SOFT_EXPIRY_WARN"} <= named


def test_what_is_said_of_rfc_v1() -> None:
    text = " ".join(README.split("## The two profiles")[1].split("\n## ")[0].split())
    sizes = HdrLayout(Profile.RFC_V1, 1 << 70).size, HdrLayout(Profile.RFC_V1, 1 << 70 | 1 << 57).size
    assert f"{sizes[0]} octets, {sizes[1]} with HASH_REPORT" in text
    assert f"SECURITY {int(HdrFlagRfcV1.SECURITY)}, SECURITY_ERR {int(HdrFlagRfcV1.SECURITY_ERR)}" in text
    assert f"{ipsec_sa(Profile.RFC_V1).sizeof()} octets" in text


def test_the_version_and_the_python_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == ">=3.11" and "Python 3.11 or newer" in README
    assert project["scripts"] == {"virtionet-ipsec": "virtionet_ipsec.cli:main"}


def test_no_placeholder_is_left() -> None:
    for path in DOCUMENTS:
        assert not re.findall(r"\b(TODO|FIXME|XXX|TBD|[A-Z]+_TABLE)\b", path.read_text()), path


# -- the ledger of decisions ----------------------------------------------------------------------------------------

DECIDED = re.findall(r"^### (D\d+) ", LEDGER, re.MULTILINE)


def test_each_decision_has_one_entry() -> None:
    assert len(DECIDED) == len(set(DECIDED))
    numbers = sorted(int(name[1:]) for name in DECIDED)
    assert numbers == list(range(1, len(numbers) + 1))


CITING = [
    path
    for path in [*PACKAGE, *DOCUMENTS, *sorted((ROOT / "tests").rglob("*.py"))]
    if re.search(r"\bD\d+\b", path.read_text())
]


@pytest.mark.parametrize("path", CITING, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_decision_that_is_cited_is_in_the_ledger(path: Path) -> None:
    cited = set(re.findall(r"\bD\d+\b", path.read_text()))
    assert cited <= set(DECIDED)
