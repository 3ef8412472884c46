"""Device functions by which a tap reads between pixels, forward and on the way back."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

from numba.cuda.types import int32

from ...geometry.decode import split
from ...ptx import imul
from ...runtime.launch import inlined


@lru_cache(maxsize=8)
def readers(load: Any, kind: Any) -> tuple[Any, Any, Any]:
    """Device functions: where a tap reads, the pixel below that, and each of the four pixels around it.

    place(offset, plan, slot, r, p) → the real (h, w) that tap r reads for output p; `slot` counts (sample, offset group, tap).
    cell(h, w, height, width) → (whether any pixel is near, row, column, and how far (h, w) lies beyond them).
    corner(k, jh, jw, dh, dw, height, width) → (whether pixel k lies in the image, its offset from pixel 0, its share of the sample).
    """
    one = kind(1)

    @inlined
    def place(offset, plan, slot, r, p):
        area = int32(plan.outputs.h * plan.outputs.w)
        ph, pw = split(p, plan.outputs.w)
        rh, rw = split(r, plan.taps.w)
        where = int32(imul(imul(slot, int32(2)), area) + p)
        h = int32(ph * plan.stride.h + rh * plan.dilation.h - plan.pad_low.h)
        w = int32(pw * plan.stride.w + rw * plan.dilation.w - plan.pad_low.w)
        return kind(kind(h) + load(offset, where)), kind(kind(w) + load(offset, int32(where + area)))

    @inlined
    def cell(h, w, height, width):
        # a position off the image, or no number, samples nothing; compared before it is made an integer
        near = h > kind(-1) and w > kind(-1) and h < kind(height) and w < kind(width)
        if not near:
            h, w = kind(0), kind(0)
        low_h, low_w = kind(math.floor(h)), kind(math.floor(w))
        return near, int32(low_h), int32(low_w), kind(h - low_h), kind(w - low_w)

    @inlined
    def corner(k, jh, jw, dh, dw, height, width):
        down, right = int32(k // 2), int32(k % 2)
        row, column = int32(jh + down), int32(jw + right)
        share = kind((dh if down == int32(1) else kind(one - dh)) * (dw if right == int32(1) else kind(one - dw)))
        return row >= int32(0) and row < height and column >= int32(0) and column < width, int32(imul(down, width) + right), share

    return place, cell, corner
