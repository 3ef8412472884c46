"""Weights for tiles with filters in the lanes (simd.spread): packed by blocks of a tile's columns, (term, column) in each.

A filter is some *stretches* of memory; its weight j of stretch i goes to the term places[i·length + j] of the block.  The last term of a
block takes the weights that no term needs, and is read by nobody.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from numba import prange

from ..runtime.launch import device_function, kernel
from ..runtime.record import reader
from ..simd.spread import transpose_to
from ..simd.tiles import columns, lanes, tile_shape
from ..simd.vector import get, load_n, moved, pointer, store

SMALL_PACK = 1 << 15  # weights; fewer are packed in the calling thread


class Filters(NamedTuple):
    """Where the filters of a group lie in the weights as given, in elements, and what they are packed into."""

    produced: int  # filters of a group
    stretches: int  # of a filter
    length: int  # of a stretch
    stretch_pitch: int
    filter_pitch: int  # from one filter to the next; 1: they lie side by side, as the tile wants them
    group_pitch: int
    blocks: int  # of a group
    block_size: int  # elements of a packed block


filters_at = reader(Filters)


@device_function
def pack_block(shape, filters, w, places, block, packed, stretches, terms):
    """Of one block of a group's filters `w`: the stretches from … to, and of each the weights from … to."""
    width, n, length, pitch = columns(shape), lanes(shape), filters.length, filters.filter_pitch
    source = moved(w, block * width * pitch)
    valid = min(width, filters.produced - block * width)
    for i in range(stretches[0], stretches[1]):
        if pitch == 1:  # the input gradient of a pointwise convolution
            for v in range(0, width, n):
                store(packed, get(places, i) * width + v, load_n(source, i * filters.stretch_pitch + v, valid - v, shape))
            continue
        for k in range(terms[0], terms[1], n):
            piece = moved(source, i * filters.stretch_pitch + k)
            transpose_to(shape, piece, pitch, valid, min(n, length - k), packed, width, moved(places, i * length + k))


@device_function
def _pack_part(shape, filters, w, places, block, packed, part, parts):
    """Part of `parts` of a block: of its stretches, or of the weights of each where stretches are fewer."""
    stretches, length, n = filters.stretches, filters.length, lanes(shape)
    pieces = (length + n - 1) // n
    if stretches >= parts or filters.filter_pitch == 1:
        pack_block(shape, filters, w, places, block, packed, (part * stretches // parts, (part + 1) * stretches // parts), (0, length))
    else:
        terms = (part * pieces // parts * n, min(length, (part + 1) * pieces // parts * n))
        pack_block(shape, filters, w, places, block, packed, (0, stretches), terms)


@lru_cache(maxsize=64)
def packer(vectors: int, tile_lanes: int) -> Any:
    """All blocks of all groups, each in `parts` tasks; `numbers`: a record of Filters, then the places."""

    def pack(w, packed, numbers, places, parts, tasks):  # type: ignore[no-untyped-def]
        for task in prange(tasks):
            shape, number = tile_shape(1, vectors, tile_lanes), task // parts
            filters = filters_at(pointer(numbers), 0)
            group, block = number // filters.blocks, number % filters.blocks
            source, target = moved(pointer(w), group * filters.group_pitch), moved(pointer(packed), number * filters.block_size)
            _pack_part(shape, filters, source, pointer(places), block, target, task % parts, parts)

    return kernel(pack)
