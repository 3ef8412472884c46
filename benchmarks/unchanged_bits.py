"""The part `bits` of `unchanged.py`: hashes of results, and which cases to compute when compiling them all would take too long.

Results take milliseconds, the kernels behind them seconds each, in every checkout whose sources differ.  So a record also says which kernels
(with which types, in one thread or in several) each case has called, and a later record may ask for the cases of only so many of them.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import json
import math
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import unchanged_cases as cases

TYPE = re.compile(r"(?:float|int|complex)\d+")
Calls = dict[str, list[str]]  # label → kernels


def digest(arrays: list[Any]) -> str:
    state = hashlib.blake2b(digest_size=8)
    for array in arrays:
        if array is not None:
            array = np.asarray(array)
            state.update(f"{array.shape}{array.dtype}".encode())
            state.update(np.ascontiguousarray(array).tobytes())
    return state.hexdigest()


def labelled(rows: list[str]) -> list[tuple[str, int, cases.Computed]]:
    """Label, threads, what to run: one thread, every sixth case in two as well.  float32 in one thread first: most kernels are of that."""
    found = [
        (f"{row} | {case} | {threads} threads", threads, run)
        for row, case, run in cases.everything(rows)
        for threads in ((1, 2) if cases.number(case) % 6 == 0 else (1,))
    ]
    return sorted(found, key=lambda one: (one[1], "float32" not in one[0], cases.number(one[0])))


def bits(rows: list[str], seconds: float = math.inf, like: Path | None = None, kernels: int = 0) -> tuple[dict[str, str], Calls]:
    """Label → hash of the result, or the error that a user would see; and the kernels that it called."""
    import numba

    given = labelled(rows)
    if like is not None and kernels:
        chosen = few(json.loads(like.read_text())["calls"], {label for label, _, _ in given}, kernels)
        given = [one for one in given if one[0] in chosen]
    found: dict[str, str] = {}
    calls: Calls = {}
    start = told = time.perf_counter()
    with watched() as called:
        for done, (label, threads, run) in enumerate(given):
            now = time.perf_counter()
            if now - told > 30 or now - start > seconds:
                print(f"bits: {done} of {len(given)} in {now - start:.0f} s", file=sys.stderr, flush=True)
                told = now
            if now - start > seconds:
                break
            numba.set_num_threads(threads)
            called.clear()
            value = _value(run)
            if value.startswith("raises") and not label.startswith("auto"):
                continue  # this row does not serve the case: no label, which shows where there was one
            found[label], calls[label] = value, [f"{name} {TYPE.findall(label)[0]}" for name in sorted(called)]
    return found, calls


def _value(run: cases.Computed) -> str:
    try:
        return digest(run())
    except (TypeError, ValueError) as error:
        return f"raises {type(error).__name__}"


@contextlib.contextmanager
def watched() -> Iterator[set[str]]:
    """The kernels asked for since the set was last emptied, under numbers of this process."""
    from numconv import devices

    devices.device("cpu").table()
    kind: Any = next(type(o) for o in gc.get_objects() if type(o).__name__ == "ParallelKernel")
    before, called, known = {m: vars(kind)[m] for m in ("serial", "parallel")}, set[str](), dict[int, tuple[int, Any]]()

    def noting(mode: str) -> property:
        def ask(self: Any) -> Any:
            index, _ = known.setdefault(id(self), (len(known), self))  # kept, or its address might serve another
            called.add(f"{self.function.__name__} {index} {mode}")
            return before[mode].__get__(self, kind)

        return property(ask)

    for mode in before:
        setattr(kind, mode, noting(mode))
    try:
        yield called
    finally:
        for mode, found in before.items():
            setattr(kind, mode, found)


def few(calls: Calls, labels: set[str], most: int) -> set[str]:
    """Of these labels many that need few kernels between them: those that add most labels for each kernel first."""
    needs = {label: frozenset(kernels) for label, kernels in calls.items() if label in labels}
    counts, compiled = Counter(needs.values()), frozenset[str]()
    while True:
        left = [s for s in counts if not s <= compiled and len(compiled | s) <= most]
        if not left:
            return {label for label, need in needs.items() if need <= compiled}
        gain = {s: sum(n for need, n in counts.items() if need <= compiled | s) / len(s - compiled) for s in left}
        best: frozenset[str] = max(left, key=lambda s: (gain[s], sorted(s)))
        compiled |= best
