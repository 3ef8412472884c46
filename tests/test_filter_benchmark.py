"""The cells of benchmarks/filters.py: every library is asked for the same sum."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
PACKAGES = {"scipy_fft": "scipy", "opencv": "cv2"}
CELLS = [
    *((kind, 40, k, dtype) for dtype in ("float32", "uint8") for kind, k in (("image", 5), ("separable", 15), ("sobel", 3), ("uniform", 5))),
    ("gaussian", 40, 17, "float32"), ("signal", 300, 33, "float32"), ("volume", 12, 3, "float32"),
]  # fmt: skip


@pytest.fixture
def cases(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(BENCHMARKS)
    import filter_cases

    yield filter_cases
    sys.modules.pop("filter_cases")


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_libraries_agree(cases: Any, cell: tuple[str, int, int, str]) -> None:
    import numba

    case, threads = cases.Case(*cell), numba.get_num_threads()
    ours, peers = cases.call("numconv", case, threads)(), 0
    for library in cases.LIBRARIES[1:]:
        if importlib.util.find_spec(PACKAGES.get(library, library)) is None:
            continue
        theirs = cases.call(library, case, threads)
        if theirs is not None:
            cases.check(case, np.asarray(ours), np.asarray(theirs()))
            peers += 1
    assert peers


def test_cells_of_the_issue(cases: Any) -> None:
    found = list(cases.cases(quick=False))
    assert {c.dtype for c in found if c.kind == "image"} == {"float32", "uint8"}
    assert {c.size for c in found if c.kind == "image"} == {256, 512, 1024, 2048, 4096}
    assert {c.taps for c in found if c.kind == "image" and c.dtype == "float32"} == {3, 5, 9, 15, 31, 63}
    assert {c.size for c in found if c.kind == "signal"} == {10**n for n in range(3, 8)}
    assert set(cases.cases(quick=True)) <= set(found)
