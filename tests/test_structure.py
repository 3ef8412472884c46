"""The shape of the package: imports go down only, nothing heavy at import, public names complete, tables and catalog meet."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structure_counts

import numconv as nc
from numconv import devices
from numconv.catalog import VARIANTS
from numconv.filter_catalog import FILTERS
from numconv.problem import ConvProblem

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "numconv"
FILES = sorted(PACKAGE.rglob("*.py"))

#: from the bottom; a module imports from lower layers and its own folder only.  What is not named is on top: named ones never import it.
LAYERS = (
    ("version", "forks", "memory"),
    ("problem", "hosts", "activations", "winograd", "sampling"),
    ("bounds", "arguments"),
    ("kernel",),
    ("plan",),
    ("cpu", "cuda"),
    ("devices",),
    ("planning",),
    ("watching",),
    ("session",),
    ("call",),
    ("dropin",),
    ("ndimage",),
    ("api", "signal"),
    ("catalog",),
    ("filter_catalog",),
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
#: `explain` reads the catalog, which lists the functions beside it, and that the rows of filters, whose modules import SciPy's: what goes up;
#: an explanation draws itself when asked
UPWARD = {("api/explain.py", "catalog"), ("catalog.py", "filter_catalog"), ("api/explain.py", "plot")}
LONGEST_FILE = 450
LONGEST_FUNCTION = {"cuda": 200}  # a CUDA kernel is one function inside its factory: nothing can be called from it but by inlining
LONGEST_FUNCTION_ELSEWHERE = 90


def imported(path: Path) -> set[str]:
    """First part below `numconv` of each module that a file of the package imports, anywhere in it."""
    folder = list(path.parent.relative_to(PACKAGE).parts)
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("numconv.")}
        elif isinstance(node, ast.ImportFrom) and node.level:
            base = folder[: len(folder) - node.level + 1] + (node.module.split(".") if node.module else [])
            found |= {base[0]} if base else {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("numconv."):
            found.add((node.module or "").split(".")[1])
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_imports_go_down(path: Path) -> None:
    here = path.relative_to(PACKAGE)
    own = here.parts[0].removesuffix(".py")
    if own not in LEVEL:
        return
    wrong = [
        name for name in imported(path)
        if name != own and LEVEL.get(name, len(LAYERS)) >= LEVEL[own] and (here.as_posix(), name) not in UPWARD
    ]  # fmt: skip
    assert not wrong, f"{here} imports {wrong}"


def test_devices_do_not_know_each_other_nor_any_variant() -> None:
    names = {v.name for v in VARIANTS}
    for path in FILES:
        part = path.relative_to(PACKAGE).parts[0]
        if part in ("cpu", "cuda"):
            assert not imported(path) & ({"cpu", "cuda"} - {part}), path
        if part in ("plan.py", "kernel.py", "devices.py"):
            text = path.read_text()
            assert not [n for n in names if f"{n}(" in text], path


@pytest.mark.parametrize("statement", ["import numconv", "import numconv as nc; nc.conv2d; nc.explain; nc.Conv2d; dir(nc)"])
def test_nothing_heavy_at_import(statement: str) -> None:
    heavy = ("numba", "llvmlite", "scipy", "torch", "cupy", "dask", "matplotlib", "cuda", "ml_dtypes", "onnx")
    code = f"{statement}; import sys; print(sorted(m for m in {heavy} if m in sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert run.stdout.strip() == "[]"


def test_public_names() -> None:
    assert len(set(nc.__all__)) == len(nc.__all__)
    for name in nc.__all__:
        assert getattr(nc, name) is not None
    assert set(nc.__all__) <= set(dir(nc))
    with pytest.raises(AttributeError, match="has no attribute 'conv4d'"):
        nc.conv4d  # noqa: B018
    for variant in VARIANTS:
        assert variant.name in nc.__all__


CONTRACT = [
    "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "pointwise_conv2d", "dilated_conv2d",
    "grouped_conv2d", "depthwise_conv2d", "depthwise_separable_conv2d", "spatially_separable_conv2d", "flattened_conv2d",
    "channel_shuffle", "shuffled_grouped_conv2d", "pointwise_grouped_conv2d", "dynamic_attention", "dynamic_conv2d", "resize2d",
    "resize_conv2d", "deform_conv2d", "unfold", "fold", "Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d",
    "ConvTranspose3d", "explain", "algorithms", "cost", "convolve", "correlate",
]  # fmt: skip


@pytest.mark.parametrize("name", CONTRACT)
def test_names_of_the_contract(name: str) -> None:
    assert callable(getattr(nc, name))
    assert name in nc.__all__
    assert getattr(nc, name).__doc__


@pytest.mark.parametrize("module", ["arithmetic", "matrix", "checkerboard", "separability"])
def test_modules_list_what_they_define(module: str) -> None:
    found = getattr(nc, module)
    public = {
        name for name, value in vars(found).items()
        if not name.startswith("_") and callable(value) and getattr(value, "__module__", "") == found.__name__ and not isinstance(value, type)
    }  # fmt: skip
    assert set(found.__all__) <= {*dir(found)}
    assert {n for n in found.__all__ if callable(getattr(found, n))}
    assert public


def functions(path: Path) -> list[tuple[str, int]]:
    tree = ast.parse(path.read_text())
    return [(n.name, (n.end_lineno or 0) - n.lineno + 1) for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]


def test_files_and_functions_stay_readable() -> None:
    long = [f"{p.relative_to(ROOT)}: {n} lines" for p in FILES if (n := len(p.read_text().splitlines())) > LONGEST_FILE]
    for path in FILES:
        most = LONGEST_FUNCTION.get(path.relative_to(PACKAGE).parts[0], LONGEST_FUNCTION_ELSEWHERE)
        long += [f"{path.relative_to(ROOT)} {name}: {n} lines" for name, n in functions(path) if n > most]
    assert not long


#: at most so many of what `structure_counts` finds: no more than there were, and each goes to 0 with issue 16 (`skips`: to half of 203)
CEILINGS = {
    "reads": 0,
    "literals": 0,
    "slots": 0,
    "parameters": 0,
    "families": 0,
    "circles": 0,
    "lines": 0,
    "long": 0,
    "names": 0,
    "handed": 0,
    "skips": 101,  # half of the 203 of ecedfbd
}


@pytest.mark.parametrize("count", structure_counts.COUNTS)
def test_a_line_knows_its_room(count: str) -> None:
    found = structure_counts.COUNTS[count](ROOT)
    assert len(found) <= CEILINGS[count], "\n".join(map(str, found))


def test_counts_find_what_they_count(tmp_path: Path) -> None:
    """A package with one fault of each kind; renaming what is read makes no fault less."""
    for file, text in {
        "cpu/dense/kernel.py": """
from ..runtime.launch import device_function
from ..winograd.kernel import other
from ..table import SIZE as here
HEAD, SIZE = 3, 1
class Plan: x: int
def task(a, b, c, d, e, f, g, h, i, j, k): return get(a, 7) + get(a, b + 2) + a[int32(b)] + c[4] + c[0] + d[b + HEAD] + e[2] + get(f, 3 * b)
def host(a, b, c, d): values = (a, b, c, d + 1)
""",
        "cpu/winograd/kernel.py": "class Plan: y: int\nSIZE = 1\nfrom ..runtime.launch import x\ndef task(typingctx, a): return a.shape[5] + a[-1]\n",
        "cpu/table.py": "from .dense import kernel\n" + "#" * 141 + "\nfrom .winograd.kernel import SIZE\nx = 1  # fmt: skip\n",
        "cpu/runtime/launch.py": "\n" * 300,
    }.items():
        path = tmp_path / "numconv" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    found = {name: sorted(f.what for f in count(tmp_path)) for name, count in structure_counts.COUNTS.items()}
    assert found == {
        "reads": ["c[0]", "c[4]", "d[b + HEAD]", "get(a, 7)", "get(a, b + 2)"],
        "literals": ["(a, b, c, d + 1)"],
        "slots": ["HEAD"],
        "parameters": ["task: 11 parameters"],
        "families": ["cpu.winograd.kernel"],
        "circles": ["dense <-> table"],
        "lines": ["141 characters"],
        "long": ["300 lines"],
        "names": ["class Plan", "class Plan"],
        "handed": [
            "SIZE from cpu.table",
            "device_function from cpu.runtime.launch",
            "other from cpu.winograd.kernel",
            "x from cpu.runtime.launch",
        ],
        "skips": ["fmt: skip"],
    }


def test_no_module_is_a_drawer() -> None:
    assert not [p for p in FILES if p.stem in ("util", "utils", "common", "helpers", "misc")]


DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(importlib.util.find_spec("numba_cuda") is None, reason="needs the extra `cuda`")),
]


def problems() -> list[tuple[str, Any]]:
    """(variant: case, problem) of each step of each sample case of the catalog."""
    found = []
    for variant in VARIANTS:
        for case in variant.cases:
            options = dict(case.options)
            if "mask" in options:
                options["mask"] = np.ones(options["mask"], "float32")
            explanation = nc.explain(variant.function, *case.arrays(np.random.default_rng(0)), **options)
            found += [(f"{variant.name}: {case.label}", step.problem) for step in explanation.steps]
    return found


@pytest.fixture(scope="module")
def sampled() -> list[tuple[str, Any]]:
    return problems()


@pytest.mark.parametrize("device", DEVICES)
def test_each_case_has_a_kernel(device: str, sampled: list[tuple[str, Any]]) -> None:
    table = devices.device(device).table()
    without = [label for label, p in sampled if not any(k.problem is type(p) and k.refuses(p) is None and k.automatic for k in table)]
    assert not without


@pytest.mark.parametrize("device", DEVICES)
def test_each_kernel_accepts_a_case(device: str, sampled: list[tuple[str, Any]]) -> None:
    every = [p for _, p in sampled]
    # gradients have no variants of their own: they are the other maps over the same geometry; nor has a precision
    plain = [replace(p, bias=False, activation=None, shuffle=1, out_dtype=p.dtype) for p in every if type(p) is ConvProblem]
    every += [replace(p, direction=way) for p in plain for way in ("input_grad", "weight_grad")]
    every += [replace(p, precision="tf32", direction=way) for p in plain for way in ("forward", "input_grad", "weight_grad")]
    if device == "cpu":  # SciPy's filters, whose sums are one problem there
        cases = [(v.function, case) for v in FILTERS for case in v.cases]
        every += [s.problem for f, case in cases for s in nc.explain(f, *case.arrays(np.random.default_rng(0)), **case.options).steps]
    fused = {v.name: v.fused for v in VARIANTS if v.fused}
    for (label, p), (other, q) in pairwise(sampled):  # the last steps of a composition, which one kernel may do
        if label == other and label.partition(":")[0] in fused and p.groups > 1:
            every.append(fused[label.partition(":")[0]](p, q))
    idle = []
    for kernel in devices.device(device).table():
        if not any(type(p) is kernel.problem and kernel.refuses(p.with_(dtype=t, out_dtype=t) if type(p) is ConvProblem else p) is None
                   for p in every for t in sorted(kernel.dtypes)):  # fmt: skip
            reasons = {kernel.refuses(p) for p in every if type(p) is kernel.problem}
            idle.append(f"{kernel.name} {sorted(kernel.directions)}: {sorted(map(str, reasons))[:4]}")
    assert not idle


@pytest.mark.parametrize("device", DEVICES)
def test_rows_are_whole(device: str, sampled: list[tuple[str, Any]]) -> None:
    backend = devices.device(device)
    machine = backend.machine()
    for kernel in backend.table():
        assert kernel.summary, kernel.name
        assert kernel.error_factor >= 0
        for _, p in sampled:
            if type(p) is kernel.problem and kernel.refuses(p) is None:
                assert kernel.cost(p, machine) >= 0
                assert kernel.workspace(p, machine) >= 0
