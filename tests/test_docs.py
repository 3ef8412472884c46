"""Every ```python block of README and docs runs, page by page; generated tables are up to date; links lead somewhere."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

import numba
import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^([ ]*)```python\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
TEST_LINK = re.compile(r"\]\(([^)#:]*tests/[^)#:]+\.py)(?:#([^)]*))?\)")


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
def test_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The blocks of a page in turn, in one namespace, in an empty folder."""
    monkeypatch.chdir(tmp_path)
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
    for name in ("report", "machine", "plots", "scipy_names"):
        sys.modules.pop(name)


def test_drawings_are_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "docs" / "kernels")
    import drawings

    assert not drawings.stale(), "run python docs/kernels/drawings.py"
    sys.modules.pop("drawings")


def test_pictures_are_those_of_their_script(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "docs")
    import pictures

    assert {path.stem for path in pictures.FOLDER.iterdir()} == {f"{name}{dark}" for name in pictures.PICTURES for dark in ("", "-dark")}
    text = "".join(page.read_text() for page in PAGES)
    for name, draw in pictures.PICTURES.items():
        assert f"pictures/{name}." in text, f"{name} is on no page"
        drawn = draw(True)
        if hasattr(drawn, "new_frame_seq"):  # an animation that is never drawn complains
            drawn._draw_was_started = True
        assert drawn is not None
    for name in ("pictures", "photograph"):
        sys.modules.pop(name)


def test_pictures_of_filters_are_those_of_their_script(monkeypatch: pytest.MonkeyPatch) -> None:
    """All are on the page; those are drawn whose data is there (the brain's package is large: `pip install --no-deps nilearn`)."""
    monkeypatch.syspath_prepend(ROOT / "docs")
    import filtering_pictures as pictures

    assert {path.stem for path in pictures.FOLDER.iterdir()} == set(pictures.PICTURES)
    text = (ROOT / "docs" / "filtering.md").read_text()
    for name, draw in pictures.PICTURES.items():
        assert f"](filtering/{name}.png)" in text, f"{name} is not on the page"
        if name != "slices" or importlib.util.find_spec("nilearn"):
            assert draw().axes
    sys.modules.pop("filtering_pictures")


def test_decisions_are_listed() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = (folder / "index.md").read_text()
    assert not [page.name for page in folder.glob("0*.md") if f"]({page.name})" not in listed]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    missing = [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_linked_tests_exist(page: Path) -> None:
    """`…/tests/test_x.py#test_y` names a function of that file."""
    missing = [
        f"{path}#{name}"
        for path, name in TEST_LINK.findall(page.read_text())
        if name and not re.search(rf"^def {name}\(", (page.parent / path).read_text(), re.MULTILINE)
    ]
    assert not missing


def test_every_promise_names_its_test() -> None:
    promises = re.split(r"^- ", (ROOT / "docs" / "reliability.md").read_text(), flags=re.MULTILINE)[1:]
    assert len(promises) > 20
    assert not [p for p in promises if not TEST_LINK.search(p.split("\n\n")[0])]


def test_every_section_of_the_survey_has_a_page() -> None:
    numbers = [int(p.name[:2]) for p in (ROOT / "docs" / "survey").glob("[0-9]*.md")]
    assert sorted(numbers) == list(range(1, 14))
