"""What `filters` is predicted to take; constants of a Sapphire Rapids with two cores, 2026-12-01."""

from __future__ import annotations

from ...kernel import Machine
from ...problem import FilterProblem
from .plan import tiles_of

READ = 1.0  # cycles to read a register across two cache lines, which most are
TASK = 2e-6  # seconds of a call
BYTES_PER_CYCLE = 4.0  # of a core, source and target


def seconds(p: FilterProblem, machine: Machine) -> float:
    """Of one sample on one core."""
    targets = p.outputs[0] * p.outputs[1] * p.outputs[2]
    tile = tiles_of(p, machine)[0]
    slow = 1.0 if p.compute == "float32" else 1.5
    cycles = targets * (p.terms * slow * READ / tile.lanes + 8 / BYTES_PER_CYCLE)
    return TASK + cycles * machine.cycle
