"""Text found and read on a photograph, by the two networks of the wheel `rapidocr-onnxruntime`, their convolutions by numconv.

    pip install numconv-kernels[onnx,plot] && pip install --no-deps rapidocr-onnxruntime
    python examples/text.py            # writes text.png

The photograph of Grace Hopper that comes with matplotlib: she wears a name tag.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import ndimage
from wheels import folder

import numconv as nc

Array = np.ndarray[Any, Any]

WHEEL = "rapidocr_onnxruntime"
DETECTOR, READER = "ch_PP-OCRv4_det_infer.onnx", "ch_PP-OCRv4_rec_infer.onnx"
MULTIPLE = 32  # of the detector's image sizes: it halves five times
LINE = 48  # pixels: the height that the reader takes
ENLARGED = 3  # the letters of the photograph are 10 pixels high: the detector was trained on larger ones
SURE, LIKELY = 0.3, 0.6  # probability of a pixel of text, and the mean over a box
UNCLIP = 1.5  # the detector marks the core of a line: boxes grow by area·UNCLIP/circumference


class Text(NamedTuple):
    box: tuple[int, int, int, int]  # top, bottom, left, right, in pixels of the photograph
    words: str
    confidence: float  # mean probability of the characters


def photograph() -> Array:
    """(H, W, 3) of uint8."""
    from matplotlib import cbook, image

    with cbook.get_sample_data("grace_hopper.jpg") as file:
        return np.asarray(image.imread(file))


def planes(image: Array) -> Array:
    """(1, 3, H, W) float32 in [−1, 1], blue first, as the networks were trained."""
    return np.ascontiguousarray((image[:, :, ::-1].transpose(2, 0, 1)[None] / 127.5 - 1).astype("float32"))


def detector_input(image: Array, scale: float) -> Array:
    size = tuple(round(n * scale / MULTIPLE) * MULTIPLE for n in image.shape[:2])
    return np.asarray(nc.resize2d(planes(image), size=size, mode="bilinear"))


def boxes(probability: Array, shape: tuple[int, ...]) -> list[tuple[int, int, int, int]]:
    """Of each connected piece of text, grown to the whole letters, in pixels of an image of that shape."""
    mask = probability > SURE
    labels, _ = ndimage.label(mask)
    found = []
    for i, (rows, columns) in enumerate(ndimage.find_objects(labels)):
        inside = labels[rows, columns] == i + 1
        height, width = inside.shape
        if min(height, width) < 4 or probability[rows, columns][inside].mean() < LIKELY:
            continue
        grow = height * width * UNCLIP / (2 * (height + width))
        scale = [a / b for a, b in zip(shape, probability.shape, strict=False)]
        top, bottom = ((rows.start - grow) * scale[0], (rows.stop + grow) * scale[0])
        left, right = ((columns.start - grow) * scale[1], (columns.stop + grow) * scale[1])
        found.append((max(0, int(top)), min(shape[0], int(bottom) + 1), max(0, int(left)), min(shape[1], int(right) + 1)))
    return found


def reader_input(image: Array, box: tuple[int, int, int, int]) -> Array:
    top, bottom, left, right = box
    width = max(LINE, round((right - left) * LINE / (bottom - top)))
    return np.asarray(nc.resize2d(planes(image[top:bottom, left:right]), size=(LINE, width), mode="bilinear"))


def spelled(probability: Array, characters: list[str]) -> tuple[str, float]:
    """The best character of each step; repeated ones are one, and the first of the alphabet is none (CTC)."""
    best = probability.argmax(axis=1)
    kept = [i for i, c in enumerate(best) if c != 0 and (i == 0 or best[i - 1] != c)]
    return "".join(characters[best[i]] for i in kept), float(probability[kept, best[kept]].mean()) if kept else 0.0


def alphabet(path: Path) -> list[str]:
    import onnx

    (entry,) = (p.value for p in onnx.load(path).metadata_props if p.key == "character")
    return ["", *entry.splitlines(), " "]


def read(image: Array, detect: Callable[[Array], Array], recognise: Callable[[Array], Array], characters: list[str]) -> list[Text]:
    """All lines of text; the two networks take one array and give one."""
    probability = detect(detector_input(image, ENLARGED))[0, 0]
    found = []
    for box in boxes(probability, image.shape):
        words, confidence = spelled(recognise(reader_input(image, box))[0], characters)
        found.append(Text(box, words, confidence))
    return found


def picture(image: Array, found: list[Text], path: str) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(image.shape[1] / 100, image.shape[0] / 100))
    axes.imshow(image)
    for text in found:
        top, bottom, left, right = text.box
        axes.plot([left, right, right, left, left], [top, top, bottom, bottom, top], color="yellow", lw=2)
        axes.text(left, top - 10, f"{text.words}  {text.confidence:.0%}", color="black", backgroundcolor="yellow", fontsize=9, va="bottom")
    axes.axis("off")
    figure.savefig(path, bbox_inches="tight", dpi=100)
    plt.close(figure)


def main(path: str | None = "text.png", tell: Callable[[str], Any] = print) -> list[Text]:
    models = folder(WHEEL) / "models"
    detector, reader = (nc.onnx.prepare(models / name) for name in (DETECTOR, READER))
    image, characters = photograph(), alphabet(models / READER)

    def every_line() -> list[Text]:
        return read(image, lambda x: detector.run(x)[0], lambda x: reader.run(x)[0], characters)

    tell("compiling what is needed …")
    every_line()
    start = time.perf_counter()
    found = [text for text in every_line() if text.confidence > 0.8]
    tell(f"{time.perf_counter() - start:.2f} s: " + ", ".join(f"{t.words!r} at {t.box}, {t.confidence:.0%} sure" for t in found))
    if path:
        picture(image, found, path)
    return found


if __name__ == "__main__":
    main(*sys.argv[1:2])
