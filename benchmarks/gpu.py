"""On a machine with a GPU: check every CUDA kernel against the oracle, then time the layers beside cuDNN (through torch) and signals beside CuPy.

    python benchmarks/gpu.py [--out benchmarks/results/gpu.json] [--minutes 7] [--kinds depthwise …] [--batch 16] [--layers FILE]

Needs numba, numba-cuda and NumPy (2.5 too); torch and CuPy where they are.  Checks get two fifths of the time, signals a tenth, layers the
rest, large kinds in turn; what there was no time for is counted in the report, which is written as it grows, and half a minute after the
time is over it is cut off where it is.  A result is checked before its time is written: one channel of it, against tests/reference.py.
Times are by CUDA events around a batch of calls after a warm-up, median of several.  Beside each figure stands its roof: the larger of
flops at the peak measured on this card (chains of FMA or `mma.sync`) and bytes at its measured copy bandwidth.

In the simulator (`--small`, NUMBA_ENABLE_CUDASIM=1) the same code runs, and its times mean nothing.  As of 2026-11 it has run there only.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
import gpu_checks  # noqa: E402
import layers as named  # noqa: E402  (puts the checkout on the path)
from gpu_measure import SMALL, Budget, Scale, card, events  # noqa: E402
from layers import Layer  # noqa: E402

CHECKS, SIGNALS = 0.4, 0.5  # of the time: what is over when they must be
FORMS = (("float32", "highest"), ("float32", "tf32"), ("float16", "highest"))


def figure(seconds: float, flops: float, moved: float, machine: dict[str, Any], kind: str) -> dict[str, float]:
    """A time with its roof."""
    peak = machine["flops"].get(kind, machine["flops"]["float32"])
    roof = max(flops / peak, moved / machine["copy_bytes_per_second"])
    return {"seconds": seconds, "roof_seconds": roof, "share_of_roof": roof / seconds}


def time_layer(layer: Layer, machine: dict[str, Any], scale: Scale) -> dict[str, Any]:
    """numconv, and torch (channels first and last) where it is, on one layer in each form."""
    from numba import cuda

    row: dict[str, Any] = {"layer": layer.index, "name": layer.name, "kind": layer.kind, "shape": layer.shape, "batch": layer.batch}
    for dtype, precision in FORMS:
        kind = "tf32" if precision == "tf32" else dtype
        host = tuple(a.astype(dtype) for a in layer.arrays("float32"))
        moved = layer.bytes(host[0].itemsize)
        found: dict[str, Any] = {}
        try:
            arrays = [cuda.to_device(a) for a in host]
            run, plan = prepared(layer, arrays, precision)
            error, bound = gpu_checks.channel_error(layer, host, run().copy_to_host(), layer.out_channels - 1)
            unit = (2.0**-11 if dtype == "float16" else 2.0**-24) * (1 + plan.kernel.error_factor)
            found |= {"algorithm": plan.kernel.name, "error": error, "right": error <= bound * unit}
            if found["right"]:
                found |= figure(events(run, scale), layer.flops, moved, machine, kind)
        except Exception as failure:  # noqa: BLE001
            found["failure"] = f"{type(failure).__name__}: {failure}"[:400]
        for name, seconds in with_torch(layer, host, precision == "tf32", scale).items():
            found[name] = figure(seconds, layer.flops, moved, machine, kind) if isinstance(seconds, float) else seconds
        row[kind] = found
    return row


def prepared(layer: Layer, arrays: list[Any], precision: str) -> tuple[Callable[[], Any], Any]:
    """The layer with its weights packed once, as a user of inference would have it, and what it runs."""
    import numconv as nc

    x, w, bias = arrays
    options: dict[str, Any] = {
        "stride": layer.stride, "padding": layer.pads, "dilation": layer.dilation, "groups": layer.groups, "precision": precision,
    }  # fmt: skip
    if layer.transposed:
        options["output_padding"] = layer.output_padding
    made = getattr(nc, f"Conv{'Transpose' if layer.transposed else ''}{layer.rank}d")(w, bias, **options)
    function = getattr(nc, f"conv{'_transpose' if layer.transposed else ''}{layer.rank}d")
    return lambda: made(x), nc.explain(function, x, w, bias, **options).plan


def with_torch(layer: Layer, host: tuple[Any, ...], tf32: bool, scale: Scale) -> dict[str, Any]:
    """cuDNN's times through torch; nothing where there is no torch with a GPU."""
    try:
        import torch
    except ImportError:
        return {}
    if not torch.cuda.is_available():
        return {}
    found: dict[str, Any] = {}
    try:
        torch.backends.cudnn.benchmark = True
        torch.backends.cudnn.allow_tf32 = tf32
        tensors = [torch.from_numpy(a).cuda() for a in host]
        found["torch"] = events(named.with_torch(layer, *tensors), scale)
        if layer.rank == 2:
            last = [t.to(memory_format=torch.channels_last) if t.ndim == 4 else t for t in tensors]
            found["torch_channels_last"] = events(named.with_torch(layer, *last), scale)
    except Exception as failure:  # noqa: BLE001
        found["torch_failure"] = f"{type(failure).__name__}: {failure}"[:400]
    return found


def time_signals(machine: dict[str, Any], scale: Scale, left: Callable[[], bool]) -> tuple[list[dict[str, Any]], int]:
    """What CuPy has as well: single-channel correlation, on the same CuPy arrays; on Numba's where there is no CuPy."""
    from numba import cuda

    import numconv as nc

    sizes: tuple[Any, ...] = ((2048, 2048, 3), (2048, 2048, 9), (1024, 1024, 31), (1 << 22, 0, 15), (1 << 20, 0, 255))
    if scale is SMALL:
        sizes = ((6, 5, 3), (20, 0, 3))
    try:
        import cupy
        import cupyx.scipy.ndimage as ndimage
        import cupyx.scipy.signal as signal
    except ImportError:
        cupy = None
    rows, missed, rng = [], 0, np.random.default_rng(0)
    for h, w, k in sizes:
        if not left():
            missed += 1
            continue
        x, f = (rng.standard_normal(s).astype("float32") for s in (((h, w), (k, k)) if w else ((h,), (k,))))
        row: dict[str, Any] = {"image": x.shape, "filter": f.shape}
        rows.append(row)
        try:
            a, b = (cupy.asarray(v) if cupy else cuda.to_device(v) for v in (x, f))
            got = nc.correlate(a, b, mode="valid")
            got = cupy.asnumpy(got) if cupy else got.copy_to_host()
            wanted, scaled = (gpu_checks.reference.conv(u[None, None], v[None, None])[0, 0] for u, v in ((x, f), (abs(x), abs(f))))
            row["right"] = bool((np.abs(got - wanted) <= (4 + f.size**0.5) * 2.0**-23 * scaled).all())
            work = 2.0 * wanted.size * f.size, 4.0 * (x.size + wanted.size)
            if row["right"]:
                row["numconv"] = figure(events(partial(nc.correlate, a, b, mode="valid"), scale), *work, machine, "float32")
            if cupy:
                theirs = signal.correlate2d if w else signal.correlate
                more = {} if w else {"method": "direct"}
                row["cupyx.scipy.signal"] = figure(events(partial(theirs, a, b, mode="valid", **more), scale), *work, machine, "float32")
                row["cupyx.scipy.ndimage"] = figure(
                    events(partial(ndimage.correlate, a, b, mode="constant"), scale), *work, machine, "float32"
                )
        except Exception as failure:  # noqa: BLE001
            row["failure"] = f"{type(failure).__name__}: {failure}"[:400]
    return rows, missed


def in_turn(layers: list[Layer]) -> list[Layer]:
    """One layer of each kind, then the next of each: a run that is cut off has some of all."""
    kinds = list(dict.fromkeys(layer.kind for layer in layers))
    number = {layer.index: sum(other.kind == layer.kind for other in layers[:i]) for i, layer in enumerate(layers)}
    return sorted(layers, key=lambda layer: (number[layer.index], kinds.index(layer.kind)))


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=named.ROOT / "benchmarks" / "results" / "gpu.json")
    parser.add_argument("--minutes", type=float, default=7.0)
    parser.add_argument("--kinds", nargs="*")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--layers", type=Path, help="another file like benchmarks/layers.json")
    parser.add_argument("--small", action="store_true", help="what the simulator can run")
    options = parser.parse_args(argv)
    report: dict[str, Any] = {
        "card": {},
        "checks": [],
        "checks_missed": 0,
        "signals": [],
        "signals_missed": 0,
        "layers": [],
        "layers_missed": 0,
    }
    budget = Budget(60 * options.minutes, options.out, report)

    from numba import cuda

    if not cuda.is_available():
        budget.last.cancel()
        raise SystemExit("no CUDA device: nothing to measure")
    scale = SMALL if options.small else Scale()
    report["card"] = machine = card(scale)
    print(json.dumps(machine), flush=True)
    report["checks"], report["checks_missed"] = gpu_checks.run_checks(lambda: budget.left(CHECKS), options.small)
    wrong = [c for c in report["checks"] if c["ok"] is False]
    print(f"{len(report['checks'])} checks, {len(wrong)} wrong, no time for {report['checks_missed']}", *wrong, sep="\n  ", flush=True)
    budget.write()
    report["signals"], report["signals_missed"] = time_signals(machine, scale, lambda: budget.left(SIGNALS))
    for layer in in_turn(named.load(options.batch, options.kinds, path=options.layers)):
        if not budget.left():
            report["layers_missed"] += 1
            continue
        report["layers"].append(time_layer(layer, machine, scale))
        print(json.dumps(report["layers"][-1]), flush=True)
        budget.write()
    budget.last.cancel()
    budget.write()
    bad = [
        row
        for row in (*report["signals"], *(v for r in report["layers"] for v in r.values() if isinstance(v, dict)))
        if not row.get("right", False)
    ]
    return 1 if wrong or bad else 0


if __name__ == "__main__":
    sys.exit(main())
