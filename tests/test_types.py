"""What a user's editor and type checker see."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = """
import numpy as np
import numpy.typing as npt

import numconv as nc


def blur(image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    w = np.full((1, 1, 3, 3), 1 / 9, np.float32)
    found: npt.NDArray[np.float32] = nc.conv2d(image, w, padding="same")
    return found


layer = nc.Conv2d(np.ones((4, 2, 3, 3)), padding="same")
y = layer(np.ones((1, 2, 8, 8)))
plan = nc.explain(nc.conv2d, np.ones((1, 3, 8, 8)), np.ones((4, 3, 3, 3)))
name: str = plan.algorithm
z, pullback = nc.vjp(nc.conv2d, np.ones((1, 3, 8, 8)), np.ones((4, 3, 3, 3)))
blurred = nc.ndimage.gaussian_filter(np.ones((8, 8)), 1.0)
same = nc.convolve(np.ones(8), np.ones(3), "same")
print(name.upper(), nc.arithmetic.conv_output_shape(8, 3), nc.onnx.run)
"""


@pytest.mark.parametrize(
    "addition, fault",
    [("", ""), ("nc.conv2d(np.ones(3), np.ones(3), strode=2)", 'keyword argument "strode"'), ("plan.algorythm", "algorythm")],
)
def test_a_strict_program(addition: str, fault: str, tmp_path: Path) -> None:
    if importlib.util.find_spec("mypy") is None:
        pytest.skip("mypy is not installed (extra `dev`)")
    assert (ROOT / "numconv" / "py.typed").exists()
    (tmp_path / "program.py").write_text(PROGRAM + addition + "\n")
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--follow-imports=silent", "--cache-dir=/dev/null", "program.py"]
    run = subprocess.run(command, cwd=tmp_path, env=os.environ | {"MYPYPATH": str(ROOT)}, capture_output=True, text=True, check=False)
    assert (run.returncode == 0) == (not fault), run.stdout
    assert fault in run.stdout
