"""Time in the convolutions of whole networks, by numconv and by onnxruntime: each in a process of its own, in turn, on the same threads.

    PYTHONPATH=… python benchmarks/networks.py [--threads 1 2] [--rounds 3]      # writes results/networks.json

The models are those of the wheels that examples/ names.  Of each convolution the least time of all runs counts, and they are summed:
numconv's with what it has folded in (activations, scales); onnxruntime's as it profiles its kernels, without its reorders of layouts.
Where onnxruntime runs nodes of their own for what numconv folds, the same work is its convolutions and these nodes: both sums are kept.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import machine
import numpy as np

RESULTS = Path(__file__).parent / "results" / "networks.json"
RUNS = 20  # of a network in a round; the first is left out
KERNEL = "_kernel_time"  # how onnxruntime's profile ends the name of a node's own time
ALSO = "also "
CONVOLUTIONS = ("Conv", "ConvTranspose", "FusedConv")
#: (name, wheel, file in it, {input: shape, or a whole number})
MODELS: tuple[tuple[str, str, str, dict[str, tuple[int, ...] | int]], ...] = (
    ("PP-OCRv4 detector, 320×480", "rapidocr_onnxruntime", "models/ch_PP-OCRv4_det_infer.onnx", {"x": (1, 3, 320, 480)}),
    ("PP-OCRv4 reader, 48×320", "rapidocr_onnxruntime", "models/ch_PP-OCRv4_rec_infer.onnx", {"x": (1, 3, 48, 320)}),
    ("PP-OCR classifier, 48×192", "rapidocr_onnxruntime", "models/ch_ppocr_mobile_v2.0_cls_infer.onnx", {"x": (1, 3, 48, 192)}),
    ("Silero VAD, 20 chunks", "silero_vad", "data/silero_vad_16k_sequence.onnx", {"input": (20, 576), "h": (1, 1, 128), "c": (1, 1, 128)}),
    ("Basic Pitch, 2 s", "basic_pitch", "saved_models/icassp_2022/nmp.onnx", {"serving_default_input_2:0": (1, 43844, 1)}),
)


def inputs(shapes: dict[str, tuple[int, ...] | int]) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {k: np.array(s) if isinstance(s, int) else 0.1 * rng.standard_normal(s, "float32") for k, s in shapes.items()}


def path_of(wheel: str, file: str) -> Path:
    found = find_spec(wheel)
    assert found is not None and found.origin is not None
    return Path(found.origin).parent / file


def by_numconv(path: Path, x: dict[str, Any], threads: int) -> tuple[dict[str, float], float]:
    """Least seconds of each convolution, and of the whole network."""
    import numba

    from numconv import onnx
    from numconv.onnx.operators import Conv, ConvTranspose

    numba.set_num_threads(threads)
    least: dict[str, float] = {}

    def timed(run: Callable[..., Any]) -> Callable[..., Any]:
        def call(self: Any, *arguments: Any, **options: Any) -> Any:
            start = time.perf_counter()
            found = run(self, *arguments, **options)
            seconds = time.perf_counter() - start
            least[self.output[0]] = min(seconds, least.get(self.output[0], seconds))
            return found

        return call

    network = onnx.prepare(path)
    network.run(x)
    for kind in (Conv, ConvTranspose):
        kind._run = timed(kind._run)  # type: ignore[method-assign]
    return least, _least(lambda: network.run(x))


def by_onnxruntime(path: Path, x: dict[str, Any], threads: int) -> tuple[dict[str, float], float]:
    """Beside the convolutions, under names that begin with `ALSO`, the nodes that numconv folds into them."""
    import onnx
    import onnxruntime

    from numconv.onnx.graph import simplified

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = threads, 1, 3
    plain = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    whole = _least(lambda: plain.run(None, x))
    with tempfile.TemporaryDirectory() as folder:
        options.enable_profiling, options.profile_file_prefix = True, os.path.join(folder, "profile")
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        _least(lambda: session.run(None, x))
        events = json.loads(Path(session.end_profiling()).read_text())
    model = onnx.load(path)
    folded = {node.name for node in model.graph.node} - {node.name for node in simplified(model).graph.node}
    least: dict[str, float] = {}
    for event in events:
        if event.get("cat") != "Node" or not event["name"].endswith(KERNEL):
            continue
        name, kind = event["name"].removesuffix(KERNEL), event["args"]["op_name"]
        key = name if kind in CONVOLUTIONS else ALSO + name if name in folded else ""
        if key:
            least[key] = min(1e-6 * event["dur"], least.get(key, 1.0))
    return least, whole


def _least(run: Callable[[], Any]) -> float:
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times[1:])


LIBRARIES = {"numconv": by_numconv, "onnxruntime": by_onnxruntime}


def measured(threads: int, rounds: int) -> list[dict[str, Any]]:
    found = []
    for i, (name, wheel, _, _) in enumerate(MODELS):
        if find_spec(wheel) is None:
            print(f"{name}: the wheel {wheel} is not installed", file=sys.stderr)
            continue
        least: dict[str, dict[str, float]] = {library: {} for library in LIBRARIES}
        whole = dict.fromkeys(LIBRARIES, 1e9)
        for _ in range(rounds):
            for library in LIBRARIES:
                command = [sys.executable, __file__, "--threads", str(threads), "--one", library, str(i)]
                run = subprocess.run(
                    command, capture_output=True, text=True, check=True, env=os.environ | {"OPENBLAS_NUM_THREADS": str(threads)}
                )
                each, seconds = json.loads(run.stdout.splitlines()[-1])
                whole[library] = min(whole[library], seconds)
                least[library] = {k: min(v, least[library].get(k, v)) for k, v in each.items()}
        row: dict[str, Any] = {"model": name, "threads": threads}
        for library in LIBRARIES:
            own = [v for k, v in least[library].items() if not k.startswith(ALSO)]
            row[library] = {"convolutions": len(own), "ms": 1e3 * sum(own), "network_ms": 1e3 * whole[library]}
        row["onnxruntime"]["same_work_ms"] = 1e3 * sum(least["onnxruntime"].values())
        row |= {
            "ratio": row["numconv"]["ms"] / row["onnxruntime"]["ms"],
            "same_work": row["numconv"]["ms"] / row["onnxruntime"]["same_work_ms"],
        }
        found.append(row)
        print(f"{name}, {threads} threads: {row['ratio']:.2f} of its convolutions, {row['same_work']:.2f} of the same work", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", nargs=2, metavar=("LIBRARY", "MODEL"), help="one process of a measurement: prints JSON")
    options = parser.parse_args()
    if options.one:
        _, wheel, file, shapes = MODELS[int(options.one[1])]
        print(json.dumps(LIBRARIES[options.one[0]](path_of(wheel, file), inputs(shapes), options.threads[0])))
        return
    rows = [row for threads in options.threads for row in measured(threads, options.rounds)]
    RESULTS.write_text(json.dumps(machine.describe(max(options.threads)) | {"rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
