"""Every ```python block of README and docs runs, page by page; generated tables are up to date; links lead somewhere."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numba
import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^([ ]*)```python\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def blocks(page: Path) -> list[tuple[int, str]]:
    """(first line, source) of each block, an indented one moved to the margin."""
    text = page.read_text()
    found = []
    for match in BLOCK.finditer(text):
        indent = len(match[1])
        source = "\n".join(line[indent:] for line in match[2].split("\n"))
        found.append((text.count("\n", 0, match.start()) + 2, source))
    return found


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p)], ids=lambda p: str(p.relative_to(ROOT)))
def test_blocks_run(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The blocks of a page in turn, in one namespace."""
    namespace: dict[str, Any] = {"__name__": "docs"}
    threads = numba.get_num_threads()
    try:
        for line, source in blocks(page):
            exec(compile("\n" * (line - 1) + source, str(page), "exec"), namespace)
    finally:
        numba.set_num_threads(threads)


def test_tables_are_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import report

    assert not [str(p.relative_to(ROOT)) for p in report.stale()], "run python benchmarks/report.py"
    for name in ("report", "machine", "plots"):
        sys.modules.pop(name)


def test_drawings_are_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "docs" / "kernels")
    import drawings

    assert not drawings.stale(), "run python docs/kernels/drawings.py"
    sys.modules.pop("drawings")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    missing = [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]
    assert not missing


def test_every_section_of_the_survey_has_a_page() -> None:
    numbers = [int(p.name[:2]) for p in (ROOT / "docs" / "survey").glob("[0-9]*.md")]
    assert sorted(numbers) == list(range(1, 14))
