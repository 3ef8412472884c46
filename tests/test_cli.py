"""python -m numconv, and the pictures."""

from __future__ import annotations

import io
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

import numconv as nc
from numconv.cli import COMMANDS, bench, main
from numconv.cli.progress import Bar

matplotlib = pytest.importorskip("matplotlib")


def test_info_tells_versions_features_threads_gpu_cache(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--kernels"]) == 0
    text = capsys.readouterr().out
    for word in ("numconv", nc.__version__, "numba", "processor", "features", "threads", "gpu", "cache", "direct"):
        assert word in text


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert all(name in text for name in COMMANDS)


def test_module_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["numconv", "info"])
    with pytest.raises(SystemExit) as end:
        runpy.run_module("numconv", run_name="__main__")
    assert end.value.code == 0
    assert "cache" in capsys.readouterr().out


def test_demo_shows_every_section_and_saves_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--out", str(tmp_path), "--size", "96"]) == 0
    text = capsys.readouterr().out
    for section in range(1, 14):
        assert f"§{section} " in text
        assert list(tmp_path.glob(f"{section:02}-*.png")), section
    for variant in nc.catalog.VARIANTS:
        if variant.name not in ("conv1d", "conv_transpose1d", "conv_transpose3d", "unfold", "fold", "resize2d"):
            assert f"  {variant.name} " in text


def test_bench_checks_and_prints(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    layers = (
        ("small", "conv2d", (1, 3, 12, 12), (4, 3, 3, 3), {"padding": 1}),
        ("image", "conv2d", (1, 1, 12, 12), (1, 1, 3, 3), {}),
    )
    monkeypatch.setattr(bench, "LAYERS", layers)
    monkeypatch.setattr(bench, "find_spec", lambda name: None if name == "torch" else object())
    assert main(["bench", "--seconds", "0.001"]) == 0
    text = capsys.readouterr().out
    assert "small" in text
    assert "scipy" in text


def test_precompile_has_jobs_and_a_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from numconv.cli import precompile

    small = (("conv2d", (1, 3, 12, 12), (4, 3, 3, 3), {"padding": 1}),)
    monkeypatch.setattr(precompile, "LAYERS", small)
    monkeypatch.setattr(precompile, "VARIANTS", ())
    assert main(["precompile", "--variants"]) == 0
    captured = capsys.readouterr()
    assert "cache: " in captured.out
    assert "1/1" in captured.err


def test_bar_counts() -> None:
    stream = io.StringIO()
    with Bar(2, stream) as bar:
        bar.step("one")
        bar.step("two")
    assert [line.split()[1] for line in stream.getvalue().splitlines()] == ["0/2", "1/2", "2/2"]


def test_pictures() -> None:
    from matplotlib.figure import Figure

    layers = [{"kernel": 3, "dilation": d} for d in (1, 2, 4)]
    figures = [
        nc.plot.operation(5, 3, 2, 1, step=4),
        nc.plot.operation((3, 4), (3, 2), 2, transposed=True),
        nc.plot.channels(6, 6, 3, shuffle=True),
        nc.plot.kernels(np.eye(3)),
        nc.plot.kernels(np.ones((2, 3, 3, 3))),
        nc.plot.overlap_map((4, 5), 3, 2),
        nc.plot.overlap_map(6, 3, 2),
        nc.plot.receptive_field(layers),
        nc.plot.images({"grey": np.zeros((4, 5)), "colour": np.ones((3, 4, 5))}),
    ]
    for figure in figures:
        assert isinstance(figure, Figure)
        figure.savefig(io.BytesIO(), dpi=40)


def test_a_step_shows_what_takes_part() -> None:
    from numconv.plot import _Grid

    grid = _Grid(5, 3, 2, 1, 1, False, 0)
    assert grid.output == (3, 3)
    assert grid.place(4) == ((1, 1), [(a, b) for a in (1, 2, 3) for b in (1, 2, 3)])
    dilated = _Grid(7, 3, 1, 0, 2, False, 0)
    assert dilated.place(0)[1] == [(a, b) for a in (0, 2, 4) for b in (0, 2, 4)]
    back = _Grid(2, 3, 2, 0, 1, True, 0)
    assert back.output == (5, 5)
    assert back.place(3) == ((1, 1), [(a, b) for a in (2, 3, 4) for b in (2, 3, 4)])


def test_animation_has_a_frame_for_each_step(tmp_path: Path) -> None:
    animation = nc.plot.animate(3, 2)
    path = tmp_path / "steps.gif"
    animation.save(path, writer="pillow", dpi=30)
    from PIL import Image

    with Image.open(path) as image:
        assert image.n_frames == 4


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nc.plot.channels(5, 6, 2), "channels: groups must divide"),
        (lambda: nc.plot.kernels(np.ones(3)), "kernels: w must have 2 or 4 axes"),
        (lambda: nc.plot.operation(2, 3), "no output"),
        (lambda: nc.plot.overlap_map((2, 2, 2), 3, 2), "one or two axes"),
    ],
)
def test_refusals(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()  # type: ignore[operator]
