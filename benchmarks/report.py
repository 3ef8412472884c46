"""Writes the tables and pictures of README and docs: variants from the catalog, figures from committed results.

    python benchmarks/report.py            rewrites what stands between the `<!-- table NAME -->` and `<!-- end NAME -->` marks; docs/plots
    python benchmarks/report.py --check    changes nothing; exit status 1 if something would change

The kernels of the GPU are listed by whoever has the `cuda` extra (its table needs numba-cuda to import) into results/kernels_cuda.json.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import sys
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from statistics import geometric_mean
from typing import Any

import arena as arenas
import fit as fitted
import machine
import plots
import scipy_names

ROOT = machine.ROOT
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))
RESULTS = ROOT / "benchmarks" / "results"
CUDA = RESULTS / "kernels_cuda.json"


def problems() -> dict[str, list[Any]]:
    """The problems of the main kernel of each variant, over its sample cases."""
    import numpy as np

    import numconv as nc

    found: dict[str, list[Any]] = {}
    for variant in nc.catalog.VARIANTS:
        kept = found.setdefault(variant.name, [])
        for case in variant.cases:
            options = {k: np.ones(v, "float32") if k == "mask" else v for k, v in case.options.items()}
            steps = nc.explain(variant.function, *case.arrays(np.random.default_rng(0)), **options).steps
            kept += [s.problem for s in steps if type(s.problem) is variant.problem]
    return found


def table(device: str) -> dict[str, Any]:
    """The rows of a device's table as plain values, and for each variant the rows that serve one of its cases."""
    from numconv import devices

    found: list[dict[str, Any]] = []
    every_problem = problems()
    served: dict[str, list[int]] = {name: [] for name in every_problem}
    for number, row in enumerate(devices.device(device).table()):
        function = getattr(row.run, "func", row.run)
        found.append({
            "name": row.name, "problem": row.problem.__name__, "directions": sorted(row.directions), "dtypes": sorted(row.dtypes),
            "automatic": row.automatic, "error_factor": row.error_factor, "summary": row.summary, "file": function.__module__.replace(".", "/") + ".py",
        })  # fmt: skip
        for name, every in every_problem.items():
            if any(row.refuses(problem) is None for problem in every):
                served[name].append(number)
    return {"rows": found, "variants": served}


@cache
def tables() -> dict[str, dict[str, Any]]:
    """Of both devices."""
    try:
        cuda = table("cuda")
    except ImportError:
        cuda = json.loads(CUDA.read_text()) if CUDA.exists() else {"rows": [], "variants": {}}
    else:
        if not ARGUMENTS.check:
            CUDA.write_text(json.dumps(cuda, indent=1) + "\n")
    return {"cpu": table("cpu"), "cuda": cuda}


def variants(link: str) -> str:
    """Section, function, and the files that run it on both devices; `link` leads to the repository's root."""
    from numconv.catalog import VARIANTS

    lines = ["| § | variant | function | on the CPU | on the GPU |", "|---|---|---|---|---|"]
    for v in sorted(VARIANTS, key=lambda v: v.section):
        cells = []
        for found in tables().values():
            served = [found["rows"][number] for number in found["variants"].get(v.name, [])]
            cells.append(", ".join(dict.fromkeys(f"[{r['name']}]({link}{r['file']})" for r in served)))
        lines.append(f"| {v.section} | {v.title} | `nc.{v.name}` | {cells[0]} | {cells[1]} |")
    return "\n".join(lines)


def kernels(device: str, link: str) -> str:
    """Every row of a device's table."""
    lines = ["| kernel | file | maps | types | what it does |", "|---|---|---|---|---|"]
    for r in tables()[device]["rows"]:
        named = "" if r["automatic"] else " (only when named)"
        lines.append(
            f"| {r['name']} | [{r['file']}]({link}{r['file']}) | {r['problem'].removesuffix('Problem')}: {', '.join(r['directions'])} | "
            f"{', '.join(r['dtypes'])} | {r['summary']}{named} |"
        )
    return "\n".join(lines)


def results(name: str) -> dict[str, Any] | None:
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


NOT_YET = "*Not measured yet.*"


def peers(full: bool, narrow: str = "") -> str:
    """Ratios by kind of layer; all layers if `full`.  `narrow`: at the end of the names of files from a machine of narrower vectors."""
    found = results("peers" + narrow)
    if found is None:
        return NOT_YET
    total = found["summary"]
    lines = ["| layers | number | numconv GFLOP/s | torch GFLOP/s | torch time / numconv time | worst |", "|---|---|---|---|---|---|"]
    for kind, k in total["kinds"].items():
        lines.append(f"| {kind} | {k['layers']} | {k['gflops']:.0f} | {k['peer_gflops']:.0f} | {k['ratio']:.2f} | {k['worst']:.2f} |")
    count = sum(k["layers"] for k in total["kinds"].values())
    lines.append(f"| all | {count} | | | {total['ratio']:.2f} | {total['worst']['ratio']:.2f} |")
    lines += ["", f"Batch {found['options']['batch'] or 1}, {found['options']['dtype']}; geometric means. {machine.line(found)}."]
    if full:
        lines += ["", "| layer | kind | torch ms | numconv ms | ratio | GFLOP/s | kernel |", "|---|---|---|---|---|---|---|"]
        for r in found["layers"]:
            lines.append(
                f"| {r['shape']} | {r['kind']} | {r['peer_ms']:.3f} | {r['ours_ms']:.3f} | {r['ratio']:.2f} | {r['gflops']:.0f} | {r['algorithm']} |"
            )
    return "\n".join(lines)


def figures(name: str) -> str:
    """A result file of name → (value, unit) figures."""
    found = results(name)
    if found is None:
        return NOT_YET
    lines = ["| | |", "|---|---|", *(f"| {label} | {f['value']:.4g} {f['unit']} |" for label, f in found["figures"].items())]
    return "\n".join([*lines, "", f"{machine.line(found)}."])


def contests(narrow: str = "") -> str:
    """The contest under other rules: prepacked weights, batches, double precision, channels last, one thread, onnxruntime."""
    lines = ["| contest | layers | peer's time / numconv time | worst |", "|---|---|---|---|"]
    last = None
    for name, title in CONTESTS.items():
        found = results(name + narrow)
        if found is not None:
            last, total = found, found["summary"]
            lines.append(f"| {title} | {len(found['layers'])} | {total['ratio']:.2f} | {total['worst']['ratio']:.2f} |")
    return NOT_YET if last is None else "\n".join([*lines, "", f"{machine.line(last)}."])


def scaling() -> str:
    """What the time is proportional to."""
    found = results("scaling")
    if found is None:
        return NOT_YET
    lines = ["| varied | values | numconv ms | torch time / numconv time | kernels |", "|---|---|---|---|---|"]
    for what in dict.fromkeys(r["what"] for r in found["rows"]):
        rows = [r for r in found["rows"] if r["what"] == what]
        cells = (("value", "{}"), ("ours_ms", "{:.3g}"), ("ratio", "{:.2f}"))
        lines.append(
            f"| {what} | {' | '.join(', '.join(form.format(r[k]) for r in rows) for k, form in cells)} | {', '.join(dict.fromkeys(r['algorithm'] for r in rows))} |"
        )
    return "\n".join([*lines, "", f"About 64→64, 56×56, 3×3. {machine.line(found)}."])


def suite(name: str) -> str:
    """A pytest-benchmark file of variants or kernels: best time, rates."""
    found = results(name)
    if found is None:
        return NOT_YET
    lines = ["| benchmark | kernel | ms | GFLOP/s | GB/s |", "|---|---|---|---|---|"]
    for b in found["benchmarks"]:
        label, extra, seconds = b["name"].split("[", 1)[1].removesuffix("]"), b["extra_info"], b["stats"]["min"]
        lines.append(
            f"| {label} | {extra['algorithm']} | {1e3 * seconds:.3g} | {2e-9 * extra['multiplications'] / seconds:.3g} | {1e-9 * extra['bytes'] / seconds:.3g} |"
        )
    return "\n".join([*lines, "", f"Smallest times. {machine.line(found['machine_info']['numconv'])}."])


def roof() -> str:
    """Share of the FMA peak."""
    found = results("roof")
    if found is None:
        return NOT_YET
    columns = list(found["summary"])
    lines = [f"| layer | FMA peak, GFLOP/s | {' | '.join(columns)} |", "|---|---|" + "---|" * len(columns)]
    rows = [(r["shape"], f"{r['peak']:.0f}", r["shares"]) for r in found["layers"]] + [("geometric mean", "", found["summary"])]
    lines += [f"| {shape} | {peak} | {' | '.join(f'{shares[c]:.0%}' for c in columns)} |" for shape, peak, shares in rows]
    return "\n".join([*lines, "", f"{machine.line(found)}."])


def others() -> str:
    """SciPy and OpenCV."""
    found = results("others")
    if found is None:
        return NOT_YET
    lines = ["| | peer | peer ms | numconv ms | ratio |", "|---|---|---|---|---|"]
    lines += [f"| {r['what']} | {r['peer']} | {r['peer_ms']:.3g} | {r['ours_ms']:.3g} | {r['ratio']:.2f} |" for r in found["rows"]]
    return "\n".join([*lines, "", f"{machine.line(found)}."])


def fit(name: str) -> str:
    """Predicted / measured of each row."""
    found = results(name)
    return NOT_YET if found is None else fitted.table(found)


def taken(row: str) -> str:
    """On which layers of the contests `auto` took a row, and how it compared with torch there."""
    lines = ["| contest | layers | torch time / numconv time | worst | of |", "|---|---|---|---|---|"]
    used: dict[str, None] = {}
    for name, title in TAKEN.items():
        found = results(name)
        mine = [layer for layer in found["layers"] if layer["algorithm"] == row] if found else []
        if found and mine:
            worst, used[machine.line(found)] = min(mine, key=lambda layer: float(layer["ratio"])), None
            mean = geometric_mean(layer["ratio"] for layer in mine)
            lines.append(f"| {title} | {len(mine)} of {len(found['layers'])} | {mean:.2f} | {worst['ratio']:.2f} | {worst['shape']} |")
    return "\n".join([*lines, "", *(f"{line}.  " for line in used)]).rstrip() if used else NOT_YET


def kinds(name: str) -> str:
    """Ratios by kind of layer."""
    found = results(name)
    if found is None:
        return NOT_YET
    lines = ["| layers | number | torch time / numconv time | worst |", "|---|---|---|---|"]
    lines += [f"| {kind} | {k['layers']} | {k['ratio']:.2f} | {k['worst']:.2f} |" for kind, k in found["summary"]["kinds"].items()]
    return "\n".join([*lines, "", f"{machine.line(found)}."])


def transforms() -> str:
    """What the choice between sums and transforms loses, by axes and type."""
    found = results("transforms")
    if found is None:
        return NOT_YET
    groups: dict[tuple[int, str], list[dict[str, Any]]] = {}
    for row in found["rows"]:
        groups.setdefault((len(row["shapes"][0]), row["dtype"]), []).append(row)
    lines = ["| axes | type | cells | transforms | loss, geometric mean | worst | beyond 1.25 |", "|---|---|---|---|---|---|---|"]
    for (axes, dtype), rows in groups.items():
        losses, transformed = [r["loss"] for r in rows], sum(r["chosen"] == "fft" for r in rows)
        beyond = sum(loss > 1.25 for loss in losses)
        lines.append(f"| {axes} | {dtype} | {len(rows)} | {transformed} | {geometric_mean(losses):.3f} | {max(losses):.2f} | {beyond} |")
    return "\n".join([*lines, "", f"{machine.line(found)}."])


def arena() -> str:
    """Against the best of three libraries, each in a process of its own: by kind, under each of the rules that were measured."""
    every = [(title, results(name + narrow)) for narrow in ("", "_avx2") for name, title in ARENAS.items()]
    return "\n\n".join(f"{title}:\n\n{arenas.table(found)}" for title, found in every if found is not None) or NOT_YET


FILTERS = {
    "image": "dense kernels of images", "gaussian": "`gaussian_filter`", "separable": "`correlate1d` twice", "sobel": "`sobel`", "uniform": "`uniform_filter`",
    "signal": "signals", "volume": "dense kernels of volumes",
}  # fmt: skip


def filters() -> str:
    """Ratios by kind of filter and type."""
    found = results("filters")
    if found is None:
        return NOT_YET
    lines = ["| filters | type | cells | best peer's time / numconv's | worst cell |", "|---|---|---|---|---|"]
    for name, group in found["summary"].items():
        kind, _, dtype = name.partition(", ")
        lines.append(f"| {FILTERS.get(kind, kind)} | {dtype} | {group['cells']} | {group['ratio']:.2f} | {group['worst']:.2f} |")
    return "\n".join([*lines, "", f"{machine.line(found)}; {found['time']} times."])


def chunks() -> str:
    """Lazy arrays beside whole ones and dask's other ways."""
    found = results("chunks")
    if found is None:
        return NOT_YET
    ways = ("whole", "numconv, chunks", "numconv", "copy", "dask_image", "map_overlap SciPy", "map_overlap torch")
    lines = ["| ms | chunks, MB | " + " | ".join(ways) + " |", "|" + "---|" * (len(ways) + 2)]
    for row in [*found["filters"], *found["convolutions"]]:
        times = [f"{1e3 * row['seconds'][way]:.0f}" if way in row["seconds"] else "" for way in ways]
        lines.append(f"| {row['what']} | {row['chunk MB']} | {' | '.join(times)} |")
    graphs = "; ".join(
        f"{g['chunks']:,} chunks: {g['build s']:.1f} s to build, {g['optimize s']:.1f} s for dask to look through, {g['pickled MB']:.0f} MB"
        for g in found["graphs"]
    )
    out = found["out of core"]
    sides = f"{out['out of core s']:.2f} s where its disk alone takes {out['disk s']:.2f} and its kernel {out['kernel s']:.2f}"
    volume = "×".join(map(str, out["shape"][1:]))
    return "\n".join([*lines, "", f"Graphs: {graphs}. Out of core, {volume}: {sides}. {machine.line(found['machine'])}."])


def networks() -> str:
    """Time in the convolutions of whole networks, by threads."""
    found = results("networks")
    if found is None:
        return NOT_YET
    lines = [
        "| network | threads | convolutions | numconv, ms | onnxruntime, ms | ratio | onnxruntime, the same work, ms | ratio | whole, ms | onnxruntime's |",
        "|" + "---|" * 10,
    ]
    for threads in dict.fromkeys(row["threads"] for row in found["rows"]):
        rows = [row for row in found["rows"] if row["threads"] == threads]
        for row in rows:
            a, b = row["numconv"], row["onnxruntime"]
            lines.append(
                f"| {row['model']} | {threads} | {a['convolutions']} | {a['ms']:.2f} | {b['ms']:.2f} | {row['ratio']:.2f} "
                f"| {b['same_work_ms']:.2f} | {row['same_work']:.2f} | {a['network_ms']:.1f} | {b['network_ms']:.1f} |"
            )
        means = [geometric_mean(row[key] for row in rows) for key in ("ratio", "same_work")]
        lines.append(f"| geometric mean | {threads} | | | | {means[0]:.2f} | | {means[1]:.2f} | | |")
    return "\n".join([*lines, "", f"{machine.line(found)}; load {found['load']:.1f}."])


def roofline() -> str:
    """What the model of the CUDA kernels predicts for each named layer."""
    found = results("cuda_roofline")
    if found is None:
        return NOT_YET
    columns = [name for name in found["layers"][0] if isinstance(found["layers"][0][name], dict)]
    lines = [
        f"| layer | Mflop | MB | {' | '.join(f'{c}: kernel, tile, waves | µs (roof)' for c in columns)} |",
        "|" + "---|" * (3 + 2 * len(columns)),
    ]
    for row in found["layers"]:
        cells = [cell for c in columns for cell in predicted(row[c])]
        lines.append(f"| {row['shape']} | {row['mflop']:.0f} | {row['bytes_float32'] / 1e6:.2f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def predicted(one: dict[str, Any]) -> tuple[str, str]:
    """The picked kernel, its tile, parts, waves and bound; its time, its share of the roof, and who came second."""
    tile = "" if "tile" not in one else f" {one['tile'][0]}×{one['tile'][1]}" + (f" /{one['parts']}" if one["parts"] > 1 else "")
    waves = "" if "tile" not in one else f", {one['waves']}, {one['bound']}"
    second = [f"; {name} {value:.1f}" for name, value in one["microseconds"].items() if name != one["kernel"]][:1]
    return f"{one['kernel']}{tile}{waves}", f"{one['microseconds'][one['kernel']]:.1f} ({one['share_of_roof']:.0%}){''.join(second)}"


CONTESTS = {
    "peers_prepacked": "prepacked weights (`nc.Conv2d(w)(x)`)", "peers_batch16": "batch 16, every fifth layer",
    "peers_float64": "float64, every fifth layer", "peers_last": "channels last, every fifth layer", "layouts": "channels last, against numconv's own channels first", "peers_one": "one thread, every third layer",
    "backward": "gradients of input and weights (`nc.vjp`)", "peers_onnx": "onnxruntime, whose weights are constants; ours prepacked; every third layer",
}  # fmt: skip
ARENAS = {
    "arena": "All threads, batch 1, weights packed before", "arena_one": "One thread, batch 1, weights packed before", "arena_batch16": "One thread, batch 16",
    "arena_plain": "Weights given plain in every call", "arena_last": "Channels last, against torch's and our own channels first",
}  # fmt: skip
TAKEN = {
    "peers": "channels first, AVX-512",
    "peers_avx2": "channels first, AVX2",
    "peers_last": "channels last, AVX-512, every fifth layer",
    "peers_last_avx2": "channels last, AVX2, every fifth layer",
}
ROWS_TAKEN = ("direct", "gather", "spread", "winograd", "depthwise", "depthwise_last")
TABLES: dict[str, Callable[[str], str]] = {
    "variants": variants,
    "kernels cpu": lambda link: kernels("cpu", link),
    "kernels cuda": lambda link: kernels("cuda", link),
    "peers": lambda link: peers(False),
    "peers full": lambda link: peers(True),
    "contests": lambda link: contests(),
    "peers narrow": lambda link: peers(True, "_avx2"),
    "contests narrow": lambda link: contests("_avx2"),
    "arena": lambda link: arena(),
    "scaling": lambda link: scaling(),
    "roof": lambda link: roof(),
    "fit": lambda link: fit("peers_one"),
    "fit narrow": lambda link: fit("peers_avx2"),
    "suite variants": lambda link: suite("variants"),
    "suite kernels": lambda link: suite("kernels"),
    "others": lambda link: others(),
    "filters": lambda link: filters(),
    "transforms": lambda link: transforms(),
    "chunks": lambda link: chunks(),
    "networks": lambda link: networks(),
    "scipy signal": lambda link: scipy_names.table("signal"),
    "scipy ndimage": lambda link: scipy_names.table("ndimage"),
    "roofline": lambda link: roofline(),
    "dispatch": lambda link: figures("dispatch"),
    "compile": lambda link: figures("compile"),
    "gradients": lambda link: kinds("backward"),
    **{f"taken {row.replace('_', ' ')}": lambda link, row=row: taken(row) for row in ROWS_TAKEN},  # type: ignore[misc]
}
MARK = re.compile(r"(<!-- table ([a-z ]+?) -->\n)(.*?)(<!-- end \2 -->)", re.DOTALL)
INCLUDE = re.compile(r"(<!-- include (\S+?):(\w+) -->\n)(.*?)(<!-- end include -->)", re.DOTALL)


def source(file: str, name: str) -> str:
    """A module's docstring (`__doc__`), one of its functions or classes, as it stands in the file.  `Plan` is a class SpreadPlan, too."""
    text = (ROOT / file).read_text()
    tree = ast.parse(text)
    if name == "__doc__":
        return f"```text\n{ast.get_docstring(tree)}\n```"
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    exact = [node for node in nodes if node.name == name]
    for node in exact or [node for node in nodes if isinstance(node, ast.ClassDef) and node.name.endswith(name)]:
        return f"```py\n{ast.get_source_segment(text, node)}\n```"
    raise LookupError(f"{file} has no {name}")


def filled(path: Path) -> str:
    """The page with its tables and included sources as they should be."""
    link = "../" * (len(path.relative_to(ROOT).parts) - 1)
    text = MARK.sub(lambda m: f"{m[1]}{TABLES[m[2]](link)}\n{m[4]}", path.read_text())
    return INCLUDE.sub(lambda m: f"{m[1]}{source(m[2], m[3])}\n{m[5]}", text)


def pages() -> list[Path]:
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def stale() -> list[Path]:
    """Pages whose tables, and pictures that, are not what the catalog and the results say."""
    return [*(p for p in pages() if filled(p) != p.read_text()), *plots.stale()]


ARGUMENTS = argparse.Namespace(check=True)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true")
    ARGUMENTS.check = parser.parse_args(argv).check
    found = stale()
    drawable = find_spec("matplotlib") is not None
    for path in found:
        picture = path.suffix == ".svg"
        write = not ARGUMENTS.check and (drawable or not picture)
        print(f"{'written' if write else 'stale'}: {path.relative_to(ROOT)}{' (needs matplotlib)' if picture and not drawable else ''}")
        if write and picture:
            plots.draw(path)
        elif write:
            path.write_text(filled(path))
    return 1 if found and ARGUMENTS.check else 0


if __name__ == "__main__":
    sys.exit(main())
