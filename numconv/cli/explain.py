"""What a call would run, by shapes: each kernel with its predicted time, workspace and error, or why it would not.

Nothing is computed, and no memory is needed for the arrays.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import json
import sys
from typing import Any

import numpy as np

from .. import catalog, hosts
from ..api.explain import HEADINGS, Explanation, cells_of, explain
from ..gradients.vjp import array_parameters
from . import WrongOption
from .terminal import Column, Table, is_rich

EXAMPLES = """examples:
  python -m numconv explain conv2d 1x64x56x56 64x64x3x3 --padding 1
  python -m numconv explain conv_transpose2d 1x256x16x16 256x128x4x4 --stride 2 --padding 1,1 --dtype float64
  python -m numconv explain resize2d 1x3x100x100 --scale 2 --json"""
OWN = ("out", "function", "dtype", "json")  # not to be had from the operators' keywords


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("function", help="conv2d, say: any operator that maps arrays to an array")
    parser.add_argument("shapes", nargs="+", type=shape, help="of its arrays in turn: 1x64x56x56 64x64x3x3")
    parser.add_argument("--dtype", default="float32", help="of the arrays (default: float32)")
    parser.add_argument("--json", action="store_true", help="print one JSON object, for programs")
    group = parser.add_argument_group("keywords of the function", "2, 1,2, ((1,0),(2,1)), same …")
    for name in sorted(keywords()):
        group.add_argument(f"--{name.replace('_', '-')}", dest=f"keyword_{name}", type=value, metavar="VALUE", default=None)


def keywords() -> set[str]:
    """Those of all operators that are no arrays."""
    found = set()
    for variant in catalog.VARIANTS:
        found |= set(inspect.signature(variant.function).parameters) - set(array_parameters(variant.function))
    return found.difference(OWN)


def shape(text: str) -> tuple[int, ...]:
    """1x64x56x56, with x or ×."""
    try:
        found = tuple(int(n) for n in text.lower().replace("×", "x").split("x"))
    except ValueError:
        found = (-1,)
    if min(found) < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no shape: whole numbers with x between them, as 1x64x56x56")
    return found


def value(text: str) -> Any:
    """A number, tuples of them, True, or a word."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def run(options: argparse.Namespace) -> int:
    variant = next((v for v in catalog.VARIANTS if v.name == options.function), None)
    if variant is None:
        raise WrongOption(f"no operator {options.function!r}; there are: {', '.join(v.name for v in catalog.VARIANTS)}")
    names = array_parameters(variant.function)
    if len(options.shapes) > len(names):
        raise WrongOption(f"{variant.name} takes {len(names)} arrays at most ({', '.join(names)}); got {len(options.shapes)} shapes")
    given = {k.removeprefix("keyword_"): v for k, v in vars(options).items() if k.startswith("keyword_") and v is not None}
    try:
        element = np.zeros((), hosts.dtype_of(options.dtype))
        arrays = {name: np.broadcast_to(element, s) for name, s in zip(names, options.shapes, strict=False)}
        plan = explain(variant.function, **arrays, **given)
    except (TypeError, ValueError) as error:
        raise WrongOption(str(error)) from None
    if options.json:
        print(json.dumps(plan.as_dict(), ensure_ascii=False, indent=1))
    elif is_rich(sys.stdout) and plan.steps:
        show(plan)
    else:
        print(plan)
    return 0


def show(plan: Explanation) -> None:
    """A table for each step, the chosen kernel marked."""
    columns = [Column(name, right=name in ("ms", "workspace")) for name in HEADINGS]
    for step in plan.as_dict()["steps"]:
        title = f"{step['function']}: {step['problem']} {step['dtype']} → {tuple(step['result_shape'])} on {step['device']}"
        with Table(columns, title) as table:
            for entry in step["candidates"]:
                table.row(cells_of(entry), marked=entry["chosen"])
