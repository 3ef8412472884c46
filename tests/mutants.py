"""Breaks the kernels, one place at a time, in a copy of the package, and expects red.

    python tests/mutants.py [--family NAME] [--kind NAME] [--only TEXT] [--limit 10] [--seed N] [--quick] [--list]
    NUMBA_ENABLE_CUDASIM=1 python tests/mutants.py --family cuda/…      # kernels of the GPU, in the simulator; needs the `cuda` extra

A mutant is one change that a slip could have made: padding added where it is to be subtracted, a stride or a dilation left out, a group's
offset dropped, the end of a tail moved by one, an activation or a bias forgotten.  They are found by the names that the code gives these
things, in every function that is compiled; so they follow the code where it goes.  Each is held against random calls between fences
(`fences.py`), of its family's rows alone; what survives, against the family's tests (left out with `--quick`).  Red is a wrong result, a
canary, a crash, or a loop that never ends.  Prints each survivor and the score; exits with 1 if one survives that SURVIVORS does not explain.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 240.0  # for the random calls of one mutant, and again for its tests: a kernel takes seconds to compile, more on a busy machine
FEWEST = 15  # random calls that say something


@dataclass(frozen=True)
class Family:
    """Where its kernels are, rows or functions that call them, how many kernels these may compile, and tests beside."""

    folder: str
    rows: str
    kernels: int
    tests: str


DENSE, SPACE = "spread,direct,gather", "outer_product,dot_rows"
OPERATORS = "channel_shuffle,unfold,fold,resize2d,dynamic_attention,dynamic_conv2d,deform_conv2d"
SIMULATOR = "tests/gpu/test_simulator_kernels.py"
FAMILIES = {
    "dense/channels": Family("cpu/dense/channels", "spread", 9, "tests/test_cpu_spread.py tests/test_cpu_filling.py"),
    "dense/positions": Family("cpu/dense/positions", "direct,gather", 9, "tests/test_cpu_filling.py tests/test_laws.py"),
    "winograd": Family("cpu/winograd/*", "winograd", 4, "tests/test_cpu_winograd.py"),
    "winograd/weights": Family("cpu/winograd/weights", "winograd_weights", 4, "tests/test_cpu_winograd_weights.py"),
    "depthwise": Family("cpu/depthwise", "depthwise,depthwise_last", 9, "tests/test_cpu_depthwise.py tests/test_cpu_depthwise_last.py"),
    "weight_grad/outer": Family("cpu/weight_grad/outer", "outer_product", 6, "tests/test_cpu_weight_grad.py"),
    "weight_grad/dots": Family("cpu/weight_grad/dots", "dot_rows", 6, "tests/test_cpu_weight_grad.py"),
    "operators": Family("cpu/operators", OPERATORS, 40, "tests/test_cpu_operators.py tests/test_cpu_deformable.py tests/test_gradients.py"),
    "named": Family("cpu/named", "scatter,fft,zero_insertion", 12, "tests/test_cpu_spectral.py"),
    "stages": Family("cpu/stages", f"{DENSE},{SPACE}", 16, "tests/test_cpu_filling.py tests/test_cpu_masks.py"),
    "geometry": Family(
        "cpu/geometry", f"{DENSE},{SPACE},scatter,unfold,fold,deform_conv2d", 16, "tests/test_cpu_jobs.py tests/test_laws.py"
    ),
    "simd": Family("cpu/simd", f"{DENSE},{SPACE},depthwise,depthwise_last", 20, "tests/test_cpu_masks.py tests/test_cpu_depthwise.py"),
    "adapt": Family("cpu/adapt", "functions,gradients", 24, "tests/test_cpu_layouts.py"),
    "cuda/dense": Family("cuda/dense", "", 0, f"{SIMULATOR} -k 'forward or forms or tensor_core'"),
    "cuda/depthwise": Family("cuda/depthwise", "", 0, f"{SIMULATOR} tests/gpu/test_simulator_separable.py -k 'depthwise or separable'"),
    "cuda/weight_grad": Family("cuda/weight_grad", "", 0, f"{SIMULATOR} -k weight_grad"),
    "cuda/winograd": Family("cuda/winograd", "", 0, "tests/gpu/test_simulator_winograd.py"),
    "cuda/stages": Family("cuda/stages", "", 0, f"{SIMULATOR} -k 'forward or transposed or forms or tensor_core'"),
    "cuda/named": Family("cuda/named", "", 0, f"{SIMULATOR} -k transposed"),
}

#: what makes a function one of a kernel's: it is decorated so, or handed on to one of these
COMPILES = frozenset(
    {"inlined", "device_function", "kernel", "anywhere", "rarely", "by_type", "over_tasks", "over_shares", "intrinsic", "jit"}
)

#: (family, text of the mutant as it is printed, from the kind on) → why no result can tell
SURVIVORS: dict[tuple[str, str], str] = {
    ("operators", "tail cpu/operators/dynamic.py:_mean_of_row: start + 4 * LANES <= end → start + 4 * LANES < end"): (
        "the last 64 numbers are added by the loop behind: the same sum in another order"
    ),
}


def named(node: ast.AST, *parts: str) -> bool:
    """Whether the last name of an expression is about one of these."""
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return any(part in name.lower() for part in parts)


def swapped(node: ast.BinOp) -> ast.expr:
    other = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()
    return ast.BinOp(node.left, other, node.right)


def padding(node: ast.AST) -> Iterator[ast.expr]:
    about = "low", "pad", "border", "margin", "origin", "start", "at_"
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub) and (named(node.right, *about) or named(node.left, "origin")):
        yield swapped(node)


def factor(*parts: str) -> Callable[[ast.AST], Iterator[ast.expr]]:
    """Left out of products and quotients."""

    def left_out(node: ast.AST) -> Iterator[ast.expr]:
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.FloorDiv):
            if named(node.right, *parts):
                yield node.left
            elif named(node.left, *parts) and isinstance(node.op, ast.Mult):
                yield node.right

    return left_out


def group(node: ast.AST) -> Iterator[ast.expr]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult) and (named(node.left, "group") or named(node.right, "group")):
        yield ast.Constant(0)


def tail(node: ast.AST) -> Iterator[ast.expr]:
    """One more or one fewer, or the wrong one of two ends.  Not where it only chooses between ways to the same result."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        if named(node.left, "step", "stride", "activation", "shuffle") and isinstance(node.comparators[0], ast.Constant):
            return
        other = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}.get(type(node.ops[0]))
        if other is not None:
            yield ast.Compare(node.left, [other()], node.comparators)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("min", "max") and len(node.args) == 2:
        yield node.args[0]
        yield node.args[1]


def epilogue(node: ast.AST) -> Iterator[ast.expr]:
    if isinstance(node, ast.Call) and named(node.func, "activate") and node.args:
        yield node.args[0]
    elif isinstance(node, ast.Attribute) and node.attr in ("has_bias", "activation", "shuffle") and isinstance(node.ctx, ast.Load):
        yield ast.Constant(1 if node.attr == "shuffle" else 0)
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add) and named(node.right, "bias"):
        yield node.left


def index(node: ast.AST) -> Iterator[ast.expr]:
    """Any other term of a place in memory."""
    if isinstance(node, ast.Call) and named(node.func, "moved", "get", "put", "load", "store") and len(node.args) > 1:
        place = node.args[1]
        if isinstance(place, ast.BinOp) and isinstance(place.op, ast.Add):
            for kept in (place.left, place.right):
                yield ast.Call(node.func, [node.args[0], kept, *node.args[2:]], node.keywords)


KINDS: dict[str, Callable[[ast.AST], Iterator[ast.expr]]] = {
    "padding": padding,
    "stride": factor("stride", "step", "period"),
    "dilation": factor("dilation", "residue", "advance"),
    "group": group,
    "tail": tail,
    "epilogue": epilogue,
    "index": index,
}


@dataclass(frozen=True)
class Mutant:
    family: str
    kind: str
    path: Path  # below the root
    function: str
    line: int
    before: str
    after: str
    source: str  # of the whole file

    def __str__(self) -> str:
        return f"{self.kind} {self.path.relative_to('numconv')}:{self.function}: {self.before} → {self.after}"


def _handed_on(tree: ast.AST) -> set[str]:
    """Names of functions that a module gives to what compiles them."""
    calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and (named(n.func, *COMPILES))]
    return {a.id for call in calls for a in call.args if isinstance(a, ast.Name)}


def compiled(tree: ast.Module) -> list[ast.FunctionDef]:
    """The functions of a module that become machine code."""
    handed = _handed_on(tree)
    return [
        f
        for f in ast.walk(tree)
        if isinstance(f, ast.FunctionDef)
        and (f.name in handed or any(named(d.func if isinstance(d, ast.Call) else d, *COMPILES) for d in f.decorator_list))
    ]


def _edited(source: str, node: ast.expr, new: str) -> str:
    lines = source.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line.encode()))
    data = source.encode()
    begin, end = starts[node.lineno - 1] + node.col_offset, starts[(node.end_lineno or 0) - 1] + (node.end_col_offset or 0)
    return (data[:begin] + f"({new})".encode() + data[end:]).decode()


def mutants(family: str, kinds: tuple[str, ...] = tuple(KINDS), root: Path = ROOT) -> list[Mutant]:
    folder = FAMILIES[family].folder
    pattern = f"numconv/{folder.removesuffix('/*')}/{'*.py' if folder.endswith('/*') else '**/*.py'}"
    found: dict[tuple[Path, str], Mutant] = {}
    for path in sorted(root.glob(pattern)):
        source = path.read_text()
        for function in compiled(ast.parse(source)):
            for node in ast.walk(function):
                if not isinstance(node, ast.expr):
                    continue
                for kind in kinds:
                    for new in KINDS[kind](node):
                        after = _edited(source, node, ast.unparse(new))
                        one = Mutant(
                            family, kind, path.relative_to(root), function.name, node.lineno, ast.unparse(node), ast.unparse(new), after
                        )
                        found.setdefault((path, after), one)  # nested functions are walked twice
    return list(found.values())


def chosen(every: list[Mutant], limit: int, seed: int) -> list[Mutant]:
    """At most so many of a family, each kind in turn."""
    rng, left = random.Random(seed), {kind: [m for m in every if m.kind == kind] for kind in KINDS}
    for some in left.values():
        rng.shuffle(some)
    found: list[Mutant] = []
    while len(found) < limit and any(left.values()):
        for some in left.values():
            if some and len(found) < limit:
                found.append(some.pop())
    return found


def _red(command: list[str], copy: Path) -> str:
    """How a command fails, or "" if it does not."""
    environment = {**os.environ, "PYTHONPATH": f"{copy}{os.pathsep}{copy / 'tests'}", "NUMCONV_CACHE_DIR": "off"}
    # a session of its own: what hangs is ended with its children
    with subprocess.Popen(
        command, cwd=copy, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as process:
        try:
            said = process.communicate(timeout=SECONDS)[0]
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.communicate()
            return "never ends"
    if process.returncode == 0:
        calls = re.search(r"(\d+) calls at both ends", said)
        if calls and int(calls[1]) < FEWEST:
            print(f"  only {calls[1]} calls within the time; give it more `--seconds`", flush=True)
        return ""
    broken = ("TypingError", "LoweringError", "NameError", "UnsupportedError", "SyntaxError", "UnboundLocalError")
    return "does not compile" if any(word in said for word in broken) else "red"


def verdict(family: Family, copy: Path, quick: bool) -> str:
    """Of the copy as it is."""
    if family.rows:
        calls = ["--rows", family.rows, "--kernels", str(family.kernels), "--count", "600", "--alike", "--fatal"]
        how = _red([sys.executable, "tests/fences.py", "--seconds", str(SECONDS / 2), *calls], copy)
        if how or quick:
            return how
    tests, _, words = family.tests.partition(" -k ")
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests.split()]
    return _red([*command, "-k", words.strip("'")] if words else command, copy)


def judged(mutant: Mutant, copy: Path, quick: bool) -> str:
    path = copy / mutant.path
    before = path.read_text()
    path.write_text(mutant.source)
    try:
        return verdict(FAMILIES[mutant.family], copy, quick)
    finally:
        path.write_text(before)


def main() -> int:
    global SECONDS
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--family", action="append", choices=sorted(FAMILIES), help="all but the GPU's")
    parser.add_argument("--kind", action="append", choices=sorted(KINDS), help="all")
    parser.add_argument("--limit", type=int, default=10, help="mutants of a family; 0: all")
    parser.add_argument("--only", default="", help="those whose line has this in it")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for one mutant")
    parser.add_argument("--quick", action="store_true", help="random calls only")
    parser.add_argument("--list", action="store_true", help="the mutants, and no verdicts")
    options = parser.parse_args()
    SECONDS = options.seconds
    families = options.family or [name for name in FAMILIES if not name.startswith("cuda/")]
    kinds = tuple(options.kind or KINDS)
    counts: Counter[str] = Counter()
    unexplained = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in ("numconv", "tests", "benchmarks", "pyproject.toml"):
            (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, copy / name)
        for family in families:
            every = [m for m in mutants(family, kinds) if options.only in str(m)]
            some = chosen(every, options.limit or len(every), options.seed)
            print(f"{family}: {len(some)} of {len(every)}", flush=True)
            if not options.list and (how := verdict(FAMILIES[family], copy, options.quick)):
                raise SystemExit(f"{family} is {how} before anything is broken")
            for mutant in some:
                if options.list:
                    print(f"  {mutant}")
                    continue
                began = time.monotonic()
                how = judged(mutant, copy, options.quick)
                why = SURVIVORS.get((family, str(mutant)), "")
                counts[how or ("equal" if why else "survives")] += 1
                unexplained += not how and not why
                print(f"  {how or 'SURVIVES':16} {time.monotonic() - began:4.0f} s  {mutant} {f'({why})' if why else ''}", flush=True)
    red = counts["red"] + counts["never ends"]
    apart = f"{counts['equal']} that no result can tell, {counts['does not compile']} that do not compile"
    print(f"{red} of {red + unexplained} red; besides {apart}")
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
