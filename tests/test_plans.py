"""Which row `auto` takes for layers of networks on described machines: a change of a cost that moves one is seen, and meant."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

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
