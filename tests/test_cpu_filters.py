"""The row `filters` by itself: other machines' tiles, blocks of every kind, types; beside the defining sum over an extended array."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from typing import Any

import numba
import numpy as np
import pytest
import scipy.ndimage

import numconv as nc
from numconv import dropin, watching
from numconv.arguments.filters import Sum
from numconv.cpu.filters import plan, rows
from numconv.cpu.machine import detect
from numconv.ndimage.passes import Step, Types
from numconv.ndimage.rewriting import passes_of

MODES = {"reflect": "symmetric", "mirror": "reflect", "nearest": "edge", "wrap": "wrap", "constant": "constant"}
MACHINES = {"here": (detect().vector_bytes, detect().registers), "AVX2": (32, 16), "NEON": (16, 32)}


def meant(x: np.ndarray, w: np.ndarray, mode: str, cval: float) -> np.ndarray:
    """Σ_r w[r]·x[p + r − k // 2] in float64, exact for small integers, over NumPy's extension."""
    pads = [(k // 2, k - 1 - k // 2) for k in w.shape]
    more = {"constant_values": cval} if mode == "constant" else {}
    around = np.pad(x.astype(np.float64), pads, MODES[mode], **more)  # type: ignore[call-overload]
    windows = np.lib.stride_tricks.sliding_window_view(around, w.shape)
    return np.einsum(windows, list(range(2 * w.ndim)), w, list(range(w.ndim, 2 * w.ndim)))


def made(x: np.ndarray, steps: list[Step], cval: float, machine: Any) -> np.ndarray:
    for one in passes_of(x.shape, steps, Types(x.dtype, x.dtype, cval)):
        y = np.full(x.shape, 99, one.problem.out_dtype)
        rows.run(one.problem, (x, None, rows.pack(one.problem, one.weights, machine)), y, machine)
        x = y
    return x


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "int16"])
@pytest.mark.parametrize(
    ("shape", "kernel"),
    [((1000,), (5,)), ((3, 4), (7, 9)), ((70, 900), (3, 3)), ((40, 33), (9, 2)), ((9, 12, 80), (3, 4, 2)), ((1, 6000), (1, 31))],
    ids=str,
)
def test_dense(shape: tuple[int, ...], kernel: tuple[int, ...], dtype: str, machine: str) -> None:
    vector_bytes, registers = MACHINES[machine]
    host = replace(detect(), vector_bytes=vector_bytes, registers=registers)
    rng = np.random.default_rng(0)
    x, w = rng.integers(0, 5, shape).astype(dtype), rng.integers(0, 3, kernel).astype(float)
    for mode in MODES:
        step = Step(Sum(tuple(range(len(shape))), kernel, (0,) * len(shape), mode), w, False)
        wanted = meant(x, w, mode, 2.0).astype(np.int64).astype(dtype)
        np.testing.assert_array_equal(made(x, [step], 2.0, host), wanted)


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
@pytest.mark.parametrize("shape", [(130, 700), (9, 40, 300), (50, 40, 3), (257, 4)], ids=str)
def test_two_sums_in_one_pass(shape: tuple[int, ...], dtype: str) -> None:
    """Both along their axes, of integers; the first sum's results are extended, not those of the array."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 4, shape).astype(dtype)
    one, other = np.array([1.0, 2.0, 1.0, 0.0, 2.0]), np.array([1.0, 0.0, 2.0, 1.0, 1.0, 1.0])
    for mode in MODES:
        steps = [Step(Sum((axis,), w.shape, (0,), mode), w) for axis, w in ((0, one), (1, other))]
        shapes = ((5, *(1,) * (len(shape) - 1)), (1, 6, *(1,) * (len(shape) - 2)))
        between = meant(x, one.reshape(shapes[0]), mode, 3.0)
        wanted = meant(between, other.reshape(shapes[1]), mode, 3.0).astype(dtype)
        found = passes_of(x.shape, steps, Types(x.dtype, x.dtype, 3.0))
        assert len(found) == (1 if shape[2:] != (300,) else 2)
        np.testing.assert_array_equal(made(x, steps, 3.0, detect()), wanted)


def test_a_box_of_every_kind_is_read() -> None:
    """Blocks where the source lies and copies of others, bands and chunks."""
    p = passes_of((200, 3000), [Step(Sum((0, 1), (3, 3), (0, 0), "reflect"), np.ones((3, 3)), False)], Types(*[np.dtype("f4")] * 2, 0.0))[
        0
    ].problem
    found = plan.prepared(p, detect(), (((0, 0, 0), (0, 0, 1), (0, 0, 2)),)).plan
    assert found.direct
    assert found.bands > 1
    assert found.block < 3000
    line = passes_of((100_000,), [Step(Sum((0,), (3,), (0,), "reflect"), np.ones(3))], Types(*[np.dtype("f4")] * 2, 0.0))[0].problem
    assert plan.prepared(line, detect(), (((0, 0, 0), (0, 0, 1), (0, 0, 2)),)).plan.chunks > 1


IMAGES = {
    "noise": lambda rng, s: rng.integers(0, 256, s),
    "flat": lambda rng, s: np.full(s, 60),
    "steps": lambda rng, s: np.indices(s).sum(0) // 9 * 17,
}


@pytest.mark.parametrize("image", IMAGES)
@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "int64"])
def test_gaussians_of_integers_have_scipys_values(dtype: str, image: str) -> None:
    """By weights that are no integers: which side of one a sum falls on is SciPy's order of sums."""
    x = IMAGES[image](np.random.default_rng(0), (150, 331)).astype(dtype)
    for sigma, order in ((0.7, 0), (2.0, 0), ((3.0, 1.0), (0, 1))):
        np.testing.assert_array_equal(nc.ndimage.gaussian_filter(x, sigma, order), scipy.ndimage.gaussian_filter(x, sigma, order))


@pytest.mark.parametrize("name", ["gaussian_filter", "gaussian_laplace"])
def test_float64_has_scipys_bits(name: str) -> None:
    x = np.random.default_rng(0).standard_normal((64, 90))
    np.testing.assert_array_equal(getattr(nc.ndimage, name)(x, 1.7), getattr(scipy.ndimage, name)(x, 1.7))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_is_no_number_reaches_as_far_as_scipys(dtype: str) -> None:
    """A weight of 0 sees no infinity over several axes, and does along one."""
    x = np.ones((9, 11), dtype)
    x[4, 5], x[0, 0] = np.inf, np.nan
    w = np.array([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]])
    with np.errstate(invalid="ignore"):
        for of in (
            lambda n: n.correlate(x, w),
            lambda n: n.sobel(x),
            lambda n: n.sobel(x.reshape(9, 1, 11)),
            lambda n: n.gaussian_filter(x, 0.6),
            lambda n: n.laplace(x),
        ):
            ours, theirs = of(nc.ndimage), of(scipy.ndimage)
            np.testing.assert_array_equal(np.isfinite(ours), np.isfinite(theirs))


def test_same_bits_by_any_number_of_threads() -> None:
    x, before = np.random.default_rng(0).standard_normal((300, 700)).astype(np.float32), numba.get_num_threads()
    found = []
    try:
        for number in {1, min(2, numba.config.NUMBA_NUM_THREADS)}:
            numba.set_num_threads(number)
            found.append(nc.ndimage.gaussian_filter(x, 2.0).tobytes())
    finally:
        numba.set_num_threads(before)
    assert len(set(found)) == 1


def test_a_call_is_known_by_all_that_it_depends_on() -> None:
    x = np.random.default_rng(0).integers(0, 9, (12, 13)).astype(np.float32)
    w = np.ones(3)
    first = nc.ndimage.convolve1d(x, w)
    w[0] = 5  # another filter in the same array
    np.testing.assert_array_equal(nc.ndimage.convolve1d(x, w), scipy.ndimage.convolve1d(x, w))
    w[0] = 1
    np.testing.assert_array_equal(nc.ndimage.convolve1d(x, w), first)
    for y in (x.T, x[::-1], np.asfortranarray(x), x[:, ::2], x.astype(np.float64), x[:5]):
        np.testing.assert_array_equal(nc.ndimage.convolve1d(y, w), scipy.ndimage.convolve1d(y, w))
    np.testing.assert_array_equal(nc.ndimage.convolve1d(x, w, 0), scipy.ndimage.convolve1d(x, w, 0))
    with pytest.raises(ValueError, match="convolve1d: "):
        nc.ndimage.convolve1d(x, w, origin=3)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int8"])
@pytest.mark.parametrize("taps", [2, 3, 5, 12, 31, 33, 64])
def test_means_of_integers_are_whole_quotients(dtype: str, taps: int) -> None:
    """Towards zero, by integer division: of all residues of sums, of the largest and the least numbers; by products where that is exact."""
    kind, rng = np.iinfo(dtype), np.random.default_rng(taps)
    near_zero = rng.integers(-3 if kind.min < 0 else 0, 4, 900)
    for x in (rng.integers(kind.min, kind.max + 1, 900), near_zero, np.full(900, kind.max), np.full(900, kind.min)):
        for cval in (0, 7, -3):
            around = np.pad(x.astype(np.int64), (taps // 2, taps - 1 - taps // 2), constant_values=cval)
            sums = np.lib.stride_tricks.sliding_window_view(around, taps).sum(1)
            wanted = np.where(sums < 0, -(-sums // taps), sums // taps).astype(dtype)
            np.testing.assert_array_equal(nc.ndimage.uniform_filter1d(x.astype(dtype), taps, mode="constant", cval=cval), wanted)


@pytest.mark.parametrize(("source", "result"), [("uint8", "int16"), ("uint8", "int32"), ("int16", "int32"), ("uint16", "int32")])
def test_sums_in_a_wider_type(source: str, result: str) -> None:
    """Exact where they fit, modulo the type's range where they do not, between two sums in turn as well."""
    kind, rng = np.iinfo(source), np.random.default_rng(1)
    x = rng.integers(kind.min, kind.max + 1, (70, 300)).astype(source)
    for w in (rng.integers(-2, 3, (3, 5)), rng.integers(100, 2000, (3, 3))):
        wanted = meant(x, w.astype(float), "constant", 0.0).astype(np.int64).astype(result)
        np.testing.assert_array_equal(nc.ndimage.correlate(x, w, result, "constant"), wanted)
    for line in (np.array([1, 2, 1]), np.array([300, -700, 500])):
        first = meant(x, line[:, None].astype(float), "reflect", 0.0).astype(np.int64).astype(result)
        wanted = meant(first, line[None].astype(float), "reflect", 0.0).astype(np.int64).astype(result)
        chained = nc.ndimage.correlate1d(nc.ndimage.correlate1d(x, line, 0, result), line, 1, result)
        np.testing.assert_array_equal(chained, wanted)
    np.testing.assert_array_equal(nc.ndimage.sobel(x, output=result), scipy.ndimage.sobel(x, output=result))


def test_a_call_into_an_array_is_known_as_any_other() -> None:
    """By its form and not by its numbers; another form, the source itself and every second element are served, too."""
    x, w = np.arange(12000.0).reshape(100, 120), [1.0, 2.0, 4.0]
    wanted = nc.ndimage.correlate1d(x, w)
    before = len(dropin._known)
    for out in (np.empty_like(x), np.full_like(x, np.nan), np.full_like(x, 3.0)):
        assert nc.ndimage.correlate1d(x, w, output=out) is out
        np.testing.assert_array_equal(out, wanted)
        assert nc.ndimage.correlate1d(x, w, -1, out) is out
    assert len(dropin._known) <= before + 2  # by name, by position
    strided, narrow = np.zeros((100, 240))[:, ::2], np.empty(x.shape, "f4")
    nc.ndimage.correlate1d(x, w, output=strided)
    nc.ndimage.correlate1d(x, w, output=narrow)
    np.testing.assert_array_equal(strided, wanted)
    np.testing.assert_array_equal(narrow, wanted.astype("f4"))
    assert nc.ndimage.correlate1d(x, w, output=x) is x
    np.testing.assert_array_equal(x, wanted)


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
@pytest.mark.parametrize("shape", [(500, 1), (700, 3), (640, 15)], ids=str)
def test_tall_images(shape: tuple[int, ...], dtype: str) -> None:
    """Filtered as their transposes: modes and origins stay with their axes; into arrays, and by what `explain` and a trace run."""
    rng = np.random.default_rng(2)
    x, w, line = rng.integers(0, 9, shape).astype(dtype), rng.integers(-2, 3, (3, 4)), [1.0, 2.0, -1.0, 3.0]
    ours, theirs = nc.ndimage, scipy.ndimage
    for mode in MODES:
        options: dict[str, Any] = {"mode": mode, "cval": 2.0, "origin": (-1, 1)}
        wanted = theirs.correlate(x, w, **options)
        np.testing.assert_array_equal(ours.correlate(x, w, **options), wanted)
        out = np.full((shape[0], 2 * shape[1]), 77, dtype)
        ours.correlate(x, w, output=out[:, ::2], **options)
        np.testing.assert_array_equal(out[:, ::2], wanted)
        assert (out[:, 1::2] == 77).all()
        np.testing.assert_array_equal(
            ours.correlate1d(x, line, 1, mode=mode, origin=1), theirs.correlate1d(x, line, 1, mode=mode, origin=1)
        )
        two = [m.uniform_filter(x.astype("i2"), (3, 3), mode=(mode, "wrap"), origin=(1, 0)) for m in (ours, theirs)]
        np.testing.assert_array_equal(*two)
    with watching.trace() as steps:
        ours.sobel(x, 0)
    problem: Any = steps[0].problem
    assert problem.spatial[2] == shape[0]
    assert nc.explain(ours.sobel, x, 0).algorithm == "filters"


@pytest.mark.parametrize("taps", [(7, 9), (15, 15), (8, 7), (5, 6, 7)], ids=str)
def test_products_of_lines_are_summed_line_by_line(taps: tuple[int, ...]) -> None:
    """Exact of small integers; of floats within the bound of one sum; kernels that are nearly products, or have zeros, in one sum."""
    rng = np.random.default_rng(4)
    shape = (50, 61) if len(taps) == 2 else (20, 21, 30)
    lines = [rng.integers(1, 3, n).astype(float) for n in taps]
    w = reduce(np.multiply.outer, lines)
    axes, x = tuple(range(len(taps))), rng.integers(0, 5, shape)

    def found(w: np.ndarray, dtype: str, cval: float = 0.0) -> list[Any]:
        step = Step(Sum(axes, taps, (0,) * len(taps), "constant"), w, False)
        return passes_of(shape, [step], Types(np.dtype(dtype), np.dtype(dtype), cval))

    for dtype in ("float32", "uint8"):
        assert sum(len(one.problem.orders) for one in found(w, dtype)) == len(taps)
        for mode in MODES:
            wanted = meant(x, w, mode, 2.0).astype(np.int64).astype(dtype)
            np.testing.assert_array_equal(nc.ndimage.correlate(x.astype(dtype), w, mode=mode, cval=2.0), wanted)
    noise, smooth = rng.standard_normal(shape).astype("f4"), reduce(np.multiply.outer, [rng.uniform(0.1, 2, n) for n in taps]).astype("f4")
    n, u = w.size, 2.0**-24
    assert sum(len(one.problem.orders) for one in found(smooth.astype(float), "float32")) == len(taps)
    exact, size = (meant(a, smooth.astype(float), "reflect", 0.0) for a in (noise, abs(noise)))
    assert (abs(nc.ndimage.correlate(noise, smooth) - exact) <= n * u / (1 - n * u) * size).all()
    other, holed = smooth.astype(float), w.copy()
    other[(0,) * len(taps)] *= 1 + 1e-6
    holed[0] = 0
    assert [one.problem.orders for one in found(other, "float32")] == [("fused",)]
    assert [one.problem.orders for one in found(holed, "float32")] == [("listed",)]
    assert len(found(w, "float32", 2.0)) == len(found(w, "float64")) == 1
