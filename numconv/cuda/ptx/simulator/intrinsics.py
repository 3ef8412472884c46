"""Pure-Python stand-ins for `ptx/intrinsics.py` in Numba's CUDA simulator, under the same names.

What they cannot show: the fragment layouts of `mma` are checked against our reading of the PTX ISA, not against hardware; a barrier that
is missing shows where the threads' order of turns (`threads.py`) reads before it writes, in every other block at least.
"""

from __future__ import annotations

import numpy as np

from .threads import current_thread, exchange


def idiv(a, b):
    return np.int32(int(a) // int(b))


def imod(a, b):
    return np.int32(int(a) % int(b))


def imul(a, b):
    return np.int32(int(a) * int(b))


def f32_bits(x):
    return np.float32(x).view(np.uint32)


def f32_from_bits(u):
    return np.uint32(u).view(np.float32)


def cvt_rna_tf32(x):
    return np.uint32((int(np.float32(x).view(np.uint32)) + 0x1000) & 0xFFFFE000)


def _host_array(array):
    array = getattr(array, "_item", array)
    return getattr(array, "_ary", array)


def load4(array, index):
    i = int(index)
    array = _host_array(array)
    if array.ndim != 1:
        array = array.reshape(-1)
    if i % 4 or i + 4 > array.size:
        raise IndexError(f"load4 at {i} of {array.size}")
    return array[i], array[i + 1], array[i + 2], array[i + 3]


def store4(array, index, values):
    i = int(index)
    array = _host_array(array).reshape(-1)
    if i % 4 or i + 4 > array.size:
        raise IndexError(f"store4 at {i} of {array.size}")
    array[i : i + 4] = values


class _Record:
    """A record in a table: a field is read when it is named."""

    __slots__ = ("_at", "_layout", "_table")

    def __init__(self, table, at, layout):
        self._table, self._at, self._layout = table, at, layout

    def __getattr__(self, name):
        kind, offset = self._layout.fields[name]
        at = self._at + offset // 4
        return self._table[at] if kind.fields is None else _Record(self._table, at, kind)


def record_at(layout):
    return lambda table, at: _Record(_host_array(table), int(at), layout)


def quad_at(kind):
    return lambda table, at: kind(*load4(table, at))


def load_pair(array, index):
    i = int(index)
    if i % 2:
        raise IndexError(f"load_pair at odd index {i}")
    pair = np.ascontiguousarray(_host_array(array).reshape(-1)[i : i + 2])
    return pair.view(np.uint32)[0]


def _copies():
    """The asynchronous copies of this CUDA thread: those not yet committed, and the groups that no wait has completed."""
    return current_thread().copies


def cp_async16(shared, shared_index, source, source_index, count):
    """Takes effect at the wait that covers its group and no sooner, so that a missing one shows."""
    target, source = _host_array(shared).reshape(-1), _host_array(source).reshape(-1)
    width = 16 // target.itemsize
    n, s, g = int(count) // target.itemsize, int(shared_index), int(source_index)
    if s % width or g % width or (n and g + n > source.size):
        raise IndexError(f"cp_async16 to {s} from {g} of {source.size}")
    values = np.zeros(width, target.dtype)
    values[:n] = source[g : g + n]
    _copies()[0].append((target, s, values))


def cp_async_commit():
    opened, groups = _copies()
    groups.append(list(opened))
    opened.clear()


def make_cp_async_wait(pending):
    def wait():
        _, groups = _copies()
        while len(groups) > pending:
            for target, s, values in groups.pop(0):
                target[s : s + len(values)] = values

    return wait


def _ldmatrix(transposed):
    def ldmatrix(shared, index):
        lanes, lane = exchange(int(index))
        words = _host_array(shared).reshape(-1)
        if any(i % 4 or i + 4 > words.size for i in lanes):
            raise IndexError(f"ldmatrix at {lanes} of {words.size}")
        found = []
        for q in range(4):
            rows = [words[i : i + 4] for i in lanes[8 * q : 8 * q + 8]]
            if transposed:
                a, b = (int(rows[2 * (lane & 3) + i].view(np.uint16)[lane >> 2]) for i in (0, 1))
                found.append(np.uint32(a | b << 16))
            else:
                found.append(rows[lane >> 2][lane & 3])
        return tuple(found)

    return ldmatrix


ldmatrix4, ldmatrix4_trans = _ldmatrix(False), _ldmatrix(True)


def _mma(depth, unpack, a_layout, b_layout):
    def product(lanes):
        left, right = np.zeros((16, depth), np.float32), np.zeros((depth, 8), np.float32)
        for number, (fa, fb) in enumerate(lanes):
            g, t = number >> 2, number & 3
            for position, value in zip(a_layout(g, t), unpack(fa), strict=True):
                left[position] = value
            for position, value in zip(b_layout(g, t), unpack(fb), strict=True):
                right[position] = value
        return left @ right

    def mma(a, b, c):
        d, lane = exchange((a, b), product)
        g, t = lane >> 2, lane & 3
        return tuple(
            np.float32(v + d[i, j]) for v, (i, j) in zip(c, ((g, 2 * t), (g, 2 * t + 1), (g + 8, 2 * t), (g + 8, 2 * t + 1)), strict=True)
        )

    return mma


def _unpack_tf32(fragment):
    return [np.uint32(int(u) & 0xFFFFE000).view(np.float32) for u in fragment]


def _unpack_f16(fragment):
    return [v for u in fragment for v in np.array([u], np.uint32).view(np.float16).astype(np.float32)]


def _unpack_bf16(fragment):
    return [np.uint32(h << 16).view(np.float32) for u in fragment for h in (int(u) & 0xFFFF, int(u) >> 16)]


def _a_8(g, t):
    return [(g, t), (g + 8, t), (g, t + 4), (g + 8, t + 4)]


def _b_8(g, t):
    return [(t, g), (t + 4, g)]


def _a_16(g, t):
    return [(row, col + 2 * t + i) for row, col in ((g, 0), (g + 8, 0), (g, 8), (g + 8, 8)) for i in (0, 1)]


def _b_16(g, t):
    return [(row + 2 * t + i, g) for row in (0, 8) for i in (0, 1)]


mma_m16n8k8_tf32 = _mma(8, _unpack_tf32, _a_8, _b_8)
mma_m16n8k16_f16 = _mma(16, _unpack_f16, _a_16, _b_16)
mma_m16n8k16_bf16 = _mma(16, _unpack_bf16, _a_16, _b_16)
