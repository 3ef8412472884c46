"""Random convolutions against the oracle, exactly, for as many seconds as asked: `python tests/slow/fuzz_cpu.py SECONDS [SEED [VECTOR_BYTES REGISTERS]]`."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]
import reference

from numconv.cpu.machine import detect
from numconv.cpu.table import table
from numconv.kernel import DEFAULTS
from numconv.problem import ConvProblem

TYPES = (np.float32, np.float32, np.float64, np.int32, np.int64)


def case(rng: np.random.Generator) -> tuple[ConvProblem, tuple, np.ndarray] | None:
    r = int(rng.integers(1, 4))
    g = int(rng.integers(1, 4))
    ci, co = g * int(rng.integers(1, 20)), g * int(rng.integers(1, 30))
    if rng.integers(5) == 0:
        g = co = ci

    def draw(low: int, high: int) -> tuple[int, ...]:
        return tuple(int(v) for v in rng.integers(low, high, r))

    k, s, d, sp = draw(1, 5), draw(1, 5), draw(1, 4), draw(1, {1: 300, 2: 30, 3: 10}[r])
    pads = [(int(a), int(b)) for a, b in rng.integers(0, 4, (r, 2))]
    dtype = TYPES[rng.integers(len(TYPES))]
    x = rng.integers(-4, 5, (int(rng.integers(1, 3)), ci, *sp)).astype(dtype)
    bias = rng.integers(-3, 4, co).astype(dtype) if rng.integers(2) else None
    act = "relu" if rng.integers(2) else None
    common = dict(dtype=x.dtype.name, out_dtype=x.dtype.name, bias=bias is not None, activation=act)
    low = tuple(p[0] for p in pads)
    if rng.integers(2):
        w = rng.integers(-4, 5, (ci, co // g, *k)).astype(dtype)
        extra = tuple(int(rng.integers(0, max(a, b))) for a, b in zip(s, d, strict=True))
        sizes = tuple(
            (i - 1) * st - lo - hi + dd * (kk - 1) + 1 + q for i, (lo, hi), dd, kk, st, q in zip(sp, pads, d, k, s, extra, strict=True)
        )
        if min(sizes) < 1:
            return None
        p = ConvProblem("input_grad", len(x), co, ci, g, sizes, k, s, low, d, sp, **common)
        return (
            p,
            (x, w, bias),
            reference.conv_transpose(x, w, bias, stride=s, pads=pads, output_padding=extra, groups=g, dilation=d, activation=act),
        )
    w = rng.integers(-4, 5, (co, ci // g, *k)).astype(dtype)
    outputs = tuple((i + lo + hi - dd * (kk - 1) - 1) // st + 1 for i, (lo, hi), dd, kk, st in zip(sp, pads, d, k, s, strict=True))
    if any(i + lo + hi < dd * (kk - 1) + 1 for i, (lo, hi), dd, kk in zip(sp, pads, d, k, strict=True)):
        return None
    mode = "zeros"
    if rng.integers(3) == 0 and min(i - max(q) for i, q in zip(sp, pads, strict=True)) > 0:
        mode = ("reflect", "replicate", "circular", "symmetric")[rng.integers(4)]
    p = ConvProblem("forward", len(x), ci, co, g, sp, k, s, low, d, outputs, padding_mode=mode, **common)
    return p, (x, w, bias), reference.conv(x, w, bias, stride=s, pads=pads, dilation=d, groups=g, padding_mode=mode, activation=act)


def main(seconds: float, seed: int, machine: object) -> None:
    rng = np.random.default_rng(seed)
    end, counts = time.monotonic() + seconds, dict.fromkeys((row.name for row in table()), 0)
    while time.monotonic() < end:
        drawn = case(rng)
        if drawn is None:
            continue
        p, (x, w, bias), expected = drawn
        last = p.with_(layout="channels_last"), np.ascontiguousarray(np.moveaxis(x, 1, -1)), np.moveaxis(expected, 1, -1)
        for row, (q, image, wanted) in product(table(), ((p, x, expected), last)):
            fields = {"padding_mode", "layout"} - row.honours  # the device pads and turns before
            asked = all(getattr(q, name) == DEFAULTS[name] for name in fields)
            if row.problem is ConvProblem and row.error_factor == 1 and asked and row.refuses(q) is None:
                out = np.empty(q.result_shape, x.dtype)
                row.run(q, (image, row.pack(q, w, machine), bias), out, machine)
                assert out.shape == wanted.shape and (out == wanted).all(), (row.name, q)
                counts[row.name] += 1
    print({k: v for k, v in counts.items() if v})


if __name__ == "__main__":
    machine = detect()
    if len(sys.argv) > 3:
        machine = replace(machine, vector_bytes=int(sys.argv[3]), registers=int(sys.argv[4]))
    main(float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0, machine)
