"""Makes the captures in damaged/, outbound/ and peer/ from those in linux/; the bytes are the same every time.

    python pcaps/make.py            writes them here
    python pcaps/make.py --to DIR   writes them there

Needs `cryptography` and nothing of the package.  What replaying each must give is in manifest.toml.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from recipes import damaged, malformed, outbound, peer
from recipes.files import Linux

HERE = Path(__file__).parent
FILES = damaged.FILES | malformed.FILES | outbound.FILES | peer.FILES


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the captures in damaged/, outbound/ and peer/.")
    parser.add_argument("--to", type=Path, default=HERE, metavar="DIR", help="where to (default: here)")
    target: Path = parser.parse_args().to
    linux = Linux(HERE)
    for name, make in FILES.items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make(linux))


if __name__ == "__main__":
    main()
