"""sa convert: read, write, warn."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Literal

from ..replay.outputs import Outputs
from ..safile import dumps_esp_sa, dumps_toml, dumps_xfrm, load

_DUMP = {"toml": dumps_toml, "esp_sa": dumps_esp_sa, "xfrm": dumps_xfrm}


def convert_command(
    file: str, to: str, direction: Literal["auto", "inbound", "outbound"], local: Sequence[str], output: str
) -> int:
    text, warnings = _DUMP[to](load(file, "both" if direction == "auto" else direction, local_addresses=local))
    with Outputs() as outputs:
        outputs.open(output, "w", private=True).write(text)
        outputs.keep()
    for warning in warnings:
        print(f"virtionet-ipsec: warning: {warning}", file=sys.stderr)
    return 0
