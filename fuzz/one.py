"""One target under atheris: ``python -m fuzz.one TARGET CORPUS FLAGS...``, flags as libFuzzer has them."""

from __future__ import annotations

import sys
from importlib import import_module

SECONDS_OF_ONE = 10
"""An input that takes longer is a finding."""

MOST_OCTETS = 4096
MEGABYTES = 2048


def flags(seconds: int) -> list[str]:
    """What every run is told: with the same corpus and the same seed it makes the same choices."""
    return [
        f"-max_total_time={seconds}",
        f"-timeout={SECONDS_OF_ONE}",
        f"-max_len={MOST_OCTETS}",
        f"-rss_limit_mb={MEGABYTES}",
        "-len_control=0",
        "-seed=1",
        "-print_final_stats=1",
    ]


def main(name: str, *arguments: str) -> None:
    """Never returns: libFuzzer ends the process."""
    import atheris

    with atheris.instrument_imports(include=["virtionet_ipsec"]):
        target = import_module(f"fuzz.targets.{name}")
    atheris.Setup([sys.argv[0], *arguments], target.run)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
