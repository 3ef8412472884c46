"""Arrays of dask's: every operator chunk by chunk, bit for bit as on whole arrays."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import numconv as nc
from numconv.catalog import Variant, variants

dask = pytest.importorskip("dask", reason="dask is not installed (extra `dask`)")
da = pytest.importorskip("dask.array", reason="dask is not installed (extra `dask`)")

Array = np.ndarray[Any, Any]
VARIANTS = pytest.mark.parametrize("variant", variants(), ids=lambda v: f"{v.function.__module__.split('.')[1]}-{v.name}")


@pytest.fixture(autouse=True)
def _in_this_thread() -> Any:
    with dask.config.set(scheduler="synchronous"):
        yield


def cut(rng: np.random.Generator, a: Array) -> Any:
    """In ragged chunks along every axis."""
    return da.from_array(a, chunks=tuple(tuple(np.diff(sorted({0, n, *rng.integers(0, n + 1, 2)})).tolist()) or (0,) for n in a.shape))


def some_cut(rng: np.random.Generator, arrays: tuple[Any, ...]) -> list[Any]:
    """The first of them, and others by chance."""
    return [None if a is None else cut(rng, a) if i == 0 or rng.integers(2) else a for i, a in enumerate(arrays)]


def options_of(rng: np.random.Generator, options: dict[str, Any], dtype: str) -> dict[str, Any]:
    mask = options.get("mask")
    return options | ({"mask": rng.integers(0, 2, mask).astype(dtype)} if isinstance(mask, tuple) else {})


def elementwise(variant: Variant, arrays: tuple[Any, ...], options: dict[str, Any]) -> Any:
    try:
        return variant.function(*arrays, accuracy="elementwise", **options)
    except TypeError:  # SciPy's functions have no such keyword, and never transform chunks
        transforms = variant.name in ("fftconvolve", "oaconvolve")
        return nc.signal.convolve(*arrays, method="direct", **options) if transforms else variant.function(*arrays, **options)


@VARIANTS
def test_every_variant_in_chunks(variant: Variant) -> None:
    for number, case in enumerate(variant.cases):
        rng = np.random.default_rng(number)
        arrays, options = case.arrays(rng), options_of(rng, case.options, "f4")
        whole = elementwise(variant, arrays, options)
        found = variant.function(*some_cut(rng, arrays), **options)
        assert isinstance(found, da.Array)
        assert (found.shape, found.dtype, found._meta.dtype) == (whole.shape, whole.dtype, whole.dtype)
        np.testing.assert_array_equal(found.compute(), whole, f"{variant.name}, {case.label}")


@VARIANTS
def test_gradients_in_chunks(variant: Variant) -> None:
    for number, case in enumerate(variant.cases):
        rng = np.random.default_rng(number)
        arrays, options = case.arrays(rng, "float64"), options_of(rng, case.options, "f8")
        try:
            y, pullback = nc.vjp(variant.function, *arrays, **options)
        except ValueError:  # no gradient on whole arrays either
            continue
        dy = rng.integers(-2, 3, y.shape).astype("f8")
        _, chunked = nc.vjp(variant.function, *some_cut(rng, arrays), **options)
        for one, other in zip(pullback(dy), chunked(cut(rng, dy)), strict=True):
            assert (one is None) == (other is None)
            if one is not None:
                assert isinstance(other, da.Array) and other.dtype == one.dtype
                np.testing.assert_allclose(other.compute(), one, 1e-12, 1e-12)  # all but activations exact: small integers


CHUNKS = st.lists(st.integers(1, 9), min_size=1, max_size=4).map(tuple)


@settings(max_examples=50, deadline=None)
@given(
    st.tuples(CHUNKS, CHUNKS),
    st.tuples(st.integers(1, 3), st.integers(1, 4)),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(0, 4),
    st.sampled_from(["zeros", "reflect", "replicate", "circular", "symmetric"]),
    st.booleans(),
    st.sampled_from([(5, 1), (1, 1), (5, 5), (4, 2)]),
)
def test_any_chunks(
    chunks: Any, kernel: Any, stride: int, dilation: int, padding: int, mode: str, transposed: bool, groups: Any
) -> None:  # fmt: skip
    """Random numbers, so that another order of a sum would show."""
    rng, (channels, groups) = np.random.default_rng(0), groups
    sizes = tuple(map(sum, chunks))
    x, w = (
        rng.standard_normal((2, channels, *sizes)).astype("f4"),
        rng.standard_normal((channels, channels // groups, *kernel)).astype("f4"),
    )
    options: dict[str, Any] = {"stride": stride, "dilation": dilation, "padding": padding, "groups": groups}
    function = nc.conv_transpose2d if transposed else nc.conv2d
    options |= {} if transposed else {"padding_mode": mode}
    try:
        whole = function(x, w, accuracy="elementwise", **options)
    except ValueError:
        return
    lazy = da.from_array(x, chunks=((1, 1), (1, channels - 1) if channels > 1 else (1,), *chunks))
    row = nc.explain(function, lazy, w, **options).algorithm
    found, whole = function(lazy, w, **options), function(x, w, algorithm=row, **options)
    np.testing.assert_array_equal(found.compute(), whole)


def test_chunks_keep_their_places() -> None:
    x = da.zeros((3, 2, 40, 30), chunks=((2, 1), (2,), (7, 13, 20), (11, 19)), dtype="f4")
    w = np.zeros((5, 2, 3, 3), "f4")
    assert nc.conv2d(x, w, padding=1).chunks == ((2, 1), (5,), (7, 13, 20), (11, 19))
    assert nc.conv2d(x, w, padding=1, stride=2).chunks == ((2, 1), (5,), (4, 6, 10), (6, 9))
    assert nc.conv_transpose2d(x, np.zeros((2, 5, 2, 2), "f4"), stride=2).chunks == ((2, 1), (5,), (14, 26, 40), (22, 38))
    assert nc.ndimage.gaussian_filter(x, 1.0).chunks[0] == (2, 1)


def test_planes_stay_cut() -> None:
    """Of operators that are no convolutions."""
    x = da.zeros((2, 6, 40, 30), chunks=((1, 1), (6,), (7, 13, 20), (11, 19)), dtype="f4")
    assert nc.channel_shuffle(x, 3).chunks == x.chunks
    assert nc.resize2d(x, scale=2).chunks == ((1, 1), (6,), (14, 26, 40), (22, 38))
    assert nc.unfold(x, 3, padding=1).chunks == ((1, 1), (54,), (7 * 30, 13 * 30, 20 * 30))
    assert nc.fold(nc.unfold(x, 3, padding=1), (40, 30), 3, padding=1).chunks == ((1, 1), (6,), (7, 13, 20), (30,))


def test_halos_wider_than_chunks() -> None:
    x = np.random.default_rng(0).standard_normal((1, 1, 64)).astype("f4")
    w = np.random.default_rng(1).standard_normal((1, 1, 31)).astype("f4")
    lazy = da.from_array(x, chunks=(1, 1, 3))
    row = nc.explain(nc.conv1d, lazy, w, padding=15).algorithm
    np.testing.assert_array_equal(nc.conv1d(lazy, w, padding=15).compute(), nc.conv1d(x, w, padding=15, algorithm=row))


@pytest.mark.parametrize("name", ["gaussian_filter", "uniform_filter", "laplace", "sobel", "gaussian_laplace"])
def test_filters_of_random_numbers(name: str) -> None:
    """Another order of a sum would show."""
    function, rng = getattr(nc.ndimage, name), np.random.default_rng(0)
    arguments = {"gaussian_filter": (1.5,), "gaussian_laplace": (1.5,), "uniform_filter": (5,)}.get(name, ())
    for shape in ((61, 47), (23, 31, 19)):
        for dtype in ("f4", "f8"):
            x = rng.standard_normal(shape).astype(dtype)
            found = function(cut(rng, x), *arguments, mode="mirror").compute()
            np.testing.assert_array_equal(found, function(x, *arguments, mode="mirror"))


def test_same_name_on_every_run() -> None:
    """Or a scheduler computes twice what it has."""
    x, w = da.zeros((1, 2, 9, 9), chunks=3), np.ones((2, 2, 3, 3))
    assert nc.conv2d(x, w).name == nc.conv2d(x, w).name != nc.conv2d(x, w + 1).name


def test_weights_are_in_the_graph_once() -> None:
    x, w = da.zeros((1, 2, 90, 90), chunks=(1, 2, 10, 10), dtype="f4"), np.ones((2, 2, 3, 3), "f4")
    graph = dict(nc.conv2d(x, w).__dask_graph__())
    assert sum(getattr(task, "value", task) is w or isinstance(task, np.ndarray) for task in graph.values()) <= 1


def test_unknown_lengths_are_refused() -> None:
    x = da.zeros((4, 2, 8, 8), chunks=2)
    unknown = x[da.from_array(np.array([True, False, True, True]), chunks=2)]
    with pytest.raises(ValueError, match=r"^conv2d: x has chunks of unknown length .*compute_chunk_sizes"):
        nc.conv2d(unknown, np.ones((2, 2, 3, 3)))


def test_refusals_name_the_function() -> None:
    x, w = da.zeros((1, 2, 8, 8), chunks=4), np.ones((2, 2, 3, 3))
    with pytest.raises(TypeError, match=r"^conv2d: out is not supported with lazy arrays"):
        nc.conv2d(x, w, out=np.empty((1, 2, 6, 6)))
    with pytest.raises(ValueError, match=r"^conv2d: algorithm 'winograd' "):
        nc.conv2d(x.astype("f4"), w.astype("f4"), algorithm="winograd")
    with pytest.raises(ValueError, match=r"^conv2d: w expects 3 input channels"):
        nc.conv2d(x, np.ones((2, 3, 3, 3)))


def test_explain_says_what_chunks_do_not_take() -> None:
    x, w = da.zeros((1, 64, 56, 56), chunks=28, dtype="f4"), np.ones((64, 64, 3, 3), "f4")
    explanation = nc.explain(nc.conv2d, x, w, padding=1)
    assert explanation.algorithm in {"direct", "spread"}
    assert "winograd" in str(explanation)


def test_threads_of_the_scheduler() -> None:
    import numba

    before = numba.get_num_threads()
    x, w = np.random.default_rng(0).standard_normal((1, 8, 64, 64)), np.random.default_rng(1).standard_normal((8, 8, 3, 3))
    found = nc.conv2d(da.from_array(x, chunks=(1, 8, 16, 16)), w).compute(scheduler="threads", num_workers=4)
    np.testing.assert_array_equal(found, nc.conv2d(x, w))
    assert numba.get_num_threads() == before


def test_nothing_imports_dask() -> None:
    code = "import sys, numpy as np, numconv as nc; nc.conv1d(np.ones((1, 1, 5)), np.ones((1, 1, 2))); assert 'dask' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
