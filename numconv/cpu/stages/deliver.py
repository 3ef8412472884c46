"""The way out of sums that have channels in the lanes: bias and activation, then pixels of the target, channels last."""

from __future__ import annotations

from typing import NamedTuple

from ..runtime.launch import device_function, inlined
from ..simd.tiles import lanes
from ..simd.vector import get, load, load_n, put, store, store_n
from .epilogue import activate


class Finish(NamedTuple):
    """What happens to sums before they are stored, and where channels go."""

    has_bias: int  # 0 or 1
    activation: int  # its code
    shuffle: int  # groups of the channel shuffle; 1: none
    channels: int  # of the target, all groups


@device_function
def finish_pixels(vector, sums, width, count, bias, valid, finish):
    """sums[i·width + c] = activation(itself + bias[c]), i < count, c < valid; whole vectors of it."""
    n = lanes(vector)
    for c in range(0, valid, n):
        b = load_n(bias, c, min(n, valid - c) * finish.has_bias, vector)
        for i in range(count):
            store(sums, i * width + c, activate(load(sums, i * width + c, vector) + b, finish.activation))


@inlined
def shuffled(channel, finish):
    """Where a channel goes."""
    if finish.shuffle > 1:
        of_group = finish.channels // finish.shuffle
        return channel % of_group * finish.shuffle + channel // of_group
    return channel


@device_function
def store_pixels(vector, sums, width, y, pixel_pitch, count, bias, channel, valid, finish):
    """y[i·pixel_pitch + channel + c] = activation(sums[i·width + c] + bias[channel + c]), i < count, c < valid; shuffled perhaps."""
    n, activation, shuffle = lanes(vector), finish.activation, finish.shuffle
    for c in range(0, valid, n):
        m = min(n, valid - c)
        b = load_n(bias, channel + c, m * finish.has_bias, vector)
        for i in range(count):
            v, p = activate(load(sums, i * width + c, vector) + b, activation), i * pixel_pitch + channel + c
            if shuffle > 1:
                store(sums, i * width + c, v)
            elif m == n:
                store(y, p, v)
            else:
                store_n(y, p, v, m)
    if shuffle > 1:
        for i in range(count):
            for c in range(valid):
                put(y, i * pixel_pitch + shuffled(channel + c, finish), get(sums, i * width + c))
