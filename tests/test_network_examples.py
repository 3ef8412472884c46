"""examples/: networks of other people's wheels, by numconv and by onnxruntime."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import numconv as nc

onnx = pytest.importorskip("onnx", reason="needs the extra `onnx`")
import onnx_oracle

ROOT = Path(__file__).resolve().parents[1]
Array = np.ndarray[Any, Any]


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """An example as a module; its test is skipped where the wheel is missing that has its model."""
    pytest.importorskip("matplotlib", reason="needs the extra `plot`")
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.syspath_prepend(ROOT / "examples")

    def found(name: str) -> Any:
        module = importlib.import_module(name)
        if importlib.util.find_spec(module.WHEEL) is None:
            pytest.skip(f"needs the model in the wheel {module.WHEEL.replace('_', '-')}")
        return module

    return found


def both(path: Path, inputs: dict[str, Array]) -> None:
    """Ours and onnxruntime's are the same but for rounding: as far from the sums in float64, within a factor of two, or one
    unit of the largest."""
    runtime = pytest.importorskip("onnxruntime")
    theirs = runtime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, inputs)
    exact = onnx_oracle.run_wide(onnx.load(path), inputs)
    for our, their, truth in zip(nc.onnx.run(path, inputs), theirs, exact, strict=True):
        assert our.dtype == their.dtype and our.shape == their.shape == truth.shape
        rounding = max(np.abs(their - truth).max(), np.finfo("float32").eps * np.abs(truth).max())
        assert rounding < 1e-3 * np.abs(truth).max()
        assert np.abs(our - truth).max() <= 2 * rounding


def test_text(example: Callable[[str], Any], tmp_path: Path) -> None:
    text = example("text")
    image = text.photograph()
    (found,) = text.main(str(tmp_path / "text.png"), lambda _: None)
    assert "HOPPER" in found.words
    top, bottom, left, right = found.box
    assert 480 < top < bottom < 520 and 100 < left < right < 170  # the name tag
    assert (tmp_path / "text.png").stat().st_size > 10_000
    models = text.folder(text.WHEEL) / "models"
    both(models / text.DETECTOR, {"x": text.detector_input(image[440:540, 80:240], text.ENLARGED)})
    both(models / text.READER, {"x": text.reader_input(image, found.box)})


def test_speech(example: Callable[[str], Any], tmp_path: Path) -> None:
    speech = example("speech")
    found, truth = speech.main(str(tmp_path / "speech.png"), lambda _: None)
    assert ((found > 0.5) == truth).mean() > 0.95
    path = speech.folder(speech.WHEEL) / speech.MODEL
    signal = speech.recording()[0][speech.RATE * 2 :]
    x = {"input": signal[None, : speech.CHUNK + speech.CONTEXT], "state": np.zeros((2, 1, 128), "float32"), "sr": np.array(speech.RATE)}
    both(path, x)


def test_pitch(example: Callable[[str], Any], tmp_path: Path) -> None:
    pitch = example("pitch")
    found = pitch.main(str(tmp_path / "pitch.png"), lambda _: None)
    assert [note for _, note in sorted(found, key=lambda f: (round(f[0], 1), f[1]))] == [note for _, note in sorted(pitch.PLAYED)]
    assert all(abs(got - want) < 0.03 for (got, _), (want, _) in zip(sorted(found), sorted(pitch.PLAYED), strict=True))
    both(pitch.folder(pitch.WHEEL) / pitch.MODEL, {"serving_default_input_2:0": pitch.music()})
