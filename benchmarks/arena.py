"""The arena: named layers in numconv, torch, onnxruntime and OpenVINO, each in a process of its own, in turn, against the best of them.

    python benchmarks/arena.py [--every 4] [--threads 1] [--batch 16] [--plain] [--layout channels_last] [--out results/arena.json]

Every library opens the layer and answers once; all answers are compared with torch's in float64.  Then blocks of calls rotate.  A block
begins when no thread of any other library runs: in one process, and without that wait, the threads of one spin on the cores of the next.
The first call of a block is thrown away; times are the least and the median of all kept calls.  Weights are packed before, except with
`--plain` (numconv and torch only: the others hold constants).  Channels last, the contest is with torch and with our own channels first.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import geometric_mean, median
from typing import Any

import layers
import machine
import numpy as np
from layers import Layer
from onnx_peer import model_of, with_onnxruntime

OURS = "numconv"
PATIENCE = 5.0  # seconds until a library's threads must have come to rest
GLANCE = 0.002  # seconds between two looks at them
WINOGRAD = 8.0  # an error factor that covers the peers' own Winograd


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--every", type=int, default=1, help="every n-th layer only")
    parser.add_argument("--index", type=int, nargs="*", help="only these layers")
    parser.add_argument("--kind", nargs="*", help="only these kinds")
    parser.add_argument("--batch", type=int, help="batch size in place of the layer's")
    parser.add_argument("--layout", default="channels_first", choices=("channels_first", "channels_last"))
    parser.add_argument("--plain", action="store_true", help="weights given in every call; against torch")
    parser.add_argument("--seconds", type=float, default=0.3, help="a layer, for each library")
    parser.add_argument("--blocks", type=int, default=5, help="of these seconds")
    parser.add_argument("--out", type=Path, help="write the results here as JSON")
    parser.add_argument("--serve", help=argparse.SUPPRESS)  # inside: the process of this library
    return parser.parse_args(argv)


def libraries(options: argparse.Namespace) -> tuple[str, ...]:
    if options.layout == "channels_last":
        return (OURS, "torch", "channels_first")
    return (OURS, "torch") if options.plain else (OURS, "torch", "onnxruntime", "openvino")


# what a library's process does


def with_openvino(layer: Layer, x: Any, w: Any, bias: Any, threads: int) -> Callable[[], Any]:
    import openvino

    core = openvino.Core()
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "ENABLE_CPU_PINNING": False}
    request = core.compile_model(core.read_model(model_of(layer, w, bias)), "CPU", settings).create_infer_request()
    return lambda: request.infer([x], share_inputs=True, share_outputs=True)[0]


def opened(library: str, layer: Layer, options: argparse.Namespace) -> tuple[Callable[[], Any], Callable[[Any], Any], dict[str, Any]]:
    """The call; its result as an array with channels first; what there is to tell about it."""
    x, w, bias = layer.arrays()
    last = options.layout == "channels_last"
    if library in (OURS, "channels_first"):
        layout = options.layout if library == OURS else library
        xs = np.ascontiguousarray(np.moveaxis(x, 1, -1)) if layout == "channels_last" else x
        name, factor, workspace = layers.algorithm(layer, xs, w, bias, layout)
        told = {"algorithm": name, "factor": factor, "workspace": workspace}
        call = layers.ours(layer, xs, w, bias, layout, prepacked=not options.plain)
        return call, lambda y: np.moveaxis(y, -1, 1) if layout == "channels_last" else y, told
    if library == "torch":
        import torch

        tensors = [torch.from_numpy(a) for a in (x, w, bias)]
        if last:
            tensors[0] = torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, 1, -1))).movedim(-1, 1)
        return layers.with_torch(layer, *tensors), lambda y: y.contiguous().numpy(), {}
    made = {"onnxruntime": with_onnxruntime, "openvino": with_openvino}[library]
    return made(layer, x, w, bias, options.threads), np.asarray, {}


def truth(layer: Layer) -> tuple[Any, Any]:
    """The result, and that of the absolute values, in float64."""
    import torch

    wide = [torch.from_numpy(a).double() for a in layer.arrays()]
    return layers.with_torch(layer, *wide)().numpy(), layers.with_torch(layer, *(a.abs() for a in wide))().numpy()


def block(call: Callable[[], Any], seconds: float) -> list[float]:
    """Seconds of each kept call."""
    clock = time.perf_counter
    times: list[float] = []
    call()
    end = clock() + seconds
    while not times or clock() < end:
        start = clock()
        call()
        times.append(clock() - start)
    return times


def serve(options: argparse.Namespace) -> None:
    """Answer requests, a line each, until there are none."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer
    if options.serve in (OURS, "channels_first"):
        import numba

        numba.set_num_threads(min(options.threads, numba.config.NUMBA_NUM_THREADS))
    elif options.serve == "torch":
        import torch

        torch.set_num_threads(options.threads)
        torch.set_grad_enabled(False)
    every = layers.load(options.batch)
    call: Callable[[], Any] = list
    for line in sys.stdin:
        what, value, path = json.loads(line)
        answer: Any = None
        try:
            if what == "open":
                call, as_array, answer = opened(options.serve, every[value], options)
                start = time.perf_counter()
                y = call()
                answer["first_call_s"] = time.perf_counter() - start
                np.save(path, as_array(y))
            elif what == "truth":
                np.save(path, np.stack(truth(every[value])))
            else:
                answer = block(call, value)
        except Exception as error:  # a library that does not serve a layer is left out of it
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


# what the judge does


class Player:
    """A library's process."""

    def __init__(self, library: str, argv: list[str]) -> None:
        command = [sys.executable, __file__, *argv, "--serve", library]
        self.library = library
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def ask(self, what: str, value: float, path: str = "") -> Any:
        assert self.process.stdin is not None and self.process.stdout is not None
        print(json.dumps([what, value, path]), file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())

    def rests(self) -> bool:
        """Whether none of its threads runs."""
        states = (path.read_text().rpartition(")")[2].split()[0] for path in Path(f"/proc/{self.process.pid}/task").glob("*/stat"))
        return "R" not in states

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def settle(players: list[Player]) -> None:
    """Until nobody runs."""
    end = time.perf_counter() + PATIENCE
    while not all(player.rests() for player in players):
        if time.perf_counter() > end:
            raise TimeoutError("a library's threads did not come to rest")
        time.sleep(GLANCE)


def measure(layer: Layer, players: list[Player], options: argparse.Namespace, folder: str) -> dict[str, Any]:
    """Open, compare, rotate."""
    row: dict[str, Any] = {"index": layer.index, "name": layer.name, "kind": layer.kind, "shape": layer.shape, "flops": layer.flops}
    path = f"{folder}/result.npy"
    referee = next(player for player in players if player.library == "torch")
    if problem := referee.ask("truth", layer.index, path):
        raise AssertionError(problem["error"])
    wanted, magnitude = np.load(path)
    able = []
    for player in players:
        told = row[player.library] = player.ask("open", layer.index, path)
        if "error" not in told:
            told["error_share"] = layers.check(layer, np.load(path), wanted, magnitude, "float32", max(WINOGRAD, told.pop("factor", 1)))
            able.append(player)
    kept: dict[str, list[float]] = {player.library: [] for player in able}
    for _ in range(options.blocks):
        for player in able:
            settle(players)
            kept[player.library] += player.ask("block", options.seconds / options.blocks)
    for library, times in kept.items():
        row[library] |= {"ms": 1e3 * min(times), "median_ms": 1e3 * median(times), "calls": len(times)}
    peers = {library: row[library]["ms"] for library in kept if library != OURS}
    row["best"] = min(peers, key=lambda library: peers[library])
    row["ratio"] = peers[row["best"]] / row[OURS]["ms"]
    return row


def summary(rows: list[dict[str, Any]], names: tuple[str, ...]) -> dict[str, Any]:
    """By kind and over all: geometric mean and worst against each peer and against the best."""

    def of(some: list[dict[str, Any]]) -> dict[str, Any]:
        each = {"best": [r["ratio"] for r in some]}
        each |= {name: [r[name]["ms"] / r[OURS]["ms"] for r in some if "ms" in r[name]] for name in names if name != OURS}
        found = {name: {"ratio": geometric_mean(v), "worst": min(v), "layers": len(v)} for name, v in each.items() if v}
        return found | {"ahead": sum(r["ratio"] >= 1 for r in some)}

    return {"all": of(rows), **{kind: of([r for r in rows if r["kind"] == kind]) for kind in dict.fromkeys(r["kind"] for r in rows)}}


def table(found: dict[str, Any], full: bool = False) -> str:
    """As Markdown, by kind; each layer too if `full`."""
    names = [name for name in found["summary"]["all"] if name not in ("best", "ahead")]
    heads = [f"{name} / numconv (worst)" for name in names]
    lines = [
        f"| layers | number | best of them / numconv | worst | ahead in | {' | '.join(heads)} |",
        "|---|---|---|---|---|" + "---|" * len(names),
    ]
    for kind, of in found["summary"].items():
        cells = [f"{of[name]['ratio']:.2f} ({of[name]['worst']:.2f})" if name in of else "" for name in names]
        best = of["best"]
        lines.append(f"| {kind} | {best['layers']} | {best['ratio']:.2f} | {best['worst']:.2f} | {of['ahead']} | {' | '.join(cells)} |")
    lines += ["", f"Least times. {machine.line(found)}, at a load of {found['load']:.1f}."]
    if full:
        lines += [
            "",
            f"| layer | kind | numconv ms | {' | '.join(f'{n} ms' for n in names)} | ratio | kernel |",
            "|---|---|---|" + "---|" * (len(names) + 2),
        ]
        for r in found["layers"]:
            times = " | ".join(f"{r[name]['ms']:.3f}" if "ms" in r[name] else "" for name in names)
            lines.append(f"| {r['shape']} | {r['kind']} | {r[OURS]['ms']:.3f} | {times} | {r['ratio']:.2f} | {r[OURS]['algorithm']} |")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    options = arguments(argv)
    if options.serve:
        serve(options)
        return 0
    header = machine.describe(options.threads)
    names = libraries(options)
    players = [Player(name, sys.argv[1:] if argv is None else argv) for name in names]
    rows, wrong = [], 0
    try:
        with tempfile.TemporaryDirectory() as folder:
            for layer in layers.load(options.batch, options.kind, options.index)[:: options.every]:
                try:
                    row = measure(layer, players, options, folder)
                except (AssertionError, NotImplementedError) as error:
                    wrong += 1
                    print(f"{layer.index:>3} {layer.kind:<12} {layer.shape:<38} {error}", flush=True)
                    continue
                times = "  ".join(f"{name} {row[name].get('ms', math.nan):9.3f}" for name in names)
                print(
                    f"{layer.index:>3} {layer.kind:<12} {layer.shape:<38} {times}  {row['ratio']:5.2f} {row[OURS]['algorithm']}", flush=True
                )
                rows.append(row)
    finally:
        for player in players:
            player.end()
    if not rows:
        return 1
    told = {k: str(v) if isinstance(v, Path) else v for k, v in vars(options).items() if k not in ("out", "serve")}
    found = {"what": "arena", **header, "options": told, "summary": summary(rows, names), "layers": rows}
    print(table(found))
    if options.out:
        options.out.write_text(json.dumps(found, indent=1) + "\n")
        print(f"written: {options.out}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
