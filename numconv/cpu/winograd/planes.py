"""What a task of `winograd` does where channels are first: positions are in the lanes, of V, of the sums and of the result.

    for each channel, each plane of the outer axes: rows along W, copied or transformed; then their samples along A: V = Bᵀ d B
    for each output channel: Aᵀ M A, merged back into rows, bias, activation

`by_a` and `by_w` say how the axes A and W are transformed (`transforms`).
"""

from __future__ import annotations

from typing import Any

from ..runtime.launch import by_type, device_function
from ..simd.strided import stepping
from ..simd.tiles import columns, lanes, rows
from ..simd.vector import get, moved, zero_of
from ..stages.epilogue import store_row
from ..stages.fill import copy_row, inside
from ..stages.pack import zero
from .box import behind, share_of
from .points import outputs
from .transforms import analyse, fill_row, restore, restore_rows


def _row_dense(by_w, plan, task, row, left, bounds, target, pitch):  # type: ignore[no-untyped-def]
    fill_row(by_w, row, plan.w.source, left, plan.i.positions, 1, target, pitch, target, 0)


def _row_strided(by_w, plan, task, row, left, bounds, target, pitch):  # type: ignore[no-untyped-def]
    """`bounds`: which samples of a strided row are inside, of which its phase is copied first."""
    room, step, width, source = plan.planes, plan.w.step, plan.w.source, row
    if step > 1:
        first, copy, width = moved(row, bounds.start), moved(task.room, room.strided_at), room.strided_size
        if step == 2:
            copy_row(stepping(by_w, 2), first, 2, copy, bounds, width)
        else:
            copy_row(stepping(by_w, 0), first, step, copy, bounds, width)
        source, left = copy, 0
    split = moved(task.room, room.split_at)
    fill_row(by_w, source, width, left, plan.i.positions, plan.w.residues, target, pitch, split, room.split_pitch)


@by_type(lambda by_w: _row_dense if by_w.vectors == 1 else _row_strided, inline=True)
def _row(by_w: Any, *arguments: Any) -> None:
    """One row of a plane of W, from column `left`: to V, or to a phase of A's samples."""


@device_function
def _samples(by_a, by_w, plan, task, x, phase, first, box, v):
    """The samples of a phase of A, whose first is there and which has so many for a whole box: in phases of their own, or, where A is not
    transformed, in V.  `first`: of the axes o, i, w.
    """
    o, a, i, w = plan.o, plan.a, plan.i, plan.w
    of_row, positions, v_pitch, phase_pitch = a.positions, i.positions, plan.v.pitch, plan.planes.phase_pitch
    first_o, first_i, left = first
    m_a, f_w, vector, residues = outputs(rows(by_a)), rows(by_w), stepping(by_w, 1), box.a.residues
    bounds = inside(left, w.step, w.source, plan.planes.strided_size, lanes(by_w))
    phase_first, of_box = phase
    samples = of_box - (a.box - box.a.tiles) * m_a
    lines = box.i.tiles + i.halo
    for e in range(samples):
        for r in range(residues):
            at_a = (box.a.first + e * a.residues + r) * a.step + phase_first - a.low
            for k in range(lines):
                at_i = first_i + k * i.step
                target, pitch = moved(v, (e * residues + r) * of_row + k * positions), v_pitch
                if m_a > 1:
                    row = e // m_a * residues + r
                    target, pitch = moved(task.room, e % m_a * phase_pitch + row * of_row + k * positions), m_a * phase_pitch
                if first_o >= 0 and first_o < o.source and at_a >= 0 and at_a < a.source and at_i >= 0 and at_i < i.source:
                    row = (first_o * o.source_rows + at_a * a.source_rows + at_i * i.source_rows) * w.source
                    _row(by_w, plan, task, moved(x, row), left, bounds, target, pitch)
                else:
                    for j in range(f_w):
                        zero(vector, moved(target, j * pitch), positions)


@device_function
def _planes(by_a, by_w, plan, task, x, first, box, v):
    """The planes of A of the channel at `x`, under one plane of each other axis, whose first samples are at these places; to `v`."""
    o, a, cut = plan.o, plan.a, plan.a_cut
    phase_pitch, pitch, plane_pitch, f_w, m_a = plan.planes.phase_pitch, plan.v.pitch, plan.v.plane_pitch, rows(by_w), outputs(rows(by_a))
    first_o, first_i, left = first
    tile_pitch = box.a.residues * a.positions
    for number in range(cut.phases):
        planes, piece = min(cut.repeat, cut.most if number < cut.longer else cut.fewer), cut.piece
        phase = (number * plan.a_dilation, plan.samples + (planes - 1) * piece)
        for k in range(box.o.tiles + o.halo):
            outer = moved(v, k * o.positions)
            _samples(by_a, by_w, plan, task, x, phase, (first_o + k * o.step, first_i, left), box, outer)
            if m_a > 1:
                count = (box.a.tiles + a.halo) * tile_pitch
                for p in range(planes):
                    begin, target = p * piece, moved(outer, p * plane_pitch)
                    for j in range(f_w):
                        source = moved(task.room, j * m_a * phase_pitch)
                        analyse(by_a, source, phase_pitch, tile_pitch, begin, count, moved(target, j * pitch), f_w * pitch)
        v = moved(v, planes * plane_pitch)


@device_function
def _blank(shape, vector, plan, box, planes, last, v):
    """Zeros behind the positions of so many planes, as far as tiles read: numbers of another kernel there may be denormal (decision 50).

    `last`: nothing is behind them.
    """
    pitch = plan.v.plane_pitch
    for q in range(planes):
        begin, end = behind(plan, box, columns(shape), pitch + lanes(vector) * (last and q + 1 == planes))
        for f in range(plan.frequencies):
            zero(vector, moved(v, f * plan.v.pitch + q * pitch + begin), end - begin)


def fill_planes(shape, by_a, by_w, plan, task, split, group, sample, box, v):  # type: ignore[no-untyped-def]
    """V of a box, of this task's share of the channels."""
    o, a, i, w, lists = plan.o, plan.a, plan.i, plan.w, task.offsets
    x = moved(task.x, (sample * plan.groups + group) * plan.summed * plan.source_size)
    size, planes = a.planes * plan.v.plane_pitch, o.planes * i.planes * w.planes
    first, end = share_of(plan, split, 1)
    v = moved(v, first * planes * size)
    for c in range(first, end):
        of_channel = v
        for of_o in range(o.planes):
            for of_i in range(i.planes):
                for of_w in range(w.planes):
                    first_o = box.o.first * o.step + get(lists, o.planes_at + of_o) - o.low
                    first_i = box.i.first * i.step + get(lists, i.planes_at + of_i) - i.low
                    first_w = box.w.first * w.step + get(lists, w.planes_at + of_w) - w.low
                    _planes(by_a, by_w, plan, task, moved(x, c * plan.source_size), (first_o, first_i, first_w), box, v)
                    v = moved(v, size)
        _blank(shape, stepping(by_w, 1), plan, box, planes * a.planes, c + 1 == plan.summed, of_channel)


@device_function
def _deliver(by_a, by_w, plan, task, m, positions, bias, y, box):
    """Of the output channel at `y`: Aᵀ M A, then its rows with bias and activation."""
    o, a, i, w, activation = plan.o, plan.a, plan.i, plan.w, plan.activation
    pitch, merged, of_plane, of_row, positions_i = (
        plan.m.pitch,
        moved(task.room, plan.planes.merged_at),
        o.positions,
        a.positions,
        i.positions,
    )
    m_a, m_w, f_w, vector, residues = outputs(rows(by_a)), outputs(rows(by_w)), rows(by_w), stepping(by_w, 1), box.a.residues
    if m_a > 1:
        for j in range(f_w):
            restore(by_a, moved(m, j * pitch), f_w * pitch, positions)
    count = min(w.target - box.w.first, w.box * m_w * w.residues)
    for k in range(m_a):
        source = moved(m, k * f_w * pitch)
        if m_w > 1:
            restore_rows(by_w, source, pitch, positions, w.residues, merged)
            source = merged
        for outer in range(box.o.tiles):
            for u in range(box.a.tiles * residues):
                at_a = box.a.first + (u // residues * m_a + k) * a.residues + u % residues
                if at_a < a.target:
                    for inner in range(box.i.tiles):
                        row = (box.o.first + outer) * o.target_rows + at_a * a.target_rows + (box.i.first + inner) * i.target_rows
                        sums = moved(source, (outer * of_plane + u * of_row + inner * positions_i) * m_w)
                        store_row(vector, sums, moved(y, row * w.target + box.w.first), count, 1, bias, activation)


def deliver_planes(shape, by_a, by_w, plan, task, channels, positions, box, sample, group):  # type: ignore[no-untyped-def]
    """Some output channels (first, end) of a group: M begins with the first of them."""
    first, end = channels
    m = moved(task.room, plan.m.at)
    for k in range(first, end):
        channel = group * plan.produced + k
        bias = get(task.bias, channel) if plan.has_bias else zero_of(task.bias)
        y = moved(task.y, (sample * plan.groups * plan.produced + channel) * plan.target_size)
        _deliver(by_a, by_w, plan, task, moved(m, (k - first) * plan.m.plane_pitch), positions, bias, y, box)
