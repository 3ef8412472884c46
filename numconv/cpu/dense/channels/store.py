"""The way out of `spread`, channels first: sums with channels in the lanes become rows of the target."""

from __future__ import annotations

from ...runtime.launch import device_function, inlined, rarely
from ...simd.tiles import lanes
from ...simd.transpose import transpose_part, transpose_square
from ...simd.vector import moved, zero_of
from ...stages.deliver import finish_pixels, shuffled
from ...stages.epilogue import store_row


@rarely
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
