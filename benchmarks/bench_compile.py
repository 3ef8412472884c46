"""What a user waits for before the first result: import, first call cold and with a warm cache, each in a process of its own.

python benchmarks/bench_compile.py [--out results/compile.json]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import machine

CALL = """
import time
start = time.perf_counter()
import numpy as np
numpy_done = time.perf_counter()
import numconv as nc
imported = time.perf_counter()
x, w = np.ones({x}, "float32"), np.ones({w}, "float32")
nc.{function}(x, w, **{options})
first = time.perf_counter()
nc.{function}(x, w, **{options})
print(imported - numpy_done, first - imported, time.perf_counter() - first)
"""
CASES: dict[str, dict[str, Any]] = {
    "3×3, 64 channels": {"function": "conv2d", "x": (1, 64, 56, 56), "w": (64, 64, 3, 3), "options": {"padding": 1}},
    "tiny 3×3": {"function": "conv2d", "x": (1, 1, 8, 8), "w": (1, 1, 3, 3), "options": {}},
    "depthwise": {"function": "conv2d", "x": (1, 64, 56, 56), "w": (64, 1, 3, 3), "options": {"padding": 1, "groups": 64}},
    "transposed": {"function": "conv_transpose2d", "x": (1, 64, 28, 28), "w": (64, 32, 4, 4), "options": {"stride": 2, "padding": 1}},
}


def seconds(case: dict[str, Any], cache: str) -> list[float]:
    """Import, first call, second call."""
    environment = {**os.environ, "XDG_CACHE_HOME": cache, "LOCALAPPDATA": cache, "PYTHONPATH": str(machine.ROOT)}
    run = subprocess.run(
        [sys.executable, "-c", CALL.format(**case)], capture_output=True, text=True, check=True, env=environment, cwd=cache
    )
    return [float(v) for v in run.stdout.split()]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(argv)
    sys.path.insert(0, str(machine.ROOT))
    found: dict[str, dict[str, Any]] = {}
    imports = []
    for name, case in CASES.items():
        with tempfile.TemporaryDirectory() as cache:
            cold = seconds(case, cache)
            warm = [seconds(case, cache) for _ in range(3)]
        imports += [w[0] for w in warm]
        found[f"first call, cold: {name}"] = {"value": cold[1], "unit": "s"}
        found[f"first call, warm cache: {name}"] = {"value": median(w[1] for w in warm), "unit": "s"}
        print(f"{name:<20} cold {cold[1]:6.2f} s, warm {found[f'first call, warm cache: {name}']['value']:6.3f} s", flush=True)
    found = {"import numconv, after NumPy": {"value": median(imports), "unit": "s"}, **found}
    print(f"import numconv after numpy: {median(imports):.3f} s")
    if options.out:
        options.out.write_text(json.dumps({"what": "compile", **machine.describe(1), "figures": found}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
