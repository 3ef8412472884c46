"""The halo kernel's plan: the form compiled into it, what follows for shared memory, the record it reads, and the choice of a tile."""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

from ....memory import kept
from ....problem import ConvProblem
from ... import costs
from ...environment import SIMULATED
from ...geometry.image import Image, Three, Two, image, three
from ...runtime.arrays import is_aligned
from ...runtime.launch import UNASKED_SHARED, Table, ceil_div
from ...runtime.record import table
from ...scalars import COMPLEX, scalars

#: bytes of a row that a thread may hold in registers
HALO_WINDOW = 192


class HaloTile(NamedTuple):
    """The results of a block, and how its threads share them."""

    channels: int
    strips: int  # of rows, one below the other
    across: int  # threads side by side along w, of four columns each; channels last of one column and four channels
    rows: int  # of a strip: a thread's


class HaloForm(NamedTuple):
    """What of the problem's form is compiled into a kernel."""

    kernel: Two  # taps
    stride: Two
    dilation: Two
    tile: HaloTile
    channels_last: bool
    separable: bool = False  # a column pass first
    shift: int = 0  # columns between the tile's first and the first that is read
    quad_loads: bool = False  # four neighbours of the image by one load
    quad_stores: bool = False  # four neighbours of the result by one store
    window: int = 12  # quads of a row that a thread may hold


class TilePitches(NamedTuple):
    """Within the tile in shared memory, in elements from one to the next."""

    channel_pitch: int
    row_pitch: int
    column_pitch: int


class HaloSizes(NamedTuple):
    """What follows from a form: what lies in shared memory, in the order in which it lies there, and the threads."""

    outputs: Two  # rows and columns of a block's results
    rows: int  # of the image, in the tile
    columns: int
    taps: int  # along w in one piece: what a thread's window serves at once
    pieces: int  # that the taps along w are cut into
    pitches: TilePitches
    tile: int  # elements of the image's tile
    middle: int  # of the second tile, between column pass and row pass
    weights: int  # of the taps, those of the row pass where there are two
    column_weights: int  # of the column pass
    threads: int

    @property
    def elements(self) -> int:
        return self.tile + self.middle + self.weights + self.column_weights


class HaloPlan(NamedTuple):
    """What the kernel reads of a problem."""

    channels: int  # of the result
    group_in: int  # channels of the image that a result is summed over
    group_out: int  # channels of the result that come of the same channels of the image
    x: Image
    y: Image
    layers: int  # planes of the image that a plane of results is summed over: group_in · taps along t
    taps_t: int  # taps along t
    stride_t: int
    dilation_t: int
    pad_low: Three
    shuffle: int  # groups of the channel shuffle behind the convolution
    tiles: Two  # blocks side by side along h and w
    channel_tiles: int  # blocks that the channels of the result are cut into
    first_tap: int  # in w, of a channel: 0, or the last if the taps are reversed
    tap_pitch: int  # in w, from a tap to the next: 1, or −1 if they are reversed


FIRST_HALO_TILES = (
    HaloTile(channels=1, strips=16, across=16, rows=4),
    HaloTile(channels=1, strips=8, across=32, rows=4),
    HaloTile(channels=4, strips=8, across=8, rows=4),
    HaloTile(channels=16, strips=4, across=4, rows=4),
    HaloTile(channels=64, strips=2, across=2, rows=4),
    HaloTile(channels=1, strips=8, across=8, rows=4),
    HaloTile(channels=4, strips=4, across=4, rows=4),
    HaloTile(channels=16, strips=2, across=2, rows=4),
    HaloTile(channels=4, strips=1, across=64, rows=1),
    HaloTile(channels=16, strips=1, across=16, rows=1),
    HaloTile(channels=2, strips=1, across=32, rows=1),
)
LAST_HALO_TILES = (
    HaloTile(channels=32, strips=4, across=8, rows=4),
    HaloTile(channels=32, strips=2, across=8, rows=4),
    HaloTile(channels=32, strips=2, across=16, rows=4),
    HaloTile(channels=64, strips=2, across=8, rows=4),
    HaloTile(channels=16, strips=4, across=8, rows=4),
    HaloTile(channels=8, strips=4, across=16, rows=4),
    HaloTile(channels=8, strips=2, across=8, rows=4),
    HaloTile(channels=4, strips=4, across=8, rows=4),
    HaloTile(channels=32, strips=1, across=32, rows=1),
    HaloTile(channels=8, strips=1, across=64, rows=1),
)
SIMULATED_HALO_TILES = {
    False: (HaloTile(channels=2, strips=1, across=2, rows=2),),
    True: (HaloTile(channels=8, strips=1, across=2, rows=2),),
}
#: channels last → what is chosen from
HALO_TILES = SIMULATED_HALO_TILES if SIMULATED else {False: FIRST_HALO_TILES, True: LAST_HALO_TILES}


def held(form: HaloForm, taps: int) -> int:
    """Quads of a row that so many taps read for four neighbours: all between the first and the last, or two for each tap."""
    return min(ceil_div(3 * form.stride.w + (taps - 1) * form.dilation.w + 1 + form.shift, 4), 2 * taps)


def sizes(form: HaloForm) -> HaloSizes:
    tile, kernel, stride, dilation = form.tile, form.kernel, form.stride, form.dilation
    height, width = tile.strips * tile.rows, tile.across * (1 if form.channels_last else 4)
    rows = (height - 1) * stride.h + (kernel.h - 1) * dilation.h + 1
    taps = kernel.w if form.channels_last or held(form, kernel.w) <= form.window else 8 if held(form, 8) <= form.window else 4
    pieces = ceil_div(kernel.w, taps)
    columns = (width - 1) * stride.w + (taps * pieces - 1) * dilation.w + 1 + form.shift
    if form.channels_last:
        pitches, row_taps = TilePitches(1, columns * tile.channels, tile.channels), kernel.w
    else:
        columns = ceil_div(columns, 4) * 4
        shared_rows = tile.rows * (1 if form.separable else stride.h)  # between neighbouring strips: on banks of their own
        columns = min(range(columns, columns + 32, 4), key=lambda c: (tile.across < 8 and c * shared_rows % 32 != 4 * tile.across, c))
        pitches, row_taps = TilePitches((height if form.separable else rows) * columns, columns, 1), ceil_div(taps * pieces, 4) * 4
    return HaloSizes(
        outputs=Two(height, width),
        rows=rows,
        columns=columns,
        taps=taps,
        pieces=pieces,
        pitches=pitches,
        tile=tile.channels * rows * columns,
        middle=tile.channels * height * columns if form.separable else 0,
        weights=tile.channels * row_taps * (1 if form.separable else kernel.h),
        column_weights=tile.channels * kernel.h if form.separable else 4,
        threads=tile.strips * tile.across * (tile.channels // 4 if form.channels_last else tile.channels),
    )


def form_of(problem: ConvProblem, x: Any, out: Any, separable: bool = False) -> HaloForm | None:
    """How the kernel may read and store, with the tile that loads and computes least; None where no tile fits shared memory.

    Without arrays: as for addresses that are multiples of 16 bytes.
    """
    last = problem.layout == "channels_last"
    kernel, stride, dilation, pads = (three(v, 1) for v in (problem.kernel, problem.stride, problem.dilation, problem.pad_low))
    source, target = three(problem.spatial, 1), three(problem.outputs, 1)
    vectors = problem.dtype not in COMPLEX and problem.out_dtype not in COMPLEX
    direct = problem.group_in == problem.group_out == 1  # neighbouring channels come of neighbouring channels
    loads = problem.in_channels % 4 == 0 and direct if last else source.w % 4 == 0
    stores = problem.out_channels % 4 == 0 and problem.shuffle == 1 if last else target.w % 4 == 0
    loads = vectors and loads and (x is None or is_aligned(x))
    itemsize = scalars(problem.dtype, problem.out_dtype).itemsize
    form = HaloForm(
        kernel=Two(kernel.h, kernel.w),
        stride=Two(stride.h, stride.w),
        dilation=Two(dilation.h, dilation.w),
        tile=HaloTile(0, 0, 0, 0),
        channels_last=last,
        separable=separable,
        shift=-pads.w % 4 if loads and not last else 0,
        quad_loads=loads,
        quad_stores=vectors and stores and (out is None or is_aligned(out)),
        window=HALO_WINDOW // (4 * itemsize),
    )
    planes = min(problem.batch, costs.FULL) * target.t
    return _with_tile(form, problem.out_channels, target._replace(t=planes), itemsize)


@kept
def _with_tile(form: HaloForm, channels: int, outputs: Three, itemsize: int) -> HaloForm | None:
    """By planes, those of all samples, rows and columns of outputs: every tile gives the same bits."""

    def badness(tried: HaloForm) -> int:
        size = sizes(tried)
        across = ceil_div(outputs.h, size.outputs.h) * ceil_div(outputs.w, size.outputs.w)
        blocks = ceil_div(channels, tried.tile.channels) * outputs.t * across
        return max(blocks, costs.FULL) * (size.tile + tried.tile.channels * prod(size.outputs))

    forms = (form._replace(tile=tile) for tile in HALO_TILES[form.channels_last])
    return min((f for f in forms if sizes(f).elements * itemsize <= UNASKED_SHARED), key=badness, default=None)


@kept
def plan_of(problem: ConvProblem, form: HaloForm, flip: bool) -> tuple[Table, int]:
    """The plan as the kernel reads it, and the blocks; `flip`: the taps of w in reverse."""
    taps, block, y = three(problem.kernel, 1), sizes(form).outputs, image(problem.out_channels, problem.outputs, problem.layout)
    plan = HaloPlan(
        channels=problem.out_channels,
        group_in=problem.group_in,
        group_out=problem.group_out,
        x=image(problem.in_channels, problem.spatial, problem.layout),
        y=y,
        layers=problem.group_in * taps.t,
        taps_t=taps.t,
        stride_t=three(problem.stride, 1).t,
        dilation_t=three(problem.dilation, 1).t,
        pad_low=three(problem.pad_low, 0),
        shuffle=problem.shuffle,
        tiles=Two(ceil_div(y.h, block.h), ceil_div(y.w, block.w)),
        channel_tiles=ceil_div(problem.out_channels, form.tile.channels),
        first_tap=problem.taps - 1 if flip else 0,
        tap_pitch=-1 if flip else 1,
    )
    return Table(table(plan)), problem.batch * y.t * prod(plan.tiles) * plan.channel_tiles
