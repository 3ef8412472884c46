"""On a machine with a GPU: check every CUDA kernel against the CPU, then time the layers beside cuDNN (through torch).

    python benchmarks/gpu.py --out benchmarks/results/gpu.json [--minutes 7] [--kinds depthwise …] [--batch 16]

Needs numba, numba-cuda and NumPy (2.5 too); torch and CuPy (whose arrays are checked to pass through) where they are.  Times are by CUDA events around a batch of
calls after a warm-up, the stream synchronised, median of several; a result is checked before its time is written.  Beside each figure
stands its roof: the larger of flops at the measured peak (a register-only FMA kernel) and bytes at the measured copy bandwidth.

As of 2026-11 this has not run on a GPU: the parts that need one are untested.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
import layers as named  # noqa: E402  (puts the checkout on the path)
from layers import Layer  # noqa: E402

ROWS = {
    "forward": ("implicit_gemm", "depthwise", "direct", "tensor_core", "tensor_core_tf32"),
    "transposed": ("gather", "direct", "scatter", "zero_insertion", "matrix", "tensor_core", "tensor_core_tf32"),
}


def events(function: Callable[[], Any], seconds: float = 0.05) -> float:
    """Median seconds of one call, by CUDA events around enough calls to fill `seconds` five times."""
    from numba import cuda

    function()
    cuda.synchronize()
    start = time.perf_counter()
    function()
    cuda.synchronize()
    calls = max(1, min(200, int(seconds / max(1e-6, time.perf_counter() - start))))
    found = []
    for _ in range(5):
        first, last = cuda.event(), cuda.event()
        first.record()
        for _ in range(calls):
            function()
        last.record()
        last.synchronize()
        found.append(cuda.event_elapsed_time(first, last) / 1e3 / calls)
    return statistics.median(found)


def card() -> dict[str, Any]:
    """What it ran on: name, capability, multiprocessors, clock, measured copy bandwidth and FMA peak."""
    from numba import cuda

    device = cuda.get_current_device()
    clock = getattr(device, "CLOCK_RATE", None)
    return {
        "name": device.name.decode() if isinstance(device.name, bytes) else device.name,
        "capability": list(device.compute_capability),
        "multiprocessors": device.MULTIPROCESSOR_COUNT,
        "clock_khz": clock,
        "copy_bytes_per_second": copy_bandwidth(),
        "float32_flops": fma_peak(device.MULTIPROCESSOR_COUNT),
        "numpy": np.__version__,
        "date": time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime()),
    }


def copy_bandwidth(count: int = 1 << 28) -> float:
    """Bytes read and written each second by a plain copy of a gigabyte."""
    from numba import cuda

    @cuda.jit
    def copy(x, y):
        i = cuda.grid(1)
        step = cuda.gridsize(1)
        while i < x.size:
            y[i] = x[i]
            i += step

    x, y = cuda.device_array(count, np.float32), cuda.device_array(count, np.float32)
    return 8.0 * count / events(lambda: copy[132 * 16, 256](x, y))


def fma_peak(multiprocessors: int) -> float:
    """float32 operations each second of eight independent chains of multiply-adds in each thread."""
    from numba import cuda
    from numba.cuda.types import float32

    steps, blocks, threads = 4096, multiprocessors * 8, 256

    @cuda.jit
    def chains(out, a, b):
        sums = cuda.local.array(8, float32)
        for j in range(8):
            sums[j] = float32(cuda.threadIdx.x + j)
        for _ in range(steps):
            for j in range(8):
                sums[j] = sums[j] * a + b
        total = float32(0)
        for j in range(8):
            total += sums[j]
        out[cuda.grid(1)] = total

    out = cuda.device_array(blocks * threads, np.float32)
    return 2.0 * 8 * steps * blocks * threads / events(lambda: chains[blocks, threads](out, np.float32(0.5), np.float32(1.0)))


def small_checks() -> list[dict[str, Any]]:
    """Every row of the table on small problems against numconv's CPU kernels, exactly on small integers."""
    from numba import cuda

    import numconv as nc

    found = []
    rng = np.random.default_rng(0)
    cases = (
        ("plain", {"padding": 1}, (2, 4, 13, 17), (6, 4, 3, 3), 1),
        ("stride, groups", {"padding": 1, "stride": 2, "groups": 2}, (3, 4, 13, 17), (6, 2, 3, 3), 2),
        ("dilation, last", {"padding": 2, "dilation": 2, "layout": "channels_last"}, (1, 11, 12, 8), (8, 8, 3, 3), 1),
        ("many channels", {"padding": 1}, (1, 96, 14, 14), (160, 96, 3, 3), 1),
        ("depthwise", {"padding": 1, "groups": 6, "stride": 2}, (2, 6, 21, 23), (6, 1, 3, 3), 6),
        ("reflect", {"padding": 2, "padding_mode": "reflect"}, (1, 3, 9, 9), (5, 3, 3, 3), 1),
    )
    for dtype in ("float32", "float16", "float64", "int8", "complex64"):
        for label, options, x_shape, w_shape, _ in cases:
            x, w = rng.integers(-2, 3, x_shape).astype(dtype), rng.integers(-2, 3, w_shape).astype(dtype)
            wide = "float32" if dtype == "float16" else dtype
            expected = nc.conv2d(x.astype(wide), w.astype(wide), **options)
            for row in ROWS["forward"]:
                more = {"precision": "tf32"} if row.endswith("tf32") else {}
                found.append(
                    one_check(
                        row,
                        f"{label} {dtype}",
                        lambda: nc.conv2d(cuda.to_device(x), cuda.to_device(w), algorithm=row, **options, **more),
                        expected,
                    )
                )
        x, w = rng.integers(-2, 3, (2, 6, 7, 9)).astype(dtype), rng.integers(-2, 3, (6, 2, 3, 3)).astype(dtype)
        wide = "float32" if dtype == "float16" else dtype
        options = {"stride": 2, "padding": 1, "groups": 2, "output_padding": 1}
        expected = nc.conv_transpose2d(x.astype(wide), w.astype(wide), None, **options)
        for row in ROWS["transposed"]:
            more = {"precision": "tf32"} if row.endswith("tf32") else {}
            found.append(
                one_check(
                    row,
                    f"transposed {dtype}",
                    lambda: nc.conv_transpose2d(cuda.to_device(x), cuda.to_device(w), None, algorithm=row, **options, **more),
                    expected,
                )
            )
    return found


def one_check(row: str, label: str, compute: Callable[[], Any], expected: Any) -> dict[str, Any]:
    """Run one row; a refusal is noted with its reason."""
    try:
        got = compute().copy_to_host()
    except ValueError as refusal:
        return {"row": row, "case": label, "ok": None, "why": str(refusal)[:200]}
    except Exception as failure:  # noqa: BLE001  one kernel's failure must not hide the others' results
        return {"row": row, "case": label, "ok": False, "why": f"{type(failure).__name__}: {failure}"[:400]}
    same = bool(np.array_equal(got.astype(expected.dtype), expected))
    return {"row": row, "case": label, "ok": same, "why": "" if same else f"off by {np.abs(got.astype(expected.dtype) - expected).max()}"}


def caller_checks() -> list[dict[str, Any]]:
    """Arrays of other libraries go in and come out as their own kind, on their stream."""
    import numconv as nc

    found = []
    rng = np.random.default_rng(0)
    x, w = rng.integers(-2, 3, (2, 4, 13, 17)).astype("float32"), rng.integers(-2, 3, (6, 4, 3, 3)).astype("float32")
    expected = nc.conv2d(x, w, padding=1)

    def torch_way(dtype: str) -> Any:
        import torch

        stream = torch.cuda.Stream()
        with torch.cuda.stream(stream):
            y = nc.conv2d(
                torch.from_numpy(x).cuda().to(getattr(torch, dtype)), torch.from_numpy(w).cuda().to(getattr(torch, dtype)), padding=1
            )
            assert isinstance(y, torch.Tensor)
            assert y.is_cuda
            return y.float().cpu().numpy()

    def cupy_way() -> Any:
        import cupy

        with cupy.cuda.Stream(non_blocking=True):
            y = nc.conv2d(cupy.asarray(x), cupy.asarray(w)[:, :, ::-1][:, :, ::-1], padding=1)
            assert isinstance(y, cupy.ndarray)
            return cupy.asnumpy(y)

    for label, compute in (
        ("torch float32", lambda: torch_way("float32")), ("torch bfloat16", lambda: torch_way("bfloat16")), ("cupy", cupy_way),
    ):  # fmt: skip
        try:
            got = compute()
        except ImportError as missing:
            found.append({"row": "caller", "case": label, "ok": None, "why": str(missing)})
            continue
        except Exception as failure:
            found.append({"row": "caller", "case": label, "ok": False, "why": f"{type(failure).__name__}: {failure}"[:400]})
            continue
        found.append({"row": "caller", "case": label, "ok": bool(np.array_equal(got, expected)), "why": ""})
    return found


def roof(layer: Layer, itemsize: int, machine: dict[str, Any]) -> float:
    return max(layer.flops / machine["float32_flops"], layer.bytes(itemsize) / machine["copy_bytes_per_second"])


def time_layer(layer: Layer, machine: dict[str, Any], dtypes: tuple[str, ...]) -> dict[str, Any]:
    """numconv, and torch (channels first and last, tf32 on and off) where it is, on one layer."""
    from numba import cuda

    row: dict[str, Any] = {"layer": layer.index, "name": layer.name, "kind": layer.kind, "shape": layer.shape, "batch": layer.batch}
    for dtype in dtypes:
        x, w, bias = layer.arrays("float32")
        host = [a.astype(dtype) for a in (x, w, bias)]
        device = [cuda.to_device(a) for a in host]
        found: dict[str, Any] = {"roof_s": roof(layer, host[0].itemsize, machine)}
        try:
            run = prepacked(layer, device, "highest")
            result = run().copy_to_host()
            found["algorithm"] = named.algorithm(layer, *device)[0]
            found["numconv_s"] = events(run)
            if dtype == "float32":
                found["numconv_tf32_s"] = events(prepacked(layer, device, "tf32"))
        except Exception as failure:  # noqa: BLE001
            found["failure"] = f"{type(failure).__name__}: {failure}"[:400]
            result = None
        found.update(with_torch(layer, host, dtype, result))
        row[dtype] = found
    return row


def prepacked(layer: Layer, arrays: list[Any], precision: str) -> Callable[[], Any]:
    """The layer with its weights packed once, as a user of inference would have it."""
    import numconv as nc

    x, w, bias = arrays
    options: dict[str, Any] = {
        "stride": layer.stride, "padding": layer.pads, "dilation": layer.dilation, "groups": layer.groups, "precision": precision,
    }  # fmt: skip
    if layer.transposed:
        options["output_padding"] = layer.output_padding
    made = getattr(nc, f"Conv{'Transpose' if layer.transposed else ''}{layer.rank}d")(w, bias, **options)
    return lambda: made(x)


def with_torch(layer: Layer, host: list[Any], dtype: str, result: Any) -> dict[str, Any]:
    """cuDNN through torch; compares its result with ours."""
    try:
        import torch
    except ImportError:
        return {}
    found: dict[str, Any] = {}
    try:
        tensors = [torch.from_numpy(a).cuda() for a in host]
        torch.backends.cudnn.benchmark = True
        torch.backends.cudnn.allow_tf32 = False
        run = named.with_torch(layer, *tensors)
        wanted = run().float().cpu().numpy()
        if result is not None:
            scale = float(np.abs(wanted).max()) or 1.0
            found["difference"] = float(np.abs(result.astype(np.float32) - wanted).max()) / scale
            found["agrees"] = found["difference"] < (5e-3 if dtype == "float16" else 1e-4)
        found["torch_s"] = events(run)
        if dtype == "float32":
            torch.backends.cudnn.allow_tf32 = True
            found["torch_tf32_s"] = events(named.with_torch(layer, *tensors))
            torch.backends.cudnn.allow_tf32 = False
        if layer.rank == 2:
            last = [t.to(memory_format=torch.channels_last) if t.ndim == 4 else t for t in tensors]
            found["torch_channels_last_s"] = events(named.with_torch(layer, *last))
    except Exception as failure:  # noqa: BLE001
        found["torch_failure"] = f"{type(failure).__name__}: {failure}"[:400]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("gpu.json"))
    parser.add_argument("--minutes", type=float, default=7.0)
    parser.add_argument("--kinds", nargs="*")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--dtypes", nargs="*", default=["float32", "float16"])
    options = parser.parse_args()
    deadline = time.monotonic() + 60 * options.minutes

    from numba import cuda

    if not cuda.is_available():
        raise SystemExit("no CUDA device: nothing to measure")
    report: dict[str, Any] = {"card": card(), "checks": [*small_checks(), *caller_checks()], "layers": [], "left_out": 0}
    bad = [c for c in report["checks"] if c["ok"] is False]
    print(f"{len(report['checks'])} checks, {len(bad)} wrong", flush=True)
    for wrong in bad:
        print("  wrong:", wrong, flush=True)
    options.out.write_text(json.dumps(report, indent=1))
    for layer in named.load(options.batch, options.kinds):
        if time.monotonic() > deadline:
            report["left_out"] += 1
            continue
        row = time_layer(layer, report["card"], tuple(options.dtypes))
        report["layers"].append(row)
        print(json.dumps(row), flush=True)
        options.out.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
