"""The command that repeats one check."""

from __future__ import annotations

import shlex

from ..wire.profile import Profile
from .verdict import Report


def repeat_command(report: Report, check_id: str) -> str:
    """A command line for the one check or rule of ``report``; its ``subject`` is the target, or the trace."""
    words = ["virtionet-ipsec", "conformance", report.role]
    if report.role == "driver":
        words.append(report.subject)
    elif report.subject != "model":
        words += ["--target", report.subject]
    if report.profile is not Profile.VIRTIO_1_4 and report.role == "device":
        words += ["--profile", report.profile.value]
    return shlex.join([*words, "--only", check_id])
