"""Between two bytecode instructions of the device's queues the driver writes, or the backend is killed."""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any

from virtionet_ipsec import virtqueue

PACKAGE = str(virtqueue.__path__[0])
STORES = {dis.opmap[name] for name in ("STORE_SUBSCR", "STORE_SLICE") if name in dis.opmap}
"""What writes to shared memory; the queues have nothing else that does."""


@contextmanager
def each_opcode(moment: int, happen: Callable[[], None], stores_only: bool = False) -> Iterator[Callable[[], bool]]:
    """Calls ``happen`` before the instruction with number ``moment`` of the queues' code in the body; what it raises
    is raised there.  With ``stores_only``, only stores count.  Gives a function that says whether it came to that.
    """
    count = 0
    codes: dict[CodeType, bytes] = {}

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        if not frame.f_code.co_filename.startswith(PACKAGE) or "driver" in frame.f_code.co_filename[len(PACKAGE) :]:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            code = codes.setdefault(frame.f_code, frame.f_code.co_code)
            if not stores_only or code[frame.f_lasti] in STORES:
                count += 1
                if count == moment + 1:
                    happen()
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield lambda: count > moment
    finally:
        sys.settrace(before)
