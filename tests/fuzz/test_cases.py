"""The targets of the fuzzer, without the fuzzer: what it once found, what it begins with, and a few more inputs."""

from __future__ import annotations

import random
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz import TARGETS

CASES = Path(__file__).parent / "cases"
FOUND = sorted(CASES.glob("*/*"))
"""One folder for each target, one file for each input that was a finding."""


def target(name: str) -> ModuleType:
    return import_module(f"fuzz.targets.{name}")


@pytest.mark.parametrize("path", FOUND, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_was_found_once(path: Path) -> None:
    target(path.parent.name).run(path.read_bytes())


def test_every_case_has_a_target() -> None:
    assert {path.parent.name for path in FOUND} <= set(TARGETS)


@pytest.mark.parametrize("name", TARGETS)
def test_seeds(name: str) -> None:
    seeds = target(name).seeds()
    assert len(set(seeds)) == len(seeds) > 3
    for seed in seeds:
        target(name).run(seed)


@pytest.mark.parametrize("name", TARGETS)
def test_the_same_input_does_the_same(name: str) -> None:
    """Twice in one process, and with others between: a finding can be run again."""
    seeds = target(name).seeds()
    for seed in (seeds[0], seeds[-1], seeds[0]):
        target(name).run(seed)


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_seeds(name: str) -> None:
    """What a fuzzer without a guide would try."""
    module = target(name)
    seeds = module.seeds()

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(st.sampled_from(seeds), st.integers(0, 1 << 32))
    def damaged(seed: bytes, number: int) -> None:
        choice = random.Random(number)
        octets = bytearray(seed)
        for _ in range(choice.randrange(1, 6)):
            octets[choice.randrange(len(octets))] = choice.randrange(256)
        other = choice.choice(seeds)
        module.run(bytes(octets) + other[choice.randrange(len(other)) :])

    damaged()


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.binary(max_size=400))
def test_any_octets(name: str, data: bytes) -> None:
    target(name).run(data)
