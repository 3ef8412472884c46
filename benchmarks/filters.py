"""Filters of images, signals and volumes: numconv beside SciPy (sums and transforms), OpenCV, torch and NumPy.

    python benchmarks/filters.py [--quick] [--kind image gaussian …] [--out benchmarks/results/filters.json]

Each library runs in a process of its own, with the same number of threads.  Results are compared first.  Then the libraries take turns: a
block of calls each, after a pause in which no one's threads spin, the first call of a block thrown away; so for some rounds.  The time is the
median over the kept calls, or the least (`--best`: for a machine that others use too).  A ratio is the best peer's time / our time.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import geometric_mean, median
from typing import Any

import layers  # noqa: F401  (puts the checkout on the path)
import machine
import numpy as np
from filter_cases import LIBRARIES, Case, call, cases, check

PAUSE = 0.02  # seconds before a block
ROUNDS = 3
MOST_CALLS = 200  # of a block
SLOW = 4  # times as slow as the best peer: not asked again


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="a fifth of the cases, in a minute or two")
    parser.add_argument("--kind", nargs="*", help="only these kinds")
    parser.add_argument("--seconds", type=float, default=0.4, help="time budget of a library and case")
    parser.add_argument("--best", action="store_true", help="least time of each in place of the median")
    parser.add_argument("--out", type=Path, help="write the results here as JSON")
    parser.add_argument("--library", choices=LIBRARIES, help=argparse.SUPPRESS)  # a worker
    return parser.parse_args(argv)


def work(library: str, threads: int) -> None:
    """A worker: each line of input is a case and what to do with it; answers by a line."""
    bound: Any = None
    for line in sys.stdin:
        asked = json.loads(line)
        answer: Any = None
        if asked["do"] == "prepare":
            bound = call(library, Case(*asked["case"]), threads)
            if bound is not None:
                np.save(asked["path"], np.asarray(bound()))
            answer = bound is not None
        else:
            answer = block(bound, asked["seconds"])
        print(json.dumps(answer), flush=True)


def block(function: Any, seconds: float) -> list[float]:
    """Seconds of each kept call."""
    time.sleep(PAUSE)
    clock = time.perf_counter
    times: list[float] = []
    start = clock()
    function()
    end = start + seconds
    while not times or (clock() < end and len(times) < MOST_CALLS):
        t = clock()
        function()
        times.append(clock() - t)
    return times


class Worker:
    """A library in its process."""

    def __init__(self, library: str, threads: int) -> None:
        command = [sys.executable, __file__, "--library", library, "--threads", str(threads)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, **what: Any) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps(what), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        assert line, f"{self.process.args!r} ended"
        return json.loads(line)

    def close(self) -> None:
        self.process.communicate()


def measure(case: Case, workers: dict[str, Worker], folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Compare, then take turns."""
    taking = [name for name, w in workers.items() if w.ask(do="prepare", case=case, path=str(folder / f"{name}.npy"))]
    ours = np.load(folder / "numconv.npy")
    for name in taking[1:]:
        theirs = np.load(folder / f"{name}.npy")
        check(case, ours, np.clip(theirs, *_range(ours)) if ours.dtype.kind in "iu" else theirs)
    times: dict[str, list[float]] = {name: [] for name in taking}
    for turn in range(ROUNDS):
        for name in taking:
            least = min((min(times[n]) for n in taking if n != "numconv" and times[n]), default=0.0)
            if turn and name != "numconv" and min(times[name]) > SLOW * least:
                continue
            times[name] += workers[name].ask(do="time", seconds=options.seconds / ROUNDS)
    middle = min if options.best else median
    found = {name: middle(kept) for name, kept in times.items()}
    peer = min((n for n in found if n != "numconv"), key=lambda n: found[n])
    return {
        "kind": case.kind,
        "size": case.size,
        "taps": case.taps,
        "dtype": case.dtype,
        "ms": {name: 1e3 * t for name, t in found.items()},
        "best_peer": peer,
        "ratio": found[peer] / found["numconv"],
    }


def _range(like: np.ndarray[Any, Any]) -> tuple[int, int]:
    found = np.iinfo(like.dtype)
    return int(found.min), int(found.max)


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Geometric mean and worst: of all, of each kind and type, and against SciPy's own functions."""
    groups: dict[str, list[float]] = {"all": [r["ratio"] for r in rows]}
    for row in rows:
        groups.setdefault(f"{row['kind']}, {row['dtype']}", []).append(row["ratio"])
    scipy = [
        min(r["ms"][n] for n in ("scipy", "scipy_fft") if n in r["ms"]) / r["ms"]["numconv"]
        for r in rows
        if {"scipy", "scipy_fft"} & set(r["ms"])
    ]
    groups["against SciPy alone"] = scipy
    return {
        name: {"cells": len(values), "ratio": geometric_mean(values), "worst": min(values)} for name, values in groups.items() if values
    }


def main(argv: list[str] | None = None) -> int:
    options = arguments(argv)
    if options.library:
        work(options.library, options.threads)
        return 0
    header, rows = machine.describe(options.threads), []
    workers = {name: Worker(name, options.threads) for name in LIBRARIES}
    try:
        with tempfile.TemporaryDirectory() as folder:
            for case in cases(options.quick):
                if options.kind and case.kind not in options.kind:
                    continue
                row = measure(case, workers, Path(folder), options)
                rows.append(row)
                others = "  ".join(f"{name} {ms:.3f}" for name, ms in row["ms"].items() if name != "numconv")
                print(f"{case!s:<36} {row['ms']['numconv']:>9.3f} ms  ratio {row['ratio']:>6.2f}   {others}", flush=True)
    finally:
        for worker in workers.values():
            worker.close()
    found = summary(rows)
    for name, group in found.items():
        print(f"{name:<24} {group['cells']:>4} cells  ratio {group['ratio']:.2f}  worst {group['worst']:.2f}")
    if options.out:
        middle = "least" if options.best else "median"
        options.out.write_text(json.dumps({"what": "filters", **header, "time": middle, "rows": rows, "summary": found}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
