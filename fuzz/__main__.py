"""Runs the targets one after the other, and tells what each has seen."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from importlib import import_module, util
from pathlib import Path

from . import DURATION, TARGETS, one

OUT = Path("out/fuzz")

_COUNTS = re.compile(rb"cov: (\d+) ft: (\d+)")
_EXECUTED = re.compile(rb"stat::number_of_executed_units: *(\d+)")


def _fuzz(name: str, seconds: int) -> bool:
    """Whether nothing was found."""
    corpus, found = OUT / name / "corpus", OUT / name / "found"
    corpus.mkdir(parents=True, exist_ok=True)
    found.mkdir(exist_ok=True)
    for number, seed in enumerate(import_module(f"fuzz.targets.{name}").seeds()):
        (corpus / f"seed-{number:03}").write_bytes(seed)
    before = set(found.iterdir())
    command = [sys.executable, "-m", one.__name__, name, str(corpus), f"-artifact_prefix={found}/", *one.flags(seconds)]
    # The fuzzer ends its process without a word to it: what lies in the file system then is ours to remove.
    with tempfile.TemporaryDirectory() as scratch:
        place = {**os.environ, "TMPDIR": scratch}
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=place, check=False)
    executed, counts = _EXECUTED.search(done.stdout), _COUNTS.findall(done.stdout)
    coverage, features = (int(each) for each in counts[-1]) if counts else (0, 0)
    inputs = sum(1 for _ in corpus.iterdir())
    print(
        f"{name:16} {int(executed[1]) if executed else 0:9,} executions, {coverage:6,} branches, "
        f"{features:7,} features, {inputs:5,} inputs kept",
        flush=True,
    )
    if done.returncode == 0:
        return True
    sys.stdout.write(done.stdout[-6000:].decode(errors="replace"))
    for path in sorted(set(found.iterdir()) - before):
        print(f"\nfound by {path}\n  again: python -m fuzz --again {path} {name}")
        print(f"  keep:  mv {path} tests/fuzz/cases/{name}/")
    return False


def main() -> int:
    """0 when nothing was found, 1 when something was, 2 when the fuzzer is not there."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; all when none is named")
    parser.add_argument("--seconds", type=int, default=DURATION, help=f"for all of them together ({DURATION})")
    parser.add_argument("--again", metavar="FILE", help="run the input in FILE once, without the fuzzer")
    options = parser.parse_args()
    if unknown := set(options.targets) - set(TARGETS):
        parser.error(f"there is no target {', '.join(sorted(unknown))}")
    names = options.targets or list(TARGETS)
    if options.again:
        for name in names:
            import_module(f"fuzz.targets.{name}").run(Path(options.again).read_bytes())
        return 0
    if util.find_spec("atheris") is None:
        print("fuzzing needs atheris: pip install -e '.[fuzz]'", file=sys.stderr)
        return 2
    good = [_fuzz(name, max(1, options.seconds // len(names))) for name in names]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
