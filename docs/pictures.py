"""The pictures of the survey's pages, all by `nc.plot`: python docs/pictures.py [NAME …] (needs the `plot` extra)

Each is saved twice, on a light ground and (NAME-dark) on a dark one; hooks.py puts the second beside the first where a page shows it.

"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from photograph import blur, grey, photograph, same

import numconv as nc

FOLDER = Path(__file__).resolve().parent / "survey" / "pictures"
SOBEL = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], "f4")

PICTURES: dict[str, Callable[[bool], Any]] = {}


def picture(function: Callable[[bool], Any]) -> Callable[[bool], Any]:
    PICTURES[function.__name__] = function
    return function


@picture
def flip(dark: bool) -> Any:
    """A filter that is all at its left: correlation and convolution move the photograph apart."""
    w = np.zeros((41, 41), "f4")
    w[20, 0] = 1
    x = grey()
    return nc.plot.images({"photograph": x, "filter": w, "cross-correlation": same(x, w), "convolution": same(x, w[::-1, ::-1])}, dark=dark)


@picture
def filters(dark: bool) -> Any:
    """What a few small filters make of the photograph."""
    x = grey()
    sharpen = np.array([[0, -1, 0], [-1, 5, -1], [0, -1, 0]], "f4")
    laplace = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]], "f4")
    box = np.full((9, 9), 1 / 81, "f4")
    return nc.plot.images(
        {"mean of 9×9": same(x, box), "sharpen": same(x, sharpen).clip(0, 1), "Sobel": same(x, SOBEL), "Laplace": same(x, laplace)},
        dark=dark,
    )


@picture
def dense(dark: bool) -> Any:
    return nc.plot.channels(3, 4, dark=dark)


@picture
def maps(dark: bool) -> Any:
    """A photograph of three channels, and four maps of it."""
    x = photograph()
    w = np.zeros((4, 3, 3, 3), "f4")
    w[0] = SOBEL / 3
    w[1] = SOBEL.T / 3
    w[2, 0], w[2, 1] = 1 / 9, -1 / 9  # red less green
    w[3, 2], w[3, 0] = 1 / 9, -1 / 9  # blue less red
    y = nc.conv2d(x, w, padding=1)
    return nc.plot.images(
        {"three channels": x, "edges across": y[0], "edges along": y[1], "red − green": y[2], "blue − red": y[3]}, columns=5, dark=dark
    )


@picture
def volume(dark: bool) -> Any:
    """A noisy ball, its slices, and the same slices smoothed along all three axes."""
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in (24, 64, 64)), indexing="ij")
    ball = ((x**2 + y**2 + z**2 < 0.6) & (x**2 + y**2 + z**2 > 0.2)).astype("f4")
    noisy = ball + np.random.default_rng(0).normal(0, 0.7, ball.shape).astype("f4")
    taps = blur(1.0)
    w = np.einsum("a,b,c->abc", taps, taps, taps)
    flat = np.einsum("a,b->ab", taps, taps)
    solid = nc.conv3d(noisy[None], w[None, None], padding="same")[0]
    plane = nc.conv2d(noisy[:, None], flat[None, None], padding="same")[:, 0]
    return nc.plot.images(
        {"slice 12": noisy[12], "smoothed in 2-D": plane[12], "smoothed in 3-D": solid[12], "as it was": ball[12]}, dark=dark
    )


@picture
def pointwise(dark: bool) -> Any:
    """Mixing channels of each pixel: three, one, three."""
    x = photograph()
    luminance = np.array([[0.299, 0.587, 0.114]], "f4")
    sepia = np.array([[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]], "f4")
    return nc.plot.images(
        {"3 channels": x, "3 → 1": nc.pointwise_conv2d(x, luminance), "3 → 3": nc.pointwise_conv2d(x, sepia).clip(0, 1)},
        columns=3,
        dark=dark,
    )


@picture
def padded(dark: bool) -> Any:
    return nc.plot.operation(5, kernel=3, padding=1, step=0, dark=dark)


@picture
def strided(dark: bool) -> Any:
    return nc.plot.animate(5, kernel=3, stride=2, padding=1, dark=dark)


@picture
def transposed(dark: bool) -> Any:
    return nc.plot.animate(3, kernel=3, stride=2, padding=1, transposed=True, dark=dark)


@picture
def overlaps(dark: bool) -> Any:
    return nc.plot.overlap_map((6, 6), 3, 2, dark=dark)


@picture
def even_overlaps(dark: bool) -> Any:
    return nc.plot.overlap_map((6, 6), 4, 2, dark=dark)


@picture
def checkerboard(dark: bool) -> Any:
    """The same random weights, transposed and after a resize, on a flat image; and on the photograph."""
    rng = np.random.default_rng(3)
    w = (0.2 + rng.uniform(0, 1, (3, 3))).astype("f4")
    w /= w.sum()
    small = nc.resize2d(grey()[None], size=(64, 64), mode="bilinear")
    stamped = nc.conv_transpose2d(small, 4 * w[None, None], stride=2, padding=1, output_padding=1)
    resized = nc.resize_conv2d(small, w[None, None], scale=2, mode="bilinear")
    cut = (slice(20, 84), slice(30, 94))
    return nc.plot.images(
        {"64×64": small[0], "transposed, kernel 3, stride 2": stamped[0][cut], "resized, then convolved": resized[0][cut]},
        columns=3,
        dark=dark,
    )


@picture
def dilated(dark: bool) -> Any:
    return nc.plot.animate(7, kernel=3, dilation=2, padding=2, dark=dark)


@picture
def field(dark: bool) -> Any:
    return nc.plot.receptive_field([{"kernel": 3, "dilation": gap} for gap in (1, 2, 4)], dark=dark)


@picture
def inserted(dark: bool) -> Any:
    return nc.plot.animate(3, kernel=3, stride=2, padding=1, transposed=True, inserted=True, dark=dark)


@picture
def gains(dark: bool) -> Any:
    """Evenly many inputs, unevenly weighted."""
    return nc.plot.phase_gain(np.outer([1, 3, 1, 3], [1, 1, 1, 1]), 2, dark=dark)


@picture
def fields(dark: bool) -> Any:
    """What one output sees of the photograph: three 3×3 layers, then three whose gaps double."""
    plain = [{"kernel": 3, "padding": 1}] * 3
    return nc.plot.receptive_field(
        [*plain, *({"kernel": 3, "dilation": gap, "padding": gap} for gap in (8, 16, 32))], photograph(), dark=dark
    )


@picture
def numbers(dark: bool) -> Any:
    """A sum in numbers: the vertical edge of a small picture."""
    x = np.zeros((1, 5, 6), "f4")
    x[:, :, 3:] = 9
    return nc.plot.at_work(nc.conv2d, x, SOBEL[None, None], dark=dark)


@picture
def every_channel(dark: bool) -> Any:
    """Three channels, two filters."""
    return nc.plot.at_work(nc.conv2d, (3, 4, 4), (2, 3, 3, 3), dark=dark)


@picture
def volume_at_work(dark: bool) -> Any:
    return nc.plot.at_work(nc.conv3d, (1, 4, 4, 4), (1, 1, 2, 3, 3), dark=dark)


@picture
def shuffle_at_work(dark: bool) -> Any:
    """Groups seen at work, and where their results go."""
    return nc.plot.at_work(nc.shuffled_grouped_conv2d, (6, 3, 3), (6, 2, 2, 2), groups=3, dark=dark)


@picture
def depthwise_at_work(dark: bool) -> Any:
    return nc.plot.at_work(nc.depthwise_conv2d, (3, 4, 4), (3, 1, 3, 3), dark=dark)


@picture
def plan(dark: bool) -> Any:
    """Which kernels are weighed for a layer of ResNet-50's shape, by a machine of the table's kind."""
    x, w = (np.zeros(shape, "f4") for shape in ((1, 64, 56, 56), (64, 64, 3, 3)))
    return nc.plot.plan(nc.explain(nc.conv2d, x, w, padding=1), dark=dark)


@picture
def factors(dark: bool) -> Any:
    """Sobel's filter, a column times a row."""
    return nc.plot.factors(SOBEL, dark=dark)


@picture
def separable(dark: bool) -> Any:
    """Column, then row: half of Sobel's filter each."""
    x = grey()
    found = nc.separability.separate(SOBEL)
    column = same(x, np.asarray(found.column)[:, None])
    return nc.plot.images(
        {"photograph": x, "after the column": column, "after the row": same(column, np.asarray(found.row)[None])}, columns=3, dark=dark
    )


@picture
def flattened(dark: bool) -> Any:
    """A Gabor filter, which turns as no outer product does, and the best one of rank 1."""
    y, x = np.mgrid[-7:8, -7:8] / 3.0
    gabor = np.exp(-(x**2 + y**2) / 4) * np.cos(2 * (x + y))
    one = nc.separability.separate(gabor, rank=1)
    two = nc.separability.separate(gabor, rank=2)
    return nc.plot.kernels(np.stack([gabor, one.kernel(), two.kernel()])[None], titles=["the filter", "rank 1", "rank 2"], dark=dark)


@picture
def grouped(dark: bool) -> Any:
    return nc.plot.channels(6, 6, groups=2, dark=dark)


@picture
def shuffled(dark: bool) -> Any:
    return nc.plot.channels(6, 6, groups=3, shuffle=True, dark=dark)


@picture
def pointwise_grouped(dark: bool) -> Any:
    return nc.plot.channels(6, 6, groups=3, dark=dark)


@picture
def dynamic(dark: bool) -> Any:
    """Four filters, and the mixtures of three attentions."""
    kernels = np.stack([SOBEL, SOBEL.T, np.full((3, 3), 1 / 3, "f4"), np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]], "f4")])
    attention = np.array([[0.7, 0.1, 0.1, 0.1], [0.1, 0.7, 0.1, 0.1], [0.25, 0.25, 0.25, 0.25]], "f4")
    mixed = np.einsum("nk,kab->nab", attention, kernels)
    return nc.plot.kernels(
        np.concatenate([kernels, mixed])[None], titles=[*(f"kernel {k}" for k in range(4)), *(f"mixture {n}" for n in range(3))], dark=dark
    )


def save(name: str, dark: bool) -> Path:
    from PIL import Image, ImageSequence

    made = PICTURES[name](dark)
    moves = hasattr(made, "new_frame_seq")
    path = FOLDER / f"{name}{'-dark' if dark else ''}.{'gif' if moves else 'png'}"
    if moves:
        made.save(path, writer="pillow", dpi=75)
    else:
        made.savefig(path, dpi=90)
    with Image.open(path) as image:  # drawings and photographs of this size look the same in so few colours, at a third of the bytes
        colors, wait = (24 if moves else 256), image.info.get("duration", 0)
        first, *others = [one.convert("RGB").quantize(colors, dither=Image.Dither.NONE) for one in ImageSequence.Iterator(image)]
    if moves:
        first.save(path, save_all=True, append_images=others, duration=wait, loop=0)
    else:
        first.save(path, optimize=True)
    return path


def main(names: list[str]) -> None:
    FOLDER.mkdir(exist_ok=True)
    for name in names or PICTURES:
        for dark in (False, True):
            print(save(name, dark).relative_to(FOLDER.parent))


if __name__ == "__main__":
    main(sys.argv[1:])
