"""A vhost-user back end: a real driver's virtqueues, over a socket and shared memory (vhost-user.rst)."""

from .backend import Backend

__all__ = ["Backend"]
