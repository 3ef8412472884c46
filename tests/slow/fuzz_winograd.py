"""Random convolutions by every choice of Winograd's axes and transforms, in scratch full of NaN, against the oracle: python tests/slow/fuzz_winograd.py SECONDS [SEED]

`auto` takes one choice for a problem; a mistake in another waits for the machine whose costs prefer it.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parents[i]) for i in (1, 2)]

from test_cpu_winograd import LAYOUTS, MACHINE, arrays, expected, forget, problem, run

from numconv.cpu.adapt.mirror import refusal
from numconv.cpu.winograd import plan as winograd_blocking
from numconv.cpu.winograd import rows as winograd
from numconv.cpu.winograd.axes import choices

TILE = (6, 2) if MACHINE.registers == 16 else (12, 2)  # one: each is seconds of compilation for each pair of transforms


def draw(rng: np.random.Generator) -> Any:
    """A case as test_cpu_winograd has them."""
    rank = int(rng.integers(1, 4))
    kernel = tuple(int(k) for k in rng.choice([1, 2, 3, 3, 4, 5, 7], rank))
    dilation = tuple(int(d) for d in rng.choice([1, 1, 1, 2, 3], rank))
    stride = tuple(int(s) for s in rng.choice([1, 1, 1, 2], rank))
    padding = tuple(int(rng.integers(0, d * (k // 2) + 1)) for k, d in zip(kernel, dilation, strict=True))
    spatial = tuple(int(d * (k - 1) + 1 + rng.integers(0, 24 if rank > 1 else 200)) for k, d in zip(kernel, dilation, strict=True))
    groups = int(rng.choice([1, 1, 2]))
    return groups * int(rng.integers(4, 40)), groups * int(rng.integers(1, 60)), groups, spatial, kernel, padding, dilation, stride


def check(case: Any, layout: str, pick: int) -> str:
    p = problem(case, 2, layout)
    if refusal(p) or not choices(p):
        return ""
    one = p.with_(batch=1)
    x = choices(one)[pick % len(choices(one))]
    choice = winograd_blocking.best(one, MACHINE, 1, x, TILE)
    forget()
    winograd_blocking.chosen = lambda *_: choice  # type: ignore[assignment]
    a, w, bias = arrays(p, True)
    exact = expected(p, a, w, bias, "relu")
    for weights in (w, winograd.pack(p, w, MACHINE)):
        y = run(p, a, weights, bias)
        # a wrong tap or plane is off by whole numbers; NaN fails too.  The sharp bounds are those of test_cpu_winograd
        if not np.abs(y - exact).max() <= 2e-4 * max(100.0, np.abs(exact).max()):
            raise SystemExit(f"WRONG: {case} {layout} {choice.kinds} {choice.tile}, packed {weights is not w}: {np.abs(y - exact).max()}")
    return f"{choice.kinds}"


def main() -> None:
    seconds, seed = float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    rng, end, count, kinds = np.random.default_rng(seed), time.monotonic() + seconds, 0, set()
    while time.monotonic() < end:
        found = check(draw(rng), LAYOUTS[int(rng.integers(2))], int(rng.integers(100)))
        count, kinds = count + bool(found), kinds | {found}
    print(f"{count} cases, seed {seed}, no difference; transforms {sorted(kinds - {''})}")


if __name__ == "__main__":
    main()
