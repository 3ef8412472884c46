"""The contest for training: input and weight gradients of the named layers through `nc.vjp`, against torch's convolution_backward.

    python benchmarks/backward.py --threads 2 --out benchmarks/results/backward.json

Rules as in peers.py; gradients are compared first.  Every timed call is the first of a new pullback, as in training: one that is called again
would have its weights packed already.  The forward calls between are not timed.  Layers with uneven padding are left out: torch pads them in an operator of its own.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import layers
import machine
import numpy as np
from layers import Layer
from peers import contest, summary


def measure(layer: Layer, seconds: float) -> dict[str, Any]:
    """Check, then time."""
    import torch

    import numconv as nc

    x, w, _ = layer.arrays()
    options: dict[str, Any] = {"stride": layer.stride, "padding": layer.pads, "dilation": layer.dilation, "groups": layer.groups}
    if layer.transposed:
        options["output_padding"] = layer.output_padding
    function = getattr(nc, f"conv{'_transpose' if layer.transposed else ''}{layer.rank}d")
    made: dict[str, Any] = {}

    def forward() -> None:
        made["y"], made["pullback"] = nc.vjp(function, x, w, **options)

    forward()
    dy = np.random.default_rng(1).standard_normal(made["y"].shape, "float32")
    tx, tw, ty = map(torch.from_numpy, (x, w, dy))
    low = [lo for lo, _ in layer.pads]
    out_pad = list(layer.output_padding) if layer.transposed else [0] * layer.rank

    def theirs() -> Any:
        return torch.ops.aten.convolution_backward(
            ty, tx, tw, None, layer.stride, low, layer.dilation, layer.transposed, out_pad, layer.groups, [True, True, False]
        )

    def ours() -> Any:
        return made["pullback"](dy)

    for mine, other in zip(ours(), theirs()[:2], strict=True):
        assert np.abs(mine - other.numpy()).max() <= 1e-4 * np.abs(other.numpy()).max(), layer.shape
    times = contest(theirs, ours, seconds, forward)
    a, b = (float(np.median(t)) for t in times)
    return {
        "index": layer.index, "shape": layer.shape, "kind": layer.kind, "peer_ms": 1e3 * a, "ours_ms": 1e3 * b, "ratio": a / b,
        "gflops": 2 * layer.flops / b / 1e9, "peer_gflops": 2 * layer.flops / a / 1e9,
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--index", type=int, nargs="*")
    parser.add_argument("--seconds", type=float, default=0.6)
    parser.add_argument("--layers", type=Path, help="another layers.json")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    import numba
    import torch

    torch.set_num_threads(options.threads)
    numba.set_num_threads(options.threads)
    header = machine.describe(options.threads)
    rows = []
    for layer in layers.load(None, None, options.index, options.layers):
        if all(lo == hi for lo, hi in layer.pads):
            rows.append(measure(layer, options.seconds))
            print("{index:>3}  {kind:<12} {shape:<38} {peer_ms:>9.3f} {ours_ms:>9.3f} {ratio:>6.2f}".format(**rows[-1]), flush=True)
    total = summary(rows)
    for kind, k in total["kinds"].items():
        print(f"{kind:<14} {k['layers']:>6} {k['ratio']:>6.2f} {k['worst']:>6.2f}")
    print(f"{'all':<14} {len(rows):>6} {total['ratio']:>6.2f} {total['worst']['ratio']:>6.2f}")
    if options.out:
        options.out.write_text(json.dumps({"what": "backward", **header, "summary": total, "layers": rows}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
