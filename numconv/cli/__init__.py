"""The command line: one file for each command, imported when it is called.

Exit status: 0 done; 1 it could not be done (a full disk, a missing library); 2 wrong options; 130 interrupted; 141 nobody reads the output
any more (as a shell has it of a program that SIGPIPE ended).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import Any

COMMANDS = {
    "info": "versions, CPU features, threads, GPU, cache",
    "demo": "the survey's variants on a photograph: prints times, saves pictures",
    "explain": "which kernels a call would run, and why not the others, by shapes",
    "bench": "named layers against the peers that are installed",
    "precompile": "compiles the kernels into the cache, with a progress bar",
}
EXAMPLES = """examples:
  python -m numconv demo                     # every variant on a photograph, pictures in numconv-demo/
  python -m numconv explain conv2d 1x64x56x56 64x64x3x3 --padding 1
  python -m numconv info --json              # for a bug report
  python -m numconv explain --help           # more of each command

exit status: 0 done, 1 it could not be done, 2 wrong options, 130 interrupted"""
FAILED, WRONG, INTERRUPTED, UNREAD = 1, 2, 130, 141


class WrongOption(Exception):  # noqa: N818 - what it is, is what is printed
    """An option whose value turns out to be of no use: exit status 2, as for those that the parser refuses."""


class Failed(Exception):  # noqa: N818
    """What was asked for cannot be done here: exit status 1."""


def at_least(low: float, kind: type = int) -> Callable[[str], Any]:
    """An option's type: a finite number from `low` on."""

    def number(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
        if not low <= value < float("inf"):
            raise argparse.ArgumentTypeError(f"must be at least {low}; got {text}")
        return value

    return number


def main(argv: list[str] | None = None) -> int:
    """Parse and run; the exit status."""
    _prepare_streams()
    try:
        try:
            return _run(argv)
        finally:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
    except KeyboardInterrupt:
        return _end("interrupted", INTERRUPTED)
    except BrokenPipeError:
        return _end("", UNREAD)
    except WrongOption as error:
        return _end(f"error: {error}", WRONG)
    except (Failed, OSError, MemoryError) as error:
        return _end(f"error: {error or 'not enough memory'}", FAILED)


def _run(argv: list[str] | None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m numconv", description="Convolutions of every kind on CPU and GPU.", epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name, text in COMMANDS.items():
        module = import_module(f".{name}", __name__)
        sub = commands.add_parser(
            name, help=text, description=module.__doc__, epilog=module.EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        module.add_arguments(sub)
        sub.set_defaults(run=module.run)
    options = parser.parse_args(argv)
    return int(options.run(options))


def _prepare_streams() -> None:
    """A terminal without "×" shows "?", and a stream that was closed before the start takes what is written and drops it."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:  # its descriptor is free, and the next file to be opened would get it
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w", encoding="utf-8"))  # noqa: SIM115
        elif name != "stdin" and hasattr(getattr(sys, name), "reconfigure"):
            getattr(sys, name).reconfigure(errors="replace")


def _end(text: str, status: int) -> int:
    """Say why on standard error, if it can be said; what is still to be written goes nowhere, so that the interpreter ends quietly."""
    if text:
        with suppress(OSError):
            print(f"\npython -m numconv: {text}" if text == "interrupted" else f"python -m numconv: {text}", file=sys.stderr, flush=True)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            with suppress(OSError, ValueError):
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, stream.fileno())
                os.close(null)
    return status
