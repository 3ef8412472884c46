"""What has a twin for the simulator has it under the same names: read from the sources, for only one of each can be imported."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

CUDA = Path(__file__).resolve().parents[2] / "numconv" / "cuda"


def defined(file: Path) -> set[str]:
    """Public functions, and names that are given a value, at the top of a module."""
    found = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found |= {n.id for t in node.targets for n in ast.walk(t) if isinstance(n, ast.Name)}
    return {name for name in found if not name.startswith("_")}


def asked_of(room: str) -> set[str]:
    """Names that any module imports from a room."""
    return {
        alias.name
        for file in CUDA.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ImportFrom) and node.level and f".{node.module}".endswith(f".{room}")
        for alias in node.names
    }


@pytest.mark.parametrize(
    ("room", "of_the_card", "of_the_simulator"),
    [
        ("ptx", "ptx/intrinsics.py", "ptx/simulator/intrinsics.py"),
        ("runtime.arrays", "runtime/arrays/card.py", "runtime/arrays/simulated.py"),
    ],
)
def test_whatever_is_asked_for_has_a_twin(room: str, of_the_card: str, of_the_simulator: str) -> None:
    asked = asked_of(room) - {"SIMULATED", "intrinsics", "simulator", "card", "simulated"}
    assert len(asked) > 5
    for file in (of_the_card, of_the_simulator):
        assert asked <= defined(CUDA / file), file
