"""Winograd's matrices have one definition, which both devices' code agrees with; and the tables that devices share are the same for both."""

from __future__ import annotations

import ast
import importlib.util
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from numconv import activations, winograd
from numconv.cpu.runtime.cache import COMPILED_IN
from numconv.cpu.winograd import points

#: (frequencies, taps) that a device has
FORMS = [(4, 3), (5, 2), (6, 3), (7, 4), (8, 5)]
CPU = Path(points.__file__).parents[1]


def plain(function: Any) -> Any:
    return getattr(function, "py_func", function)


@pytest.mark.parametrize(("frequencies", "taps"), FORMS)
def test_the_matrices_make_a_correlation(frequencies: int, taps: int) -> None:
    m = winograd.matrices(frequencies, taps)
    for tap in range(taps):
        for sample in range(frequencies):
            product = [g[tap] * b[sample] for g, b in zip(m.filters, m.samples, strict=True)]
            found = [sum((a[i] * z for a, z in zip(m.outputs, product, strict=True)), Fraction(0)) for i in range(frequencies - taps + 1)]
            assert found == [Fraction(i + tap == sample) for i in range(frequencies - taps + 1)]


@pytest.mark.parametrize(("frequencies", "taps"), FORMS)
def test_the_cpu_computes_these_matrices(frequencies: int, taps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(points, "fma", lambda a, b, c: a * b + c)
    for name in ("_input_pairs", "_output_pairs", "_cubic", "_quartic"):
        monkeypatch.setattr(points, name, plain(getattr(points, name)))
    m = winograd.matrices(frequencies, taps)

    def columns(table: dict[int, Any], arguments: int, width: int, rows: int) -> np.ndarray[Any, Any]:
        return np.array([plain(table[frequencies])(None, *(float(i == j) for j in range(arguments)))[:rows] for i in range(width)])

    outputs = frequencies - taps + 1
    np.testing.assert_allclose(columns(points._INPUT, 8, frequencies, frequencies).T, np.array(m.samples, float), rtol=1e-12)
    np.testing.assert_allclose(columns(points._FILTER, 5, taps, frequencies).T, np.array(m.filters, float), rtol=1e-12)
    np.testing.assert_allclose(columns(points._OUTPUT, 8, frequencies, outputs), np.array(m.outputs, float), rtol=1e-12)


@pytest.mark.skipif(importlib.util.find_spec("numba_cuda") is None, reason="needs the extra `cuda`")
@pytest.mark.parametrize("frequencies", [4, 6])
def test_cuda_computes_these_matrices(frequencies: int) -> None:
    from numconv.cuda.winograd.kernel import lines

    m = winograd.matrices(frequencies, 3)
    for function, expected in zip(lines(frequencies - 2), (m.samples, m.filters, tuple(zip(*m.outputs, strict=True))), strict=True):
        rows, width = len(expected), len(expected[0])
        for i in range(width):
            d = np.zeros(frequencies, np.float32)
            d[i] = 1
            plain(function)(d, 0, 1)
            np.testing.assert_allclose(d[:rows], np.array(expected, float)[:, i], rtol=1e-6)


def test_scalars_and_vectors_number_activations_alike() -> None:
    """What a kernel compares with are the names of the one table; two tables once had silu and hardswish the other way round."""
    from numconv.cpu.stages.finish import activated

    values = {"relu": 1.0, "relu6": 1.0, "silu": 0.731059, "hardswish": 2 / 3, "sigmoid": 0.731059, "tanh": 0.761594}
    for name, code in activations.ACTIVATIONS.items():
        if name is not None:
            assert plain(activated)(1.0, code) == pytest.approx(values[name], rel=1e-5)
    numbered = re.compile(r'"hardswish": *[0-9]')
    assert not [p for p in CPU.parents[0].rglob("*.py") if numbered.search(p.read_text())]


def test_the_cache_knows_what_is_compiled_in() -> None:
    """A constant from outside of cpu/ is compiled into kernels: what has constants there is part of the cache's digest, or has none for kernels."""
    above = set()
    for path in CPU.rglob("*.py"):
        depth = len(path.relative_to(CPU).parts)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level > depth and any(a.name.isupper() for a in node.names):
                above.add(f"{node.module}.py")
    assert above - {"bounds.py", "hosts.py", "kernel.py", "sampling.py", "version.py"} <= set(COMPILED_IN)  # those are the host's
