"""Channels last, for `spread`: pixels of channels copied between zeros, and sums stored as the pixels that they are."""

from __future__ import annotations

from ..runtime.launch import device_function
from ..simd.tiles import lanes
from ..simd.vector import get, load, load_n, put, store, store_n
from .epilogue import activate


@device_function
def copy_pixels(line, x, base, buffer, b0, start, size, column, pixels, apart, channels, pixel, height, width, every):
    """size[0] × size[1] rows of `pixels` from column `column` (zeros outside): `channels` of each, `pixel` apart, of `every` in x; planes `apart`."""
    n = lanes(line)
    for t in range(size[0]):
        s = base + (((start[0] + t) * height + start[1]) * width + column) * every
        d = b0 + t * apart
        for _ in range(size[1]):
            for i in range(column, column + pixels):
                count = channels if i >= 0 and i < width else 0
                for j in range(0, channels, n):  # what overruns the pixel is written again with the next one
                    store(buffer, d + j, load_n(x, s + j, min(n, count - j), line))
                s += every
                d += pixel
            s += (width - pixels) * every


@device_function
def _shuffled(source, s, y, place, channel, count, channels, shuffle):
    """`count` channels of a pixel, each to where the shuffle puts it."""
    n_per = channels // shuffle
    for c in range(count):
        k = channel + c
        put(y, place + (k % n_per) * shuffle + k // n_per, get(source, s + c))


@device_function
def finish_pixels(line, source, s, width, count, bias, has_bias, channel, valid, activation):
    """source[s + i·width + c] = activation(itself + bias[channel + c]), i < count, c < valid; whole vectors of it."""
    n = lanes(line)
    for c in range(0, valid, n):
        b = load_n(bias, channel + c, min(n, valid - c) * has_bias, line)
        for i in range(count):
            store(source, s + i * width + c, activate(load(source, s + i * width + c, line) + b, activation))


@device_function
def store_pixels(line, source, s, width, y, place, step, count, bias, has_bias, channel, valid, channels, activation, shuffle):
    """y[place + i·step + channel + c] = activation(source[s + i·width + c] + bias[channel + c]), i < count, c < valid; shuffled perhaps."""
    n = lanes(line)
    for c in range(0, valid, n):
        m = min(n, valid - c)
        b = load_n(bias, channel + c, m * has_bias, line)
        for i in range(count):
            v, p = activate(load(source, s + i * width + c, line) + b, activation), place + i * step + channel + c
            if shuffle > 1:
                store(source, s + i * width + c, v)
            elif m == n:
                store(y, p, v)
            else:
                store_n(y, p, v, m)
    if shuffle > 1:
        for i in range(count):
            _shuffled(source, s + i * width, y, place + i * step, channel, valid, channels, shuffle)
