"""What happens to a sum before it is stored: bias, activation.  In vectors, on rows that are still in the cache."""

from __future__ import annotations

from ...activations import HARDSWISH, IDENTITY, RELU, RELU6, SIGMOID, SILU, SILU_FLOOR
from ..runtime.launch import device_function, inlined
from ..simd.streaming import store_past, to_boundary
from ..simd.tiles import exp, expm1, lanes, quotient
from ..simd.vector import at_least, at_most, filled, get, load, load_n, put, store, store_alternate, store_n


@device_function
def smooth(v, activation):
    """The activations that need an exponential; a call, since it is long and stands in several loops of every kernel."""
    if activation == SILU:
        return quotient(at_least(v, SILU_FLOOR), exp(v * -1) + 1)
    if activation == SIGMOID:
        return quotient(filled(v, 1), exp(v * -1) + 1)
    e = expm1(v + v)
    return quotient(e, e + 2)


@inlined
def activate(v, activation):
    """One vector; the codes of numconv.activations.  A NaN stays a NaN."""
    if activation == IDENTITY:
        return v
    if activation == RELU:
        return at_least(v, 0)
    if activation == RELU6:
        return at_most(at_least(v, 0), 6)
    if activation == HARDSWISH:
        return quotient(v * at_most(at_least(v + 3, 0), 6), filled(v, 6))
    return smooth(v, activation)


@device_function
def store_row(shape, source, target, count, step, bias, activation, past=False):
    """target[i·step] = activation(source[i] + bias), i < count; `shape` gives the lanes.  `source` may be read up to a whole vector.

    `past`: past the caches, where step is 1; the caller sees to a `fence`."""
    width = lanes(shape)
    i = 0
    if step == 1:
        if past:
            i = min(count, to_boundary(target, 0, shape))
            store_n(target, 0, activate(load_n(source, 0, i, shape) + bias, activation), i)
            while i + width <= count:
                store_past(target, i, activate(load(source, i, shape) + bias, activation))
                i += width
        while i + width <= count:
            store(target, i, activate(load(source, i, shape) + bias, activation))
            i += width
        if i < count:
            store_n(target, i, activate(load_n(source, i, count - i, shape) + bias, activation), count - i)
        return
    if step == 2:  # every other element, under a mask: the other stride phase's are not touched
        while i < count:
            n = min(width, count - i)
            store_alternate(target, 2 * i, activate(load_n(source, i, n, shape) + bias, activation), n)
            i += width
        return
    while i < count:
        n = min(width, count - i)
        store_n(source, i, activate(load_n(source, i, n, shape) + bias, activation), n)
        for j in range(n):
            put(target, (i + j) * step, get(source, i + j))
        i += width
