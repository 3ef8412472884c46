"""docs/adding.md: the kernel family that it shows is put beside the others as it stands on the page, and held to the oracle."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numba
import numpy as np
import pytest
import reference
import structure_counts
from tolerance import assert_within

import numconv as nc
from numconv import cpu, planning
from numconv.cpu import table
from numconv.cpu.machine import detect
from numconv.cpu.runtime import cache

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "adding.md").read_text()
FILE = re.compile(r"^`numconv/cpu/window/(\w+\.py)`:.*?^```py\n(.*?)^```", re.MULTILINE | re.DOTALL)
FILES = dict(FILE.findall(PAGE))


def written(root: Path) -> Path:
    """The page's folder below `root`; the root."""
    folder = root / "numconv" / "cpu" / "window"
    folder.mkdir(parents=True)
    for name, text in FILES.items():
        (folder / name).write_text(text)
    return root


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """numconv.cpu.window.rows, in the table."""
    assert '`"window.rows"` in `FAMILIES` of `numconv/cpu/table.py`' in PAGE
    monkeypatch.setattr(cpu, "__path__", [*cpu.__path__, str(written(tmp_path) / "numconv" / "cpu")])
    monkeypatch.setattr(cache, "folder", lambda: None)  # the digest that names what is kept does not cover this folder
    monkeypatch.setattr(table, "FAMILIES", (*table.FAMILIES, "window.rows"))
    table.table.cache_clear()
    yield import_module("numconv.cpu.window.rows")
    table.table.cache_clear()
    planning._plans.clear()
    for name in [name for name in sys.modules if name.startswith("numconv.cpu.window")]:
        del sys.modules[name]


def test_a_family_is_a_docstring_and_four_short_files() -> None:
    assert sorted(FILES) == ["__init__.py", "cost.py", "kernel.py", "plan.py", "rows.py"]
    assert all(len(text.splitlines()) < 80 for text in FILES.values())
    assert not [n for n in ast.parse(FILES["__init__.py"]).body if not isinstance(n, ast.Expr)]


def test_the_page_keeps_the_rules_of_structure(tmp_path: Path) -> None:
    root = written(tmp_path)
    checks = ("reads", "literals", "slots", "parameters", "families", "circles", "lines", "long", "names", "skips")
    assert {check: list(map(str, getattr(structure_counts, check)(root))) for check in checks} == {check: [] for check in checks}


def test_the_row_is_asked_for_by_name(rows: ModuleType) -> None:
    x, w = np.ones((1, 3, 20), "float32"), np.ones((3, 1, 5), "float32")
    found = nc.explain(nc.conv1d, x, w, groups=3, algorithm="window")
    assert found.plan.kernel.name == "window" and found.plan.kernel.cost(found.plan.problem, found.plan.machine) > 0
    assert "window" not in nc.explain(nc.conv1d, x, w, groups=3).plan.kernel.name
    with pytest.raises(ValueError, match="serves no stride and no padding"):
        nc.conv1d(x, w, groups=3, stride=2, algorithm="window")
    with pytest.raises(ValueError, match="serves one channel a group"):
        nc.conv1d(x, np.ones((3, 3, 5), "float32"), algorithm="window")
    with pytest.raises(ValueError, match="does not compute the input_grad map"):
        nc.conv_transpose1d(x, w, groups=3, algorithm="window")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("length", "taps", "dilation"), [(5, 5, 1), (20, 3, 1), (64, 4, 5), (1500, 7, 2)])
def test_results_are_the_oracle_s(rows: ModuleType, dtype: str, length: int, taps: int, dilation: int) -> None:
    rng = np.random.default_rng(length)
    x, w, bias = (rng.integers(-9, 10, shape).astype(dtype) for shape in ((2, 3, length), (3, 1, taps), (3,)))
    y = nc.conv1d(x, w, bias, groups=3, dilation=dilation, activation="relu", algorithm="window")
    np.testing.assert_array_equal(y, reference.conv(x, w, bias, groups=3, dilation=dilation, activation="relu"))
    x, w, bias = (rng.standard_normal(a.shape).astype(dtype) for a in (x, w, bias))
    y = nc.conv1d(x, w, bias, groups=3, dilation=dilation, algorithm="window")
    expected, magnitude = (reference.conv(f(x), f(w), f(bias), groups=3, dilation=dilation) for f in (np.asarray, np.abs))
    assert_within(y, expected, magnitude, taps + 1)
    last = nc.conv1d(np.moveaxis(x, 1, -1), w, bias, groups=3, dilation=dilation, layout="channels_last", algorithm="window")
    np.testing.assert_array_equal(np.moveaxis(last, -1, 1), y)  # the device turns images around a row that knows of no layout


def test_bits_do_not_depend_on_boxes(rows: ModuleType) -> None:
    """One channel of 1,500 targets is cut for several workers, and not for one."""
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((1, 1, 1506), "float32"), rng.standard_normal((1, 1, 7), "float32")
    problem = nc.explain(nc.conv1d, x, w, algorithm="window").plan.problem
    boxes = [rows.planned(problem, detect(), workers)[1].boxes for workers in (1, 4)]
    assert boxes[0] == 1 < boxes[1]
    results = []
    for cores in (1, 4):
        work = rows._work(problem, replace(detect(), cores=cores), cores)
        results.append(np.empty(problem.result_shape, "float32"))
        rows.perform(work, x, w, None, results[-1])
    np.testing.assert_array_equal(*results)


def test_threads_leave_the_bits_alone(rows: ModuleType) -> None:
    rng = np.random.default_rng(1)
    x, w = rng.standard_normal((2, 5, 900), "float32"), rng.standard_normal((5, 1, 9), "float32")
    whole, threads = nc.conv1d(x, w, groups=5, algorithm="window"), numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        np.testing.assert_array_equal(nc.conv1d(x, w, groups=5, algorithm="window"), whole)
    finally:
        numba.set_num_threads(threads)
