"""What stands around the code: citation, templates, devcontainer, examples, what is packed; all say what the code says."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import numconv as nc
from numconv.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_citation_names_this_version() -> None:
    text = (ROOT / "CITATION.cff").read_text()
    fields = dict(re.findall(r"^([\w-]+): *(.+)$", text, re.MULTILINE))
    assert fields["cff-version"] == "1.2.0" and fields["version"] == nc.__version__ and fields["license"] == PROJECT["project"]["license"]


def test_devcontainer_installs_an_extra_that_there_is() -> None:
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    (extra,) = re.findall(r"\[(\w+)\]", container["postCreateCommand"])
    assert extra in PROJECT["project"]["optional-dependencies"]


def test_templates_ask_for_what_commands_print() -> None:
    for template in ("bug", "slow"):
        text = (ROOT / ".github" / "ISSUE_TEMPLATE" / f"{template}.yml").read_text()
        asked = re.findall(r"python -m numconv (\w+)", text)
        assert asked and set(asked) <= set(COMMANDS)


def test_every_example_is_listed_says_how_it_is_run_and_is_tested() -> None:
    listed = (ROOT / "examples" / "README.md").read_text()
    tests = "".join(path.read_text() for path in (ROOT / "tests").glob("test_*.py"))
    for path in (ROOT / "examples").glob("*.py"):
        source = path.read_text()
        if '__name__ == "__main__"' not in source:
            continue  # what several have in common
        assert f"]({path.name})" in listed
        assert f"python examples/{path.name}" in (ast.get_docstring(ast.parse(source)) or "")
        assert f'"{path.stem}"' in tests or f'"{path.name}"' in tests, path.name


def test_what_is_packed_is_there() -> None:
    packed = PROJECT["tool"]["hatch"]["build"]["targets"]
    assert packed["wheel"]["packages"] == ["numconv"] and (ROOT / "numconv" / "py.typed").exists()
    assert not [name for name in packed["sdist"]["include"] if not (ROOT / name).exists()]


def test_every_extra_is_tried_by_ci() -> None:
    script = (ROOT / ".ci" / "extras").read_text()
    assert not [name for name in PROJECT["project"]["optional-dependencies"] if f"[{name}]=" not in script]
