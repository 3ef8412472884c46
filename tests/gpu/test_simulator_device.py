"""What a caller meets, in the simulator: arrays of any strides, `out`, refusals, prepacked layers, gradients; and what must not happen."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import reference
from numba import cuda
from numba.cuda.simulator.cudadrv.devicearray import FakeCUDAArray

import numconv as nc
from numconv.cuda import device
from numconv.cuda.adapt import layout
from numconv.cuda.table import ROWS
from numconv.problem import ConvProblem


def integers(shape: tuple[int, ...], dtype: Any = np.float32, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(-2, 3, shape).astype(dtype)


X, W = integers((2, 3, 6, 5)), integers((4, 3, 3, 3), seed=1)
EXPECTED = reference.conv(X, W, pads=1)

AWKWARD = {
    "reversed": lambda a: np.ascontiguousarray(a[..., ::-1])[..., ::-1],
    "transposed": lambda a: np.ascontiguousarray(a.T).T,
    "every second": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "both": lambda a: np.repeat(a[:, ::-1], 2, axis=1)[:, ::-2],
}


@pytest.mark.parametrize("form", AWKWARD)
def test_inputs_of_any_strides(form: str) -> None:
    x, w = FakeCUDAArray(AWKWARD[form](X)), FakeCUDAArray(AWKWARD[form](W))
    assert not (x.flags.c_contiguous and w.flags.c_contiguous)
    np.testing.assert_array_equal(nc.conv2d(x, w, padding=1).copy_to_host(), EXPECTED)


def test_broadcast_weights() -> None:
    w = FakeCUDAArray(np.broadcast_to(W[:, :1], W.shape))
    expected = reference.conv(X, np.broadcast_to(W[:, :1], W.shape), pads=1)
    np.testing.assert_array_equal(nc.conv2d(cuda.to_device(X), w, padding=1).copy_to_host(), expected)


@pytest.mark.parametrize("algorithm", ["direct", "implicit_gemm"])
@pytest.mark.parametrize("channels_last", [False, True])
def test_out_of_any_strides_is_filled_and_its_neighbours_are_not(algorithm: str, channels_last: bool) -> None:
    options = {"padding": 1, "algorithm": algorithm}
    x, expected = X, EXPECTED
    if channels_last:
        x, expected, options["layout"] = np.ascontiguousarray(np.moveaxis(X, 1, -1)), np.moveaxis(EXPECTED, 1, -1), "channels_last"
    wide = np.full((*expected.shape, 2), np.nan, np.float32)
    out = FakeCUDAArray(wide[..., 0])
    assert nc.conv2d(cuda.to_device(x), cuda.to_device(W), out=out, **options) is out
    np.testing.assert_array_equal(wide[..., 0], expected)
    assert np.isnan(wide[..., 1]).all()


def test_out_that_overlaps_an_input_is_refused() -> None:
    x = cuda.to_device(integers((1, 3, 6, 5)))
    with pytest.raises(ValueError, match="overlap"):
        nc.conv2d(x, cuda.to_device(integers((3, 3, 3, 3))), padding=1, out=x)


def test_mixed_devices_are_refused() -> None:
    with pytest.raises(TypeError, match="one device"):
        nc.conv2d(cuda.to_device(X), W)


def test_bfloat16_in_and_out() -> None:
    kind = ml_dtypes.bfloat16
    y = nc.conv2d(cuda.to_device(X.astype(kind)), cuda.to_device(W.astype(kind)), padding=1)
    assert y.dtype == np.dtype(kind)
    np.testing.assert_array_equal(y.copy_to_host().astype(np.float64), EXPECTED)


@pytest.mark.parametrize("value", [1.0, 1.00390625, 3.3895314e38, 65504.1, 1e-40, np.inf, -np.inf, np.nan])
def test_bfloat16_rounds_to_nearest_even(value: float) -> None:
    source = cuda.to_device(np.array([value, -value], np.float32))
    with np.errstate(over="ignore"):
        wanted = np.array([value, -value], np.float32).astype(ml_dtypes.bfloat16)
    got = layout.cast(source, "bfloat16").copy_to_host()
    np.testing.assert_array_equal(got.astype(np.float32), wanted.astype(np.float32))


def test_casts_are_numpys() -> None:
    values = np.array([[-3.7, 2.5, 200.0], [0.0, -1.0, 7.9]], np.float32)
    for kind in ("float16", "float64", "int16", "int64"):
        np.testing.assert_array_equal(layout.cast(cuda.to_device(values), kind).copy_to_host(), values.astype(kind))


@pytest.mark.parametrize(
    ("dtype", "out_dtype"),
    [("int8", "int8"), ("int8", "uint8"), ("uint64", "int64"), ("int16", "float64"), ("float32", "float64"), ("float32", "complex64")],
)
@pytest.mark.parametrize("algorithm", ["direct", "implicit_gemm"])
def test_other_result_types_are_the_cpus(algorithm: str, dtype: str, out_dtype: str) -> None:
    scale = 1 if dtype.startswith("f") else np.iinfo(dtype).max // 3
    x, w = (integers((1, 2, 3, 4), np.int64, s).astype(dtype) * np.dtype(dtype).type(scale) for s in (6, 7))
    w = w[:, :, :2, :2] if dtype != "uint64" else w[:, :, :1, :1]
    got = nc.conv2d(cuda.to_device(x), cuda.to_device(np.ascontiguousarray(w)), out_dtype=out_dtype, algorithm=algorithm)
    wanted = nc.conv2d(x, w, out_dtype=out_dtype)
    assert got.dtype == wanted.dtype == np.dtype(out_dtype)
    np.testing.assert_array_equal(got.copy_to_host(), wanted)


def test_prepacked_layer_gives_the_same_bits() -> None:
    w = cuda.to_device(W)
    layer = nc.Conv2d(w, padding=1)
    np.testing.assert_array_equal(layer(cuda.to_device(X)).copy_to_host(), EXPECTED)
    np.testing.assert_array_equal(layer.weight.copy_to_host(), W)


def test_batches_split_give_the_same_bits() -> None:
    x = np.random.default_rng(3).standard_normal((3, 16, 4, 3)).astype(np.float32)
    w = np.random.default_rng(4).standard_normal((3, 16, 3, 3)).astype(np.float32)
    for algorithm in ("direct", "implicit_gemm"):
        whole = nc.conv2d(cuda.to_device(x), cuda.to_device(w), padding=1, algorithm=algorithm).copy_to_host()
        for n in range(3):
            one = nc.conv2d(cuda.to_device(x[n : n + 1]), cuda.to_device(w), padding=1, algorithm=algorithm).copy_to_host()
            np.testing.assert_array_equal(whole[n : n + 1], one)


def test_batches_beyond_the_index_limit_are_run_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "INDEX_LIMIT", X[0].size * 40)
    y = nc.conv2d(cuda.to_device(np.concatenate([X, X, X])), cuda.to_device(W), padding=1, algorithm="direct")
    np.testing.assert_array_equal(y.copy_to_host(), np.concatenate([EXPECTED] * 3))


def repeated(*shape: int) -> Any:
    """One number: nothing has so much memory."""
    return FakeCUDAArray(np.broadcast_to(np.float32(0), shape))


LONG, TAPS = 2**31 + 5, (1, 1, 3, 3)
BEYOND: dict[str, tuple[str, Any]] = {
    "long signal": ("conv1d", lambda: nc.conv1d(repeated(1, 1, LONG), repeated(1, 1, 3))),
    "long result": ("conv_transpose1d", lambda: nc.conv_transpose1d(repeated(1, 1, 3), repeated(1, 1, 2), stride=2**31 - 1)),
    "padding": ("conv1d", lambda: nc.conv1d(repeated(1, 1, 9), repeated(1, 1, 3), padding=2**31 - 1)),
    "padded by a mode": ("conv1d", lambda: nc.conv1d(repeated(1, 1, 9), repeated(1, 1, 3), padding=LONG >> 1, padding_mode="replicate")),
    "volume": ("conv3d", lambda: nc.conv3d(repeated(1, 2, 1024, 1024, 1024), repeated(2, 2, 3, 3, 3), padding=1)),
    "turned": ("conv2d", lambda: nc.conv2d(repeated(2048, 1024, 1024, 1), repeated(*TAPS), layout="channels_last", algorithm="direct")),
    "gradient": ("grad.conv2d_weight", lambda: nc.grad.conv2d_weight(repeated(2048, 1, 1024, 1024), TAPS, repeated(2048, 1, 1022, 1022))),
    "resize": ("resize2d", lambda: nc.resize2d(repeated(1, 1, 40000, 40000), scale=2)),
    "shuffle": ("channel_shuffle", lambda: nc.channel_shuffle(repeated(1, 8, 2**14, 2**14), 2)),
    "patches": ("unfold", lambda: nc.unfold(repeated(1, 1, 20000, 20000), 3)),
}


@pytest.mark.parametrize("name", BEYOND)
def test_what_32_bit_indices_do_not_reach_is_refused_by_name_before_any_launch(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    launched: list[Any] = []
    monkeypatch.setattr(device, "empty", lambda shape, dtype, like: repeated(*shape))
    for module in [m for n, m in sys.modules.items() if n.startswith("numconv.cuda") and hasattr(m, "launch")]:
        monkeypatch.setattr(module, "launch", lambda *arguments, **options: launched.append(arguments))
    function, call = BEYOND[name]
    with pytest.raises(ValueError, match=rf"^{function}: an array of \d+ elements is beyond the GPU kernels' 32-bit indices"):
        call()
    assert not launched


@pytest.mark.parametrize(
    ("options", "wanted"), [({"stride": 2**31 - 1}, [1 + 2 + 3]), ({"dilation": 2**30, "padding": 2**30}, [*range(2, 20, 2)])]
)
@pytest.mark.parametrize("algorithm", ["direct", "auto"])
def test_steps_as_long_as_32_bit_indices_reach(options: dict[str, int], wanted: list[int], algorithm: str) -> None:
    x = np.arange(1, 10, dtype=np.float32).reshape(1, 1, 9)
    w = np.array([1, 1, 1] if "stride" in options else [5, 2, 7], np.float32).reshape(1, 1, 3)
    y = nc.conv1d(cuda.to_device(x), cuda.to_device(w), algorithm=algorithm, **options).copy_to_host()
    np.testing.assert_array_equal(y[0, 0], wanted)


def test_nan_and_infinity_stay_where_they_belong() -> None:
    x = integers((1, 1, 5, 6))
    x[0, 0, 2, 3] = np.nan
    w = np.ones((1, 1, 3, 3), np.float32)
    for algorithm in ("direct", "implicit_gemm"):
        y = nc.conv2d(cuda.to_device(x), cuda.to_device(w), padding=1, algorithm=algorithm).copy_to_host()
        np.testing.assert_array_equal(np.isnan(y[0, 0]), (abs(np.arange(5) - 2) <= 1)[:, None] & (abs(np.arange(6) - 3) <= 1))


def test_integers_wrap() -> None:
    x, w = np.full((1, 4, 1, 1), 2**31 - 1, np.int64), np.full((1, 4, 1, 1), 2**33, np.int64)
    y = nc.conv2d(cuda.to_device(x), cuda.to_device(w), algorithm="direct").copy_to_host()
    with np.errstate(over="ignore"):
        assert y.reshape(()) == (x * w).sum()


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8", "complex128"])
@pytest.mark.parametrize("spatial", [(4, 4), (3, 5)])
def test_shuffle_by_whole_channels_and_by_elements(dtype: str, spatial: tuple[int, int]) -> None:
    x = integers((2, 6, *spatial), dtype)
    np.testing.assert_array_equal(nc.channel_shuffle(cuda.to_device(x), 3).copy_to_host(), reference.shuffle(x, 3))


def test_an_asynchronous_copy_is_not_there_before_its_wait() -> None:
    """What the tensor-core tests rest on: without the wait the poison would be read."""
    from numconv.cuda.ptx import cp_async16, cp_async_commit, make_cp_async_wait

    wait = make_cp_async_wait(0)

    @cuda.jit
    def kernel(x, before, after):
        tile = cuda.shared.array(4, np.uint32)
        cp_async16(tile, 0, x, 0, 16)
        cp_async_commit()
        for i in range(4):
            before[i] = tile[i]
        wait()
        for i in range(4):
            after[i] = tile[i]

    x = np.arange(4, dtype=np.uint32)
    before, after = cuda.device_array(4, np.uint32), cuda.device_array(4, np.uint32)
    kernel[1, 1](cuda.to_device(x), before, after)
    assert not np.array_equal(before.copy_to_host(), x)
    np.testing.assert_array_equal(after.copy_to_host(), x)


def test_gradients() -> None:
    y, pullback = nc.vjp(nc.conv2d, cuda.to_device(X), cuda.to_device(W), stride=2, padding=1)
    dy = integers(tuple(y.shape), seed=5)
    dx, dw = pullback(cuda.to_device(dy))[:2]
    np.testing.assert_array_equal(dx.copy_to_host(), reference.input_grad(dy, W, X.shape[2:], 2, 1))
    np.testing.assert_array_equal(dw.copy_to_host(), reference.weight_grad(X, dy, W.shape[2:], 2, 1))


def test_every_row_has_a_summary_and_every_direction_two_rows() -> None:
    assert all(row.summary for row in ROWS)
    for direction in ("forward", "input_grad", "weight_grad"):
        names = [r.name for r in ROWS if r.problem is ConvProblem and direction in r.directions]
        assert len(names) == len(set(names)) >= 2


def test_importing_numconv_loads_no_cuda() -> None:
    code = "import sys, numconv; numconv.conv2d; sys.exit(any(m.startswith(('numba.cuda', 'numconv.cuda')) for m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
