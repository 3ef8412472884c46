"""Speech told from silence and tones by the network of the wheel `silero-vad`, its convolutions by numconv.

    pip install numconv-kernels[onnx,plot] && pip install --no-deps silero-vad
    python examples/speech.py          # writes speech.png

The voice is made here: pulses through the resonances of a vocal tract, vowel after vowel, with hisses between them.
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

WHEEL, MODEL = "silero_vad", "data/silero_vad_16k_op15.onnx"
RATE = 16000  # samples/s
CHUNK, CONTEXT = 512, 64  # samples that the network takes in one step, and those before that it sees again
#: resonances of a vocal tract, (Hz, bandwidth in Hz)
VOWELS = {
    "a": [(730, 80), (1090, 90), (2440, 120), (3400, 150)],
    "e": [(530, 70), (1840, 100), (2480, 120), (3500, 150)],
    "i": [(270, 60), (2290, 100), (3010, 120), (3600, 150)],
    "o": [(570, 70), (840, 80), (2410, 120), (3400, 150)],
    "u": [(300, 60), (870, 90), (2240, 120), (3400, 150)],
}


def vowel(name: str, pitch: float, rng: np.random.Generator, seconds: float = 0.18) -> Array:
    t = np.arange(int(seconds * RATE)) / RATE
    falling = pitch * (1 + 0.03 * np.sin(2 * np.pi * 5 * t) - 0.15 * t / seconds)
    pulses = np.diff(np.floor(np.cumsum(falling) / RATE), prepend=0)  # one a period
    sound = lfilter([1], [1, -0.95], pulses) + 0.005 * rng.standard_normal(len(t))
    for frequency, bandwidth in VOWELS[name]:
        r = np.exp(-np.pi * bandwidth / RATE)
        sound = lfilter([1 - r], [1, -2 * r * np.cos(2 * np.pi * frequency / RATE), r * r], sound)
    sound *= np.minimum(1, np.minimum(t, seconds - t) / 0.03)
    return 0.3 * sound / np.abs(sound).max()


def voice(rng: np.random.Generator) -> Array:
    """Two seconds of syllables."""
    parts = []
    for name, pitch in zip("aieouaie", (120, 130, 115, 140, 110, 125, 118, 105), strict=True):
        hiss = np.diff(rng.standard_normal(int(0.06 * RATE)))
        parts += [0.15 * hiss / np.abs(hiss).max(), vowel(name, pitch, rng), np.zeros(int(0.03 * RATE))]
    return np.concatenate(parts)


def recording(seed: int = 0) -> tuple[Array, Array]:
    """A float32 signal, and for each sample whether someone speaks: silence, voice, silence, a tone, a softer voice, silence."""
    rng = np.random.default_rng(seed)
    silence, tone = np.zeros(RATE), 0.2 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    parts = [(silence, 0), (voice(rng), 1), (silence, 0), (tone, 0), (voice(rng) / 2, 1), (silence, 0)]
    signal = np.concatenate([part for part, _ in parts])
    spoken = np.concatenate([np.full(len(part), speech, bool) for part, speech in parts])
    return (signal + 0.001 * rng.standard_normal(len(signal))).astype("float32"), spoken


def probabilities(signal: Array, step: Callable[[dict[str, Array]], list[Array]]) -> Array:
    """Of speech, for each chunk in turn: the network hands its state on."""
    state, before = np.zeros((2, 1, 128), "float32"), np.zeros(CONTEXT, "float32")
    found = []
    for start in range(0, len(signal) - CHUNK + 1, CHUNK):
        x = np.concatenate([before, signal[start : start + CHUNK]])[None]
        p, state = step({"input": x, "state": state, "sr": np.array(RATE)})
        before = x[0, -CONTEXT:]
        found.append(p[0, 0])
    return np.array(found)


def picture(signal: Array, found: Array, path: str) -> None:
    import matplotlib.pyplot as plt

    figure, (top, bottom) = plt.subplots(2, 1, sharex=True, figsize=(9, 4))
    top.plot(np.arange(len(signal)) / RATE, signal, lw=0.4, color="black")
    top.set_ylabel("signal")
    bottom.step(np.arange(len(found)) * CHUNK / RATE, found, where="post", color="black")
    bottom.axhline(0.5, ls=":", color="grey")
    bottom.set(xlabel="s", ylabel="probability of speech")
    figure.savefig(path, bbox_inches="tight", dpi=100)
    plt.close(figure)


def main(path: str | None = "speech.png", tell: Callable[[str], Any] = print) -> tuple[Array, Array]:
    """The probabilities, and whether someone speaks in the middle of each chunk."""
    network = nc.onnx.prepare(folder(WHEEL) / MODEL)
    signal, spoken = recording()
    tell("compiling what is needed …")
    probabilities(signal[: 2 * CHUNK], network.run)
    start = time.perf_counter()
    found = probabilities(signal, network.run)
    seconds = time.perf_counter() - start
    truth = spoken[CHUNK // 2 :: CHUNK][: len(found)]
    right = float(((found > 0.5) == truth).mean())
    tell(f"{len(signal) / RATE:.1f} s of sound in {seconds:.2f} s: {right:.0%} of {len(found)} chunks told rightly")
    if path:
        picture(signal, found, path)
    return found, truth


if __name__ == "__main__":
    main(*sys.argv[1:2])
