"""Docstrings of the public functions: complete, and their examples run."""

from __future__ import annotations

import doctest
import inspect
from typing import Any

import numpy as np
import pytest

import numconv as nc
from numconv.catalog import VARIANTS

FUNCTIONS = [v.function for v in VARIANTS]
LAYERS = [nc.Conv1d, nc.Conv2d, nc.Conv3d, nc.ConvTranspose1d, nc.ConvTranspose2d, nc.ConvTranspose3d]


@pytest.mark.parametrize("function", [*FUNCTIONS, *LAYERS, nc.explain, nc.algorithms], ids=lambda f: f.__name__)
def test_examples_run(function: Any) -> None:
    found = doctest.DocTestFinder(recurse=False).find(function, globs={"np": np, "nc": nc})
    assert found
    assert found[0].examples
    failed = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS).run(found[0]).failed
    assert failed == 0


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_every_parameter_is_described(function: Any) -> None:
    text = inspect.getdoc(function) or ""
    assert "{" not in "".join(line for line in text.split("\n") if line.strip().startswith("{") and ":" not in line)
    for section in ("Parameters", "Returns", "Raises", "Examples"):
        assert f"\n{section}\n" in text
    described = set()
    for line in text[text.index("Parameters") : text.index("\nReturns\n")].split("\n"):
        if line and not line.startswith(" "):
            described.update(name.strip() for name in line.split(" : ")[0].split(","))
    assert set(inspect.signature(function).parameters) <= described
