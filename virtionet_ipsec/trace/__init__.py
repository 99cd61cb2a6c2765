"""Sessions between a driver and a device: watched, written to a file, read back (specs/trace.md)."""

from .format import Session, SessionReader, SessionWriter, read_session
from .watched import MakeTarget, Target, TargetFailed, Watched, said

__all__ = [
    "MakeTarget",
    "Session",
    "SessionReader",
    "SessionWriter",
    "Target",
    "TargetFailed",
    "Watched",
    "read_session",
    "said",
]
