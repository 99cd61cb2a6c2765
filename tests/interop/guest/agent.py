"""Runs commands in a guest, one after the other, for the host at the other end of a console.

A line with a number comes in for each, and the command is in the file NUMBER
of the directory shared with the host: JSON with ``script`` (for sh),
``stdin``, ``timeout`` in seconds.  (Long lines would be throttled, and User
Mode Linux does not always notice when the console may go on.)  A line of JSON
goes out: ``number``, ``status`` (that of the shell; -9 when the time was
over), ``out``, ``err``.  On "reboot" the guest does so at once.  When the host's
end is closed, it is powered off.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tty

SHARED = "/run/shared"
MOST = 1 << 20  # of each output, in characters


def run(script: str, stdin: str, timeout: float) -> dict[str, object]:
    """One command; whatever it started in the background goes on, unless the time was over."""
    words = ["/bin/sh", "-c", script]
    pipe = subprocess.PIPE
    child = subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe, text=True, errors="replace", process_group=0)
    try:
        out, err = child.communicate(stdin, timeout)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        out, err = child.communicate()
    return {"status": child.returncode, "out": out[-MOST:], "err": err[-MOST:]}


def main(console: str) -> None:
    with open(console, "r+b", buffering=0) as file:
        tty.setraw(file.fileno())
        file.write(b"ready\n")
        while line := file.readline():
            if line == b"reboot\n":
                power("b")
            number = int(line)
            with open(f"{SHARED}/{number}") as file_asked:
                asked = json.load(file_asked)
            answer = {"number": number} | run(asked["script"], asked["stdin"], asked["timeout"])
            left = memoryview(json.dumps(answer).encode() + b"\n")
            while left:
                left = left[file.write(left) :]


def power(how: str) -> None:
    """The magic SysRq keys: b reboots, o powers off."""
    with open("/proc/sysrq-trigger", "w") as trigger:
        trigger.write(how)
    signal.pause()


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    finally:
        power("o")
