"""The copies of the dense CPU kernel: input into the polyphase buffer, weights into tile order."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
import reference
from guarded import guarded

from numconv.cpu.dense.positions import cost
from numconv.cpu.dense.positions.plan import prepared
from numconv.cpu.dense.positions.reads import ReadAxis, geometry
from numconv.cpu.dense.rows import ROWS
from numconv.cpu.geometry.jobs import job_of, least_of
from numconv.cpu.machine import detect
from numconv.cpu.runtime.launch import threads
from numconv.problem import ConvProblem

DIRECT, GATHER, _ = ROWS


def _problem(
    spatial: tuple, kernel: tuple, stride: tuple, pad: tuple, dilation: tuple, groups: int = 1, mode: str = "zeros", back: bool = False
) -> ConvProblem:
    outputs = tuple((i + 2 * p - d * (k - 1) - 1) // s + 1 for i, p, d, k, s in zip(spatial, pad, dilation, kernel, stride, strict=True))
    return ConvProblem(
        "input_grad" if back else "forward", 1, 3 * groups, 13 * groups, groups, spatial, kernel, stride, pad, dilation, outputs,
        "float32", "float32", padding_mode=mode,
    )  # fmt: skip


#: spatial, kernel, stride, padding, dilation: every step that is copied in registers and one that is not; rows of one vector and of several
CASES = [
    ((9, width), (3, k), (2, s), (1, k // 2), (1, 1)) for width in (7, 16, 75) for k, s in ((3, 1), (3, 2), (3, 3), (5, 4), (7, 5), (2, 4))
]
CASES += [
    ((2, 6, 6), (3, 3, 3), (2, 2, 2), (1, 1, 1), (1, 1, 1)),
    ((33, 33), (3, 3), (1, 1), (36, 36), (36, 36)),
    ((80,), (5,), (2,), (40,), (3,)),
]


@pytest.mark.parametrize("at_end", [True, False])
@pytest.mark.parametrize("case", CASES, ids=lambda c: "-".join(map(str, (*c[0], *c[1], *c[2]))))
def test_copies_stay_inside(case: tuple, at_end: bool) -> None:
    """Exact results from arrays that touch a page which may not be touched: a read outside ends the process."""
    rng = np.random.default_rng(1)
    for back in (False, True):
        p = _problem(*case, groups=2, back=back)
        shape = (1, p.source[0], *p.source[1])
        x, w = (guarded(rng.integers(-4, 5, s).astype(np.float32), at_end) for s in (shape, p.weight_shape))
        out, row = np.full(p.result_shape, np.nan, np.float32), GATHER if back else DIRECT
        row.run(p, (x, guarded(row.pack(p, w, detect()), at_end), None), out, detect())
        pads = list(zip(p.pad_low, p.pad_high if not back else p.pad_low, strict=True))
        if back:
            extra = [i - ((o - 1) * s - 2 * lo + d * (k - 1) + 1) for i, o, s, lo, d, k in zip(p.spatial, p.outputs, p.stride, p.pad_low, p.dilation, p.kernel, strict=True)]  # fmt: skip
            expected = reference.conv_transpose(x, w, None, stride=p.stride, pads=pads, output_padding=extra, groups=2, dilation=p.dilation)
        else:
            expected = reference.conv(x, w, None, stride=p.stride, pads=[(lo, lo) for lo in p.pad_low], dilation=p.dilation, groups=2)
        np.testing.assert_array_equal(out, expected)


def test_rows_that_share_zeros_keep_their_sums_apart() -> None:
    """Targets three apart are stored with their bias from where their sums lie; those of the next row must not have it twice."""
    p = ConvProblem("input_grad", 1, 17, 2, 1, (8, 7), (7, 3), (5, 3), (0, 2), (1, 5), (1, 1), "float32", "float32", bias=True)
    rng, out = np.random.default_rng(5), np.full(p.result_shape, np.nan, np.float32)
    y, w, bias = (rng.integers(-4, 5, s).astype(np.float32) for s in ((1, 2, 1, 1), p.weight_shape, (17,)))
    GATHER.run(p, (y, w, bias), out, detect())
    expected = np.zeros(p.result_shape, np.float32)
    expected[0, :, :7, 3] = np.einsum("oca,o->ca", w[:, :, :, 1], y[0, :, 0, 0])
    np.testing.assert_array_equal(out, expected + bias[:, None, None])


@pytest.mark.parametrize("offset", [0, 1, 7])
@pytest.mark.parametrize("width", [32, 1030])
def test_results_past_the_caches(width: int, offset: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole lines and long rows, wherever the result begins: all of it is written, and nothing beside it."""
    monkeypatch.setattr(cost, "PAST", 0)
    rng = np.random.default_rng(3)
    p = _problem((5, width), (3, 3), (1, 1), (1, 1), (1, 1)).with_(activation="relu", bias=True)
    x, w, b = (rng.integers(-4, 5, s).astype(np.float32) for s in ((1, 3, 5, width), p.weight_shape, (13,)))
    expected = np.maximum(reference.conv(x, w, b, stride=(1, 1), pads=[(1, 1), (1, 1)], dilation=(1, 1), groups=1), 0)
    prepared.cache_clear()
    try:
        around = np.full(offset + expected.size + 40, np.nan, np.float32)
        out = around[offset : offset + expected.size].reshape(expected.shape)
        assert prepared(p, detect(), 1).plan.past
        DIRECT.run(p, (x, DIRECT.pack(p, w, detect()), b), out, detect())
    finally:
        prepared.cache_clear()
    np.testing.assert_array_equal(out, expected)
    assert np.isnan(around[:offset]).all() and np.isnan(around[offset + expected.size :]).all()


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular", "symmetric"])
@pytest.mark.parametrize("step", [1, 2, 3, 5])
def test_padding_modes_at_every_step(mode: str, step: int) -> None:
    rng = np.random.default_rng(2)
    p = _problem((9, 45), (3, 7), (2, step), (1, 3), (1, 1), mode=mode)
    x, w = (rng.integers(-4, 5, s).astype(np.float32) for s in ((1, 3, 9, 45), p.weight_shape))
    out = np.full(p.result_shape, np.nan, np.float32)
    DIRECT.run(p, (x, DIRECT.pack(p, w, detect()), None), out, detect())
    expected = reference.conv(x, w, None, stride=p.stride, pads=[(1, 1), (3, 3)], dilation=(1, 1), groups=1, padding_mode=mode)
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("case", [*CASES[:4], *CASES[-3:]], ids=lambda c: "-".join(map(str, (*c[0], *c[1], *c[2]))))
def test_packed_weights(case: tuple, back: bool) -> None:
    """Per job (groups, blocks, terms, rows), the terms being (channel, tap); rows beyond the last channel repeat it."""
    p = _problem(*case, groups=2, back=back)
    w = np.arange(np.prod(p.weight_shape), dtype=np.float32).reshape(p.weight_shape)
    packed = (GATHER if back else DIRECT).pack(p, w, detect())
    rows, g = prepared(p, detect(), 1).tile[0], geometry(p)
    grouped = w.reshape(2, 13, 3, *(1,) * (3 - p.rank), *p.kernel)
    grouped = grouped.swapaxes(1, 2) if back else grouped  # group, produced, summed, taps
    order = [min(r, g.produced - 1) for r in range(-(-g.produced // rows) * rows)]
    expected = []
    for job in product(*([job_of(a.taps, i) for i in range(a.taps.jobs)] for a in g.axes)):
        each = [[j.tap + k * a.taps.period for k in range(j.taps)] for j, a in zip(job, g.axes, strict=True)]
        one = np.stack([grouped[(slice(None), slice(None), slice(None), *tap)] for tap in product(*each)], -1)
        blocks = one.reshape(2, g.produced, -1)[:, order].reshape(2, -1, rows, one.shape[2] * one.shape[3]).swapaxes(2, 3)
        expected.append(blocks.reshape(-1))
    np.testing.assert_array_equal(packed, np.concatenate(expected))


def _chunks_of(number: int) -> Any:
    return lambda summed, channel_pitch, *_: np.full(channel_pitch.shape, float(min(number, summed)))


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("step", [1, 2])
def test_chunks_of_channels(back: bool, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums that wait for the next chunk of input channels: the same bits as in one."""
    rng = np.random.default_rng(3)
    p = _problem((7 * step, 7 * step), (3, 3), (step, step), (1, 1), (1, 1), groups=2, back=back)
    p = p.with_(in_channels=2 * 100, out_channels=2 * 100, bias=True)
    machine = replace(detect(), name="in chunks")  # of which nothing is known yet
    with monkeypatch.context() as m:
        m.setattr(cost, "chunk_of", _chunks_of(37))
        assert prepared(p, machine, 1).plan.chunk == prepared(p, machine, threads(), False).plan.chunk == 37
    assert prepared(p, detect(), 1).plan.chunk == 100
    x, w, bias = (rng.standard_normal(s, np.float32) for s in ((1, *p.source[:1], *p.source[1]), p.weight_shape, (200,)))
    row, results = GATHER if back else DIRECT, []
    for one in (machine, detect()):
        out = np.full(p.result_shape, np.nan, np.float32)
        row.run(p, (x, row.pack(p, w, one), bias), out, one)
        results.append(out)
    np.testing.assert_array_equal(*results)
    exact = [np.rint(4 * a) for a in (x, w, bias)]
    out = np.full(p.result_shape, np.nan, np.float32)
    row.run(p, (exact[0], row.pack(p, exact[1], machine), exact[2]), out, machine)
    if back:
        extra = [i - ((o - 1) * step + 1) for i, o in zip(p.spatial, p.outputs, strict=True)]
        expected = reference.conv_transpose(*exact, stride=p.stride, pads=[(1, 1)] * 2, output_padding=extra, groups=2, dilation=p.dilation)
    else:
        expected = reference.conv(*exact, stride=p.stride, pads=[(1, 1)] * 2, dilation=p.dilation, groups=2)
    np.testing.assert_array_equal(out, expected)


def _sample(axis: ReadAxis, job: Any, u: int, k: int) -> int:
    """What tap k of a job reads for target u, by where the copy has it."""
    taps, residue, v, step = axis.taps, u % axis.spread, u // axis.spread, axis.taps.advance // axis.apart
    read = (least_of(taps, job) - axis.origin) // axis.apart + max(0, -step * (job.taps - 1)) + k * step
    assert 0 <= read < axis.reads
    begin, sample = axis.apart * (read % axis.phases) % axis.modulus, axis.apart * read // axis.modulus
    return axis.origin + residue * taps.step + begin + (sample + v) * axis.spread * taps.step


@pytest.mark.parametrize("number", [0, 1, 2, 3])
@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("case", CASES, ids=lambda c: "-".join(map(str, (*c[0], *c[1], *c[2]))))
def test_copies_have_what_taps_read(case: tuple, back: bool, number: int) -> None:
    """Of every job, target and tap, whichever axes are unfolded; boxes divide all targets, and gaps hold zeros."""
    p = _problem(*case, back=back)
    g = geometry(p).unfolded(number, "zeros")
    for axis in g.axes:
        taps = axis.taps
        for job in [job_of(taps, i) for i in range(taps.jobs)]:
            assert job.targets <= axis.most * axis.spread
            for u, k in product(range(job.targets), range(job.taps)):
                assert _sample(axis, job, u, k) == job.at + u * taps.step + k * taps.advance
        begins = [axis.apart * i % axis.modulus for i in range(axis.phases)]
        assert axis.last == max(begins) // axis.spread
    w, length = g.axes[2], g.axes[2].most + g.axes[2].reach
    for begin in (w.apart * i % w.modulus for i in range(w.phases)):
        inside = [0 <= w.origin + begin + j * w.taps.step < w.taps.source for j in range(length)]
        assert not any(inside[: g.gap]) and not any(inside[length - g.gap :])


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("chunk", [3, 2])
@pytest.mark.parametrize("case", [*CASES[:4], *CASES[-3:]], ids=lambda c: "-".join(map(str, (*c[0], *c[1], *c[2]))))
def test_weights_packed_in_the_tasks(case: tuple, back: bool, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same bits as from weights packed before."""
    rng = np.random.default_rng(4)
    p = _problem(*case, groups=2, back=back)
    row, machine = GATHER if back else DIRECT, replace(detect(), name=f"chunks of {chunk}")
    x, w = (guarded(rng.standard_normal(s, np.float32), True) for s in ((1, *p.source[:1], *p.source[1]), p.weight_shape))
    with monkeypatch.context() as m:
        m.setattr(cost, "chunk_of", _chunks_of(chunk))
        results = [np.full(p.result_shape, np.nan, np.float32) for _ in range(2)]
        for out, weights in zip(results, (row.pack(p, w, machine), w), strict=True):
            row.run(p, (x, weights, None), out, machine)
    np.testing.assert_array_equal(*results)
