"""A short run of `fences.py`: every array of a kernel between pages that may not be touched; and that such a run finds what it looks for."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mmap")
if not hasattr(signal, "SIGKILL"):
    pytest.skip("mprotect is of POSIX systems", allow_module_level=True)

import fences

HERE = Path(__file__).resolve().parent
#: rows or functions, and how many kernels a short run compiles of them
FAMILIES = {
    "spread,direct,gather": 12,
    "winograd,winograd_weights": 5,
    "depthwise,depthwise_last": 8,
    "outer_product,dot_rows": 8,
    "scatter,fft,zero_insertion,matrix": 8,
    "functions": 12,
    "filters": 16,
    "gradients": 16,
    "channel_shuffle,unfold,fold,resize2d,dynamic_attention,dynamic_conv2d,deform_conv2d": 24,
    "spatially_separable_conv2d,shuffled_grouped_conv2d,convolve,correlate": 12,
}


@pytest.mark.parametrize("rows", FAMILIES)
def test_a_short_run(rows: str) -> None:
    found = fences.hunt(["--rows", rows, "--kernels", str(FAMILIES[rows]), "--count", "150", "--alike"], seconds=120)
    assert not found.faults
    assert found.calls >= 5
    assert found.arrays >= 2 * found.kernels > 0


#: a kernel of the shape of the loops over tasks, one line of it a fault
CODE = """
import sys
import fences
fences.install()
import numpy as np
from numconv.cpu.runtime import launch
from numconv.cpu.simd.vector import get, pointer, put

launch.keep = lambda dispatcher: dispatcher

def loop(x, weights, y, scratch, at):
    {line}

fences.Fenced.at_end = {at_end}
x, y, memory = np.zeros(7, "f4"), np.zeros(5, "f4"), np.zeros(30, "f4")
kernel = launch.kernel(loop)
kernel.serial(x, memory[20:], y, memory, 3)
print("through", y.tolist())
"""
#: line → at the end of the pages, at their start
LINES = {
    "put(pointer(y), at, get(pointer(x), at) + 2)": ("through", "through"),
    "put(pointer(y), 0, get(pointer(x), 7))": ("killed", "through"),
    "put(pointer(y), 0, get(pointer(x), -1))": ("through", "killed"),
    "put(pointer(y), 5, get(pointer(x), 0))": ("killed", "canary"),
    "put(pointer(y), -1, get(pointer(x), 0))": ("canary", "killed"),
    "put(pointer(x), 0, get(pointer(y), 0))": ("killed", "killed"),
    "put(pointer(scratch), 20, get(pointer(y), 0))": ("canary", "canary"),
    "put(pointer(scratch), 60, get(pointer(y), 0))": ("killed", "canary"),
}


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("at_end", [True, False])
def test_what_a_run_finds(line: str, at_end: bool) -> None:
    """Reads and writes beyond either end, into what is read-only, into the fence of the weights that lie behind the scratch."""
    code = CODE.format(line=line, at_end=at_end)
    found = subprocess.run([sys.executable, "-c", code], cwd=HERE, env=fences.environment(), capture_output=True, text=True)
    how = "killed" if found.returncode == -signal.SIGSEGV else "canary" if "were written" in found.stderr else found.stdout.split()[0]
    assert how == LINES[line][not at_end], found.stderr


def test_a_child_that_dies_is_named_and_the_next_goes_on(tmp_path: Path) -> None:
    """By way of a row that reads far beyond its image, in place of `scatter`."""
    (tmp_path / "sitecustomize.py").write_text(
        "import ctypes, numconv.cpu.named.scatter as scatter\n"
        "import numconv.cpu.table as table\n"
        "rows = table.table\n"
        "def broken():\n"
        "    for row in rows():\n"
        "        if row.name == 'scatter': object.__setattr__(row, 'run', lambda *_: ctypes.string_at(0))\n"
        "    return rows()\n"
        "table.table = broken\n"
    )
    paths = {"PYTHONPATH": f"{tmp_path}:{fences.environment()['PYTHONPATH']}"}
    found = fences.hunt(["--rows", "scatter", "--count", "40", "--alike"], paths, seconds=60)
    assert len(found.faults) >= 2
    assert all("scatter input_grad" in fault and "ended with -11" in fault for fault in found.faults)
