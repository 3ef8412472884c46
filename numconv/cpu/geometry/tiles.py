"""What every choice of tile and box is made of: rounding, even parts, and what a register tile costs by its instructions."""

from __future__ import annotations

from bisect import bisect
from typing import Any

import numpy as np

from ...kernel import Machine

# cycles at the clock that Machine.flops assumes; Zen 4, 2026-11-24, and Zen 3, 2026-11-28 (decisions 27, 32)
CYCLES_PER_STEP = 0.87  # one step: as many multiply-adds as a core starts at once
CHAIN_STEPS = 4.0  # from one multiply-add of a sum to the next
CYCLES_PER_INSTRUCTION = 0.29  # of a tile's loop; binds where no broadcast is folded into a multiply-add (Zen 3)
LOOP_INSTRUCTIONS = 3  # of a term beside its loads and multiply-adds
EVEN_PARTS = sorted({m << s for m in (1, 3, 4, 5, 6, 7) for s in range(40)})  # their numbers
SMALL_PROBLEM = 3e5  # multiply-adds of a problem that its call costs more than: few tile shapes, since each is seconds of compilation


def up(value: int, multiple: int) -> int:
    """The least multiple that is no less."""
    return -(-value // multiple) * multiple


def over(extent: Any, part: Any) -> Any:
    """How many parts, of arrays of integers held as floats."""
    return np.ceil(extent / part)


def parts(extent: int, least: int = 1) -> list[int]:
    """Even parts of an extent, at least `least` long where it is: by every small number, then by some of each power of two."""
    counts = EVEN_PARTS[: bisect(EVEN_PARTS, max(1, extent // least))]
    return sorted({-(-extent // k) for k in counts} | ({1} if least == 1 else set()))


def term_cycles(rows: int, vectors: int, machine: Machine, loads: float = 0.0, more: float = 0.0) -> float:
    """Cycles a term of a register tile: its multiply-adds, the one chain of each sum, or its loads, and `more`; or its instructions."""
    sums = rows * vectors
    steps = max(sums / machine.multiply_adds, CHAIN_STEPS, loads)
    return max(CYCLES_PER_STEP * steps + more, CYCLES_PER_INSTRUCTION * (sums + rows + vectors + LOOP_INSTRUCTIONS))
