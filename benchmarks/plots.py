"""Draws docs/plots/*.svg from committed results (matplotlib: the `plot` extra); report.py calls it.

Each picture carries a digest of what it shows, so that a stale one is found without drawing, with any matplotlib or none.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS, PLOTS = ROOT / "benchmarks" / "results", ROOT / "docs" / "plots"
OURS, PEER, GREY = "#1f77b4", "#d95f02", "#888888"


def ratios(figure: Any, found: dict[str, Any]) -> None:
    """One dot per layer, a bar for the geometric mean of each kind."""
    axes = figure.subplots()
    kinds = list(found["summary"]["kinds"])
    for place, kind in enumerate(kinds):
        values = sorted(r["ratio"] for r in found["layers"] if r["kind"] == kind)
        across = [place + (i / max(1, len(values) - 1) - 0.5) * 0.6 for i in range(len(values))]
        axes.plot(across, values, ".", color=OURS, markersize=4)
        axes.hlines(found["summary"]["kinds"][kind]["ratio"], place - 0.35, place + 0.35, color=PEER)
    axes.axhline(1, color=GREY, linewidth=0.8)
    axes.set_yscale("log", base=2)
    axes.set_yticks([0.5, 1, 2, 4, 8], ["½", "1", "2", "4", "8"])
    axes.set_xticks(range(len(kinds)), kinds, rotation=30, ha="right")
    axes.set_ylabel("torch time / numconv time")


def filters(figure: Any, found: dict[str, Any]) -> None:
    """One dot per cell, a bar for the geometric mean of each kind and type."""
    axes = figure.subplots()
    groups = [name for name in found["summary"] if ", " in name]
    for place, name in enumerate(groups):
        kind, _, dtype = name.partition(", ")
        values = sorted(r["ratio"] for r in found["rows"] if (r["kind"], r["dtype"]) == (kind, dtype))
        across = [place + (i / max(1, len(values) - 1) - 0.5) * 0.6 for i in range(len(values))]
        axes.plot(across, values, ".", color=OURS, markersize=4)
        axes.hlines(found["summary"][name]["ratio"], place - 0.35, place + 0.35, color=PEER)
    axes.axhline(1, color=GREY, linewidth=0.8)
    axes.set_yscale("log", base=2)
    ticks = [0.125, 0.25, 0.5, 1, 2, 4, 8]
    axes.set_yticks(ticks, [f"{t:g}" for t in ticks])
    axes.set_xticks(range(len(groups)), groups, rotation=30, ha="right")
    axes.set_ylabel("best peer's time / numconv's")


def sizes(figure: Any, found: dict[str, Any]) -> None:
    """Time against each thing varied, beside what linear in the work would be (flat for dilation)."""
    names = [what for what in dict.fromkeys(r["what"] for r in found["rows"]) if what != "threads"]
    for axes, what in zip(figure.subplots(1, len(names), sharey=True), names, strict=True):
        rows = [r for r in found["rows"] if r["what"] == what]
        values = [r["value"] for r in rows]
        base = min(rows, key=lambda r: abs(r["work"] - rows[0]["work"] * 8))
        axes.plot(values, [base["ours_ms"] * r["work"] / base["work"] for r in rows], color=GREY, linewidth=0.8, linestyle="--")
        axes.plot(values, [r["peer_ms"] for r in rows], "o-", color=PEER, markersize=3, linewidth=1, label="torch")
        axes.plot(values, [r["ours_ms"] for r in rows], "o-", color=OURS, markersize=3, linewidth=1, label="numconv")
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xticks(values, [str(v) for v in values])
        axes.minorticks_off()
        axes.set_title(what, fontsize=9)
    figure.axes[0].set_ylabel("ms")
    figure.axes[0].legend(fontsize=7)


def shares(figure: Any, found: dict[str, Any]) -> None:
    """Share of the FMA peak, layer by layer."""
    axes = figure.subplots()
    rows = found["layers"]
    for shift, (name, color) in zip((-0.2, 0.2), (("direct", OURS), ("spread", PEER)), strict=True):
        places = [i + shift for i in range(len(rows))]
        axes.barh(
            places,
            [100 * r["shares"][f"{name}, prepacked"] for r in rows],
            0.38,
            color=color,
            alpha=0.4,
            label=f"{name}, weights packed ahead",
        )
        axes.barh(places, [100 * r["shares"][name] for r in rows], 0.38, color=color, label=name)
    axes.axvline(100, color=GREY, linewidth=0.8)
    axes.set_yticks(range(len(rows)), [r["shape"] for r in rows])
    axes.invert_yaxis()
    axes.set_xlabel("% of the measured FMA peak")
    axes.legend(fontsize=7)


#: file of results → its picture, width and height in inches
PICTURES: dict[str, tuple[Callable[[Any, dict[str, Any]], None], float, float]] = {
    "peers": (ratios, 7.5, 3.2), "scaling": (sizes, 9, 2.4), "roof": (shares, 7, 3.4), "filters": (filters, 7.5, 3.2),
}  # fmt: skip


def digest(name: str) -> str:
    """Of the results and of this file."""
    return hashlib.blake2b((RESULTS / f"{name}.json").read_bytes() + Path(__file__).read_bytes(), digest_size=8).hexdigest()


def stale() -> list[Path]:
    """Pictures whose results have changed since they were drawn."""
    pictures = [PLOTS / f"{name}.svg" for name in PICTURES if (RESULTS / f"{name}.json").exists()]
    return [p for p in pictures if not p.exists() or digest(p.stem) not in p.read_text()]


def draw(path: Path) -> None:
    """The same bytes for the same results and the same matplotlib."""
    import matplotlib
    from matplotlib.figure import Figure

    function, width, height = PICTURES[path.stem]
    with matplotlib.rc_context(
        {"svg.hashsalt": path.stem, "svg.fonttype": "none", "font.size": 8, "axes.spines.top": False, "axes.spines.right": False}
    ):
        figure = Figure(figsize=(width, height), layout="constrained")
        function(figure, json.loads((RESULTS / f"{path.stem}.json").read_text()))
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None, "Description": digest(path.stem)})
    PLOTS.mkdir(exist_ok=True)
    path.write_text("\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n")
