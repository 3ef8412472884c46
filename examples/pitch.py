"""The notes of a recording by the network of the wheel `basic-pitch`, its convolutions by numconv.

    pip install numconv-kernels[onnx,plot] && pip install --no-deps basic-pitch
    python examples/pitch.py           # writes pitch.png

The music is made here: a plucked string after another (Karplus and Strong's), and a chord at the end.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.signal import lfilter
from wheels import folder

import numconv as nc

Array = np.ndarray[Any, Any]

WHEEL, MODEL = "basic_pitch", "saved_models/icassp_2022/nmp.onnx"
RATE, WINDOW = 22050, 43844  # samples/s, and samples that the network takes: two seconds
HOP = 256  # samples between its frames
LOWEST = 21  # the MIDI number of its first note, A0; the next are semitones
NAMES = ("C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B")
#: (seconds, MIDI number) of what is played
PLAYED = ((0.1, 60), (0.4, 64), (0.7, 67), (1.0, 72), (1.4, 57), (1.4, 60), (1.4, 64))


def name(note: int) -> str:
    return f"{NAMES[note % 12]}{note // 12 - 1}"


def pluck(note: int, seconds: float, rng: np.random.Generator) -> Array:
    """A burst of noise that goes round a string, losing its high frequencies."""
    period = RATE / (440 * 2 ** ((note - 69) / 12))
    whole = int(period - 0.5)
    late = period - 0.5 - whole  # of a sample: two neighbours are mixed
    burst = np.zeros(int(seconds * RATE))
    burst[:whole] = lfilter([0.5, 0.5], [1], rng.uniform(-1, 1, whole))
    loop = np.zeros(whole + 3)
    loop[0] = 1
    loop[whole : whole + 3] = -0.996 * np.convolve([0.5, 0.5], [1 - late, late])
    sound = lfilter([1], loop, burst)
    return sound * np.minimum(1, (seconds - np.arange(len(sound)) / RATE) / 0.02)


def music(seed: int = 0) -> Array:
    """(1, WINDOW, 1) float32."""
    rng = np.random.default_rng(seed)
    sound = np.zeros(WINDOW)
    for start, note in PLAYED:
        first = int(start * RATE)
        string = pluck(note, 0.55 if start >= 1.4 else 0.28, rng)[: WINDOW - first]
        sound[first : first + len(string)] += string
    return (0.5 * sound / np.abs(sound).max()).astype("float32").reshape(1, -1, 1)


def notes(frames: Array, onsets: Array, least: float = 0.5) -> list[tuple[float, int]]:
    """(seconds, MIDI number) of each onset: a maximum over time of a note that then sounds."""
    found = []
    for frame, pitch in np.argwhere(onsets > least):
        around = onsets[max(0, frame - 4) : frame + 5, pitch]
        if onsets[frame, pitch] == around.max() and frames[frame : frame + 8, pitch].mean() > least:
            found.append((frame * HOP / RATE, int(pitch) + LOWEST))
    return sorted(found)


def picture(frames: Array, found: list[tuple[float, int]], path: str) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 4))
    seconds = len(frames) * HOP / RATE
    axes.imshow(frames.T, origin="lower", aspect="auto", cmap="Greys", extent=(0, seconds, LOWEST - 0.5, LOWEST + 87.5))
    axes.scatter(*zip(*found, strict=True), marker="|", s=90, color="black", label="found")
    axes.scatter(*zip(*PLAYED, strict=True), marker="o", s=140, facecolors="none", edgecolors="black", label="played")
    for start, note in found:
        axes.annotate(name(note), (start, note), (6, -14), textcoords="offset points")
    axes.set(xlabel="s", ylabel="MIDI number", ylim=(50, 80))
    axes.legend(loc="upper left")
    figure.savefig(path, bbox_inches="tight", dpi=100)
    plt.close(figure)


def main(path: str | None = "pitch.png", tell: Callable[[str], Any] = print) -> list[tuple[float, int]]:
    network = nc.onnx.prepare(folder(WHEEL) / MODEL)
    sound = music()
    tell("compiling what is needed …")
    network.run(sound)
    start = time.perf_counter()
    onsets, frames, _ = network.run(sound)
    found = notes(frames[0], onsets[0])
    tell(f"{time.perf_counter() - start:.2f} s: " + ", ".join(f"{name(note)} at {seconds:.2f}" for seconds, note in found))
    if path:
        picture(frames[0], found, path)
    return found


if __name__ == "__main__":
    main(*sys.argv[1:2])
