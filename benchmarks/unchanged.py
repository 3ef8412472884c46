"""Whether a change of the sources changed anything else: bits, plans, machine instructions, CUDA's registers.

    python benchmarks/unchanged.py record OUT.json [--source FOLDER_OR_COMMIT] [--only bits plans …] [--rows spread,direct]
    python benchmarks/unchanged.py compare BEFORE.json AFTER.json
    python benchmarks/unchanged.py golden                           the rows of tests/plans.json, where they are meant to change

Timing cannot tell a rewritten kernel from a noisy machine; these figures are the same at every run.  Only the public functions and what a
device promises (`table`, `machine`, `execute`, `pack`) are used, so that it serves any arrangement of files behind them.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib
import json
import math
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import compare as commits
import layers
import machine as here
import unchanged_bits
import unchanged_cases as cases

PARTS = ("bits", "plans", "instructions", "cuda")
TOLERANCE = 0.03  # of machine instructions: registers are allotted otherwise when a name changes
#: vector bytes, registers
MACHINES = {"avx512": (64, 32), **cases.NARROW}
CC = (9, 0, "a")


def arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    record = commands.add_parser("record")
    record.add_argument("out", type=Path)
    record.add_argument("--source", default=str(here.ROOT), help="a folder that holds numconv/, or a commit; this checkout by default")
    record.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    record.add_argument("--rows", default="", help="names of rows (of cuda: families), with commas; all by default")
    record.add_argument("--seconds", type=float, default=math.inf, help="of bits: as many cases as fit, the rest is left out")
    record.add_argument("--like", type=Path, help="of bits: an earlier record; with --kernels, its cases that need only so many of them")
    record.add_argument("--kernels", type=int, default=0)
    record.add_argument("--inside", default="", help=argparse.SUPPRESS)  # a part, of the package in the folder --source
    against = commands.add_parser("compare")
    against.add_argument("before", type=Path)
    against.add_argument("after", type=Path)
    commands.add_parser("golden", help="write tests/plans.json anew")
    options = parser.parse_args(argv)
    if options.command == "record":
        options.rows = [row for row in options.rows.split(",") if row]
    return options


def named(every: int = 1) -> Iterator[tuple[str, Any, Any]]:
    """Label, problem, machine: layers × machines × layouts × directions.  The machines are descriptions, the same wherever this runs."""
    from numconv.kernel import Machine

    machines = [Machine(n, vector_bytes=w, registers=r, cores=2, multiply_adds=2, flops=9.6e10 * w / 32) for n, (w, r) in MACHINES.items()]
    for layer in layers.load()[::every]:
        given: Any = cases.layer_problem(layer)
        for machine, layout, direction in product(machines, cases.LAYOUTS, cases.DIRECTIONS):
            problem = given.with_(direction=direction, layout=layout, bias=given.bias and direction != "weight_grad")
            yield f"layer {layer.index} {layer.shape}, {direction} {layout} {machine.name}", problem, machine


def plans(rows: list[str], every: int = 1) -> dict[str, str]:
    """Of each of them the row, and of every row that would do its cost and workspace.  A cost follows from tiles and blocks."""
    from numconv import devices, plan

    table = devices.device("cpu").table()
    found: dict[str, str] = {}
    for label, problem, machine in named(every):
        made = plan.make_plan(problem, machine, table)
        if cases.wanted("auto", rows):
            found[f"auto | {label}"] = made.kernel.name
        for c in made.candidates:
            if c.reason is None and cases.wanted(c.kernel.name, rows):
                found[f"{c.kernel.name} | {label}"] = f"{c.seconds:.12g} s, {c.workspace} bytes"
    return found


def chosen() -> dict[str, str]:
    """The rows alone, of every fifth layer: what tests/plans.json holds."""
    return {label.removeprefix("auto | "): row for label, row in plans(["auto"], 5).items()}


def compiled(case: str) -> dict[str, Any]:
    """Of every kernel that the case compiles, in one thread and in two: instructions, and the seconds that compiling took."""
    import numba

    start = time.process_time()
    for threads in (1, 2):
        numba.set_num_threads(threads)
        for run in cases.to_compile(case):
            run()
    found: dict[str, Any] = {"seconds": time.process_time() - start}
    for kernel in [o for o in gc.get_objects() if type(o).__name__ == "ParallelKernel"]:
        for mode in ("serial", "parallel"):
            made = vars(kernel).get(mode)
            count = sum(_instructions(text) for text in made.inspect_asm().values()) if made else 0
            if count:
                key = f"{kernel.function.__name__}, {mode}"
                found[key] = found.get(key, 0) + count
    return found


def _instructions(assembly: str) -> int:
    """Lines of it that are neither labels nor directives nor comments."""
    return len(re.findall(r"^\t+[a-z]", assembly, re.M))


def instructions(options: argparse.Namespace, source: Path) -> dict[str, Any]:
    """Each case in a process and a kernel cache of its own: nothing is found ready."""
    found: dict[str, Any] = {}
    for case in cases.COMPILED:
        row = case.partition(",")[0]
        if not cases.wanted(row, options.rows):
            continue
        with tempfile.TemporaryDirectory() as cache:
            made = _inside(
                f"compile {case}", source, options, dict.fromkeys(("XDG_CACHE_HOME", "LOCALAPPDATA", "NUMCONV_CACHE_DIR"), cache)
            )
        found |= {f"{row} | {case}: {name}": count for name, count in made.items()}
        print(f"{case}: {made}", file=sys.stderr, flush=True)
    return found


def cuda(families: list[str]) -> dict[str, Any]:
    """PTX instructions, registers, stack, spilt bytes and shared bytes of every specimen; no GPU is needed, but the extra `cuda`."""
    try:
        importlib.import_module("numba_cuda")
    except ImportError:
        print("cuda: left out, numba-cuda is not installed here", file=sys.stderr)
        return {}
    resources, specimens = (_either(name) for name in ("resources", "specimens"))
    found: dict[str, Any] = {}
    for s in specimens.specimens():
        if cases.wanted(s.family, families):
            used = resources.link(s, CC)  # by the path of run time: from PTX ptxas allots other registers
            count = len(re.findall(r"^\t+(?:@!?%p\d+ )?[a-z].*;", resources.ptx(s, CC), re.M))
            key = f"{s.family} | {s.label}"
            assert key not in found, key
            found[key] = {"ptx": count, "registers": used.registers, "stack": used.stack, "spills": used.spills, "shared": used.shared}
    return found


def _either(name: str) -> Any:
    """A module of numconv.cuda, wherever it stands."""
    with contextlib.suppress(ModuleNotFoundError):
        return importlib.import_module(f"numconv.cuda.{name}")
    return importlib.import_module(f"numconv.cuda.proof.{name}")


def part(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """One part, in this process, of the package in the folder."""
    source = Path(options.source).resolve()
    sys.path.insert(0, str(source))
    import numconv

    assert Path(numconv.__file__).is_relative_to(source), numconv.__file__
    if name.startswith("compile "):
        return compiled(name.removeprefix("compile "))
    if name == "instructions":
        return instructions(options, source)
    if name == "bits":
        return dict(zip(("bits", "calls"), unchanged_bits.bits(options.rows, options.seconds, options.like, options.kernels), strict=True))
    return plans(options.rows) if name == "plans" else cuda(options.rows)


def _inside(name: str, source: Path, options: argparse.Namespace, environment: dict[str, str] | None = None) -> Any:
    """A part, in a process that sees no other package."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "part.json"
        command = [
            sys.executable,
            __file__,
            "record",
            str(out),
            "--source",
            str(source),
            "--inside",
            name,
            "--rows",
            ",".join(options.rows),
        ]
        command += [
            "--seconds",
            str(options.seconds),
            "--kernels",
            str(options.kernels),
            *(["--like", str(options.like)] if options.like else []),
        ]
        subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(source), **(environment or {})}, stdout=sys.stderr)
        return json.loads(out.read_text())


@contextlib.contextmanager
def laid(source: str) -> Iterator[Path]:
    """The folder, or the commit in a folder."""
    if (Path(source) / "numconv").is_dir():
        yield Path(source).resolve()
        return
    with tempfile.TemporaryDirectory() as folder:
        yield commits.lay(source, Path(folder).resolve())


def record(options: argparse.Namespace) -> None:
    found: dict[str, Any] = {
        "about": {
            "source": options.source,
            "rows": options.rows,
            "partial": options.seconds < math.inf or options.kernels > 0,
            "versions": here.versions(),
        }
    }
    with laid(options.source) as source:
        for name in options.only:
            start = time.perf_counter()
            made = _inside(name, source, options)
            found |= made if name == "bits" else {name: made}
            print(f"{name}: {len(found[name])} figures, {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    options.out.write_text(json.dumps(found, indent=0, ensure_ascii=False) + "\n")


def same(name: str, key: str, before: Any, after: Any) -> bool:
    if name == "instructions" and before is not None and after is not None:
        return key.endswith(": seconds") or abs(after - before) <= TOLERANCE * before
    return bool(before == after)


def compare(before: dict[str, Any], after: dict[str, Any]) -> int:
    """How many figures differ; each is printed.  Of a part or row that one of them lacks on purpose, none."""
    restrictions = [set(side["about"]["rows"]) for side in (before, after) if side["about"]["rows"]]
    differ = 0
    for name in (p for p in PARTS if before.get(p) and after.get(p)):
        old, new = before[name], after[name]
        keys = [k for k in dict.fromkeys((*old, *new)) if all(k.split(" | ")[0] in rows for rows in restrictions)]
        if name == "bits" and (before["about"]["partial"] or after["about"]["partial"]):
            keys = [k for k in keys if k in old and k in new]
        odd = [k for k in keys if not same(name, k, old.get(k), new.get(k))]
        for key in odd:
            print(f"{name}: {key}: {old.get(key, 'missing')} → {new.get(key, 'missing')}")
        rows = ", ".join(f"{count} of {row}" for row, count in Counter(key.split(" | ")[0] for key in odd).most_common())
        print(f"{name}: {len(keys)} compared, {len(odd)} differ" + (f": {rows}" if odd else ""))
        differ += len(odd)
    return differ


def main(argv: list[str] | None = None) -> int:
    options = arguments(argv)
    if options.command == "compare":
        return 1 if compare(*(json.loads(path.read_text()) for path in (options.before, options.after))) else 0
    if options.command == "golden":
        (here.ROOT / "tests" / "plans.json").write_text(json.dumps(chosen(), indent=0, ensure_ascii=False) + "\n")
        return 0
    if options.inside:
        options.out.write_text(json.dumps(part(options.inside, options)))
        return 0
    record(options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
