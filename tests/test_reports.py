"""What people reported of other libraries, and was wrong here once; then what was right, and is to stay so."""

from __future__ import annotations

import ast
import itertools
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.signal

import numconv as nc
from numconv.cpu.runtime import workspace

RNG = np.random.default_rng(0)
CPU = Path(nc.__file__).parent / "cpu"


def normal(*shape: int) -> Any:
    return RNG.standard_normal(shape)


# integers that wrap


@pytest.mark.parametrize(
    ("dtype", "result"), [("u1", "i4"), ("i1", "i4"), ("u2", "i4"), ("i2", "i4"), ("i4", "i8"), ("u4", "i8"), ("i8", "i8")]
)
def test_fold_sums_integers_as_a_convolution_does(dtype: str, result: str) -> None:
    largest = np.iinfo(dtype).max if np.dtype(dtype).itemsize < 8 else 1 << 60
    y = nc.fold(np.full((1, 4, 9), largest, dtype), (4, 4), (2, 2))
    assert y.dtype == result == nc.conv1d(np.ones((1, 2), dtype), np.ones((1, 1, 1), dtype)).dtype
    assert y[0, 0, 1, 1] == 4 * int(largest)


# a kernel of one tap, by a transform


@pytest.mark.parametrize("name", ["convolve", "correlate"])
def test_a_kernel_of_one_tap_is_transformed(name: str) -> None:
    function = getattr(nc, name)
    np.testing.assert_allclose(function([1.0, 2.0, 3.0], [2.0], method="fft"), [2, 4, 6])
    np.testing.assert_allclose(function([2.0], [1.0, 2.0, 3.0], method="fft"), getattr(scipy.signal, name)([2.0], [1.0, 2.0, 3.0]))
    np.testing.assert_allclose(function(np.ones((2, 3)), [[2.0]], method="fft"), np.full((2, 3), 2.0))


# arrays as they come, in gradients


def foreign(a: Any, form: str) -> Any:
    """The same numbers: in the other order of bytes, unaligned, backwards, with gaps, read-only."""
    if form == "bytes":
        return a.astype(a.dtype.newbyteorder(">"))
    if form == "unaligned":
        return np.frombuffer(b"x" + a.tobytes(), a.dtype, offset=1).reshape(a.shape) if a.size else a
    if form == "backwards":
        return a[::-1].copy()[::-1]
    return np.repeat(a, 2, -1)[..., ::2]


CALLS: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]] = [
    (nc.conv2d, (normal(2, 2, 5, 6), normal(3, 2, 3, 3), normal(3)), {"padding": 1}),
    (nc.conv2d, (normal(2, 2, 5, 6).astype("c16"), normal(3, 2, 3, 3) * 1j), {}),
    (nc.conv_transpose1d, (normal(1, 2, 5).astype("f4"), normal(2, 3, 3).astype("f4")), {"stride": 2}),
    (nc.resize2d, (normal(1, 2, 3, 4),), {"scale": 2, "mode": "bilinear"}),
    (nc.fold, (normal(1, 4, 9),), {"output_size": (4, 4), "kernel": (2, 2)}),
    (nc.deform_conv2d, (normal(1, 2, 4, 4), normal(1, 18, 2, 2), normal(3, 2, 3, 3)), {}),
    (nc.convolve, (normal(7), normal(3)), {}),
]  # fmt: skip


@pytest.mark.parametrize("form", ["bytes", "unaligned", "backwards", "gaps"])
@pytest.mark.parametrize("call", CALLS, ids=lambda c: c[0].__name__)
def test_gradients_of_arrays_that_are_not_as_kernels_want_them(call: Any, form: str) -> None:
    function, arrays, options = call
    y, pullback = nc.vjp(function, *arrays, **options)
    wanted = pullback(y)
    got, back = nc.vjp(function, *(foreign(a, form) for a in arrays), **options)
    np.testing.assert_array_equal(got, y)
    for g, w in zip(back(foreign(y, form)), wanted, strict=True):
        np.testing.assert_array_equal(g, w)


# NaN beyond the ends of signals


def defined(name: str, one: Any, two: Any, mode: str) -> Any:
    """One axis, by the definition: a product enters only where both signals have a sample."""
    two = two if name == "convolve" else two[::-1].conj()
    full = np.zeros(len(one) + len(two) - 1, np.result_type(one, two))
    with np.errstate(all="ignore"):
        for i, j in itertools.product(range(len(one)), range(len(two))):
            full[i + j] += one[i] * two[j]
    if mode == "full":
        return full
    start, length = ((len(full) - len(one)) // 2, len(one)) if mode == "same" else sorted((len(one), len(two)))
    return full[start : start + length] if mode == "same" else full[start - 1 : length]


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("name", ["convolve", "correlate"])
@pytest.mark.parametrize("method", ["auto", "fft"])
@pytest.mark.filterwarnings("ignore:Use of fft")
def test_nan_and_infinities_meet_nothing_beyond_the_ends(name: str, mode: str, method: str) -> None:
    np.testing.assert_array_equal(nc.convolve([1, np.nan], [1, np.nan]), [1, np.nan, np.nan])
    function, values = getattr(nc, name), (1.0, np.nan, np.inf)
    for lengths in ((2, 2), (3, 2), (2, 3), (1, 3)):
        for one, two in itertools.product(*(itertools.product(values, repeat=n) for n in lengths)):
            a, b = np.array(one), np.array(two)
            np.testing.assert_array_equal(function(a, b, mode, method), defined(name, a, b, mode), err_msg=f"{one} {two}")


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "c8"])
@pytest.mark.filterwarnings("ignore:Use of fft")
def test_nan_in_long_kernels_of_any_type(dtype: str) -> None:
    one, two = (RNG.integers(-2, 3, n).astype(dtype) for n in (90, 70))
    two[[3, 40]] = np.nan, np.inf
    for method in ("direct", "fft"):
        np.testing.assert_array_equal(
            np.isfinite(nc.convolve(one, two, "full", method)), np.isfinite(defined("convolve", one, two, "full"))
        )
    y, pullback = nc.vjp(nc.convolve, one[:5], two[:5])
    np.testing.assert_array_equal(y, defined("convolve", one[:5], two[:5], "full"))
    assert len(pullback(y)) == 2


def test_nan_over_four_axes_and_two() -> None:
    for axes in (2, 4):
        one, two = np.ones((3,) * axes), np.ones((2,) * axes)
        two[(0,) * axes] = np.nan
        got = nc.convolve(one, two)
        assert np.isnan(got).sum() == 3**axes


# a transform chosen unasked


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_no_transform_is_taken_unasked(dtype: str) -> None:
    x, w = np.ones((1, 1, 4001), dtype), np.ones((1, 1, 4001), dtype)
    x[0, 0, 0] = 1e20
    y = nc.conv1d(x, w, padding=4000)
    np.testing.assert_array_equal(y[0, 0, 4001:], np.arange(4000, 0, -1))
    x = np.ones((1, 1, 4002), dtype)
    x[0, 0, 0] = 1e20
    assert nc.conv1d(x, w)[0, 0, -1] == 4001
    found = nc.explain(nc.conv1d, x, w)
    assert found.algorithm != "fft"
    assert next(c for c in found.candidates if c.kernel.name == "fft").reason is None  # by its name it is there
    np.testing.assert_array_equal(nc.convolve(x[0, 0], w[0, 0], "valid", "direct"), y := nc.conv1d(x, w)[0, 0])
    assert y[-1] == 4001


# booleans


def test_booleans_of_four_axes() -> None:
    b = RNG.integers(0, 2, (2, 3, 2, 2)).astype(bool)
    u = RNG.integers(0, 9, (2, 3, 2, 2)).astype("u1")
    for axes in (slice(None), 0):
        for one, two in ((b[axes], b[axes]), (u[axes], b[axes]), (b[axes], u[axes])):
            got, kind = nc.correlate(one, two), np.result_type(one, two)
            assert got.dtype == kind
            np.testing.assert_array_equal(got, scipy.signal.correlate(one.astype(int), two.astype(int)).astype(kind))


# what explain says of memory

PLAIN, LAST = np.ones((1, 64, 96, 96), "f4"), np.ones((1, 96, 96, 64), "f4").transpose(0, 3, 1, 2)
COLUMNS = np.ones((1, 32 * 9, 94 * 94), "f4")
FILTERS = np.ones((64, 64, 3, 3), "f4")
MEMORY: dict[str, tuple[Any, ...]] = {
    "bytes": (nc.conv2d, (PLAIN.astype("u1"), FILTERS), {"padding": 1}),
    "channels last seen as first": (nc.conv2d, (LAST, FILTERS), {"padding": 1}),
    "filters backwards": (nc.conv2d, (PLAIN[:, :, :3, :3], np.ones((999, 64, 3, 3), "f4")[:, :, ::-1]), {}),
    "depthwise, bytes": (nc.depthwise_conv2d, (PLAIN.astype("u1"), FILTERS[:, :1]), {"padding": 1}),
    "fold of halves": (nc.fold, (COLUMNS.astype("f2"), (96, 96), 3), {}),
    "fold of bytes": (nc.fold, (COLUMNS.astype("u1"), (96, 96), 3), {}),
    "unfold of pixels": (nc.unfold, (LAST, 3), {}),
    "resize of halves": (nc.resize2d, (PLAIN.astype("f2"),), {"scale": 2, "mode": "bilinear"}),
    "resize": (nc.resize2d, (PLAIN,), {"scale": 2, "mode": "bilinear"}),
    "resize of pixels": (nc.resize2d, (LAST,), {"scale": 2}),
    "transform": (nc.conv2d, (PLAIN[:, :2], np.ones((2, 2, 31, 31), "f4")), {"algorithm": "fft"}),
    "other bytes": (nc.conv2d, (PLAIN.astype(">f4"), FILTERS), {"padding": 1}),
}  # fmt: skip


@pytest.mark.parametrize("name", MEMORY)
def test_explain_says_what_is_used(name: str) -> None:
    function, arrays, options = MEMORY[name]
    claimed = nc.explain(function, *arrays, **options).workspace
    out = function(*arrays, **options)  # compiles; plans are kept from here on
    workspace.forget()
    tracemalloc.start()
    try:
        function(*arrays, out=out, **options)
        used = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert used <= 1.1 * claimed + 32768
    assert used >= 0.8 * claimed - 32768 or claimed < 1 << 20  # rooms are for all cores, of which there may be fewer threads


def test_explain_counts_an_out_with_gaps() -> None:
    out = np.empty((1, 64, 96, 192), "f4")[..., ::2]
    gaps = nc.explain(nc.conv2d, PLAIN, FILTERS, padding=1, out=out).workspace
    assert gaps - nc.explain(nc.conv2d, PLAIN, FILTERS, padding=1).workspace == out.nbytes


# torch


THREADS = """
import torch
torch.ones(400, 400) @ torch.ones(400, 400)
torch.set_num_threads({count})
import numpy as np, numconv as nc
nc.conv2d(np.ones((1, 16, 40, 40), "f4"), np.ones((16, 16, 3, 3), "f4"))
print(torch.get_num_threads())
"""


@pytest.mark.parametrize("count", [1, 3])
def test_torch_keeps_its_number_of_threads(count: int) -> None:
    pytest.importorskip("torch")
    done = subprocess.run([sys.executable, "-c", THREADS.format(count=count)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(count)]


def test_an_out_that_requires_a_gradient() -> None:
    torch = pytest.importorskip("torch")
    x, w, out = torch.ones(1, 1, 5), torch.ones(1, 1, 3), torch.zeros(1, 1, 3, requires_grad=True)
    with pytest.raises(TypeError, match="^conv1d: out requires grad"):
        nc.conv1d(x, w, out=out)
    with torch.no_grad():
        nc.conv1d(x, w, out=out)
    assert out.detach().tolist() == [[[3, 3, 3]]]


def test_transformed_functions_of_torch_get_a_clear_answer() -> None:
    torch = pytest.importorskip("torch")
    import numconv.torch as nt

    x, w = torch.ones(2, 1, 1, 5), torch.ones(1, 1, 3)
    named = "^conv1d: x (has no memory of its own|requires grad).* call the function of this name in numconv.torch"
    with pytest.raises(TypeError, match=named):
        torch.vmap(lambda t: nc.conv1d(t, w))(x)
    with pytest.raises(TypeError, match=named):
        torch.func.grad(lambda t: nc.conv1d(t, w).sum())(x[0])
    for under in (lambda: torch.vmap(lambda t: nt.unfold(t, (2,)))(x), lambda: torch.func.grad(lambda t: nt.unfold(t, (2,)).sum())(x[0])):
        with pytest.raises(TypeError, match=r"^numconv.torch.unfold: not under torch.vmap or torch.func"):
            under()


@pytest.mark.parametrize("transposed", [False, True])
def test_torch_func_goes_through_numconv_torch(transposed: bool) -> None:
    torch = pytest.importorskip("torch")
    import numconv.torch as nt

    rng = torch.Generator().manual_seed(0)
    x, w = (torch.randn(s, generator=rng, dtype=torch.float64) for s in ((3, 2, 4, 6, 5), (3, 4, 4, 3, 3)))
    bias = torch.randn(4, generator=rng, dtype=torch.float64)
    name = "conv_transpose2d" if transposed else "conv2d"
    ours, theirs = getattr(nt, name), getattr(torch.nn.functional, name)

    def results(f: Any) -> list[Any]:
        gradients = torch.func.grad(lambda t, v, b: (f(t, v, b, padding=1) ** 2).sum(), argnums=(0, 1, 2))
        return [
            torch.vmap(lambda t: f(t, w[0], bias, padding=1))(x),
            torch.vmap(lambda t: f(t, w[0], bias, stride=2), in_dims=2, out_dims=1)(x.movedim(0, 2)),
            torch.vmap(lambda t, v: f(t, v, bias))(x, w),
            *gradients(x[0], w[0], bias),
            *torch.vmap(gradients, in_dims=(0, 0, None))(x, w, bias),
            torch.func.jacrev(lambda v: f(x[0], v))(w[0]),
        ]

    for got, wanted in zip(results(ours), results(theirs), strict=True):
        torch.testing.assert_close(got, wanted)


# memory refused


def test_memory_refused_names_the_function(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any) -> Any:
        raise MemoryError

    x = normal(1, 3, 40, 40)
    calls: list[tuple[str, Callable[[], Any]]] = [
        ("resize2d", lambda: nc.resize2d(x, scale=2, mode="bilinear")),
        ("dynamic_attention", lambda: nc.dynamic_attention(x, normal(2, 3), normal(4, 2))),
        ("conv2d", lambda: nc.conv2d(x, normal(8, 3, 3, 3))),
    ]
    for _, call in calls:
        call()
    workspace.forget()
    monkeypatch.setattr(workspace, "aligned", refuse)
    for name, call in calls:
        with pytest.raises(MemoryError, match=f"^{name}: "):
            call()


COMPILED = {"kernel", "device_function", "inlined", "by_type", "over_tasks", "over_shares", "njit"}
ALLOCATES = {
    "empty",
    "zeros",
    "ones",
    "full",
    "empty_like",
    "zeros_like",
    "ones_like",
    "full_like",
    "array",
    "arange",
    "copy",
    "concatenate",
}


def _name(node: ast.expr) -> str:
    node = node.func if isinstance(node, ast.Call) else node
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _compiled_that_allocate(tree: ast.Module) -> list[str]:
    given = {
        a.id
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and _name(call) in COMPILED
        for a in call.args
        if isinstance(a, ast.Name)
    }
    found = []
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef) and (function.name in given or {_name(d) for d in function.decorator_list} & COMPILED):
            calls = [n for n in ast.walk(function) if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)]
            if any(c.func.attr in ALLOCATES for c in calls):  # type: ignore[attr-defined]
                found.append(function.name)
    return found


def test_kernels_allocate_nothing() -> None:
    """Where memory is refused inside of a parallel loop, Numba raises a SystemError, or worse: rooms are borrowed before."""
    sources = [*CPU.rglob("*.py")]
    found = {(path.relative_to(CPU).as_posix(), name) for path in sources for name in _compiled_that_allocate(ast.parse(path.read_text()))}
    assert not found
    assert len(sources) > 50
    assert _compiled_that_allocate(ast.parse("@kernel\ndef f(x):\n    for i in prange(3):\n        room = np.empty(3)")) == ["f"]


# right already


@pytest.mark.parametrize(("size", "kernel", "stride", "dilation"), list(itertools.product((7, 8, 12), (2, 3, 5), (1, 2, 3), (1, 2))))
def test_same_as_tensorflow_and_onnx_have_it(size: int, kernel: int, stride: int, dilation: int) -> None:
    x, w = RNG.integers(-3, 4, (1, 1, size)), RNG.integers(-3, 4, (1, 1, kernel))
    total = max((-(-size // stride) - 1) * stride + dilation * (kernel - 1) + 1 - size, 0)
    for word, low in (("same", total // 2), ("same_lower", total - total // 2)):  # SAME and SAME_UPPER; SAME_LOWER
        framed = np.pad(x, [(0, 0), (0, 0), (low, total - low)])
        wanted = nc.conv1d(framed, w, stride=stride, dilation=dilation)
        np.testing.assert_array_equal(nc.conv1d(x, w, stride=stride, padding=word, dilation=dilation), wanted)
        assert wanted.shape[-1] == -(-size // stride)


#: numconv's names → NumPy's; OpenCV's BORDER_REFLECT_101, REFLECT, REPLICATE, WRAP
BORDERS = {"zeros": "constant", "reflect": "reflect", "symmetric": "symmetric", "replicate": "edge", "circular": "wrap"}


@pytest.mark.parametrize("mode", BORDERS)
@pytest.mark.parametrize("pads", [((0, 2), (3, 1)), ((2, 2), (0, 0)), ((0, 0), (1, 3))])
def test_borders_by_axis(mode: str, pads: Any) -> None:
    x, w = RNG.integers(-3, 4, (2, 3, 5, 6)), RNG.integers(-3, 4, (4, 3, 2, 3))
    framed = np.pad(x, [(0, 0), (0, 0), *pads], BORDERS[mode])  # type: ignore[call-overload]
    np.testing.assert_array_equal(nc.conv2d(x, w, padding=pads, padding_mode=mode), nc.conv2d(framed, w))


def test_transposed_with_dilation_and_output_padding() -> None:
    torch = pytest.importorskip("torch")
    x, w = (torch.from_numpy(RNG.integers(-3, 4, s).astype("f8")) for s in ((2, 4, 5, 6), (4, 3, 3, 2)))
    options: dict[str, Any] = {"stride": (3, 2), "padding": (1, 2), "dilation": (2, 3), "output_padding": (2, 1)}
    wanted = torch.nn.functional.conv_transpose2d(x, w, **options)
    torch.testing.assert_close(nc.conv_transpose2d(x, w, **options), wanted, rtol=0, atol=0)


def test_fold_with_padding() -> None:
    torch = pytest.importorskip("torch")
    options: dict[str, Any] = {"stride": (2, 1), "padding": (1, 2), "dilation": (1, 2)}
    x = torch.from_numpy(RNG.integers(-3, 4, (2, 3, 8, 7)).astype("f8"))
    cols = torch.nn.functional.unfold(x, (3, 2), **options)
    wanted = torch.nn.functional.fold(cols, (8, 7), (3, 2), **options)
    torch.testing.assert_close(nc.fold(cols, (8, 7), (3, 2), **options), wanted, rtol=0, atol=0)


def test_whole_offsets_move_the_taps() -> None:
    x, w = normal(1, 2, 9, 9), normal(3, 2, 3, 3)
    offset = np.zeros((1, 18, 5, 5))
    offset[:, 0::2], offset[:, 1::2] = 2, 1
    np.testing.assert_allclose(nc.deform_conv2d(x[:, :, :7, :7], offset, w)[..., :3, :4], nc.conv2d(x[:, :, 2:7, 1:7], w), atol=1e-12)


def test_empty_batches() -> None:
    x, w = np.ones((0, 2, 5, 5)), np.ones((3, 2, 3, 3))
    assert nc.conv2d(x, w).shape == (0, 3, 3, 3)
    assert nc.resize2d(x, scale=2).shape == (0, 2, 10, 10)
    y, pullback = nc.vjp(nc.conv2d, x, w)
    dx, dw = pullback(y)
    assert dx.shape == x.shape
    assert not dw.any()


def test_layouts_as_views() -> None:
    x, w = normal(2, 7, 6, 3), normal(4, 3, 3, 3)
    wanted = nc.conv2d(np.ascontiguousarray(x.transpose(0, 3, 1, 2)), w)
    np.testing.assert_allclose(nc.conv2d(x.transpose(0, 3, 1, 2), w), wanted, atol=1e-12)
    np.testing.assert_allclose(nc.conv2d(x, w, layout="channels_last").transpose(0, 3, 1, 2), wanted, atol=1e-12)
    np.testing.assert_allclose(nc.conv2d(x.transpose(0, 3, 2, 1), w.swapaxes(2, 3)).swapaxes(2, 3), wanted, atol=1e-12)


def test_odd_arguments_of_python() -> None:
    x, w = np.arange(25).reshape(1, 1, 5, 5), np.ones((1, 1, 2, 2), int)
    wanted = nc.conv2d(x, w, stride=2)
    for stride in (np.int8(2), [2, 2], np.array([2, 2]), (np.uint64(2), 2)):
        np.testing.assert_array_equal(nc.conv2d(x, w, stride=stride), wanted)
    np.testing.assert_array_equal(nc.conv2d(x.tolist(), w.tolist(), stride=2), wanted)
    for stride in (True, 2.0, "2", None, np.array(2.0)):
        with pytest.raises(TypeError, match="^conv2d: "):
            nc.conv2d(x, w, stride=stride)
