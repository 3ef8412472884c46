"""What a task of `winograd` does where channels are last: they are in the lanes, of the source, of the sums and of the result.

    for each position of the box, register of channels: V = Bᵀ d B, columns of the source first, each once for two tiles that share it
    for each output channel register, each position: Aᵀ M A, whose targets are pixels

Nothing is shuffled: a dilation or a stride is a distance between the samples of a tile.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..runtime.launch import device_function, inlined
from ..simd.strided import stepping
from ..simd.tiles import lanes, rows
from ..simd.vector import get, load, load_n, moved, store, store_n
from ..stages.epilogue import activate
from ..stages.pack import zero
from .box import behind, share_of
from .points import input_row, output_row, outputs
from .transforms import eight, put_row, restored


class Samples(NamedTuple):
    """Samples of an axis at a step, from the first on, and which of them, live ≤ number < end, lie in the source."""

    step: Any
    live: Any
    end: Any


@inlined
def _inside(first, step, count, extent):
    """Which of `count` samples of an axis lie in its extent."""
    live = min(count, max(0, (step - 1 - first) // step))
    return Samples(step, live, max(live, min(count, (extent - 1 - first) // step + 1)))


@inlined
def _sample(vector, x, number, inside, count):
    """`count` channels of a sample of a column, zeros outside; `inside` None: all are there."""
    if inside is None:
        return load(x, 0, vector)
    return load_n(x, 0, count if number >= inside.live and number < inside.end else 0, vector)


@device_function
def _columns(by_a, vector, x, row_pitch, pixel_pitch, inside, columns, count, target):
    """Bᵀ of the columns live ≤ e < end, each of samples `row_pitch` apart: frequency k to target[(e·frequencies + k)·lanes]."""
    n, f, step = lanes(vector), rows(by_a), columns.step * pixel_pitch
    for e in range(columns.live, columns.end):
        at = moved(x, e * step)
        y = input_row(
            by_a,
            _sample(vector, at, 0, inside, count),
            _sample(vector, moved(at, row_pitch), 1, inside, count),
            _sample(vector, moved(at, 2 * row_pitch), 2, inside, count),
            _sample(vector, moved(at, 3 * row_pitch), 3, inside, count),
            _sample(vector, moved(at, 4 * row_pitch), 4, inside, count),
            _sample(vector, moved(at, 5 * row_pitch), 5, inside, count),
            _sample(vector, moved(at, 6 * row_pitch), 6, inside, count),
            _sample(vector, moved(at, 7 * row_pitch), 7, inside, count),
        )
        put_row(moved(target, e * f * n), n, y)


@device_function
def _some_columns(by_a, vector, x, row_pitch, pixel_pitch, inside, columns, count, target):
    """The same, by plain loads where all of it is there.  (A function, so that the loop over channels is not doubled for it.)"""
    if count == lanes(vector) and inside.end - inside.live == rows(by_a):
        _columns(by_a, vector, x, row_pitch, pixel_pitch, None, columns, count, target)
    else:
        _columns(by_a, vector, x, row_pitch, pixel_pitch, inside, columns, count, target)


@device_function
def _across(by_a, by_w, vector, columns, tiles, v, tile_pitch, frequency_pitch):
    """Bᵀ along W of columns of `_columns`: frequency (k, j) to v[tile·tile_pitch + (k·frequencies of W + j)·frequency_pitch]."""
    n, f, step = lanes(vector), rows(by_a), rows(by_a) * lanes(vector)
    for i in range(tiles):
        for k in range(f):
            y = input_row(by_w, *eight(vector, moved(columns, i * outputs(rows(by_w)) * step + k * n), step))
            put_row(moved(v, i * tile_pitch + k * rows(by_w) * frequency_pitch), frequency_pitch, y)


@device_function
def _fill_row(by_a, by_w, vector, plan, task, x, place, tiles, channels, v):
    """V of some tiles side by side, whose first samples are at `place` of A and W; `x` points to row 0 and column 0 of theirs."""
    a, w, pixel_pitch = plan.a, plan.w, plan.groups * plan.summed
    n, f, columns = lanes(vector), rows(by_a), moved(task.room, plan.pixels.columns_at)
    frequency_pitch, tile_pitch = plan.v.pitch, w.residues * plan.v.position_pitch
    (at_a, extent_a), at_w = place
    count = tiles * outputs(rows(by_w)) + rows(by_w) - outputs(rows(by_w))
    inside, across = _inside(at_a, a.residues * a.step, f, extent_a), _inside(at_w, w.residues * w.step, count, w.source)
    if inside.live == inside.end:
        across = Samples(across.step, count, count)
    zero(vector, columns, across.live * f * n)
    zero(vector, moved(columns, across.end * f * n), (count - across.end) * f * n)
    row_pitch = inside.step * a.source_rows * w.source * pixel_pitch
    at = moved(x, (at_a * a.source_rows * w.source + at_w) * pixel_pitch)
    first, end = channels
    for c in range(first, end, n):
        _some_columns(by_a, vector, moved(at, c), row_pitch, pixel_pitch, inside, across, min(n, end - c), columns)
        _across(by_a, by_w, vector, columns, tiles, moved(v, c), tile_pitch, frequency_pitch)


@device_function
def _fill_plane(by_a, by_w, vector, plan, task, x, first, channels, box, v):
    """V of a box in one plane of each axis, whose first samples are at these places of o, a, i, w."""
    o, a, i, w, pixel_pitch = plan.o, plan.a, plan.i, plan.w, plan.groups * plan.summed
    position, together = plan.v.position_pitch, plan.pixels.together
    m_a, m_w = outputs(rows(by_a)), outputs(rows(by_w))
    first_o, first_a, first_i, first_w = first
    residues_a, residues_w, lines, tiles = box.a.residues, box.w.residues, box.i.tiles + i.halo, box.w.tiles + w.halo
    for outer in range(box.o.tiles + o.halo):
        at_o = first_o + outer * o.step
        for u in range((box.a.tiles + a.halo) * residues_a):
            at_a = first_a + (u // residues_a * m_a * a.residues + u % residues_a) * a.step
            for k in range(lines):
                at_i = first_i + k * i.step
                live = at_o >= 0 and at_o < o.source and at_i >= 0 and at_i < i.source
                row = moved(x, (at_o * o.source_rows + at_i * i.source_rows) * w.source * pixel_pitch)
                line = moved(v, (outer * o.positions + u * a.positions + k * i.positions) * position)
                for r in range(residues_w):
                    for t in range(0, tiles, together):
                        at_w = first_w + (t * m_w * w.residues + r) * w.step
                        place = ((at_a, a.source if live else 0), at_w)
                        target = moved(line, (t * residues_w + r) * position)
                        _fill_row(by_a, by_w, vector, plan, task, row, place, min(together, tiles - t), channels, target)


def fill_pixels(shape, by_a, by_w, plan, task, split, group, sample, box, v):  # type: ignore[no-untyped-def]
    """V of a box, of this task's share of the channels."""
    o, a, i, w, lists, vector = plan.o, plan.a, plan.i, plan.w, task.offsets, stepping(by_w, 1)
    x = moved(task.x, (sample * plan.source_size * plan.groups + group) * plan.summed)
    channels = share_of(plan, split, lanes(vector))
    for of_o in range(o.planes):
        for of_i in range(i.planes):
            for of_w in range(w.planes):
                for of_a in range(a.planes):
                    first_o = box.o.first * o.step + get(lists, o.planes_at + of_o) - o.low
                    first_a = box.a.first * a.step + get(lists, a.planes_at + of_a) - a.low
                    first_i = box.i.first * i.step + get(lists, i.planes_at + of_i) - i.low
                    first_w = box.w.first * w.step + get(lists, w.planes_at + of_w) - w.low
                    _fill_plane(by_a, by_w, vector, plan, task, x, (first_o, first_a, first_i, first_w), channels, box, v)
                    if split == 0:  # numbers of another kernel there may be denormal (decision 50)
                        begin, end = behind(plan, box, rows(shape), plan.v.plane_pitch // plan.v.position_pitch)
                        for f in range(plan.frequencies):
                            at = moved(v, f * plan.v.pitch + begin * plan.v.position_pitch)
                            zero(vector, at, (end - begin) * plan.v.position_pitch)
                    v = moved(v, plan.v.plane_pitch)


@device_function
def _restore(by_a, by_w, vector, m, pitch, target):
    """Aᵀ M A of one position and register of channels; output (a, w) to target[(a·m + w)·lanes]."""
    n, m_w, row = lanes(vector), outputs(rows(by_w)), rows(by_w) * pitch
    c0, c1 = restored(by_a, m, row), restored(by_a, moved(m, pitch), row)
    c2, c3 = restored(by_a, moved(m, 2 * pitch), row), restored(by_a, moved(m, 3 * pitch), row)
    c4, c5 = restored(by_a, moved(m, 4 * pitch), row), restored(by_a, moved(m, 5 * pitch), row)
    c6, c7 = restored(by_a, moved(m, 6 * pitch), row), restored(by_a, moved(m, 7 * pitch), row)
    # what is too much, the next row overwrites
    put_row(target, n, output_row(by_w, c0[0], c1[0], c2[0], c3[0], c4[0], c5[0], c6[0], c7[0]))
    if outputs(rows(by_a)) > 1:
        put_row(moved(target, m_w * n), n, output_row(by_w, c0[1], c1[1], c2[1], c3[1], c4[1], c5[1], c6[1], c7[1]))
    if outputs(rows(by_a)) > 2:
        put_row(moved(target, 2 * m_w * n), n, output_row(by_w, c0[2], c1[2], c2[2], c3[2], c4[2], c5[2], c6[2], c7[2]))
        put_row(moved(target, 3 * m_w * n), n, output_row(by_w, c0[3], c1[3], c2[3], c3[3], c4[3], c5[3], c6[3], c7[3]))


@device_function
def _deliver(by_a, by_w, vector, plan, task, m, channel, valid, y, box):
    """`valid` output channels from `channel` on, a block's, whose M is at `m`: the pixels of the result, `y` the first of them."""
    o, a, i, w, n, pitch, width = plan.o, plan.a, plan.i, plan.w, lanes(vector), plan.m.pitch, plan.m.position_pitch
    m_a, m_w, pixel_pitch, activation = outputs(rows(by_a)), outputs(rows(by_w)), plan.groups * plan.produced, plan.activation
    tile, of_bias, biased = moved(task.room, plan.pixels.columns_at), moved(task.bias, channel), plan.has_bias
    residues_a, lines = box.a.residues, box.i.tiles
    for row in range(box.o.tiles * box.a.tiles * residues_a * lines):
        k, u, outer = row % lines, row // lines % (box.a.tiles * residues_a), row // lines // (box.a.tiles * residues_a)
        at_a = box.a.first + u // residues_a * m_a * a.residues + u % residues_a
        sums = moved(m, (outer * o.positions + u * a.positions + k * i.positions) * width)
        line = moved(y, ((box.o.first + outer) * o.target_rows + (box.i.first + k) * i.target_rows) * w.target * pixel_pitch)
        for t in range(box.w.tiles * box.w.residues):
            at_w = box.w.first + t // box.w.residues * m_w * w.residues + t % box.w.residues
            for c in range(0, valid, n):
                _restore(by_a, by_w, vector, moved(sums, t * width + c), pitch, tile)
                some = min(n, valid - c)
                bias = load_n(of_bias, c, some * biased, vector)
                for j in range(min(m_a, (a.target - at_a + a.residues - 1) // a.residues)):
                    place = ((at_a + j * a.residues) * a.target_rows * w.target + at_w) * pixel_pitch + c
                    for q in range(min(m_w, (w.target - at_w + w.residues - 1) // w.residues)):
                        value = activate(load(tile, (j * m_w + q) * n, vector) + bias, activation)
                        pixel = moved(line, place + q * w.residues * pixel_pitch)
                        if some == n:
                            store(pixel, 0, value)
                        else:
                            store_n(pixel, 0, value, some)


def deliver_pixels(shape, by_a, by_w, plan, task, channels, positions, box, sample, group):  # type: ignore[no-untyped-def]
    """Some output channels (first, end) of a group, block by block: M begins with the first of them."""
    (first, end), width, pixel_pitch = channels, plan.m.position_pitch, plan.groups * plan.produced
    m, vector = moved(task.room, plan.m.at), stepping(by_w, 1)
    for k in range(first, end, width):
        channel = group * plan.produced + k
        y = moved(task.y, sample * plan.target_size * pixel_pitch + channel)
        sums = moved(m, (k - first) // width * plan.m.plane_pitch)
        _deliver(by_a, by_w, vector, plan, task, sums, channel, min(width, end - k), y, box)
