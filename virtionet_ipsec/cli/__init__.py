"""The command line.  Thin: parse, call, print.

Commands import what they need when they run, so that ``--help`` is quick; click
itself is imported below :func:`run`, so that Ctrl-C is quiet from the start.
"""

from __future__ import annotations

import io
import os
import sys

from ..input_error import InputError, printable

EXIT_BAD_INPUT, EXIT_INTERRUPTED = 2, 130
PROGRAM = "virtionet-ipsec"


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0, 1 (``--strict``), 2 (bad input), 130 (Ctrl-C)."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by the caller, as ">&-" does
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 (for as long as the process lives)
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file's name need not fit the terminal's encoding
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """Run the command line; gives the exit status."""
    status = 0
    try:
        from .commands import invoke

        status = invoke(sys.argv[1:] if arguments is None else arguments, PROGRAM)
        sys.stdout.flush()
    except KeyboardInterrupt:
        status = EXIT_INTERRUPTED
    except InputError as error:
        status = _complain(str(error))
    except BrokenPipeError:
        pass  # whoever read our output has gone (as in "| head"): there is nobody to tell
    except OSError as error:  # those of files that were named are InputErrors
        where, why = error.filename or "standard output", error.strerror or type(error).__name__
        status = _complain(f"{where}: cannot be written ({why}); make room there")
    try:
        sys.stdout.flush()
    except OSError:
        # What is still to be written would fail once more when Python exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status


def _complain(message: str) -> int:
    """One line on standard error; gives the exit status for bad input."""
    print(f"{PROGRAM}: {printable(message)}", file=sys.stderr)
    return EXIT_BAD_INPUT
