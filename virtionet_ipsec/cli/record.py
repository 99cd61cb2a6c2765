"""record: replay, and write down what passes."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ..device import Device
from ..device.exchanges import Exchange, Listener
from ..input_error import printable
from ..replay.capture import open_capture
from ..replay.outputs import Outputs, is_stdout, put
from ..replay.run import check_paths
from ..trace import Session, SessionWriter
from .replay import Way, make_session, progress


def record_command(
    capture: str,
    sa: Sequence[str],
    direction: Way,
    profile: str,
    local: Sequence[str],
    seed: int | None,
    mtu: int,
    output: str,
) -> int:
    check_paths(capture, sa, [("--output", output)])
    exchanges = 0
    with open_capture(capture) as source, Outputs() as outputs:
        stream = outputs.open(output, "w", private=True)  # it holds keys

        def watch(device: Device) -> Listener:
            writer = SessionWriter(
                lambda text: put(stream, text, output), Session(device.profile, device.features, device.config)
            )

            def write(exchange: Exchange) -> None:
                nonlocal exchanges
                exchanges += 1
                writer.write(exchange)

            return write

        session = make_session(sa, direction, profile, local, seed, mtu, watch)
        for packet in progress(source):
            session.process(packet.data, packet.linktype)
        outputs.keep()
        if source.truncated:
            print(f"virtionet-ipsec: note: the capture is truncated: {source.truncated}", file=sys.stderr)
    said = f"{printable(output)}: {exchanges} exchanges; it holds the keys of the SAs"
    print(said, file=sys.stderr if is_stdout(output) else sys.stdout)
    return 0
