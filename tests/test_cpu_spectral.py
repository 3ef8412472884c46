"""The FFT row, called directly."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
import reference
from scipy.fft import next_fast_len
from test_cpu_gradients import CASES, problem
from test_cpu_operators import MACHINE, RNG, run, small
from tolerance import assert_within

from numconv.arguments.signal import correlation
from numconv.cpu.named.fft import ROWS, plan, rows
from numconv.cpu.named.fft.plan import fast_length
from numconv.problem import ConvProblem

FFT = ROWS[0]
FORWARD = [case for case in CASES if min(case[3]) >= 0 and max(case[1]) > 1] + [
    ((40, 40), (21, 21), (1, 1), (10, 10), (1, 1), (40, 40), 1, 3, 4),
    ((64, 50), (25, 31), (2, 3), (0, 5), (1, 1), (20, 10), 2, 4, 2),
    ((7, 9), (9, 11), (1, 1), (4, 5), (1, 1), (7, 9), 1, 1, 1),
]


def expected(c: ConvProblem, x: Any, w: Any, bias: Any = None) -> Any:
    # the oracle pads at both ends; a negative pad leaves that end unread
    x = x[(..., *(slice(max(0, -lo), i + min(0, hi)) for i, lo, hi in zip(c.spatial, c.pad_low, c.pad_high, strict=True)))]
    pads = [(max(0, lo), max(0, hi)) for lo, hi in zip(c.pad_low, c.pad_high, strict=True)]
    return reference.conv(x, w, bias, c.stride, pads, c.dilation, c.groups, activation=c.activation)


def norms(c: ConvProblem, x: Any, w: Any) -> Any:
    """(N, K, 1 …): the sum over channels of ‖x‖₂·‖w‖₂, to which the error of every output is in proportion, however small that output is (MATH.md)."""
    axes = tuple(range(2, x.ndim))
    of_x = np.linalg.norm(x.reshape(*x.shape[:2], -1), axis=2).reshape(c.batch, c.groups, 1, c.group_in)
    of_w = np.linalg.norm(w.reshape(*w.shape[:2], -1), axis=2).reshape(1, c.groups, -1, c.group_in)
    return np.expand_dims((of_x * of_w).sum(3).reshape(c.batch, -1), axes)


@pytest.mark.parametrize("case", FORWARD, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", [None, "relu"])
def test_fft(case: Any, dtype: str, activation: str | None) -> None:
    c = problem(case, "forward", dtype, bias=True, activation=activation)
    x, w, bias = (RNG.standard_normal(s).astype(dtype) for s in ((2, c.in_channels, *c.spatial), c.weight_shape, (c.out_channels,)))
    magnitude = norms(c, x, w) + np.abs(bias).reshape(-1, *(1 for _ in c.spatial))
    assert_within(run(FFT, c, x, w, bias), expected(c, x, w, bias), magnitude, c.group_in * c.taps)


@pytest.mark.parametrize("case", FORWARD, ids=str)
def test_fft_of_small_integers_rounds_to_them(case: Any) -> None:
    c = problem(case, "forward", "float32")
    x, w = small(2, c.in_channels, *c.spatial), small(*c.weight_shape)
    np.testing.assert_array_equal(np.rint(run(FFT, c, x, w, None)), expected(c, x, w))


def test_fast_lengths_are_scipys() -> None:
    assert [fast_length(n) for n in range(1, 3000)] == [next_fast_len(n, real=True) for n in range(1, 3000)]


def test_fft_keeps_nan_where_it_is() -> None:
    c = problem(FORWARD[-3], "forward", "float32")
    x, w = (RNG.standard_normal(s).astype("float32") for s in ((2, c.in_channels, *c.spatial), c.weight_shape))
    clean = run(FFT, c, x.copy(), w, None)
    x[1, 0, 3, 3] = np.nan
    y = run(FFT, c, x, w, None)
    np.testing.assert_array_equal(y[0], clean[0])
    assert 0 < np.isnan(y[1]).sum() < y[1].size


def test_fft_is_for_floats_and_who_asks() -> None:
    assert FFT.refuses(problem(FORWARD[0], "forward", "int32"))
    assert not FFT.automatic


def geometry(rng: np.random.Generator) -> ConvProblem:
    """Of any rank, stride, dilation and padding, below zero too."""
    rank = int(rng.integers(1, 4))
    kernel, stride, dilation = (tuple(map(int, rng.integers(1, most, rank))) for most in (5, 4, 3))
    low, high = (tuple(map(int, rng.integers(-2, 6, rank))) for _ in range(2))
    most = {1: 200, 2: 40, 3: 16}[rank]
    seen = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    spatial = tuple(int(rng.integers(k, most)) + 4 for k in seen)
    outputs = tuple((n + lo + hi - k) // s + 1 for n, lo, hi, k, s in zip(spatial, low, high, seen, stride, strict=True))
    return problem((spatial, kernel, stride, low, dilation, outputs, 2, 2, 4), "forward", "float64")


@pytest.mark.parametrize("seed", range(60))
def test_blocks_of_any_extents_in_chunks_of_any_size(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One block for all, or several whose last ones are cut off: the same integers."""
    rng = np.random.default_rng(seed)
    c = geometry(rng)
    if min(c.outputs) < 1:
        return
    x, w = (rng.integers(-9, 10, shape).astype("f8") for shape in ((2, c.in_channels, *c.spatial), c.weight_shape))
    wanted = expected(c, x, w)
    for _ in range(3):
        extents = [
            whole if whole == 1 or rng.integers(3) == 0 else int(rng.integers(k + s - 1, k + s + 20))
            for whole, k, s in zip(plan.wholes(rows._sum(c)), rows._sum(c).kernel, c.stride, strict=True)
        ]
        blocks = plan._cut(rows._sum(c), tuple(extents), MACHINE)._replace(chunk=int(rng.integers(1, 9)))
        monkeypatch.setattr(rows, "blocks_of", lambda s, machine, blocks=blocks: blocks)
        np.testing.assert_array_equal(np.rint(run(FFT, c, x, w, None)), wanted)


def test_memory_does_not_grow_with_the_image() -> None:
    """Beyond image and result: the kernel's spectrum and a chunk of blocks."""
    sizes = []
    for n in (1 << 20, 1 << 22):
        c = problem(((n,), (501,), (1,), (250,), (1,), (n,), 1, 1, 1), "forward", "float32").with_(batch=1)
        x, w, y = np.ones((1, 1, n), "f4"), np.ones((1, 1, 501), "f4"), np.empty((1, 1, n), "f4")
        FFT.run(c, (x, w, None), y, MACHINE)
        tracemalloc.start()
        FFT.run(c, (x, w, None), y, MACHINE)
        sizes.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert sizes[-1] < 1.2 * FFT.workspace(c, MACHINE)
    assert sizes[1] < 1.2 * sizes[0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_bound_by_norms_holds_in_the_type_of_the_arrays(dtype: str) -> None:
    """Small outputs beside large ones: within what docs/accuracy.md promises, and not within the bound of plain sums."""
    c = problem(((3000,), (301,), (1,), (300,), (1,), (3300,), 1, 1, 1), "forward", dtype).with_(batch=1)
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal(shape).astype(dtype) for shape in ((1, 1, 3000), (1, 1, 301)))
    x[..., :10] *= 1e4
    y, exact = run(FFT, c, x, w, None), reference.conv(x.astype("g"), w.astype("g"), None, (1,), [(300, 300)], (1,), 1)
    assert y.dtype == dtype
    bound = FFT.bound(c)
    off = abs(y - exact) - bound.stored * abs(exact)
    assert off.max() <= bound.factor * np.linalg.norm(x.astype("f8")) * np.linalg.norm(w.astype("f8"))
    plain = 301 * np.finfo(dtype).eps / 2 * reference.conv(abs(x).astype("f8"), abs(w).astype("f8"), None, (1,), [(300, 300)], (1,), 1)
    assert (abs(y - exact) > plain).any()


def test_what_a_transform_cannot_hold_is_summed() -> None:
    """An infinity, a NaN, and sums beyond the type on the way: only blocks that have them are done again."""
    c = problem(((20000,), (129,), (1,), (0,), (1,), (19872,), 1, 1, 1), "forward", "float32").with_(batch=1)
    x, w = RNG.standard_normal((1, 1, 20000)).astype("f4"), RNG.standard_normal((1, 1, 129)).astype("f4")
    clean = run(FFT, c, x, w, None)
    x = x.copy()
    x[0, 0, 100], x[0, 0, 15000:15002] = np.inf, (3e38, -3e38)
    y = run(FFT, c, x, w / 200, None)
    assert np.isinf(y[0, 0, :101]).all()
    assert np.isfinite(y[0, 0, 101:]).all()
    np.testing.assert_allclose(y[0, 0, 6000:14000] * 200, clean[0, 0, 6000:14000], rtol=0, atol=1e-3)


def test_costs_order_blocks() -> None:
    """Ten thousand taps want longer blocks than a hundred; a signal not much longer than its kernel is one block."""
    long = [
        plan.blocks_of(rows._sum(correlation("full", (1_000_000,), (k,), "float32", "float32")), MACHINE).extents[0] for k in (100, 10_000)
    ]
    assert 200 <= long[0] < 20_000 < long[1] < 200_000
    one = plan.blocks_of(rows._sum(correlation("full", (900,), (700,), "float32", "float32")), MACHINE)
    assert one.counts == (1,)
    assert one.extents == (1600,)
