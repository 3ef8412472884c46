"""What a task of `winograd` does: V of its box, then by superblocks of output channels M, and the rows of the result.

`shape` is the register tile, `by_a` and `by_w` say how the axes A and W are transformed (`winograd_transforms`).
"""

from __future__ import annotations

from typing import Any

from ..runtime.launch import by_type, device_function, inlined
from ..simd.spread import spread_tile, transpose_to
from ..simd.strided import stepping
from ..simd.tiles import columns, gemm_tile, lanes, rows, upright
from ..simd.vector import get, moved, prefetch, zero_of
from ..stages.epilogue import store_row
from ..stages.fill import copy_row, inside
from ..stages.pack import zero
from .plan import BESIDE, HEAD, PER_AXIS
from .points import outputs
from .transforms import analyse, fill_row, restore, restore_rows, transform_filter

_inside = inlined(inside)
FILL, BOTH = 1, 3  # stages of a task


@inlined
def axis(g, k):
    """(extent, outputs, low, distance of a tile's samples, halo, rows in, rows out, stride) of an axis."""
    q = HEAD + k * PER_AXIS
    return get(g, q), get(g, q + 1), get(g, q + 2), get(g, q + 3), get(g, q + 4), get(g, q + 6), get(g, q + 7), get(g, q + 12)


@inlined
def begins(g, k):
    """(where an axis' list of planes, or phases, begins; how many)."""
    q = HEAD + k * PER_AXIS
    return get(g, q + 13), get(g, q + 14)


@inlined
def _part(g, k, m, index):
    """(first output, tiles, residues) of a box of an axis."""
    q = HEAD + k * PER_AXIS
    d, box, residues, count = get(g, q + 3), get(g, q + 8), get(g, q + 9), get(g, q + 11)
    ranges = (d + residues - 1) // residues
    first, part = index // ranges * box, index % ranges * residues
    return first * m * d + part, min(box, count - first), min(residues, d - part)


def _fill_near(by_w, x, row, left, width, bounds, s, scratch, g, q, apart):  # type: ignore[no-untyped-def]
    fill_row(by_w, x, row, left, width, get(g, 20), 1, scratch, q, apart, 0, 0)


def _fill_strided(by_w, x, row, left, width, bounds, s, scratch, g, q, apart):  # type: ignore[no-untyped-def]
    """`bounds`: those of `copy_row`, by which the phase of a strided row is copied first."""
    k = HEAD + 3 * PER_AXIS
    d, step, size, source = get(g, k + 3), get(g, k + 12), get(g, 33), x
    if step > 1:
        at, first = s + get(g, 32), moved(x, row + bounds.start)
        if step == 2:
            copy_row(stepping(by_w, 2), first, 2, moved(scratch, at), bounds, size)
        else:
            copy_row(stepping(by_w, 0), first, step, moved(scratch, at), bounds, size)
        source, row, left, width = scratch, at, 0, size
    fill_row(by_w, source, row, left, width, get(g, 20), d, scratch, q, apart, s + get(g, 34), get(g, 35))


@by_type(lambda by_w: _fill_near if by_w.vectors == 1 else _fill_strided, inline=True)
def _fill_row(by_w: Any, *arguments: Any) -> None:
    """One row of a plane of W."""


@device_function
def _fill_planes(by_a, by_w, x, base, s, scratch, g, box_o, box_a, box_i, first_o, first_i, first_w, target):
    """The planes of A of one channel under one plane of each other axis, whose first samples are at these places of the input; from V[target]."""
    pitch, v_pitch, phase, plane, si, sw = get(g, 7), get(g, 8), get(g, 17), get(g, 18), get(g, 19), get(g, 20)
    extent_o, _, _, _, halo_o, row_o, _, step_o = axis(g, 0)
    extent_a, _, low_a, apart_a, halo_a, row_a, _, step_a = axis(g, 1)
    extent_i, _, _, _, halo_i, row_i, _, step_i = axis(g, 2)
    width, _, _, _, _, _, _, step_w = axis(g, 3)
    m_a, f_w, line = outputs(rows(by_a)), rows(by_w), stepping(by_w, 1)
    (_, count_o, _), (first_a, count_a, residues), (_, count_i, _) = box_o, box_a, box_i
    shift = residues * si * sw
    bounds = _inside(first_w, step_w, width, get(g, 33), lanes(by_w))
    at, phases = begins(g, 1)
    for _ in range(phases):
        samples = get(g, at + 1) - (get(g, HEAD + PER_AXIS + 8) - count_a) * m_a
        for o in range(count_o + halo_o):
            at_o = first_o + o * step_o
            for e in range(samples):
                for r in range(residues):
                    at_a = (first_a + e * apart_a + r) * step_a + get(g, at) - low_a
                    for i in range(count_i + halo_i):
                        at_i = first_i + i * step_i
                        q, apart = target + o * plane + (e * si + i) * sw, v_pitch
                        if m_a > 1:
                            q, apart = s + e % m_a * phase + ((e // m_a * residues + r) * si + i) * sw, m_a * phase
                        if at_o >= 0 and at_o < extent_o and at_a >= 0 and at_a < extent_a and at_i >= 0 and at_i < extent_i:
                            row = base + (at_o * row_o + at_a * row_a + at_i * row_i) * width
                            _fill_row(by_w, x, row, first_w, width, bounds, s, scratch, g, q, apart)
                        else:
                            for j in range(f_w):
                                zero(line, moved(scratch, q + j * apart), sw)
            if m_a > 1:
                for k in range(get(g, at + 2)):
                    q = target + k * pitch + o * plane
                    for j in range(f_w):
                        analyse(
                            by_a, scratch, s + j * m_a * phase, phase, shift, get(g, at + 3 + k), (count_a + halo_a) * shift, scratch,
                            q + j * v_pitch, f_w * v_pitch,
                        )  # fmt: skip
        target += get(g, at + 2) * pitch
        at += 3 + get(g, at + 2)


@device_function
def _fill(by_a, by_w, x, base, s, scratch, v, channels, g, box_o, box_a, box_i, first_w):
    """V of a box, at `v`, of some channels (first, end): `base` is the sample's and group's first element of x."""
    pitch = get(g, 7)
    low_o, low_i, low_w = get(g, HEAD + 2), get(g, HEAD + 2 * PER_AXIS + 2), get(g, HEAD + 3 * PER_AXIS + 2)
    step_o, step_i, step_w = get(g, HEAD + 12), get(g, HEAD + 2 * PER_AXIS + 12), get(g, HEAD + 3 * PER_AXIS + 12)
    (at_o, planes_o), (at_i, planes_i), (at_w, planes_w) = begins(g, 0), begins(g, 2), begins(g, 3)
    area = get(g, HEAD + 3 * PER_AXIS)
    for k in range(3):
        area *= get(g, HEAD + k * PER_AXIS)
    target = v + channels[0] * planes_o * planes_i * planes_w * get(g, HEAD + PER_AXIS + 15) * pitch
    for c in range(channels[0], channels[1]):
        for o in range(planes_o):
            for i in range(planes_i):
                for w in range(planes_w):
                    first_o, first_i = box_o[0] * step_o + get(g, at_o + o) - low_o, box_i[0] * step_i + get(g, at_i + i) - low_i
                    first = first_w * step_w + get(g, at_w + w) - low_w
                    _fill_planes(by_a, by_w, x, base + c * area, s, scratch, g, box_o, box_a, box_i, first_o, first_i, first, target)
                    target += get(g, HEAD + PER_AXIS + 15) * pitch


@device_function
def _deliver(by_a, by_w, z, positions, b, s, scratch, y, base, g, box_o, box_a, box_i, first_w):
    """One output channel, whose M is at z: Aᵀ M A, then its rows with bias and activation to the plane of y at `base`."""
    m_pitch, o0, activation, plane, si, sw = get(g, 9), s + get(g, 12), get(g, 16), get(g, 18), get(g, 19), get(g, 20)
    row_o, row_i = get(g, HEAD + 7), get(g, HEAD + 2 * PER_AXIS + 7)
    _, outputs_a, _, step_a, _, _, row_a, _ = axis(g, 1)
    _, outputs_w, _, step_w, _, _, _, _ = axis(g, 3)
    m_a, m_w, f_w, line = outputs(rows(by_a)), outputs(rows(by_w)), rows(by_w), stepping(by_w, 1)
    (first_o, count_o, _), (first_a, count_a, residues), (first_i, count_i, _) = box_o, box_a, box_i
    if m_a > 1:
        for j in range(f_w):
            restore(by_a, scratch, z + j * m_pitch, f_w * m_pitch, positions)
    wide = min(outputs_w - first_w, get(g, HEAD + 3 * PER_AXIS + 8) * m_w * step_w)
    for a in range(m_a):
        source = z + a * f_w * m_pitch
        if m_w > 1:
            restore_rows(by_w, scratch, source, m_pitch, positions, step_w, scratch, o0)
            source = o0
        for o in range(count_o):
            for u in range(count_a):
                for r in range(residues):
                    at_a = first_a + (u * m_a + a) * step_a + r
                    if at_a < outputs_a:
                        for i in range(count_i):
                            row = base + ((first_o + o) * row_o + at_a * row_a + (first_i + i) * row_i) * outputs_w + first_w
                            place = source + (o * plane + ((u * residues + r) * si + i) * sw) * m_w
                            store_row(line, moved(scratch, place), moved(y, row), wide, 1, b, activation)


@device_function
def filters(shape, by_a, by_w, w, group, b, c, count, g, out, target, apart, room, z):
    """U of `count` channels from c of block b, from the weights of its group at w[group]: term t of frequency f goes to out[target + f·apart + t·rows].

    Terms of the same taps of BESIDE channels are neighbours.  `room`, from z: tap after tap, the rows of the tile of each channel side by side.
    """
    line, mr, n = upright(shape), rows(shape), lanes(shape)
    pitch, valid = (n + BESIDE) * mr, min(mr, get(g, 1) - b * mr)
    taps, step_a, step_w, terms, first, blank = get(g, 23), get(g, 24), get(g, 25), get(g, 26), get(g, 27), z + get(g, 31)
    row_step, channel_step = get(g, 36), get(g, 37)
    source, runs, run = group + b * mr * row_step + c * channel_step, count, taps
    if channel_step == taps:  # the channels' weights are one run
        runs, run = 1, count * taps
    for i in range(runs):
        if runs > 1:  # short pieces far apart: no prefetcher of the machine's gets from one to another
            for k in range(0, valid * taps, 16):
                prefetch(w, source + (i + n) * channel_step + k)
        for k in range(0, run, n):
            transpose_to(
                line,
                moved(w, source + i * channel_step + k),
                row_step,
                valid,
                min(n, run - k),
                moved(room, z),
                mr,
                moved(g, get(g, 38) + i * run + k),
            )
    zero(stepping(by_w, 1), moved(room, blank), n)
    for i in range(0, count, BESIDE):
        size = min(BESIDE, count - i) * mr
        for k in range(terms):
            at = first + 3 * k
            s, t = z + get(g, at) * pitch + i * mr, target + i * terms * mr + k * size
            for r in range(0, size, n):
                transform_filter(
                    by_a, by_w, room, s + r, step_a * pitch, step_w * pitch, get(g, at + 1), get(g, at + 2), blank, out, t + r, apart, size - r
                )  # fmt: skip


def _tile_of_planes(shape, u, k, x, v, j, g, offsets, m, b, terms, pitch, accumulate, near):  # type: ignore[no-untyped-def]
    nr = columns(shape)
    gemm_tile(
        shape,
        moved(u, k),
        moved(x, v + j * nr),
        moved(g, offsets),
        moved(x, m + b * rows(shape) * pitch + j * nr),
        terms,
        pitch,
        accumulate,
    )


def _tile_of_pixels(shape, u, k, x, v, j, g, offsets, m, b, terms, pitch, accumulate, near):  # type: ignore[no-untyped-def]
    nr = rows(shape)
    spread_tile(
        shape,
        moved(x, v + j * nr * get(g, 32)),
        moved(g, offsets),
        moved(u, k),
        moved(x, m + (b * pitch + j * nr) * columns(shape)),
        terms,
        accumulate,
        moved(g, near),
        None,
        0,
    )


@by_type(lambda shape: _tile_of_planes if shape.step else _tile_of_pixels, inline=True)
def _tile(shape: Any, *arguments: Any) -> None:
    """Register tile j of the positions of one frequency in V, for block b of the weights at u[k]."""


@device_function
def multiply(shape, block, by_a, by_w, u, a0, fused, b0, b1, panels, s, scratch, v0, g):
    """M of the blocks b0 … b1 of output channels from V at v0, by chunks of input channels; `block`: a shape whose rows are the channels of one.

    `fused`: u has the weights as they were given, those of a chunk and these blocks are transformed before they are used.
    """
    channels, terms, pitch, v_pitch, m_pitch, m0, offsets = (
        get(g, 0),
        get(g, 6),
        get(g, 7),
        get(g, 8),
        get(g, 9),
        s + get(g, 11),
        get(g, 14),
    )
    u_pitch, f_count, chunk, places, u0, c_pitch, room = (
        get(g, 21), get(g, 22), get(g, 13), get(g, 26), s + get(g, 28), get(g, 29), s + get(g, 30)
    )  # fmt: skip
    mr, n = rows(block), lanes(shape)
    chunk = chunk if fused else channels
    for c0 in range(0, channels, chunk):
        count = min(chunk, channels - c0)
        if fused:
            for b in range(b0, b1):
                for c in range(0, count, n):
                    filters(
                        block, by_a, by_w, u, a0, b, c0 + c, min(n, count - c), g, scratch, u0 + ((b - b0) * chunk + c) * places * mr, c_pitch,
                        scratch, room,
                    )  # fmt: skip
        for f in range(f_count):
            for j in range(panels):
                for b in range(b0, b1):
                    a, k = u, a0 + f * u_pitch + b * terms * mr
                    if fused:
                        a, k = scratch, u0 + f * c_pitch + (b - b0) * chunk * places * mr
                    _tile(
                        shape, a, k, scratch, v0 + f * v_pitch, j, g, offsets + c0 * places, m0 + f * m_pitch, b - b0, count * places, pitch,
                        c0 > 0, offsets + channels * places,
                    )  # fmt: skip


@inlined
def shared(split, channels, unit, g):
    """The channels (first, end) that a task transforms for all tasks of its box, in whole units."""
    splits, units = get(g, 3), (channels + unit - 1) // unit
    return split * units // splits * unit, min(channels, (split + 1) * units // splits * unit)


@inlined
def located(m_a, m_w, task, g):
    """(split of the output channels, group, sample, the box's parts of the axes, elements of a channel of the source, of the result) of a task's number."""
    splits, groups, boxes = get(g, 3), get(g, 2), HEAD + 10
    split, task = task % splits, task // splits
    boxes_o, boxes_a, boxes_i, boxes_w = get(g, boxes), get(g, boxes + PER_AXIS), get(g, boxes + 2 * PER_AXIS), get(g, boxes + 3 * PER_AXIS)
    box_w, task = _part(g, 3, m_w, task % boxes_w), task // boxes_w
    box_i, task = _part(g, 2, 1, task % boxes_i), task // boxes_i
    box_a, task = _part(g, 1, m_a, task % boxes_a), task // boxes_a
    box_o, task = _part(g, 0, 1, task % boxes_o), task // boxes_o
    in_size, out_size = 1, 1
    for k in range(4):
        in_size *= get(g, HEAD + k * PER_AXIS)
        out_size *= get(g, HEAD + k * PER_AXIS + 1)
    return split, task % groups, task // groups, (box_o, box_a, box_i, box_w), in_size, out_size


@device_function
def run_task(shape, by_a, by_w, task, stage, x, u, fused, bias, y, s, scratch, v, g):
    """A task in one stage, or the FILL of its share of the V at `v`, which the tasks of a box have in common, and later the rest."""
    channels, produced, groups, split_blocks, super_blocks = get(g, 0), get(g, 1), get(g, 2), get(g, 4), get(g, 5)
    plane, si, sw = get(g, 18), get(g, 19), get(g, 20)
    mr, nr = rows(shape), columns(shape)
    split, group, sample, (box_o, box_a, box_i, (first_w, count_w, residues_w)), in_size, out_size = located(
        outputs(rows(by_a)), outputs(rows(by_w)), task, g
    )  # fmt: skip
    if stage & FILL:
        share = shared(split, channels, 1, g)
        _fill(by_a, by_w, x, (sample * groups + group) * channels * in_size, s, scratch, v, share, g, box_o, box_a, box_i, first_w)
    if stage == FILL:
        return
    positions = (box_o[1] - 1) * plane + ((box_a[1] * box_a[2] - 1) * si + box_i[1] - 1) * sw + count_w * residues_w
    a0 = group * (produced * channels * get(g, 23) if fused else get(g, 22) * get(g, 21))
    last = min((produced + mr - 1) // mr, (split + 1) * split_blocks)
    for b0 in range(split * split_blocks, last, super_blocks):
        b1 = min(last, b0 + super_blocks)
        multiply(shape, shape, by_a, by_w, u, a0, fused, b0, b1, (positions + nr - 1) // nr, s, scratch, v, g)
        for k in range(b0 * mr, min(produced, b1 * mr)):
            channel = group * produced + k
            b = get(bias, channel) if get(g, 15) else zero_of(bias)
            base = (sample * groups * produced + channel) * out_size
            _deliver(
                by_a, by_w, s + get(g, 11) + (k - b0 * mr) * get(g, 7), positions, b, s, scratch, y, base, g, box_o, box_a, box_i, first_w
            )
