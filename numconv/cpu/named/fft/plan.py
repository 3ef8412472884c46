"""Which blocks a correlation is cut into for its transforms.

Along each axis the outputs are taken `step` at a time; those of a block see extent = step + taps − 1 samples and no others, so a transform
of that length, which is circular, gives them.  Short blocks transform many samples twice, long ones leave the caches: `cost` weighs it.
"""

from __future__ import annotations

from functools import cache
from itertools import product
from math import prod
from typing import NamedTuple

from ....kernel import Machine
from ....memory import kept
from ....problem import Ints
from . import cost

#: extents of blocks that are tried, in kernels; the whole is tried too
MULTIPLES = (1.25, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 12, 16, 24, 32, 64, 128, 256)
SHORTEST = 16  # samples along an axis: below, calls outweigh transforms
MOST_TRIED = 1000  # combinations of extents


class Blocks(NamedTuple):
    """Of a correlation over its transformed axes, and of how many blocks are in memory at a time."""

    extents: Ints  # samples of a block along each axis
    steps: Ints  # outputs at stride 1 of a block
    counts: Ints  # blocks along each axis
    kernel: Ints  # extents of the kernel, its dilation counted
    chunk: int  # blocks that are transformed in one go


class Sum(NamedTuple):
    """What is to be transformed, apart from its values."""

    spatial: Ints  # samples along each axis …
    low: Ints  # … and zeros in front of them
    outputs: Ints  # at stride 1
    kernel: Ints  # extents, dilation counted
    stride: Ints  # every so manieth output is kept
    batch: int
    images: int  # lines, planes or volumes of a sample, transformed there …
    results: int  # … and back
    products: int  # of spectra, for a sample
    filters: int
    itemsize: int  # bytes of a number; complex images and results are counted twice, as two of them


@cache
def fast_length(n: int) -> int:
    """The least 2^a·3^b·5^c from n on: `scipy.fft.next_fast_len(n, real=True)`, whose import would take 0.17 s of every first call."""
    found, fives = 1 << (n - 1).bit_length(), 1
    while fives < found:
        odd = fives
        while odd < found:
            found = min(found, odd << (-(-n // odd) - 1).bit_length())
            odd *= 3
        fives *= 5
    return found


def whole_extent(samples: int, low: int, outputs: int, taps: int) -> int:
    """Of one block for all: the zeros in front are, around the circle, those behind."""
    seen = outputs + taps - 1
    return fast_length(max(min(low + samples, seen), seen - max(low, 0), outputs, taps))


def wholes(s: Sum) -> Ints:
    return tuple(map(whole_extent, s.spatial, s.low, s.outputs, s.kernel))


def _extents(whole: int, taps: int, stride: int) -> list[int]:
    """That may be tried along one axis."""
    if taps == stride == 1:
        return [1]  # nothing to transform: its positions are so many samples
    tried = (fast_length(max(SHORTEST, int(m * taps), taps + stride)) for m in MULTIPLES)
    return [*sorted({extent for extent in tried if extent < whole}), whole]


@kept
def blocks_of(s: Sum, machine: Machine) -> Blocks:
    """The cheapest."""
    tried = [_extents(*axis) for axis in zip(wholes(s), s.kernel, s.stride, strict=True)]
    while prod(map(len, tried)) > MOST_TRIED:  # every other, the whole kept
        longest = max(tried, key=len)
        longest[:] = longest[-1::-2][::-1]
    return min((_cut(s, extents, machine) for extents in product(*tried)), key=lambda blocks: seconds(s, blocks, machine))


def _cut(s: Sum, extents: Ints, machine: Machine) -> Blocks:
    steps = tuple(map(_step, extents, wholes(s), s.outputs, s.kernel, s.stride))
    counts = tuple(-(-o // step) for o, step in zip(s.outputs, steps, strict=True))
    return Blocks(extents, steps, counts, s.kernel, cost.chunk(prod(extents) * s.itemsize * (s.images + s.results), machine))


def _step(extent: int, whole: int, outputs: int, taps: int, stride: int) -> int:
    return outputs if extent == whole != 1 else (extent - taps + 1) // stride * stride


def seconds(s: Sum, blocks: Blocks, machine: Machine) -> float:
    transforms = cost.Transforms(
        extents=tuple(e for e in blocks.extents if e > 1),
        blocks=s.batch * prod(blocks.counts),
        images=s.images,
        results=s.results,
        products=s.products,
        filters=s.filters,
        itemsize=s.itemsize,
    )
    return cost.seconds(transforms, machine)
