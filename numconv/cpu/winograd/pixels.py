"""What a task of `winograd` does where channels are last: they are in the lanes, of the input, of the sums and of the result.

    for each position of the box, register of channels: V = Bᵀ d B, columns of the input first, each once for two tiles that share it
    for each superblock of output channels: M, by `spread_tile`, whose rows are positions; then Aᵀ M A, whose sums are pixels

V lies as (frequency, plane, position, channel).  Nothing is shuffled: a dilation or a stride is a distance between the samples of a tile.
"""

from __future__ import annotations

from ..runtime.launch import device_function, inlined
from ..simd.strided import stepping
from ..simd.tiles import columns, lanes, rows
from ..simd.vector import get, load, load_n, moved, store, store_n
from ..stages.epilogue import activate
from ..stages.pack import zero
from .plan import HEAD, PER_AXIS
from .planes import FILL, axis, begins, located, multiply, shared
from .points import input_row, output_row, outputs
from .transforms import put_row, restored


@inlined
def _inside(start, step, count, extent):
    """The samples first ≤ i < end of `count`, `step` apart from `start` on, that lie in an extent."""
    first = min(count, max(0, (step - 1 - start) // step))
    return first, max(first, min(count, (extent - 1 - start) // step + 1))


@inlined
def _sample(line, x, p, j, first, end, m):
    if first is None:
        return load(x, p, line)
    return load_n(x, p, m if j >= first and j < end else 0, line)


@device_function
def _columns(by_a, line, x, p, apart, step, first, end, m, e0, e1, out, t):
    """Bᵀ of the columns e0 ≤ e < e1: of samples x[p + e·step + j·apart], zeros but for first ≤ j < end (None: all there); frequency k to out[t + (e·f + k)·lanes]."""
    n, f = lanes(line), rows(by_a)
    for e in range(e0, e1):
        q = p + e * step
        y = input_row(
            by_a, _sample(line, x, q, 0, first, end, m), _sample(line, x, q + apart, 1, first, end, m),
            _sample(line, x, q + 2 * apart, 2, first, end, m), _sample(line, x, q + 3 * apart, 3, first, end, m),
            _sample(line, x, q + 4 * apart, 4, first, end, m), _sample(line, x, q + 5 * apart, 5, first, end, m),
            _sample(line, x, q + 6 * apart, 6, first, end, m), _sample(line, x, q + 7 * apart, 7, first, end, m),
        )  # fmt: skip
        put_row(out, t + e * f * n, n, y)


@device_function
def _across(by_a, by_w, line, x, t, tiles, out, q, apart, pitch):
    """Bᵀ along W of columns as `_columns` leaves them; frequency (k, j) of tile i to out[q + i·apart + (k·frequencies of W + j)·pitch]."""
    n, f, step = lanes(line), rows(by_a), rows(by_a) * lanes(line)
    for i in range(tiles):
        for k in range(f):
            p = t + i * outputs(rows(by_w)) * step + k * n
            y = input_row(
                by_w, load(x, p, line), load(x, p + step, line), load(x, p + 2 * step, line), load(x, p + 3 * step, line),
                load(x, p + 4 * step, line), load(x, p + 5 * step, line), load(x, p + 6 * step, line), load(x, p + 7 * step, line),
            )  # fmt: skip
            put_row(out, q + i * apart + k * rows(by_w) * pitch, pitch, y)


@device_function
def _fill_row(
    by_a, by_w, line, x, base, pixel, at_a, row_step, step_a, extent_a, start_w, step_w, width, tiles, s, scratch, share, g, target, apart
):
    """V of some tiles side by side: `at_a` and `start_w` are the places of their first samples."""
    n, f, t, pitch = lanes(line), rows(by_a), s + get(g, 12), get(g, 8)
    count = tiles * outputs(rows(by_w)) + rows(by_w) - outputs(rows(by_w))
    first, end = _inside(at_a, step_a, f, extent_a)
    e0, e1 = _inside(start_w, step_w, count, width)
    if first == end:
        e0, e1 = count, count
    zero(line, moved(scratch, t), e0 * f * n)
    zero(line, moved(scratch, t + e1 * f * n), (count - e1) * f * n)
    for c in range(share[0], share[1], n):
        p, m = base + start_w * pixel + c, min(n, share[1] - c)
        if m == n and end - first == f:
            _columns(by_a, line, x, p, row_step, step_w * pixel, None, None, m, e0, e1, scratch, t)
        else:
            _columns(by_a, line, x, p, row_step, step_w * pixel, first, end, m, e0, e1, scratch, t)
        _across(by_a, by_w, line, scratch, t, tiles, scratch, target + c, apart, pitch)


@device_function
def _fill_plane(by_a, by_w, line, x, base, pixel, s, scratch, share, g, box, begin_o, begin_a, begin_i, begin_w, target):
    """V of a box in one plane of each axis."""
    plane, si, sw, position, wide = get(g, 18), get(g, 19), get(g, 20), get(g, 32), get(g, 33)
    extent_o, _, low_o, _, halo_o, row_o, _, step_o = axis(g, 0)
    extent_a, _, low_a, apart_a, halo_a, row_a, _, step_a = axis(g, 1)
    extent_i, _, low_i, _, halo_i, row_i, _, step_i = axis(g, 2)
    width, _, low_w, apart_w, halo_w, _, _, step_w = axis(g, 3)
    m_a, m_w = outputs(rows(by_a)), outputs(rows(by_w))
    (first_o, count_o, _), (first_a, count_a, residues), (first_i, count_i, _), (first_w, count_w, residues_w) = box
    for o in range(count_o + halo_o):
        at_o = (first_o + o) * step_o + begin_o - low_o
        for v in range((count_a + halo_a) * residues):
            at_a = (first_a + v // residues * m_a * apart_a + v % residues) * step_a + begin_a - low_a
            for i in range(count_i + halo_i):
                at_i = (first_i + i) * step_i + begin_i - low_i
                live = at_o >= 0 and at_o < extent_o and at_i >= 0 and at_i < extent_i
                row = base + (at_o * row_o + at_a * row_a + at_i * row_i) * width * pixel
                q = target + (o * plane + (v * si + i) * sw) * position
                for r in range(residues_w):
                    for u in range(0, count_w + halo_w, wide):
                        start = (first_w + u * m_w * apart_w + r) * step_w + begin_w - low_w
                        _fill_row(
                            by_a, by_w, line, x, row, pixel, at_a, apart_a * step_a * row_a * width * pixel, apart_a * step_a, extent_a if live else 0,
                            start, apart_w * step_w, width, min(wide, count_w + halo_w - u), s, scratch, share, g, q + (u * residues_w + r) * position,
                            residues_w * position,
                        )  # fmt: skip


@device_function
def _fill(by_a, by_w, line, x, base, pixel, s, scratch, target, share, g, box):
    """V of a box, at `target`, of some channels (first, end): `base` is the first element of the sample's first pixel and the group."""
    (at_o, planes_o), (at_a, planes_a), (at_i, planes_i), (at_w, planes_w) = begins(g, 0), begins(g, 1), begins(g, 2), begins(g, 3)
    for o in range(planes_o):
        for i in range(planes_i):
            for w in range(planes_w):
                for a in range(planes_a):
                    _fill_plane(
                        by_a, by_w, line, x, base, pixel, s, scratch, share, g, box, get(g, at_o + o), get(g, at_a + a), get(g, at_i + i),
                        get(g, at_w + w), target,
                    )  # fmt: skip
                    target += get(g, 7) * get(g, 32)


@device_function
def _restore(by_a, by_w, line, x, q, pitch, out, t):
    """Aᵀ M A of one position and register of channels; output (a, w) to out[t + (a·m + w)·lanes]."""
    n, m, apart = lanes(line), outputs(rows(by_w)), rows(by_w) * pitch
    c0, c1, c2, c3 = (
        restored(by_a, x, q, apart), restored(by_a, x, q + pitch, apart), restored(by_a, x, q + 2 * pitch, apart),
        restored(by_a, x, q + 3 * pitch, apart),
    )  # fmt: skip
    c4, c5, c6, c7 = (
        restored(by_a, x, q + 4 * pitch, apart), restored(by_a, x, q + 5 * pitch, apart), restored(by_a, x, q + 6 * pitch, apart),
        restored(by_a, x, q + 7 * pitch, apart),
    )  # fmt: skip
    put_row(
        out, t, n, output_row(by_w, c0[0], c1[0], c2[0], c3[0], c4[0], c5[0], c6[0], c7[0])
    )  # what is too much, the next row overwrites
    if outputs(rows(by_a)) > 1:
        put_row(out, t + m * n, n, output_row(by_w, c0[1], c1[1], c2[1], c3[1], c4[1], c5[1], c6[1], c7[1]))
    if outputs(rows(by_a)) > 2:
        put_row(out, t + 2 * m * n, n, output_row(by_w, c0[2], c1[2], c2[2], c3[2], c4[2], c5[2], c6[2], c7[2]))
        put_row(out, t + 3 * m * n, n, output_row(by_w, c0[3], c1[3], c2[3], c3[3], c4[3], c5[3], c6[3], c7[3]))


@device_function
def _deliver(by_a, by_w, line, mr, z, bias, channel, valid, s, scratch, y, base, pixel, g, box):
    """A block of output channels, whose M is at z: the pixels of the result, `base` the first of them."""
    m_pitch, t, activation, plane, si, sw, biased = get(g, 9), s + get(g, 12), get(g, 16), get(g, 18), get(g, 19), get(g, 20), get(g, 15)
    row_o, row_i = get(g, HEAD + 7), get(g, HEAD + 2 * PER_AXIS + 7)
    _, outputs_a, _, apart_a, _, _, row_a, _ = axis(g, 1)
    _, outputs_w, _, apart_w, _, _, _, _ = axis(g, 3)
    m_a, m_w, n = outputs(rows(by_a)), outputs(rows(by_w)), lanes(line)
    (first_o, count_o, _), (first_a, count_a, residues), (first_i, count_i, _), (first_w, count_w, residues_w) = box
    for row in range(count_o * count_a * residues * count_i):
        i, v, o = row % count_i, row // count_i % (count_a * residues), row // count_i // (count_a * residues)
        at_a = first_a + v // residues * m_a * apart_a + v % residues
        position = o * plane + (v * si + i) * sw
        first = base + ((first_o + o) * row_o + (first_i + i) * row_i) * outputs_w * pixel
        for u in range(count_w * residues_w):
            at_w = first_w + u // residues_w * m_w * apart_w + u % residues_w
            for c in range(0, valid, n):
                _restore(by_a, by_w, line, scratch, z + (position + u) * mr + c, m_pitch, scratch, t)
                m = min(n, valid - c)
                b = load_n(bias, channel + c, m * biased, line)
                for a in range(min(m_a, (outputs_a - at_a + apart_a - 1) // apart_a)):
                    p = first + ((at_a + a * apart_a) * row_a * outputs_w + at_w) * pixel + c
                    for w in range(min(m_w, (outputs_w - at_w + apart_w - 1) // apart_w)):
                        value = activate(load(scratch, t + (a * m_w + w) * n, line) + b, activation)
                        if m == n:
                            store(y, p + w * apart_w * pixel, value)
                        else:
                            store_n(y, p + w * apart_w * pixel, value, m)


@device_function
def run_pixels_task(shape, block, by_a, by_w, task, stage, x, u, fused, bias, y, s, scratch, v, g):
    """As `run_task`; `block`: a shape whose rows are the output channels of a tile."""
    channels, produced, groups, split_blocks, super_blocks = get(g, 0), get(g, 1), get(g, 2), get(g, 4), get(g, 5)
    plane, si, sw, line, mr, nr = get(g, 18), get(g, 19), get(g, 20), stepping(by_w, 1), columns(shape), rows(shape)
    split, group, sample, box, in_size, out_size = located(outputs(rows(by_a)), outputs(rows(by_w)), task, g)
    pixel_in, pixel_out = groups * channels, groups * produced
    if stage & FILL:
        share = shared(split, channels, lanes(line), g)
        _fill(by_a, by_w, line, x, sample * in_size * pixel_in + group * channels, pixel_in, s, scratch, v, share, g, box)
    if stage == FILL:
        return
    (_, count_o, _), (_, count_a, residues), (_, count_i, _), (_, count_w, residues_w) = box
    positions = (count_o - 1) * plane + ((count_a * residues - 1) * si + count_i - 1) * sw + count_w * residues_w
    a0 = group * (produced * channels * get(g, 23) if fused else get(g, 22) * get(g, 21))
    last = min((produced + mr - 1) // mr, (split + 1) * split_blocks)
    for b0 in range(split * split_blocks, last, super_blocks):
        b1 = min(last, b0 + super_blocks)
        multiply(shape, block, by_a, by_w, u, a0, fused, b0, b1, (positions + nr - 1) // nr, s, scratch, v, g)
        for b in range(b0, b1):
            channel = group * produced + b * mr
            _deliver(
                by_a, by_w, line, mr, s + get(g, 11) + (b - b0) * get(g, 7) * mr, bias, channel, min(mr, produced - b * mr), s, scratch, y,
                sample * out_size * pixel_out + channel, pixel_out, g, box,
            )  # fmt: skip
