"""The pictures of docs/filtering.md: python docs/filtering_pictures.py [NAME …] (needs the `plot` extra, PyWavelets and nilearn)

What is filtered ships in packages: the photograph of Grace Hopper (US Navy, public domain) in matplotlib, the electrocardiogram in
PyWavelets (`pywt.data.ecg`), the brain, an average of 152 (ICBM 2009a, T1), in nilearn: `pip install --no-deps nilearn` is enough, its file is read here.
"""

from __future__ import annotations

import gzip
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import numconv as nc
from numconv import ndimage as ndi

FOLDER = Path(__file__).resolve().parent / "filtering"
SIDE = 256  # pixels of the photograph's cut
RATE = 360  # samples a second of the electrocardiogram
HEADER, SHAPE = 352, (197, 233, 189)  # bytes before the volume in its file; extents, the first one fastest
BRAIN = "datasets/data/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"
Array = np.ndarray[Any, Any]
PICTURES: dict[str, Callable[[], Figure]] = {}


def picture(function: Callable[[], Figure]) -> Callable[[], Figure]:
    PICTURES[function.__name__] = function
    return function


def photograph() -> Array:
    """(H, W) float32 in 0 … 1."""
    import matplotlib.cbook
    import matplotlib.image

    pixels = np.asarray(matplotlib.image.imread(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)))
    return pixels[20 : 20 + SIDE, 120 : 120 + SIDE].mean(2).astype("f4") / 255


def electrocardiogram() -> Array:
    """1,024 samples, float32."""
    import pywt.data

    return np.asarray(pywt.data.ecg(), "f4")


def brain() -> Array:
    """(z, y, x) float32 in 0 … 1."""
    found = find_spec("nilearn")
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError("filtering_pictures: the brain ships in nilearn (pip install --no-deps nilearn)")
    data = gzip.decompress((Path(found.submodule_search_locations[0]) / BRAIN).read_bytes())
    volume = np.frombuffer(data, np.uint8, int(np.prod(SHAPE)), HEADER).reshape(SHAPE[::-1])
    return volume.astype("f4") / 255


def gabor(angle: float, wavelength: float = 8.0, sigma: float = 4.0) -> Array:
    """A wave under a Gaussian, of sum 0: it answers to lines across its direction."""
    reach = int(3 * sigma)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype("f4")
    along = x * np.cos(angle) + y * np.sin(angle)
    wave = np.exp(-(x**2 + y**2) / (2 * sigma**2)) * np.cos(2 * np.pi * along / wavelength)
    return (wave - wave.mean()).astype("f4")


def energy(x: Array, angles: int = 6) -> Array:
    """The strongest answer of a bank of Gabor filters."""
    answers = [abs(nc.signal.correlate(x - x.mean(), gabor(np.pi * i / angles), "same")) for i in range(angles)]
    return np.max(answers, axis=0)


@picture
def six() -> Figure:
    """Six filters of a photograph."""
    x = photograph()
    sharpen = np.array([[0, -1, 0], [-1, 5, -1], [0, -1, 0]], "f4")
    return nc.plot.images(
        {
            "photograph": x,
            "gaussian_filter(x, 3)": ndi.gaussian_filter(x, 3),
            "sharpen: correlate": ndi.correlate(x, sharpen).clip(0, 1),
            "unsharp mask": (x + 1.5 * (x - ndi.gaussian_filter(x, 3))).clip(0, 1),
            "Sobel, both axes": np.hypot(ndi.sobel(x, 0), ndi.sobel(x, 1)),
            "gaussian_laplace(x, 2)": ndi.gaussian_laplace(x, 2),
            "six Gabor filters": energy(x),
            "uniform_filter(x, 9)": ndi.uniform_filter(x, 9),
        }
    )


@picture
def bank() -> Figure:
    return nc.plot.images({f"{30 * i}°": gabor(np.pi * i / 6) for i in range(6)}, columns=6)


@picture
def borders() -> Figure:
    """What a mean over 41 pixels sees beyond the edge."""
    x = photograph()[-96:, -96:]
    return nc.plot.images({mode: ndi.uniform_filter(x, 41, mode=mode) for mode in ("reflect", "nearest", "wrap", "constant")})


def taps(cut: float, count: int = 129) -> Array:
    """A low-pass filter's: a sinc under Hamming's window, of sum 1; cut in hertz."""
    t = np.arange(count) - count // 2
    h = np.sinc(2 * cut / RATE * t) * np.hamming(count)
    return (h / h.sum()).astype("f4")


@picture
def ecg() -> Figure:
    """Noise of the mains and a wandering baseline, added and taken out again."""
    heart = electrocardiogram()
    t = np.arange(heart.size) / RATE
    noisy = heart + 30 * np.sin(2 * np.pi * 60 * t) + 60 * np.sin(2 * np.pi * 0.4 * t)
    smooth = nc.signal.convolve(noisy.astype("f4"), taps(40), "same")
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    traces = {
        "as it ships": heart,
        "60 Hz and a drift added": noisy,
        "low-pass, less its drift": smooth - ndi.uniform_filter1d(smooth, 257),
    }
    for axes, (title, trace) in zip(figure.subplots(3, sharex=True), traces.items(), strict=True):
        axes.plot(t, trace, linewidth=0.8)
        axes.set_title(title, fontsize=9, loc="left")
    figure.axes[-1].set_xlabel("s")
    return figure


@picture
def slices() -> Figure:
    """A volume is filtered along three axes, one slice is shown."""
    x = brain()[20:180:2, ::2, ::2]
    z = 42
    edges = ndi.gaussian_gradient_magnitude(x, 1.5)
    return nc.plot.images(
        {
            "slice of a brain": x[z, ::-1],
            "gaussian_filter(x, 1.5)": ndi.gaussian_filter(x, 1.5)[z, ::-1],
            "gaussian_gradient_magnitude": edges[z, ::-1],
            "laplace": ndi.laplace(ndi.gaussian_filter(x, 1))[z, ::-1],
        }
    )


def main(names: list[str]) -> int:
    FOLDER.mkdir(exist_ok=True)
    for name in names or PICTURES:
        PICTURES[name]().savefig(FOLDER / f"{name}.png", dpi=80, metadata={"Software": None})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
