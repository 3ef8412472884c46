"""The command line: one file for each command, imported when it is called."""

from __future__ import annotations

import argparse
from importlib import import_module

COMMANDS = {
    "info": "versions, CPU features, threads, GPU, cache",
    "demo": "the survey's variants on a photograph: prints times, saves pictures",
    "bench": "named layers against the peers that are installed",
    "precompile": "compiles the kernels into the cache, with a progress bar",
}


def main(argv: list[str] | None = None) -> int:
    """Parse and run; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m numconv", description="Convolutions of every kind on CPU and GPU.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name, text in COMMANDS.items():
        module = import_module(f".{name}", __name__)
        sub = commands.add_parser(name, help=text, description=module.__doc__)
        module.add_arguments(sub)
        sub.set_defaults(run=module.run)
    options = parser.parse_args(argv)
    return int(options.run(options))
