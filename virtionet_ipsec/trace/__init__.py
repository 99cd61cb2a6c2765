"""Sessions between a driver and a device: watched, written to a file, read back (specs/trace.md)."""

from .format import Session, SessionReader, SessionWriter, read_session
from .watched import Target, Watched

__all__ = ["Session", "SessionReader", "SessionWriter", "Target", "Watched", "read_session"]
