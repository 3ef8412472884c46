"""The way out of `spread`, channels first: sums with channels in the lanes become rows of the result."""

from __future__ import annotations

from ...runtime.launch import device_function
from ...simd.tiles import lanes
from ...simd.transpose import transpose_part, transpose_square
from ...simd.vector import get, zero_of
from ...stages.epilogue import store_row
from ...stages.pixels import finish_pixels


@device_function
def _turned(line, ws, w0, width, positions, count, target, t, pitch):
    """target[t + c·pitch + p] = ws[w0 + p·width + c], p < positions, c < count; what a whole square has no room for overlaps the one before."""
    n = lanes(line)
    for c in range(0, count, n):
        c0 = max(0, min(c, count - n))
        for p in range(0, positions, n):
            p0 = max(0, min(p, positions - n))
            s, d = w0 + p0 * width + c0, t + c0 * pitch + p0
            if min(count, positions) >= n:
                transpose_square(line, ws, s, width, target, d, pitch)
            else:
                transpose_part(line, ws, s, width, None, 0, positions - p0, target, d, pitch, min(n, count - c0), min(n, positions - p0))


@device_function
def store_block(line, ws, w0, width, tmp, t0, tmp_pitch, y, bias, n, channels_box, corner, box, target, first, step, g):
    """A block of channels, `width` to a position in ws, as rows of y: squares of it, or by way of rows in tmp where positions or channels are apart."""
    group, channel0, count = channels_box
    nt, nh, nw = box
    group_out, has_bias, activation, shuffle = get(g, 2), get(g, 27), get(g, 28), get(g, 29)
    channels, channel, plane = get(g, 0) * group_out, group * group_out + channel0, target[0] * target[1] * target[2]
    apart = step[0] > 1 or step[1] > 1 or step[2] > 1 or shuffle > 1
    nt, nh, nw = (nt, nh, nw) if apart or nw < target[2] else (nt, 1, nh * nw) if nh < target[1] else (1, 1, nt * nh * nw)  # runs of y
    if has_bias or activation:
        finish_pixels(line, ws, w0, width, box[0] * box[1] * box[2], bias, has_bias, channel, count, activation)
    if apart:
        _turned(line, ws, w0, width, nt * nh * nw, count, tmp, t0, tmp_pitch)
    for t in range(nt):
        for h in range(nh):
            row = (first[0] + step[0] * (corner[0] + t)) * target[1] + first[1] + step[1] * (corner[1] + h)
            place, run = row * target[2] + first[2] + step[2] * corner[2], (t * nh + h) * nw
            if apart:
                for c in range(count):
                    k = channel + c
                    k = k % (channels // shuffle) * shuffle + k // (channels // shuffle)
                    store_row(line, tmp, t0 + c * tmp_pitch + run, y, (n * channels + k) * plane + place, nw, step[2], zero_of(bias), 0)
            else:
                _turned(line, ws, w0 + run * width, width, nw, count, y, (n * channels + channel) * plane + place, plane)
