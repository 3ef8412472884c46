"""The pictures of the survey's pages, all by `nc.plot`: python docs/pictures.py [NAME …] (needs the `plot` extra)

The photograph is matplotlib's sample picture of Grace Hopper (US Navy, public domain), which its wheel carries.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import numconv as nc

FOLDER = Path(__file__).resolve().parent / "survey" / "pictures"
SIDE = 256  # pixels of the photograph's cut
SOBEL = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], "f4")
Array = np.ndarray[Any, Any]

PICTURES: dict[str, Callable[[], Any]] = {}


def picture(function: Callable[[], Any]) -> Callable[[], Any]:
    PICTURES[function.__name__] = function
    return function


def photograph() -> Array:
    """(3, H, W) float32 in 0 … 1."""
    import matplotlib.cbook
    import matplotlib.image

    pixels = np.asarray(matplotlib.image.imread(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)))
    return np.moveaxis(pixels[20 : 20 + SIDE, 120 : 120 + SIDE].astype("f4") / 255, -1, 0).copy()


def grey() -> Array:
    return photograph().mean(0)


def same(image: Array, kernel: Any) -> Array:
    """One plane by one filter; the border repeats."""
    w = np.asarray(kernel, "f4")
    return nc.conv2d(image[None], w[None, None], padding="same", padding_mode="replicate")[0]


def blur(sigma: float) -> Array:
    """A Gaussian's taps, of sum 1."""
    reach = int(3 * sigma)
    taps = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
    return (taps / taps.sum()).astype("f4")


@picture
def flip() -> Any:
    """A filter that is all at its left: correlation and convolution move the photograph apart."""
    w = np.zeros((41, 41), "f4")
    w[20, 0] = 1
    x = grey()
    return nc.plot.images({"photograph": x, "filter": w, "cross-correlation": same(x, w), "convolution": same(x, w[::-1, ::-1])})


@picture
def filters() -> Any:
    """What a few small filters make of the photograph."""
    x = grey()
    sharpen = np.array([[0, -1, 0], [-1, 5, -1], [0, -1, 0]], "f4")
    laplace = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]], "f4")
    box = np.full((9, 9), 1 / 81, "f4")
    return nc.plot.images(
        {"mean of 9×9": same(x, box), "sharpen": same(x, sharpen).clip(0, 1), "Sobel": same(x, SOBEL), "Laplace": same(x, laplace)}
    )


@picture
def dense() -> Any:
    return nc.plot.channels(3, 4)


@picture
def maps() -> Any:
    """A photograph of three channels, and four maps of it."""
    x = photograph()
    w = np.zeros((4, 3, 3, 3), "f4")
    w[0] = SOBEL / 3
    w[1] = SOBEL.T / 3
    w[2, 0], w[2, 1] = 1 / 9, -1 / 9  # red less green
    w[3, 2], w[3, 0] = 1 / 9, -1 / 9  # blue less red
    y = nc.conv2d(x, w, padding=1)
    return nc.plot.images(
        {"three channels": x, "edges across": y[0], "edges along": y[1], "red − green": y[2], "blue − red": y[3]}, columns=5
    )


@picture
def volume() -> Any:
    """A noisy ball, its slices, and the same slices smoothed along all three axes."""
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in (24, 64, 64)), indexing="ij")
    ball = ((x**2 + y**2 + z**2 < 0.6) & (x**2 + y**2 + z**2 > 0.2)).astype("f4")
    noisy = ball + np.random.default_rng(0).normal(0, 0.7, ball.shape).astype("f4")
    taps = blur(1.0)
    w = np.einsum("a,b,c->abc", taps, taps, taps)
    flat = np.einsum("a,b->ab", taps, taps)
    solid = nc.conv3d(noisy[None], w[None, None], padding="same")[0]
    plane = nc.conv2d(noisy[:, None], flat[None, None], padding="same")[:, 0]
    return nc.plot.images({"slice 12": noisy[12], "smoothed in 2-D": plane[12], "smoothed in 3-D": solid[12], "as it was": ball[12]})


@picture
def pointwise() -> Any:
    """Mixing channels of each pixel: three, one, three."""
    x = photograph()
    luminance = np.array([[0.299, 0.587, 0.114]], "f4")
    sepia = np.array([[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]], "f4")
    return nc.plot.images(
        {"3 channels": x, "3 → 1": nc.pointwise_conv2d(x, luminance), "3 → 3": nc.pointwise_conv2d(x, sepia).clip(0, 1)}, columns=3
    )


@picture
def padded() -> Any:
    return nc.plot.operation(5, kernel=3, padding=1, step=0)


@picture
def strided() -> Any:
    return nc.plot.animate(5, kernel=3, stride=2, padding=1)


@picture
def transposed() -> Any:
    return nc.plot.animate(3, kernel=3, stride=2, padding=1, transposed=True)


@picture
def overlaps() -> Any:
    return nc.plot.overlap_map((6, 6), 3, 2)


@picture
def even_overlaps() -> Any:
    return nc.plot.overlap_map((6, 6), 4, 2)


@picture
def checkerboard() -> Any:
    """The same random weights, transposed and after a resize, on a flat image; and on the photograph."""
    rng = np.random.default_rng(3)
    w = (0.2 + rng.uniform(0, 1, (3, 3))).astype("f4")
    w /= w.sum()
    small = nc.resize2d(grey()[None], size=(64, 64), mode="bilinear")
    stamped = nc.conv_transpose2d(small, 4 * w[None, None], stride=2, padding=1, output_padding=1)
    resized = nc.resize_conv2d(small, w[None, None], scale=2, mode="bilinear")
    cut = (slice(20, 84), slice(30, 94))
    return nc.plot.images(
        {"64×64": small[0], "transposed, kernel 3, stride 2": stamped[0][cut], "resized, then convolved": resized[0][cut]}, columns=3
    )


@picture
def dilated() -> Any:
    return nc.plot.animate(7, kernel=3, dilation=2, padding=2)


@picture
def field() -> Any:
    return nc.plot.receptive_field([{"kernel": 3, "dilation": gap} for gap in (1, 2, 4)])


@picture
def factors() -> Any:
    """Sobel's filter and its two factors, each as a filter of its own."""
    found = nc.separability.separate(SOBEL)
    column, row = np.zeros((3, 3), "f4"), np.zeros((3, 3), "f4")
    column[:, 1], row[1] = found.column, found.row
    return nc.plot.kernels(np.stack([SOBEL, column, row])[None])


@picture
def separable() -> Any:
    """Column, then row: half of Sobel's filter each."""
    x = grey()
    found = nc.separability.separate(SOBEL)
    column = same(x, np.asarray(found.column)[:, None])
    return nc.plot.images(
        {"photograph": x, "after the column": column, "after the row": same(column, np.asarray(found.row)[None])}, columns=3
    )


@picture
def flattened() -> Any:
    """A Gabor filter, which turns as no outer product does, and the best one of rank 1."""
    y, x = np.mgrid[-7:8, -7:8] / 3.0
    gabor = np.exp(-(x**2 + y**2) / 4) * np.cos(2 * (x + y))
    one = nc.separability.separate(gabor, rank=1)
    two = nc.separability.separate(gabor, rank=2)
    return nc.plot.kernels(np.stack([gabor, one.kernel(), two.kernel()])[None])


@picture
def grouped() -> Any:
    return nc.plot.channels(6, 6, groups=2)


@picture
def shuffled() -> Any:
    return nc.plot.channels(6, 6, groups=3, shuffle=True)


@picture
def pointwise_grouped() -> Any:
    return nc.plot.channels(6, 6, groups=3)


@picture
def dynamic() -> Any:
    """Four filters, and the mixtures of three attentions."""
    kernels = np.stack([SOBEL, SOBEL.T, np.full((3, 3), 1 / 3, "f4"), np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]], "f4")])
    attention = np.array([[0.7, 0.1, 0.1, 0.1], [0.1, 0.7, 0.1, 0.1], [0.25, 0.25, 0.25, 0.25]], "f4")
    mixed = np.einsum("nk,kab->nab", attention, kernels)
    return nc.plot.kernels(np.concatenate([kernels, mixed])[None])


def save(name: str) -> Path:
    made = PICTURES[name]()
    moves = hasattr(made, "new_frame_seq")
    path = FOLDER / f"{name}.{'gif' if moves else 'png'}"
    if moves:
        made.save(path, writer="pillow", dpi=60)
    else:
        made.savefig(path, dpi=80)
    return path


def main(names: list[str]) -> None:
    FOLDER.mkdir(exist_ok=True)
    for name in names or PICTURES:
        print(save(name).relative_to(FOLDER.parent))


if __name__ == "__main__":
    main(sys.argv[1:])
