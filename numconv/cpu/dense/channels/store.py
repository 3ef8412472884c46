"""The way out of `spread`, channels first: sums with channels in the lanes become rows of the target."""

from __future__ import annotations

from ...runtime.launch import device_function, inlined
from ...simd.tiles import columns, lanes
from ...simd.transpose import transpose_part, transpose_square
from ...simd.vector import get, moved, zero_of
from ...stages.deliver import finish_pixels, shuffled, store_pixels
from ...stages.epilogue import store_row
from ...stages.pack import zero


@device_function
def _turned(vector, sums, width, positions, count, target, pitch):
    """target[c·pitch + p] = sums[p·width + c], p < positions, c < count; what a whole square has no room for overlaps the one before."""
    n = lanes(vector)
    for c in range(0, count, n):
        c0 = max(0, min(c, count - n))
        for p in range(0, positions, n):
            p0 = max(0, min(p, positions - n))
            source, to = moved(sums, p0 * width + c0), moved(target, c0 * pitch + p0)
            if min(count, positions) >= n:
                transpose_square(vector, source, width, to, pitch)
            else:
                transpose_part(vector, source, width, None, positions - p0, to, pitch, min(n, count - c0), min(n, positions - p0))


@inlined
def pixel_of(plan, job, t, h, w):
    """Number in a sample's target of the pixel for targets of a job."""
    at, ah, aw = plan.t.taps, plan.h.taps, plan.w.taps
    t, h, w = job.t.first + at.target_step * t, job.h.first + ah.target_step * h, job.w.first + aw.target_step * w
    return (t * ah.target + h) * aw.target + w


@device_function
def store_rows(vector, plan, task, width, channel, valid, box, pixel, sample):
    """A block of `valid` channels from `channel` on, `width` sums to a position: squares, or by rows where positions or channels are apart.

    `box`: (planes, rows, columns) of targets; `pixel`: number of the first in a plane of the target.
    """
    t, h, w, finish, sums = plan.t.taps, plan.h.taps, plan.w.taps, plan.finish, moved(task.room, plan.sums_at)
    planes, lines, count = box
    channels, volume = finish.channels, plan.volume
    apart = t.target_step > 1 or h.target_step > 1 or w.target_step > 1 or finish.shuffle > 1
    if not apart and count == w.target:  # whole rows are one run of the target, whole planes too
        planes, lines, count = (planes, 1, lines * count) if lines < h.target else (1, 1, planes * lines * count)
    if finish.has_bias or finish.activation:
        finish_pixels(vector, sums, width, box[0] * box[1] * box[2], moved(task.bias, channel), valid, finish)
    turned, pitch = moved(task.room, plan.turned_at), plan.turned_pitch
    if apart:
        _turned(vector, sums, width, planes * lines * count, valid, turned, pitch)
    for i in range(planes):
        for j in range(lines):
            at = pixel + (i * t.target_step * h.target + j * h.target_step) * w.target
            run = (i * lines + j) * count
            if apart:
                for c in range(valid):
                    y = moved(task.y, (sample * channels + shuffled(channel + c, finish)) * volume + at)
                    store_row(vector, moved(turned, c * pitch + run), y, count, w.target_step, zero_of(task.bias), 0)
            else:
                y = moved(task.y, (sample * channels + channel) * volume + at)
                _turned(vector, moved(sums, run * width), width, count, valid, y, volume)


@inlined
def _stretch(axis, corner):
    """The targets of a box, those of all jobs and those that no tap sees; first, end."""
    step, target = axis.taps.target_step, axis.taps.target
    return corner * step, min(target, (corner + axis.box) * step)


@device_function
def store_idle_rows(vector, plan, task, corner, channel):
    """activation(bias) at every target of a box: those that no job has keep it."""
    sample, first, valid = channel
    t, h, w, finish = _stretch(plan.t, corner[0]), _stretch(plan.h, corner[1]), _stretch(plan.w, corner[2]), plan.finish
    blank, piece = moved(task.room, plan.turned_at), plan.turned_pitch
    zero(vector, blank, min(piece, w[1] - w[0]))
    for c in range(first, first + valid):
        bias = get(task.bias, c) if finish.has_bias else zero_of(task.bias)
        y = moved(task.y, (sample * finish.channels + shuffled(c, finish)) * plan.volume)
        for i in range(t[0], t[1]):
            for j in range(h[0], h[1]):
                row = moved(y, (i * plan.h.taps.target + j) * plan.w.taps.target)
                for k in range(w[0], w[1], piece):
                    store_row(vector, blank, moved(row, k), min(piece, w[1] - k), 1, bias, finish.activation)


@device_function
def store_idle_pixels(shape, vector, plan, task, corner, channel):
    """The same of pixels."""
    sample, first, valid = channel
    t, h, w, finish = _stretch(plan.t, corner[0]), _stretch(plan.h, corner[1]), _stretch(plan.w, corner[2]), plan.finish
    width, blank, piece, channels = columns(shape), moved(task.room, plan.sums_at), plan.w.box, finish.channels
    zero(shape, blank, piece * width)
    for i in range(t[0], t[1]):
        for j in range(h[0], h[1]):
            row = moved(task.y, ((sample * plan.t.taps.target + i) * plan.h.taps.target + j) * plan.w.taps.target * channels)
            for k in range(w[0], w[1], piece):
                y = moved(row, k * channels)
                store_pixels(vector, blank, width, y, channels, min(piece, w[1] - k), task.bias, first, valid, finish)
