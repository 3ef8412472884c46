"""What gpu.py checks before it times: every row of the CUDA table, every variant of the catalog, arrays of other libraries; against tests/reference.py."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
import cases  # noqa: E402
import reference  # noqa: E402

#: label → geometry of the forward map, and what is not the default
CASES: dict[str, dict[str, Any]] = {
    "plain": {"spatial": (13, 17), "kernel": (3, 3), "pad": 1, "channels": 12, "filters": 20},
    "stride, groups": {"spatial": (13, 17), "kernel": (3, 3), "pad": 1, "stride": 2, "groups": 2, "channels": 8, "filters": 12},
    "dilation, channels last": {
        "spatial": (11, 12),
        "kernel": (3, 3),
        "pad": 2,
        "dilation": 2,
        "layout": "channels_last",
        "channels": 16,
        "filters": 8,
    },
    "many channels": {"spatial": (14, 14), "kernel": (3, 3), "pad": 1, "channels": 96, "filters": 160, "batch": 1},
    "depthwise": {"spatial": (21, 23), "kernel": (3, 3), "pad": 1, "groups": 6, "channels": 6, "filters": 6},
    "three axes": {"spatial": (4, 7, 9), "kernel": (2, 3, 3), "pad": 1, "channels": 8, "filters": 8},
}
SMALL_CASES: dict[str, dict[str, Any]] = {"plain": {"spatial": (3, 4), "kernel": (2, 3), "pad": 1, "channels": 2, "filters": 3, "batch": 1}}
#: in the order of their weight: a run that is cut off has the first
TYPES = (("float32", "highest"), ("float32", "tf32"), ("float16", "highest"), ("bfloat16", "highest"), ("float64", "highest"), ("int8", "highest"), ("complex64", "highest"))  # fmt: skip


def numpy_type(name: str) -> Any:
    if name == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(name)


def row_check(row: Any, direction: str, dtype: str, precision: str, case: dict[str, Any]) -> Callable[[], bool] | None:
    """A function that runs the row on small integers and says whether every element is right; None where the row refuses the problem."""
    from numba import cuda

    from numconv.cuda import device
    from numconv.plan import make_plan
    from numconv.problem import ConvProblem

    rank, rng = len(case["spatial"]), np.random.default_rng(0)
    spatial, kernel, groups, layout = case["spatial"], case["kernel"], case.get("groups", 1), case.get("layout", "channels_first")
    stride, dilation = (reference.per_axis(case.get(k, 1), rank) for k in ("stride", "dilation"))
    pads = reference.pairs(case["pad"], rank)
    outputs = reference.output_sizes([n + lo + hi for n, (lo, hi) in zip(spatial, pads, strict=True)], kernel, stride, dilation)
    problem = ConvProblem(
        direction, case.get("batch", 2), case["channels"], case["filters"], groups, spatial, kernel, stride, tuple(lo for lo, _ in pads), dilation,
        outputs, dtype, "int32" if dtype == "int8" else dtype, layout=layout, precision=precision,
    )  # fmt: skip
    if row.refuses(problem) is not None:
        return None
    x, w, dy = (
        rng.integers(-2, 3, s)
        for s in ((problem.batch, problem.in_channels, *spatial), problem.weight_shape, (problem.batch, problem.out_channels, *outputs))
    )
    arrays: tuple[Any, ...]
    if direction == "forward":
        arrays, expected = (x, w, None), reference.conv(x, w, None, stride, pads, dilation, groups)
    elif direction == "input_grad":
        arrays, expected = (dy, w, None), reference.input_grad(dy, w, spatial, stride, pads, dilation, groups)
    else:
        arrays, expected = (x, dy), reference.weight_grad(x, dy, kernel, stride, pads, dilation, groups)
    last = layout == "channels_last"
    images = {0, 1} if direction == "weight_grad" else {0}

    def on_device(i: int, a: Any) -> Any:
        a = np.moveaxis(a, 1, -1) if last and i in images else a
        return cuda.to_device(np.ascontiguousarray(a.astype(numpy_type(dtype))))

    def run() -> bool:
        given = tuple(None if a is None else on_device(i, a) for i, a in enumerate(arrays))
        out = device.empty(problem.result_shape, problem.out_dtype, given[0])
        device.execute(make_plan(problem, device.machine(), device.table(), row.name), given, out)
        got = out.copy_to_host()
        got = np.moveaxis(got, -1, 1) if last and direction != "weight_grad" else got
        bits = {"float16": 11, "bfloat16": 8}.get(dtype)
        wanted = expected.astype(numpy_type(problem.out_dtype)).astype(expected.dtype if dtype != "complex64" else dtype)
        if row.error_factor > 1 and dtype == "float32" and precision == "highest":  # a transform's sums are no integers
            return bool(np.allclose(got, wanted, rtol=1e-4, atol=1e-4 * float(np.abs(wanted).max())))
        exact = bits is None or np.abs(expected).max() < 2**bits
        return bool(
            np.array_equal(got.astype(wanted.dtype), wanted)
            if exact
            else np.allclose(got.astype(float), wanted, rtol=2.0 ** (1 - (bits or 0)))
        )

    return run


def row_checks(small: bool) -> Iterator[tuple[str, str, Callable[[], bool]]]:
    """(row, label, check) for every row of the table, direction, type and case it serves; the common types first."""
    from numconv.cuda import device
    from numconv.problem import ConvProblem

    for dtype, precision in TYPES[:3] if small else TYPES:
        for row in device.table():
            if row.problem is not ConvProblem or dtype not in row.dtypes or (precision == "tf32") != row.name.endswith("tf32"):
                continue
            for direction in sorted(row.directions):
                for label, case in (SMALL_CASES if small else CASES).items():
                    found = row_check(row, direction, dtype, precision, case)
                    if found is not None:
                        yield row.name, f"{direction}, {dtype} {precision}, {label}", found


def variant_checks(small: bool) -> Iterator[tuple[str, str, Callable[[], bool]]]:
    """Every variant of the catalog on its first sample case (in the simulator on a few of the smallest)."""
    from numba import cuda

    import numconv as nc

    firsts = {variant.name: (variant, case) for variant, case in reversed(cases.ALL)}
    for name, (variant, case) in reversed(firsts.items()):
        arrays, options = cases.arguments(case, np.random.default_rng(0), "float32")
        if small and nc.cost(variant.function, *arrays, **options).multiplications > 500:
            continue

        def run(variant: Any = variant, arrays: Any = arrays, options: Any = options) -> bool:
            given = [None if a is None else cuda.to_device(np.ascontiguousarray(a)) for a in arrays]
            more = {k: cuda.to_device(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
            got = variant.function(*given, **more).copy_to_host()
            return bool(np.allclose(got, cases.expected(variant, arrays, options).reshape(got.shape), rtol=1e-5, atol=1e-5))

        yield "variant", name, run


def caller_checks(small: bool) -> Iterator[tuple[str, str, Callable[[], bool]]]:
    """Arrays of other libraries go in and come out as their own kind, on their stream."""
    import numconv as nc

    rng = np.random.default_rng(0)
    x, w = rng.integers(-2, 3, (2, 4, 13, 17)).astype("float32"), rng.integers(-2, 3, (6, 4, 3, 3)).astype("float32")
    expected = reference.conv(x, w, pads=1)

    def torch_way(dtype: str) -> bool:
        import torch

        with torch.cuda.stream(torch.cuda.Stream()):
            image, weights = (torch.from_numpy(a).cuda().to(getattr(torch, dtype)) for a in (x, w))
            y = nc.conv2d(image, weights, padding=1)
            return isinstance(y, torch.Tensor) and y.is_cuda and np.array_equal(y.float().cpu().numpy(), expected)

    def cupy_way() -> bool:
        import cupy

        with cupy.cuda.Stream(non_blocking=True):
            y = nc.conv2d(cupy.asarray(x), cupy.asarray(w)[:, :, ::-1][:, :, ::-1], padding=1)
            return isinstance(y, cupy.ndarray) and np.array_equal(cupy.asnumpy(y), expected)

    if not small:
        yield "caller", "torch float32", lambda: torch_way("float32")
        yield "caller", "torch bfloat16", lambda: torch_way("bfloat16")
        yield "caller", "cupy", cupy_way


def run_checks(left: Callable[[], bool], small: bool) -> tuple[list[dict[str, Any]], int]:
    """Results, and how many there was no time for."""
    found, missed = [], 0
    for make in (caller_checks, row_checks, variant_checks):
        for row, label, check in make(small):
            if not left():
                missed += 1
                continue
            one: dict[str, Any] = {"row": row, "case": label}
            try:
                one["ok"] = check()
            except ImportError as missing:
                one |= {"ok": None, "why": str(missing)}
            except Exception as failure:  # noqa: BLE001  one kernel's failure must not hide the others' results
                one |= {"ok": False, "why": f"{type(failure).__name__}: {failure}"[:400]}
            found.append(one)
    return found, missed


def channel_error(layer: Any, arrays: tuple[Any, Any, Any], result: Any, channel: int) -> tuple[float, float]:
    """Largest error of one channel of a layer's result against the oracle, and (4 + √n)·conv(|x|, |w|) there: units of rounding."""
    x, w, bias = (np.asarray(a, np.float64) for a in arrays)
    produced, consumed = layer.out_channels // layer.groups, layer.in_channels // layer.groups
    g = channel // produced
    x = x[:, g * consumed : (g + 1) * consumed]
    if layer.transposed:
        w = w[g * consumed : (g + 1) * consumed, channel % produced : channel % produced + 1]

        def conv(a: Any, b: Any, c: Any) -> Any:
            return reference.conv_transpose(a, b, c, layer.stride, layer.pads, layer.output_padding, 1, layer.dilation)

    else:
        w = w[channel : channel + 1]

        def conv(a: Any, b: Any, c: Any) -> Any:
            return reference.conv(a, b, c, layer.stride, layer.pads, layer.dilation)

    bias = bias[channel : channel + 1]
    terms = consumed * prod(layer.kernel)
    bound = (4 + terms**0.5) * conv(np.abs(x), np.abs(w), np.abs(bias)) + 1e-30
    error = np.abs(np.asarray(result, np.float64)[:, channel : channel + 1] - conv(x, w, bias))
    worst = int(np.argmax(error / bound))
    return float(error.reshape(-1)[worst]), float(bound.reshape(-1)[worst])
