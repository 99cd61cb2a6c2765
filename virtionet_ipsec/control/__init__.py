"""The control socket beside a served device: its messages and its client (specs/control.md).

The server's side is in :mod:`virtionet_ipsec.serve`.
"""

from .client import ControlClient, ControlError
from .guest import GuestSide

__all__ = ["ControlClient", "ControlError", "GuestSide"]
