"""python -m numconv."""

from __future__ import annotations

import io
import json
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import numconv as nc
from numconv.cli import COMMANDS, bench, main
from numconv.cli.progress import Bar
from numconv.cli.terminal import Column, Table

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
    assert "examples:" in text and "exit status:" in text


def test_module_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["numconv", "info"])
    with pytest.raises(SystemExit) as end:
        runpy.run_module("numconv", run_name="__main__")
    assert end.value.code == 0
    assert "cache" in capsys.readouterr().out


def test_explain_by_shapes(capsys: pytest.CaptureFixture[str]) -> None:
    shapes = ["1x64x56x56", "64x64x3x3"]
    assert main(["explain", "conv2d", *shapes, "--padding", "1", "--stride", "2,1"]) == 0
    text = capsys.readouterr().out
    x, w = (np.zeros([int(n) for n in s.split("x")], "float32") for s in shapes)
    plan = nc.explain(nc.conv2d, x, w, padding=1, stride=(2, 1))
    assert text.strip() == str(plan)
    assert main(["explain", "conv2d", *shapes, "--padding", "((0, 1), (1, 0))", "--dtype", "float64", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == json.loads(json.dumps(nc.explain(nc.conv2d, x.astype("f8"), w.astype("f8"), padding=((0, 1), (1, 0))).as_dict()))
    (step,) = found["steps"]
    assert step["result_shape"] == [1, 64, 55, 55] and step["dtype"] == "float64"
    assert [c["algorithm"] for c in step["candidates"] if c["chosen"]] == [step["algorithm"]]
    assert main(["explain", "resize2d", "1x3x10x10", "--scale", "2", "--mode", "bilinear"]) == 0
    assert "(1, 3, 20, 20)" in capsys.readouterr().out
    assert main(["explain", "conv2d", "9x9x9x99999", "9x9x3x3"]) == 0  # no memory for the arrays


@pytest.mark.parametrize(
    "arguments, message",
    [
        ("conv4d 1 1", "no operator 'conv4d'; there are: .*conv2d"),
        ("conv2d 1x2x8x8 4x3x3x3", "conv2d: w expects 3 input channels"),
        ("conv2d 1x2x8x8 4x2x3x3 --dtype colour", "colour"),
        ("conv2d 1x2x8x8 4x2x3x3 4 4", r"conv2d takes 3 arrays at most \(x, w, bias\); got 4 shapes"),
        ("conv2d 1x2x8x8", "conv2d"),
    ],
)
def test_explain_says_what_is_wrong(arguments: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", *arguments.split()]) == 2
    assert re.search(message, capsys.readouterr().err)


def test_info_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--json", "--kernels"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["numconv"].startswith(nc.__version__) and any("direct" in row for row in found["kernels"]["cpu"])


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    assert f"examples:\n  python -m numconv {command}" in capsys.readouterr().out


def test_a_plan_in_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = nc.explain(nc.conv2d, np.ones((1, 3, 8, 8)), np.ones((4, 3, 3, 3)))
    html, _, drawn = plan._repr_html_().partition("<svg")
    assert drawn.rstrip().endswith("</svg>")
    with monkeypatch.context() as patch:  # where matplotlib is not installed
        patch.setattr("numconv.api.explain.find_spec", lambda name: None)
        assert plan._repr_html_() == html
    assert html.count("<table>") == 1 and html.count("<tr>") == 1 + len(plan.candidates)
    assert f"<b>{plan.algorithm}</b>" in html
    ElementTree.fromstring(f"<div>{html.replace('<br>', '<br/>')}</div>")  # well formed: whatever a reason says is escaped
    empty = nc.explain(nc.conv2d, np.ones((0, 3, 8, 8)), np.ones((4, 3, 3, 3)))
    assert empty.as_dict() == {"ms": 0.0, "workspace": 0, "steps": []}
    assert empty._repr_html_() == "<p>nothing to run: the result is empty</p>"


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
    assert main(["bench", "--seconds", "0.001", "--json"]) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["layer"] == "small" and "scipy" not in first and second["scipy"] > 0


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


# --- what a shell sees: exit status, and one line in place of a traceback


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["precompile", "--dtype", "nonsense"], "invalid choice: 'nonsense'"),
        (["bench", "--threads", "-1"], "--threads: must be at least 0; got -1"),
        (["bench", "--threads", "many"], "--threads: 'many' is not a number"),
        (["bench", "--seconds", "nan"], "--seconds: must be at least 0; got nan"),
        (["demo", "--size", "0"], "--size: must be at least 16; got 0"),
        (["demo", "--section", "99"], "--section: invalid choice: 99"),
        (["demo", "--image", "missing.png"], "--image: [Errno 2] No such file or directory: 'missing.png'"),
        (["demo", "--image", "notes.txt"], "--image: cannot identify image file"),
        (["demo", "--out", "notes.txt"], "--out: [Errno 17] File exists: 'notes.txt'"),
        ([], "the following arguments are required: command"),
    ],
    ids=lambda v: "-".join(v) or "none" if isinstance(v, list) else "",
)
def test_wrong_options_end_with_2(
    arguments: list[str], text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("no picture")
    try:
        status: Any = main(arguments)
    except SystemExit as end:
        status = end.code
    assert status == 2
    assert text in capsys.readouterr().err


#: bench and precompile with one small layer
SMALL = """
import sys
from numconv.cli import bench, main, precompile
bench.LAYERS = (("3×3", "conv2d", (1, 1, 4, 4), (1, 1, 3, 3), {}),)
bench.find_spec = lambda name: None
precompile.LAYERS = tuple(layer[1:] for layer in bench.LAYERS)
sys.exit(main(sys.argv[1:]))
"""


def started(arguments: str, redirect: str = "", **environment: str) -> subprocess.Popen[str]:
    """`python -m numconv …` in a shell, with that small layer."""
    command = f'exec "{sys.executable}" -c "$CODE" {arguments} {redirect}'
    known = {**os.environ, "CODE": SMALL, "PYTHONPATH": str(Path(nc.__file__).parents[1]), **environment}
    return subprocess.Popen(["bash", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=known)


bash = pytest.mark.skipif(shutil.which("bash") is None, reason="needs a shell")


@bash
@pytest.mark.parametrize(
    ("arguments", "redirect", "environment", "status", "out", "err"),
    [
        ("info", "> /dev/full", {}, 1, "", "python -m numconv: error: [Errno 28] No space left on device\n"),
        ("info", ">&-", {}, 0, "", ""),
        ("precompile", "2>&-", {}, 0, "cache: ", ""),
        ("bench --seconds 0", "", {"PYTHONIOENCODING": "ascii"}, 0, "\n3?3 ", ""),
    ],
    ids=["full", "closed output", "closed errors", "ascii"],
)
def test_streams(arguments: str, redirect: str, environment: dict[str, str], status: int, out: str, err: str) -> None:
    if "/dev/full" in redirect and not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    with started(arguments, redirect, **environment) as process:
        found = process.communicate(timeout=120)
    assert (process.returncode, found[1]) == (status, err)
    assert out in found[0]


@bash
def test_nobody_reads_on() -> None:
    with started("info") as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141


@pytest.fixture
def heeded() -> Iterator[None]:
    """Ctrl-C as a terminal's shell leaves it: what a shell starts in the background ignores it, and so do its children."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@bash
@pytest.mark.usefixtures("heeded")
@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_interrupted_in_a_compile() -> None:
    with started("precompile", NUMCONV_CACHE_DIR="off") as process:
        assert process.stderr is not None
        assert "0/1" in process.stderr.readline()  # the next thing that it does is to compile
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        err = process.communicate(timeout=120)[1]
    assert (process.returncode, err.strip()) == (130, "python -m numconv: interrupted")


@pytest.mark.usefixtures("heeded")
@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_an_interrupt_within_llvm_comes_after_it() -> None:
    from numconv.cpu.runtime.compiling import interrupts_held

    done = []
    with pytest.raises(KeyboardInterrupt), interrupts_held():
        os.kill(os.getpid(), signal.SIGINT)
        done.append("callback")
    assert done
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_simulator_without_the_extra_says_what_to_install() -> None:
    if find_spec("numba_cuda") is not None:
        pytest.skip("numba-cuda is installed")
    run = subprocess.run(
        [sys.executable, "-c", "import numconv as nc; nc.algorithms(nc.conv2d, 'cuda')"],
        env=os.environ | {"NUMBA_ENABLE_CUDASIM": "1", "PYTHONPATH": str(Path(nc.__file__).parents[1])}, capture_output=True, text=True,
    )  # fmt: skip
    assert "need numba-cuda: pip install 'numconv-kernels[cuda]'" in run.stderr.splitlines()[-1]


# --- by rich, on a terminal


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_tables_and_bars_by_rich(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rich", reason="needs the extra `rich`")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    assert main(["explain", "conv2d", "1x3x8x8", "4x3x3x3"]) == 0
    assert "━" in screen.getvalue() or "─" in screen.getvalue()
    plan = nc.explain(nc.conv2d, np.zeros((1, 3, 8, 8), "f4"), np.zeros((4, 3, 3, 3), "f4"))
    for candidate in plan.candidates:
        assert candidate.kernel.name in screen.getvalue()
    for stream in (Terminal(), io.StringIO()):
        with Bar(2, stream) as bar:
            bar.step("one [b]")
            bar.step("two")
        assert "2/2" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()  # elsewhere than on a terminal, nothing but text
    with pytest.raises(RuntimeError), Bar(2, Terminal()) as bar:
        bar.step("one")
        raise RuntimeError  # the terminal gets its cursor back


def test_tables_without_rich(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("numconv.cli.terminal.find_spec", lambda name: None)
    screen = Terminal()
    with Table([Column("name", 6), Column("ms", 5, True)], "title", screen) as table:
        table.row(["a", "1.5"])
        table.row(["long name", "10"], marked=True)
    assert screen.getvalue() == "title\nname      ms\na        1.5\nlong name    10\n"
