"""What transforms of blocks cost, in seconds of one worker, as all rows' costs are.

Sapphire Rapids, SciPy 1.17's wheel, 2026-12-01: benchmarks/transforms.py.
"""

from __future__ import annotations

from math import log2, prod
from typing import NamedTuple

from ....kernel import Machine
from ....problem import Ints

LANES_BYTES = 16  # of the vectors that SciPy's wheels transform with: so many lines at a time
STEP = 0.73  # cycles a float32 sample and doubling of the block, there and back …
BASE = 3.2  # … and an axis, whatever its length
ALONE = 1.9  # times that for lines that fill no vector of more than two
BEYOND = 0.25  # of that more, for each doubling beyond the second cache of what is held at a time:
AT_ONCE = 2  # blocks' worth of it, or of a single axis as many for each line of a vector, and twice that
MOVED = 1.2  # cycles a float32 sample that is read into its block, or written from it
PRODUCT = 0.9  # cycles a float32 sample and product of spectra
CALL = 1.1e-4  # seconds a call of ours with three of SciPy's
THREADED = 1 << 16  # samples from which several threads transform
#: what rows of sums take, of what they are predicted to, for one channel and tens of taps, of floats and of integers, whose products
#: take two instructions: their models are fitted to layers
ONE_CHANNEL = {"direct": {"f": 1.1, "i": 1.5}, "depthwise": {"f": 0.6, "i": 1.4}}
CHUNK = 4 << 20  # bytes of samples that are transformed in one go: few enough for the last cache, enough for the threads' start


def chunk(block: int, machine: Machine) -> int:
    """Blocks of so many bytes that are transformed in one go: whole vectors of them for each core."""
    lanes = LANES_BYTES // 4 * machine.cores
    return max(lanes, CHUNK // block // lanes * lanes)


class Transforms(NamedTuple):
    """What is transformed: see `plan.Sum`."""

    extents: Ints  # of a block, axes of one sample left out
    blocks: int  # of all samples
    images: int  # of a block
    results: int
    products: int
    filters: int
    itemsize: int


def seconds(w: Transforms, machine: Machine) -> float:
    size, wide = prod(w.extents), w.itemsize / 4
    lanes = max(1, LANES_BYTES // w.itemsize)
    lines = w.blocks * w.images * (size // max(w.extents, default=1))  # of the longest axis, which has the fewest
    held = AT_ONCE * size * w.itemsize * (1 if len(w.extents) > 1 else 2 * lanes)
    beyond = max(0.0, log2(held / machine.l2))
    sample = (BASE * len(w.extents) + STEP * log2(size + 1)) * wide * (1 + BEYOND * beyond)
    alone = ALONE if lanes > 2 else 1.0
    left = lines % lanes
    there_and_back = sample * (w.images + w.results) / 2 * (lines - left + alone * left) / lines
    moved = (MOVED * (w.images + w.results) + PRODUCT * w.products) * wide
    kernels = sample / 2 * alone * w.filters
    return CALL + ((there_and_back + moved) * w.blocks + kernels) * size * machine.cycle
