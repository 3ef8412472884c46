"""The terms of `direct` and `gather`: where the taps of a job lie in the copy of a box.

Jobs of one kind have as many taps as each other, at the same distances in the copy: their offsets are written once a worker, from the least
sample that a job's first target reads, and each job begins where its own lies.
"""

from __future__ import annotations

from ...geometry.jobs import kinds_of, least_of
from ...runtime.launch import device_function, inlined
from ...simd.vector import compact, get, moved, put
from ...stages.fill import place_of


@inlined
def _begin(axis, fill, job):
    """Where the least sample of a job's first target lies along one axis, in one channel of the copy; of a forward pass in front."""
    return (least_of(axis, job) - fill.origin) * (fill.pitch if fill.phases == 1 else fill.piece_pitch)


@inlined
def begin_of(plan, job):
    """… and along all of them."""
    (t, h, w), filters, fill = job, plan.filters, plan.fill
    return _begin(filters.t, fill.t, t) + _begin(filters.h, fill.h, h) + _begin(filters.w, fill.w, w)


@inlined
def _reads(axis, apart, kind):
    """Of a kind of jobs: (its taps, the first one's read, from a tap's read to the next one's), in reads from the least on."""
    taps, step = axis.fewest + (1 if kind == 0 and axis.longer > 0 else 0), axis.advance // apart
    return taps, max(0, -step * (taps - 1)), step


@device_function
def _write(fill, reads_t, reads_h, reads_w, channels, offsets):
    """Of one kind: (channel, tap)."""
    compact()
    (taps_t, read_t, step_t), (taps_h, first_h, step_h), (taps_w, first_w, step_w), k = reads_t, reads_h, reads_w, 0
    for _ in range(taps_t):
        read_h = first_h
        for _ in range(taps_h):
            read_w = first_w
            row = place_of(fill.t, read_t) + place_of(fill.h, read_h)
            for _ in range(taps_w):
                put(offsets, k, row + place_of(fill.w, read_w))
                read_w += step_w
                k += 1
            read_h += step_h
        read_t += step_t
    pitch, taps = fill.channel_pitch, k
    for k in range(taps, taps * channels):
        put(offsets, k, get(offsets, k - taps) + pitch)


@device_function
def write_offsets(plan, offsets):
    """Of all kinds, one after the other."""
    compact()
    fill, (t, h, w) = plan.fill, (plan.filters.t, plan.filters.h, plan.filters.w)
    for i in range(kinds_of(t)):
        for j in range(kinds_of(h)):
            for k in range(kinds_of(w)):
                _write(fill, _reads(t, fill.t.apart, i), _reads(h, fill.h.apart, j), _reads(w, fill.w.apart, k), plan.chunk, offsets)
                offsets = moved(offsets, plan.offsets_pitch)
