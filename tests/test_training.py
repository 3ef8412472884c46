"""A small network, plain NumPy around `nc.vjp`, learns to read digits."""

from __future__ import annotations

import runpy
import time
from pathlib import Path

import numba
import numpy as np
import pytest

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "digits.py"


def test_digits_are_read() -> None:
    pytest.importorskip("sklearn", reason="the digits are scikit-learn's")
    threads = numba.get_num_threads()
    start = time.perf_counter()
    try:
        accuracy = runpy.run_path(str(EXAMPLE))["train"]()
    finally:
        numba.set_num_threads(threads)
    assert accuracy > 0.97
    assert time.perf_counter() - start < 120


def test_gradient_of_the_whole_network() -> None:
    """Against central differences, in float64."""
    example = runpy.run_path(str(EXAMPLE))
    rng = np.random.default_rng(0)
    p = {k: (w + 0.1 * rng.standard_normal(w.shape)).astype("float64") for k, w in example["initial"](rng).items()}
    x, labels = rng.standard_normal((3, 1, 8, 8)), np.array([1, 7, 3])
    scores, back = example["forward"](p, x)
    gradients = back(example["cross_entropy"](scores, labels)[1])
    assert gradients.keys() == p.keys()
    for name, w in p.items():
        v = rng.standard_normal(w.shape)
        losses = [example["cross_entropy"](example["forward"]({**p, name: w + h * v}, x)[0], labels)[0] for h in (1e-6, -1e-6)]
        expected = (losses[0] - losses[1]) / 2e-6
        assert abs(expected - np.vdot(gradients[name], v)) < 1e-5 * (1 + abs(expected))
