"""The variants of the survey on a real photograph: prints what ran and how long it took, saves pictures into a folder.

The photograph is matplotlib's sample picture of Grace Hopper (US Navy, public domain), which its wheel carries; `--image` takes another.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import numconv as nc

from . import Failed, WrongOption, at_least
from .demo_sections import SECTIONS

Array = np.ndarray[Any, Any]
LEAST = 16  # pixels a side: what the largest of the sections' filters need

EXAMPLES = """examples:
  python -m numconv demo --out pictures"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, default=Path("numconv-demo"), help="folder of the pictures (default: numconv-demo)")
    parser.add_argument("--image", type=Path, help="a picture of your own")
    parser.add_argument(
        "--section",
        type=int,
        nargs="+",
        choices=[number for number, *_ in SECTIONS],
        metavar="N",
        help=f"only these sections of the survey, 1 … {len(SECTIONS)}",
    )
    parser.add_argument("--size", type=at_least(LEAST), default=512, help="longest side that the photograph is cut to")


def run(options: argparse.Namespace) -> int:
    try:
        from .. import plot
    except ModuleNotFoundError as error:
        raise Failed(error) from None
    x = photograph(options.image, options.size)
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WrongOption(f"--out: {error}") from None
    print(f"photograph {x.shape}, float32; the first call compiles (or loads) its kernels, the time is the best of the next five")
    for number, title, show in SECTIONS:
        if options.section and number not in options.section:
            continue
        print(f"\n§{number} {title}", flush=True)
        stage = Stage(options.out, plot)
        show(stage, x)
    print(f"\npictures: {options.out}/")
    return 0


def photograph(path: Path | None, size: int) -> Array:
    """(3, H, W) float32 in 0 … 1."""
    import matplotlib.cbook
    import matplotlib.image

    source: Any = path or matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
    try:
        pixels = np.asarray(matplotlib.image.imread(source))
    except (OSError, ValueError, SyntaxError) as error:  # SyntaxError is Pillow's for a damaged PNG
        raise WrongOption(f"--image: {error}") from None
    if min(pixels.shape[:2]) < LEAST:
        raise WrongOption(f"--image: {path} has {pixels.shape[1]}×{pixels.shape[0]} pixels; at least {LEAST}×{LEAST} are needed")
    pixels = pixels.astype("float32") / (255 if pixels.dtype == np.uint8 else 1)
    if pixels.ndim == 3 and pixels.shape[2] < 3:  # grey with alpha
        pixels = pixels[..., 0]
    pixels = np.stack([pixels] * 3, -1) if pixels.ndim == 2 else pixels[..., :3]
    return np.ascontiguousarray(np.moveaxis(pixels[:size, :size], -1, 0))


class Stage:
    """Runs and times calls, prints their lines, saves pictures."""

    def __init__(self, folder: Path, plot: Any) -> None:
        self.folder, self.plot = folder, plot

    def call(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """The result; its line says what ran."""
        clock = time.perf_counter
        start = clock()
        result = function(*args, **options)
        first = clock() - start
        times = []
        for _ in range(5):
            start = clock()
            function(*args, **options)
            times.append(clock() - start)
        kernel = nc.explain(function, *args, **options).algorithm
        shapes = " ".join("×".join(map(str, a.shape)) for a in args if isinstance(a, np.ndarray))
        shape = "×".join(map(str, np.shape(result)))
        print(
            f"  {function.__name__:<28} {shapes:<34} → {shape:<14} {1e3 * min(times):8.2f} ms  (first {first:6.2f} s)  {kernel}", flush=True
        )
        return result

    def say(self, text: str) -> None:
        print(f"  {text}", flush=True)

    def save(self, name: str, **pictures: Any) -> None:
        """Named pictures side by side; underscores of the names are spaces."""
        self.figure(name, self.plot.images({title.replace("_", " ").strip(): a for title, a in pictures.items()}))

    def figure(self, name: str, figure: Any) -> None:
        path = self.folder / f"{name}.png"
        figure.savefig(path, dpi=110)
        print(f"  saved {path}", flush=True)
