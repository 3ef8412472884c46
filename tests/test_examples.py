"""The examples on data larger than memory, at a small size."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("dask.array", reason="dask is not installed (extra `dask`)")
EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(EXAMPLES)
    before = set(sys.modules)
    yield
    for name in {"denoise_brain", "mosaic_edges"} & (set(sys.modules) - before):
        sys.modules.pop(name)


def test_a_brain_denoised(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("nibabel", reason="nibabel is not installed, which nilearn brings")
    pytest.importorskip("nilearn", reason="nilearn is not installed, whose wheel carries the volume")
    importlib.import_module("denoise_brain").main(["--out", str(tmp_path), "--smaller", "4"])
    assert (tmp_path / "brain.png").stat().st_size > 1000
    assert "root mean square error" in capsys.readouterr().out


def test_edges_of_a_mosaic(tmp_path: Path) -> None:
    importlib.import_module("mosaic_edges").main(["--out", str(tmp_path), "--side", "2500"])
    assert (tmp_path / "edges.png").stat().st_size > 1000
