"""The model of the CUDA kernels on every named layer: benchmarks/results/cuda_roofline.json, of which report.py makes docs/gpu-roofline.md.

    python benchmarks/cuda_roofline.py            needs the extra `cuda`, no GPU

Predictions for one sample on an H100 by its data sheet, the very numbers by which the plan chooses (`numconv.cuda.costs`): no measurements.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import layers as named  # noqa: E402  (puts the checkout on the path)

RESULT = named.ROOT / "benchmarks" / "results" / "cuda_roofline.json"
#: column → direction (None: the layer's own), dtype, precision
COLUMNS = {
    "float32": (None, "float32", "highest"),
    "tf32": (None, "float32", "tf32"),
    "float16": (None, "float16", "highest"),
    "weights float32": ("weight_grad", "float32", "highest"),
    "weights float16": ("weight_grad", "float16", "highest"),
}


def problem(layer: Any, dtype: str, precision: str, direction: str | None = None) -> Any:
    from numconv.problem import ConvProblem

    spatial, outputs = (layer.outputs, layer.spatial) if layer.transposed else (layer.spatial, layer.outputs)
    channels = (layer.out_channels, layer.in_channels) if layer.transposed else (layer.in_channels, layer.out_channels)
    own = "input_grad" if layer.transposed else "forward"
    return ConvProblem(
        direction or own, 1, *channels, layer.groups, spatial, layer.kernel, layer.stride, tuple(lo for lo, _ in layer.pads), layer.dilation,
        outputs, dtype, dtype, bias=direction is None, precision=precision,
    )  # fmt: skip


def roof(p: Any, machine: Any) -> float:
    """Seconds at the card's peaks: products of this type, or bytes moved once."""
    from numconv.cuda import costs
    from numconv.cuda.stages.cost import RATE

    tensor = p.dtype != "float32" or p.precision == "tf32"
    peak = machine.flops * (RATE[p.dtype] if tensor else 1.0)
    return max(costs.operations(p) / peak, costs.traffic(p) / machine.bandwidth)


def estimates(direction: str) -> dict[str, Callable[..., Any]]:
    """Of the rows that choose a tile and parts: the function that chooses."""
    from numconv.cuda.dense.tensor_cores import plan as tensor_cores
    from numconv.cuda.stages.implicit_gemm import plan as cuda_cores
    from numconv.cuda.weight_grad.cuda_cores import plan as weights
    from numconv.cuda.weight_grad.tensor_cores import plan as tensor_weights

    of_weights = direction == "weight_grad"
    plain: Callable[..., Any] = weights.estimate if of_weights else cuda_cores.estimate
    tensor: Callable[..., Any] = tensor_weights.estimate if of_weights else tensor_cores.estimate
    return {"implicit_gemm": plain, "gather": plain, "tensor_core": tensor, "tensor_core_tf32": tensor}


def choice(p: Any, machine: Any, table: Any) -> dict[str, Any]:
    """What the plan picks, what it would have taken otherwise, and the model's numbers of the pick."""
    from numconv.cuda import costs
    from numconv.plan import make_plan

    plan = make_plan(p, machine, table)
    seconds = {c.kernel.name: c.seconds for c in plan.candidates if c.seconds is not None and c.kernel.automatic}
    kernel = plan.kernel
    found: dict[str, Any] = {
        "kernel": kernel.name,
        "microseconds": {name: round(1e6 * s, 2) for name, s in sorted(seconds.items(), key=lambda pair: pair[1])},
        "roof_microseconds": round(1e6 * roof(p, machine), 3),
        "share_of_roof": round(roof(p, machine) / seconds[kernel.name], 3),
    }
    estimate = estimates(p.direction).get(kernel.name)
    if estimate is not None:
        e: costs.Estimate = estimate(p, machine)
        found |= {
            "tile": list(e.tile), "parts": e.parts, "blocks": e.blocks, "waves": e.waves, "mflop": round(e.flops / 1e6, 3),
            "megabytes": round(e.bytes / 1e6, 6), "bound": e.bound,
        }  # fmt: skip
    return found


def model() -> dict[str, Any]:
    from numconv.cuda import costs
    from numconv.cuda.table import ROWS

    machine = costs.H100
    rows = []
    for layer in named.load(batch=1):
        row: dict[str, Any] = {
            "shape": layer.shape,
            "kind": layer.kind,
            "mflop": round(layer.flops / 1e6, 3),
            "bytes_float32": layer.bytes(),
        }
        for column, (direction, dtype, precision) in COLUMNS.items():
            row[column] = choice(problem(layer, dtype, precision, direction), machine, ROWS)
        rows.append(row)
    card = {
        "multiprocessors": machine.cores, "flops": machine.flops, "bandwidth": machine.bandwidth, "launch_seconds": machine.launch,
        "second_cache_over_memory": costs.SECOND_CACHE, "block_seconds": costs.BEGIN,
    }  # fmt: skip
    return {"measured": False, "card": card, "layers": rows}


def main() -> None:
    RESULT.write_text(json.dumps(model(), indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
