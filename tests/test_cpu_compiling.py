"""What compiling kernels as a whole, and loading them without Numba's compiler, leaves behind in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
CALL = """
import sys
import numba, numpy as np
from numba.core.codegen import JITCodeLibrary
import numconv as nc

y = nc.conv2d(np.ones((1, 2, 6, 6), "float32"), np.ones((3, 2, 3, 3), "float32"))
assert (y == 18).all()
print(sorted({"numba.np.arraymath", "scipy.fft"} & set(sys.modules)))

@numba.njit
def ours(x):  # with functions that the kernels use too
    total = 0
    for i in range(min(len(x), 3)):
        total += max(x[i], 2) + int(np.sqrt(np.float32(4)))
    return np.full(2, total)

@numba.njit(parallel=True)
def sums(x):
    total = 0
    for i in numba.prange(len(x)):
        total += x[i]
    return total

assert ours(np.arange(9)).tolist() == [12, 12]
assert sums(np.arange(9)) == 36
library = ours.overloads[ours.signatures[0]].library
assert type(library) is JITCodeLibrary
"""


@pytest.fixture(scope="module")
def processes(tmp_path_factory: Any) -> list[str]:
    """What the first process says, which compiles, and the second, which loads."""
    cache = str(tmp_path_factory.mktemp("cache"))
    others = {name: value for name, value in os.environ.items() if name != "NUMCONV_CACHE_DIR"}
    environment = {**others, "XDG_CACHE_HOME": cache, "LOCALAPPDATA": cache, "PYTHONPATH": str(ROOT)}
    runs = [subprocess.run([sys.executable, "-c", CALL], capture_output=True, text=True, env=environment, cwd=cache) for _ in range(2)]
    assert not any(run.returncode for run in runs), [run.stderr for run in runs]
    assert list(Path(cache).rglob("*.kernel"))
    return [run.stdout.strip() for run in runs]


def test_users_own_functions_compile_as_ever(processes: list[str]) -> None:
    assert processes[0] == "['numba.np.arraymath']"  # by compiling


def test_loading_imports_neither_the_compiler_nor_scipy(processes: list[str]) -> None:
    assert processes[1] == "[]"
