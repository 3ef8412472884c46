"""The Winograd row, called directly: every choice of axes, strides, dilations, every transform, weights transformed before and on the way."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple
from unittest import mock

import numba
import numpy as np
import pytest
import reference
from tolerance import assert_within

import numconv as nc
from numconv.cpu.adapt.mirror import forward_of
from numconv.cpu.machine import detect
from numconv.cpu.runtime import launch, workspace
from numconv.cpu.runtime.record import table
from numconv.cpu.simd.vector import pointer
from numconv.cpu.winograd import plan as winograd_blocking
from numconv.cpu.winograd import rows as winograd
from numconv.cpu.winograd.axes import KINDS, UNIT, AxisExtents, AxisTaps, CutAxis, choices, cut_axis
from numconv.cpu.winograd.cost import AGAIN, on_the_way
from numconv.cpu.winograd.plan import best, blocking, chosen, prepared
from numconv.cpu.winograd.room import PixelsRoom, PlanesRoom
from numconv.cpu.winograd.taps import TAP_PIECE, AxisPieces, write_pieces
from numconv.kernel import Machine
from numconv.problem import ConvProblem, effective_kernel
from numconv.winograd import matrices

MACHINE = detect()
ROW = winograd.ROWS[0]
#: channels in, out, groups, spatial, kernel, padding, dilation[, stride]
CASES = [
    (5, 13, 1, (11, 19), (3, 3), (1, 1), (1, 1)),
    (8, 26, 2, (12, 70), (3, 3), (0, 2), (1, 1)),
    (17, 33, 1, (40, 150), (3, 3), (1, 1), (1, 1)),
    (8, 9, 1, (3, 3), (3, 3), (0, 0), (1, 1)),
    (40, 48, 1, (7, 7), (3, 3), (1, 1), (1, 1)),
    (5, 13, 1, (13, 22), (3, 3), (1, 1), (2, 2)),
    (8, 20, 1, (20, 37), (3, 3), (3, 5), (3, 5)),
    (8, 20, 1, (20, 37), (3, 3), (16, 16), (16, 16)),
    (8, 20, 1, (64, 128), (3, 3), (8, 8), (8, 8)),
    (8, 9, 1, (5, 40), (3, 3), (36, 36), (36, 36)),
    (4, 7, 1, (30,), (3,), (1,), (1,)),
    (16, 30, 1, (12000,), (3,), (0,), (1,)),
    (4, 30, 1, (200,), (3,), (3,), (3,)),
    (8, 20, 1, (20, 37), (1, 3), (0, 1), (1, 1)),
    (8, 20, 1, (20, 37), (3, 1), (8, 0), (8, 1)),
    (8, 20, 1, (20, 37), (5, 3), (2, 1), (1, 1)),
    (8, 20, 1, (20, 37), (3, 5), (2, 1), (2, 3)),
    (8, 20, 2, (5, 9, 11), (3, 3, 3), (1, 1, 1), (1, 1, 1)),
    (16, 20, 1, (6, 9, 11), (3, 1, 1), (1, 0, 0), (1, 1, 1)),
    (16, 20, 1, (9, 5, 11), (3, 2, 2), (2, 0, 1), (2, 1, 2)),
    (16, 20, 1, (9, 8, 11), (2, 3, 3), (2, 6, 4), (1, 5, 4)),
    (16, 20, 1, (7, 60, 60), (3, 1, 1), (1, 0, 0), (1, 1, 1)),
    (16, 30, 1, (400,), (5,), (2,), (1,)),
    (8, 30, 2, (300,), (41,), (20,), (1,), (2,)),
    (8, 20, 1, (200,), (11,), (15,), (3,)),
    (8, 20, 1, (207,), (9,), (4,), (3,), (2,)),
    (8, 20, 1, (17, 17), (7, 1), (3, 0), (1, 1)),
    (8, 20, 1, (14, 37), (5, 5), (2, 2), (1, 1), (2, 2)),
    (8, 20, 1, (13, 13), (4, 4), (1, 1), (1, 1), (2, 2)),
    (8, 20, 1, (9, 9, 30), (5, 2, 3), (2, 1, 2), (2, 2, 5), (2, 2, 1)),
    (8, 20, 1, (30, 70), (5, 2), (2, 0), (1, 1), (1, 3)),
]


LAYOUTS = ("channels_first", "channels_last")
THREADED = CASES[
    :3
]  # with a parallel loop; of the others the same loop over workers runs in one thread, or each kernel would be compiled twice
#: the first case in both layouts, each of the others in one: a kernel takes ten seconds to compile, and the two share none.  `-m slow` runs the rest.
MATRIX = [
    pytest.param(case, layout, id=f"{case}-{layout}", marks=() if i == 0 or i % 2 == j else pytest.mark.slow)
    for i, case in enumerate(CASES)
    for j, layout in enumerate(LAYOUTS)
]


@pytest.fixture(autouse=True)
def _workers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if hasattr(request.node, "callspec") and request.node.callspec.params.get("case") in THREADED:
        return
    monkeypatch.setattr(launch.ParallelKernel, "__call__", lambda self, *args: self.serial(*args))


def problem(case: Any, batch: int = 2, layout: str = "channels_first") -> ConvProblem:
    channels, produced, groups, spatial, kernel, padding, dilation, *strides = case
    stride = strides[0] if strides else (1,) * len(kernel)
    outputs = tuple(
        (i + 2 * p - d * (k - 1) - 1) // s + 1 for i, p, k, d, s in zip(spatial, padding, kernel, dilation, stride, strict=True)
    )
    return ConvProblem(
        "forward", batch, channels, produced, groups, spatial, kernel, stride, padding, dilation, outputs, "float32", "float32",
        bias=True, activation="relu", layout=layout,
    )  # fmt: skip


def arrays(p: ConvProblem, integers: bool) -> tuple[Any, ...]:
    rng = np.random.default_rng(3)
    shapes = (p.batch, p.in_channels, *p.spatial), p.weight_shape, (p.out_channels,)
    return tuple((rng.integers(-3, 4, s) if integers else rng.standard_normal(s)).astype(np.float32) for s in shapes)


@contextmanager
def poisoned() -> Iterator[None]:
    """Scratch of not-a-numbers: what a kernel reads without having written it shows.  (What calls before left there can be right by chance.)"""
    enter = workspace.Scratch.__enter__

    def filled(scratch: workspace.Scratch) -> Any:
        memory = enter(scratch)
        memory.fill(np.nan)
        return memory

    with mock.patch.object(workspace.Scratch, "__enter__", filled):
        yield


def run(p: ConvProblem, x: Any, packed: Any, bias: Any) -> Any:
    """Of a channels-first input, into the middle of an array, whose ends must stay as they are."""
    last = p.layout == "channels_last"
    size = int(np.prod(p.result_shape))
    whole = np.full(size + 128, np.nan, np.float32)
    out = whole[64 : 64 + size].reshape(p.result_shape)
    with poisoned():
        winograd.run(p, (np.ascontiguousarray(np.moveaxis(x, 1, -1)) if last else x, packed, bias), out, MACHINE)
    assert np.isnan(whole[:64]).all() and np.isnan(whole[-64:]).all()
    return np.moveaxis(out, -1, 1) if last else out


def expected(p: ConvProblem, x: Any, w: Any, bias: Any, activation: str | None) -> Any:
    return reference.conv(
        x, w, bias, stride=p.stride, pads=[(a, a) for a in p.pad_low], dilation=p.dilation, groups=p.groups, activation=activation
    )


class Piece(NamedTuple):
    plane: int
    shift: int
    tap: int
    live: int


@numba.njit
def write(axes: Any, lists: Any) -> None:
    write_pieces(pointer(axes), 0, pointer(lists))


def pieces_of(axis: CutAxis) -> tuple[list[Piece], list[int]]:
    """As a worker lists them, of an axis W alone; and where planes begin."""
    alone = AxisPieces(1, 0, 0, 0, 0, TAP_PIECE * axis.pieces, 0, UNIT.cut)
    w = AxisPieces(axis.pieces, 1 << 32, 1, 1, axis.dilation, TAP_PIECE * axis.pieces, 0, axis.cut)
    lists = np.zeros(TAP_PIECE * axis.pieces + axis.planes, np.int64)
    write(table([alone] * 3, w), lists)
    found = lists[: TAP_PIECE * axis.pieces].reshape(-1, TAP_PIECE).tolist()
    return [Piece(at >> 32, at & 0xFFFFFFFF, tap, live) for at, tap, _, live in found], lists[TAP_PIECE * axis.pieces :].tolist()


def of_the_tile(p: ConvProblem, magnitude: Any) -> Any:
    """A transform mixes the samples of a tile: its error is in proportion to the largest sum of the tile, not to each output's own.

    A piece that lacks taps reads what only later outputs see with the taps that it has.
    """
    _, a, inner, w = chosen(p.with_(batch=1), MACHINE).box.axes
    for axis, k in ((a, magnitude.ndim - (2 if inner is UNIT else 3)), (w, magnitude.ndim - 1)):
        if axis.m > 1:
            reach = (3 + max(KINDS[axis.frequencies][1] - piece.live for piece in pieces_of(axis)[0])) * axis.residues
            padded = np.pad(magnitude, [(reach,) * 2 if k == i else (0, 0) for i in range(magnitude.ndim)])
            windows = [np.take(padded, range(s, s + magnitude.shape[k]), k) for s in range(0, 2 * reach + 1, axis.residues)]
            magnitude = np.max(windows, axis=0)
    return magnitude


def forget() -> None:
    """All plans."""
    for cached in (prepared, blocking, winograd._work):
        cached.cache_clear()


def test_pieces_in_planes_of_one_phase(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five taps by F(4, 3): two planes that channels first fill from one copy, channels last each by itself."""
    p = problem((8, 20, 1, (20, 37), (5, 3), (2, 1), (1, 1)), 1, "channels_last")
    found = [best(p, MACHINE, 1, x, (6, 2)) for x in choices(p)]
    monkeypatch.setattr(winograd_blocking, "chosen", lambda *_: next(b for b in found if b.kinds == (6, 6)))
    x, w, bias = arrays(p, True)
    try:
        forget()
        y = run(p, x, w, bias)
    finally:  # no other test is to meet this choice
        forget()
    np.testing.assert_allclose(y, expected(p, x, w, bias, "relu"), rtol=0, atol=0.02)


@pytest.mark.parametrize(("case", "layout"), MATRIX)
def test_small_integers_round_to_the_exact_result(case: Any, layout: str) -> None:
    p = problem(case, 2, layout)
    x, w, bias = arrays(p, True)
    y = run(p, x, winograd.pack(p, w, MACHINE), bias)
    exact = expected(p, x, w, bias, "relu")
    if max(chosen(p.with_(batch=1), MACHINE).kinds) == 4:  # its points are 0 and ±1
        np.testing.assert_array_equal(y, exact)
    np.testing.assert_allclose(y, exact, rtol=0, atol=0.02)


@pytest.mark.parametrize(("case", "layout"), MATRIX)
def test_within_the_bound(case: Any, layout: str) -> None:
    p = problem(case, 2, layout)
    x, w, bias = arrays(p, False)
    magnitude = of_the_tile(p, expected(p, np.abs(x), np.abs(w), np.abs(bias), None))
    y = run(p, x, winograd.pack(p, w, MACHINE), bias)
    assert_within(y, expected(p, x, w, bias, "relu"), magnitude, p.group_in * p.taps, factor=ROW.error_factor)


@pytest.mark.parametrize(("case", "layout"), MATRIX)
def test_same_bits_for_any_threads_batch_and_packing(case: Any, layout: str) -> None:
    p, one = problem(case, 3, layout), problem(case, 1, layout)
    x, w, bias = arrays(p, False)
    transformed = winograd.pack(p, w, MACHINE)
    wanted = run(p, x, transformed, bias)
    for fused in (True, False):  # the weights as given
        forget()
        with mock.patch.object(winograd_blocking, "on_the_way", lambda p, boxes, answer=fused: answer):
            np.testing.assert_array_equal(run(p, x, w, bias), wanted)
    forget()
    np.testing.assert_array_equal(run(one, x[1:2], transformed, bias), wanted[1:2])
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        np.testing.assert_array_equal(run(p, x, w, bias), wanted)
    finally:
        numba.set_num_threads(threads)


def turned(p: ConvProblem) -> ConvProblem:
    """The input gradient that is the convolution `p`."""
    low = tuple(effective_kernel(k, d) - 1 - a for k, d, a in zip(p.kernel, p.dilation, p.pad_low, strict=True))
    return p.with_(
        direction="input_grad", in_channels=p.out_channels, out_channels=p.in_channels, spatial=p.outputs, pad_low=low, outputs=p.spatial
    )


TURNED = [case for case in CASES if len(case) == 7 and all(p <= d * (k - 1) for k, p, d in zip(case[4], case[5], case[6], strict=True))]


@pytest.mark.parametrize(("case", "layout"), [p for p in MATRIX if p.values[0] in TURNED])
def test_input_gradients_read_the_filters_backwards(case: Any, layout: str) -> None:
    p = problem(case, 2, layout)
    q = turned(p)
    assert forward_of(q) == p and ROW.refuses(q) is None
    x, _, bias = arrays(p, True)
    w = np.random.default_rng(5).integers(-3, 4, q.weight_shape).astype(np.float32)
    y = run(q, x, winograd.pack(q, w, MACHINE), bias)
    np.testing.assert_array_equal(run(q, x, w, bias), y)
    grouped = w.reshape(p.groups, p.group_in, p.group_out, *p.kernel).swapaxes(1, 2)
    flipped = np.ascontiguousarray(np.flip(grouped, tuple(range(3, 3 + p.rank)))).reshape(p.weight_shape)
    np.testing.assert_array_equal(run(p, x, winograd.pack(p, flipped, MACHINE), bias), y)
    exact = reference.conv_transpose(x, w, bias, q.stride, [(a, a) for a in q.pad_low], 0, q.groups, q.dilation, "relu")
    np.testing.assert_allclose(y, exact, rtol=0, atol=0.02)


def test_cases_reach_every_way() -> None:
    machine = Machine("wide", vector_bytes=64, registers=32)
    made = [prepared(problem(case, 1), machine, 1).choice for case in CASES]
    assert {f for b in made for f in b.kinds} == set(KINDS)
    assert {b.box.axes.w.dense for b in made} == {False, True}
    assert any(b.box.axes.w.halo for b in made)
    transformed = {tuple(a.m > 1 for a in b.box.axes) for b in made}
    assert transformed == {(False, True, False, True), (False, True, False, False), (False, False, False, True)}
    pixels = [prepared(problem(case, 1, "channels_last"), machine, 1).choice for case in CASES]
    assert {f for b in pixels for f in b.kinds} == set(KINDS)
    for axis in (1, 2, 3):
        assert any(b.box.boxes[axis] > 1 for b in made)
        assert any(b.box.boxes[axis] > 1 for b in pixels)


def test_each_layout_has_fields_of_its_own() -> None:
    """Four numbers of a plan once meant one thing channels first and another channels last: now they are two records, the other's all zeros."""
    machine = Machine("wide", vector_bytes=64, registers=32)
    first, last = (prepared(problem(CASES[27], 1, layout), machine, 1).plan for layout in LAYOUTS)
    assert first.pixels == PixelsRoom(0, 0) and all(first.planes)
    assert last.planes == PlanesRoom(0, 0, 0, 0, 0, 0) and all(last.pixels)
    assert first.v.position_pitch == 1 and last.v.position_pitch >= last.summed
    assert first.samples and not last.samples


def test_weights_are_transformed_on_the_way_where_that_pays() -> None:
    p = problem(CASES[4], 1)
    assert on_the_way(p, 2)  # two boxes: each weight is transformed twice at most, by whom it is used
    few = AGAIN // (p.group_in * p.group_out * p.taps)
    assert on_the_way(p, 1 + few)  # so few weights that another parallel loop costs more
    assert not on_the_way(p, 3 + few)


def test_the_plan_counts_the_transformation_of_weights_given_plain() -> None:
    """256→256 on 38×38: in two boxes they are transformed on the way; transformed before, more and smaller boxes are cheaper."""
    machine = replace(detect(), vector_bytes=64, registers=32, multiply_adds=1, cores=2, l1=32 << 10, l2=1 << 20)
    p = problem((256, 256, 1, (38, 38), (3, 3), (1, 1), (1, 1)), 1)
    packed, plain = blocking(p, machine, 2), blocking(p, machine, 2, given=True)
    assert (packed.tile, packed.box.axes) == (plain.tile, plain.box.axes)  # on which bits depend
    assert on_the_way(p, math.prod(plain.box.boxes))
    assert not on_the_way(p, math.prod(packed.box.boxes))


def test_axes() -> None:
    p = problem((16, 20, 1, (6, 9, 11), (3, 1, 1), (1, 0, 0), (1, 1, 1)))
    assert [(a.extent, a.frequencies) for a in choices(p)[0]] == [(1, 1), (6, 6), (9, 1), (11, 1)]
    p = problem((8, 20, 2, (5, 9, 11), (3, 3, 3), (1, 1, 1), (1, 1, 1)))
    assert [(a.extent, a.frequencies, a.pieces) for a in choices(p)[0]] == [(5, 1, 3), (9, 6, 1), (1, 1, 1), (11, 6, 1)]


def test_every_tap_is_in_one_piece() -> None:
    for taps, stride, dilation in itertools.product((1, 2, 3, 4, 5, 7, 11, 41), (1, 2, 3, 32), (1, 2, 3, 6)):
        for frequencies, (m, r) in KINDS.items():
            apart = stride // math.gcd(stride, dilation)
            axis = cut_axis(AxisTaps(taps, stride, dilation), AxisExtents(999, 99, 0, 1, 0, 0), frequencies)
            (pieces, begins), step = pieces_of(axis), axis.residues * stride
            of = [[piece.tap + j * apart for j in range(piece.live)] for piece in pieces]
            assert sorted(itertools.chain(*of)) == list(range(taps)) and axis.taps == taps
            assert {piece.plane for piece in pieces} == set(range(axis.planes)) and max(piece.shift for piece in pieces) == axis.halo
            for piece, its in zip(pieces, of, strict=True):
                assert 0 < piece.live <= r
                start = begins[piece.plane] + piece.shift * m * step
                assert start == its[0] * dilation
                assert all(t * dilation == start + j * step for j, t in enumerate(its) if m > 1)


def test_plans_are_small_whatever_the_size() -> None:
    """Extents, batch, stride, dilation and taps make a plan no larger; what depends on taps and channels is worked out in the room."""
    for layout in LAYOUTS:
        sizes = {
            prepared(problem(case, batch, layout), MACHINE, 2, given).numbers.nbytes
            for case in (CASES[10], (4, 4, 1, (10**8,), (3,), (1,), (1,)), (4, 4, 1, (10**6,), (10**5,), (0,), (1,)),
                         (8, 8, 1, (999, 999), (64, 64), (0, 0), (1, 1), (32, 32)), (4, 4, 1, (2**40,), (3,), (2**30,), (2**30,)))
            for batch, given in ((1, True), (10**6, False))
        }  # fmt: skip
        assert max(sizes) < 2000 and max(sizes) - min(sizes) <= 8 * 24  # channels last, a number for each position of a tile


def test_a_dilation_far_beyond_the_output_is_refused() -> None:
    """Each output would be a tile of its own, among as many that are none."""
    assert "a third" in str(ROW.refuses(problem((16, 16, 1, (9,), (3,), (2**30,), (2**30,)), 1)))
    assert ROW.refuses(problem(CASES[9], 1)) is None


def test_wide_margins_take_many_channels() -> None:
    """Of their own bound few channels leave nothing: F(4, 3) errs 70 times it with 4 channels."""

    def planned(channels: int) -> ConvProblem:
        return problem((channels, 64, 1, (60, 60), (3, 3), (2, 2), (1, 1)), 1)

    assert ROW.cost(planned(8), MACHINE) == math.inf
    for channels, kinds in ((16, 4), (64, 4), (256, 6)):
        assert max(chosen(planned(channels), MACHINE).kinds) == kinds
        assert ROW.cost(planned(channels), MACHINE) < math.inf


def test_refuses() -> None:
    p = problem(CASES[0])
    assert ROW.refuses(p) is None
    assert "a third" in str(ROW.refuses(problem((8, 8, 1, (9, 9), (1, 1), (0, 0), (1, 1)))))
    assert "a third" in str(ROW.refuses(problem((8, 8, 1, (9, 9), (3, 3), (0, 0), (1, 1), (2, 2)))))
    assert "four input channels" in str(ROW.refuses(p.with_(in_channels=3)))
    assert "stride 1" in str(ROW.refuses(problem(CASES[-4]).with_(direction="input_grad")))
    assert "beyond the filter" in str(ROW.refuses(p.with_(direction="input_grad", pad_low=(3, 1))))


def test_transforms_overflow_before_the_sum_does() -> None:
    """As docs/accuracy.md says: F(4, 3) on two axes adds up 36 samples of the worst signs to 24 times the largest."""
    samples = np.array([[float(v) for v in row] for row in matrices(6, 3).samples])
    row = samples[np.abs(samples).sum(1).argmax()]
    assert 23 < np.abs(row).sum() ** 2 < 24
    x, w = np.zeros((1, 64, 29, 31), "float32"), np.zeros((64, 64, 3, 3), "float32")
    w[:, :, 1, 1] = 1e-3
    for largest, finite in ((9e36, True), (1.5e37, False)):
        x[0, 0, 3:9, 3:9] = np.outer(np.sign(row), np.sign(row)) * largest  # all that one tile reads
        assert np.isfinite(nc.conv2d(x, w, padding=1, algorithm="direct")).all()
        assert np.isfinite(nc.conv2d(x, w, padding=1, algorithm="winograd")).all() == finite


@pytest.mark.parametrize(
    ("function", "x_shape", "w_shape", "padding", "dilation", "stride"),
    [
        ("conv2d", (1, 8, 64, 64), (16, 8, 3, 3), 1, 1, 1),
        ("conv2d", (1, 32, 48, 50), (32, 32, 3, 3), 1, 1, 1),
        ("conv2d", (1, 32, 64, 72), (32, 32, 3, 3), 4, 4, 1),
        ("conv2d", (1, 64, 40, 70), (64, 64, 1, 3), (0, 1), 1, 1),
        ("conv1d", (1, 32, 4001), (64, 32, 3), 1, 1, 1),
        ("conv3d", (1, 32, 8, 20, 20), (32, 32, 3, 3, 3), 1, 1, 1),
        ("conv1d", (1, 80, 800), (64, 80, 5), 2, 1, 1),
        ("conv1d", (1, 64, 900), (64, 64, 7), 3, 1, 1),
        ("conv1d", (1, 32, 900), (64, 32, 11), 15, 3, 1),
        ("conv1d", (1, 32, 4100), (32, 32, 41), 20, 1, 2),
        ("conv2d", (1, 48, 27, 27), (64, 48, 5, 5), 2, 1, 1),
        ("conv2d", (1, 32, 56, 56), (64, 32, 5, 5), 2, 1, 2),
        ("conv2d", (1, 64, 32, 32), (64, 64, 4, 4), 1, 1, 2),
        ("conv2d", (1, 16, 48, 50), (32, 16, 3, 3), 2, 1, 1),
        ("conv2d", (1, 256, 10, 11), (32, 256, 3, 3), 2, 1, 1),
        ("conv3d", (1, 256, 3, 7, 9), (16, 256, 3, 3, 3), 2, 1, 1),
    ],
)
def test_where_it_is_automatic_each_output_keeps_its_own_bound(
    function: str, x_shape: Any, w_shape: Any, padding: Any, dilation: int, stride: int
) -> None:
    """No allowance for the tile here: sizes and paddings for which `auto` may take it (by name, since the choice is the machine's)."""
    rng = np.random.default_rng(4)
    x, w = rng.uniform(-1, 1, x_shape).astype("float32"), rng.uniform(-1, 1, w_shape).astype("float32")
    call = getattr(nc, function)
    options = {"padding": padding, "dilation": dilation, "stride": stride, "algorithm": "winograd"}
    assert ROW.cost(nc.explain(call, x, w, **options).plan.problem, MACHINE) < math.inf
    rank = x.ndim - 2
    pads = [(p, p) for p in (padding if isinstance(padding, tuple) else (padding,) * rank)]
    exact, magnitude = (
        reference.conv(a, b, None, pads=pads, dilation=(dilation,) * rank, stride=(stride,) * rank) for a, b in ((x, w), (abs(x), abs(w)))
    )
    assert_within(call(x, w, **options), exact, magnitude, w[0].size, factor=ROW.error_factor)
