"""The size of the receive buffers that a driver makes available, when it is known which features count for them."""

from __future__ import annotations

from ...device.exchanges import BuffersSized, StatusWritten
from ...wire.enums import Status
from .view import View

Exchange = BuffersSized | StatusWritten


def in_use(view: View, exchange: Exchange) -> int | None:
    """The size in octets from this exchange on; None when it does not begin to count now.

    That is at DRIVER_OK, for what the driver said since reset, and after that
    whenever it says another.
    """
    if isinstance(exchange, BuffersSized):
        return exchange.size if view.live else None
    return view.receive_buffer_size if exchange.value & ~view.status & Status.DRIVER_OK else None
