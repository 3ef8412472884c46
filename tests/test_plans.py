"""Which row `auto` takes, for layers of networks on described machines: a change of a cost that moves one is seen, and meant; floors."""

from __future__ import annotations

import json
import random
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from numconv import devices
from numconv.kernel import Kernel, Machine
from numconv.plan import make_plan
from numconv.problem import ConvProblem, effective_kernel

ROOT = Path(__file__).resolve().parents[1]


def test_rows_of_named_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import unchanged

    before, after = json.loads((ROOT / "tests" / "plans.json").read_text()), unchanged.chosen()
    moved = [
        f"{label}: {before.get(label)} → {after.get(label)}"
        for label in dict.fromkeys((*before, *after))
        if before.get(label) != after.get(label)
    ]
    assert not moved, "python benchmarks/unchanged.py golden, if these are meant:\n" + "\n".join(moved)
    for name in ("unchanged", "unchanged_bits", "unchanged_cases", "compare", "layers", "machine"):
        sys.modules.pop(name, None)


MACHINES = (
    Machine("wide", vector_bytes=64, registers=32, cores=2, multiply_adds=2),
    Machine("narrow", vector_bytes=32, cores=4, multiply_adds=2),
    Machine("narrowest", registers=32),
)


def some_problem(rng: random.Random) -> ConvProblem | None:
    """A layer of any kind; None: the filter is larger than the image."""
    rank, groups = rng.choice([1, 2, 2, 3]), rng.choice([1, 1, 1, 2, 16])
    spatial = tuple(rng.randint(1, {1: 3000, 2: 130, 3: 24}[rank]) for _ in range(rank))
    kernel, stride = tuple(rng.choice([1, 2, 3, 3, 5, 7]) for _ in spatial), tuple(rng.choice([1, 1, 1, 2, 3]) for _ in spatial)
    dilation = tuple(rng.choice([1, 1, 1, 2, 4]) for _ in spatial)
    low = tuple(rng.choice([0, d * (k // 2), rng.randint(0, 9)]) for k, d in zip(kernel, dilation, strict=True))
    high = tuple(rng.choice([lo, rng.randint(0, 9)]) for lo in low)
    axes = zip(spatial, low, high, kernel, dilation, stride, strict=True)
    outputs = tuple((n + lo + hi - effective_kernel(k, d)) // s + 1 for n, lo, hi, k, d, s in axes)
    dtype = rng.choice(["float32", "float32", "float64"])
    problem = ConvProblem(
        direction=rng.choice(["forward", "input_grad", "weight_grad"]),
        batch=1,
        in_channels=groups * rng.choice([1, 3, 8, 24, 100]),
        out_channels=groups * rng.choice([1, 3, 8, 24, 100]),
        groups=groups,
        spatial=spatial,
        kernel=kernel,
        stride=stride,
        pad_low=low,
        dilation=dilation,
        outputs=outputs,
        dtype=dtype,
        out_dtype=dtype,
        layout=rng.choice(["channels_first", "channels_last"]),
    )
    return problem if min(outputs) > 0 else None


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_no_cost_is_below_its_floor(machine: Machine) -> None:
    """So that the row is the cheapest, though the searches of some are left out."""
    rng, rows, searched = random.Random(machine.name), devices.device("cpu").table(), []
    for problem in filter(None, (some_problem(rng) for _ in range(250))):
        usable = [row for row in rows if row.problem is ConvProblem and row.automatic and row.refuses(problem) is None]
        costs = {row.name: row.cost(problem, machine) for row in usable}
        for row in usable:
            assert row.floor(problem, machine) <= costs[row.name] * (1 + 1e-12), (row.name, problem)
        asked = {row.name: Asked(row) for row in usable}
        counted = tuple(replace(row, cost=asked[row.name]) for row in usable)
        assert make_plan(problem, machine, counted).kernel.name == min(costs, key=lambda name: costs[name])
        searched.append(sum(a.times for a in asked.values()) / len(usable))
    assert sum(searched) < 0.9 * len(searched)  # floors are of use


class Asked:
    """A row's cost, with a note of how often it is asked for."""

    def __init__(self, row: Kernel) -> None:
        self.row, self.times = row, 0

    def __call__(self, problem: ConvProblem, machine: Machine) -> float:
        self.times += 1
        return self.row.cost(problem, machine)
