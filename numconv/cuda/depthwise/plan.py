"""The choice of tile and form for `halo_kernel`, and its launch."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from ...problem import ConvProblem
from .. import costs
from ..geometry.axes import image_strides, three
from ..runtime.launch import SIMULATED, Table, ceil_div, flat, is_aligned, launch, stream_of
from ..scalars import COMPLEX, scalars
from .kernel import SIZE, Form, make_halo, sizes

SHARED = 48 << 10
#: (channels, strips of rows, groups of threads along w, rows of a strip)
FIRST_TILES = (
    (1, 16, 16, 4), (1, 8, 32, 4), (4, 8, 8, 4), (16, 4, 4, 4), (64, 2, 2, 4), (1, 8, 8, 4), (4, 4, 4, 4), (16, 2, 2, 4), (4, 1, 64, 1), (16, 1, 16, 1),
    (2, 1, 32, 1),
)  # fmt: skip
LAST_TILES = (
    (32, 4, 8, 4), (32, 2, 8, 4), (32, 2, 16, 4), (64, 2, 8, 4), (16, 4, 8, 4), (8, 4, 16, 4), (8, 2, 8, 4), (4, 4, 8, 4), (32, 1, 32, 1), (8, 1, 64, 1),
)  # fmt: skip
TILES = {False: ((2, 1, 2, 2),), True: ((8, 1, 2, 2),)} if SIMULATED else {False: FIRST_TILES, True: LAST_TILES}


def form_of(problem: ConvProblem, x: Any, out: Any, separable: bool = False) -> Form | None:
    """How the kernel may read and store, with the tile that loads and computes least; None where no tile fits shared memory.

    Without arrays: as for addresses that are multiples of 16 bytes.
    """
    last = problem.layout == "channels_last"
    kernel, stride, dilation, pads = (three(v, 1)[1:] for v in (problem.kernel, problem.stride, problem.dilation, problem.pad_low))
    vectors = problem.dtype not in COMPLEX and problem.out_dtype not in COMPLEX
    direct = problem.group_in == problem.group_out == 1  # neighbouring channels come of neighbouring channels
    loads = problem.in_channels % 4 == 0 and direct if last else three(problem.spatial, 1)[2] % 4 == 0
    stores = problem.out_channels % 4 == 0 and problem.shuffle == 1 if last else three(problem.outputs, 1)[2] % 4 == 0
    loads = vectors and loads and (x is None or is_aligned(x))
    itemsize = scalars(problem.dtype, problem.out_dtype).itemsize
    form = Form(
        kernel, stride, dilation, (0, 0, 0, 0), last, separable, -pads[1] % 4 if loads and not last else 0, loads,
        vectors and stores and (out is None or is_aligned(out)), 48 // itemsize,
    )  # fmt: skip
    planes = min(problem.batch, costs.FULL) * three(problem.outputs, 1)[0]
    return _with_tile(form, problem.out_channels, (planes, *three(problem.outputs, 1)[1:]), itemsize)


@lru_cache(maxsize=512)
def _with_tile(form: Form, channels: int, outputs: tuple[int, int, int], itemsize: int) -> Form | None:
    """By (planes, rows, columns) of outputs, samples included: every tile gives the same bits."""

    def badness(tried: Form) -> int:
        size = sizes(tried)
        height, width = size.outputs
        blocks = ceil_div(channels, tried.tile[0]) * outputs[0] * ceil_div(outputs[1], height) * ceil_div(outputs[2], width)
        return max(blocks, costs.FULL) * (size.tile + tried.tile[0] * height * width)

    forms = (replace(form, tile=tile) for tile in TILES[form.channels_last])
    return min((f for f in forms if sizes(f).elements * itemsize <= SHARED), key=badness, default=None)


@lru_cache(maxsize=256)
def _table(problem: ConvProblem, form: Form, flip: bool) -> tuple[Any, int]:
    """The table, and the blocks."""
    outputs, spatial, height, width = three(problem.outputs, 1), three(problem.spatial, 1), *sizes(form).outputs
    xn, xc, xa = image_strides(problem.in_channels, spatial, problem.layout)
    yn, yc, ya = image_strides(problem.out_channels, outputs, problem.layout)
    depth = three(problem.kernel, 1)[0]
    tiles = ceil_div(outputs[1], height), ceil_div(outputs[2], width), ceil_div(problem.out_channels, form.tile[0])
    values = (
        problem.out_channels, problem.group_in, problem.group_out, *outputs, *spatial, problem.group_in * depth, depth,
        three(problem.stride, 1)[0], three(problem.dilation, 1)[0], *three(problem.pad_low, 0), xn, xc, *xa, yn, yc, *ya, problem.shuffle, *tiles,
        problem.taps - 1 if flip else 0, -1 if flip else 1,
    )  # fmt: skip
    assert len(values) == SIZE
    return Table(np.array(values, np.int32)), problem.batch * outputs[0] * int(np.prod(tiles))


def compute(problem: ConvProblem, form: Form, x: Any, w: Any, column: Any, bias: Any, out: Any, flip: bool = False) -> None:
    """`flip`: the taps of w in reverse, for the input gradient; `column`: the weights of the column pass, w those of the rows."""
    kernel = make_halo(problem.dtype, problem.out_dtype, None if bias is None else bias.dtype.name, problem.activation, form)
    table, blocks = _table(problem, form, flip)
    w_flat = flat(w)
    launch(
        kernel, blocks, sizes(form).threads, stream_of(out), flat(x), w_flat, w_flat if column is None else flat(column),
        w_flat if bias is None else flat(bias), flat(out), table,
    )  # fmt: skip
