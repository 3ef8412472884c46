"""The `spread` row: every tile of positions, narrow and wide rows, taps that see nothing, inputs read to their last byte; in both layouts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import reference
from guarded import guarded

from numconv import memory
from numconv.cpu.dense.channels import plan
from numconv.cpu.dense.channels.plan import prepared
from numconv.cpu.dense.rows import ROWS
from numconv.cpu.machine import detect
from numconv.problem import ConvProblem, effective_kernel, image_shape

ROW = ROWS[-1]
#: channels of a group in and out, groups, spatial, kernel, stride, padding, dilation
CASES = (
    *((3, 40, 1, (2, width), (1, 3), 1, 1, 1) for width in range(1, 18)),
    *((4, 33, 1, (width,), (1,), 1, 0, 1) for width in (5, 14, 49, 113, 224)),
    *((8, 16, 1, (44, width), (3, 3), 1, 1, 1) for width in (17, 38, 56)),  # one register of channels
    *((250, 64, 1, (3, width), (3, 3), 1, 1, 1) for width in (1, 2, 3)),
    (2, 17, 2, (9, 8), (3, 3), 2, 1, 1),
    (2, 5, 3, (6, 7, 8), (3, 2, 3), (2, 1, 2), (1, 0, 1), 1),
    (1, 20, 1, (5, 5), (5, 5), 1, 4, 1),
    (3, 20, 1, (7, 9), (3, 3), 1, 6, 6),
    (40, 33, 1, (19, 33), (3, 3), 1, 24, 24),  # rows in pieces whose targets see few of the taps, and exactly fill a tile
    (3, 20, 2, (3, 21), (2, 5), 1, (0, 8), (1, 4)),
    (5, 20, 1, (120,), (3,), 1, 50, 50),
    (3, 20, 1, (9, 14), (3, 3), 2, 6, 5),
    (3, 20, 1, (30, 31), (4, 4), 4, 0, 1),
    (3, 20, 1, (4, 600), (3, 3), 3, 1, 2),
    (512, 5, 1, (3, 29), (1, 3), (1, 2), (0, 1), 1),
    (40, 33, 2, (3, 15), (1, 3), (1, 2), (0, 1), 1),
)
LAYOUTS = ("channels_first", "channels_last")
#: on which plans are asserted, whatever this machine is
WIDE = replace(detect(), vector_bytes=64, registers=32, multiply_adds=1, cores=2, l1=32 << 10, l2=1 << 20)


def _problem(case: tuple, dtype: str) -> ConvProblem:
    channels, produced, groups, spatial, kernel, stride, padding, dilation = case
    rank = len(spatial)
    stride, padding, dilation = (v if isinstance(v, tuple) else (v,) * rank for v in (stride, padding, dilation))
    outputs = tuple(
        (i + 2 * p - effective_kernel(k, d)) // s + 1 for i, p, k, d, s in zip(spatial, padding, kernel, dilation, stride, strict=True)
    )
    return ConvProblem(
        "forward", 2, channels * groups, produced * groups, groups, spatial, kernel, stride, padding, dilation, outputs, dtype, dtype, bias=True
    )  # fmt: skip


def _integers(shape: tuple[int, ...], dtype: str, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-4, 5, shape).astype(dtype)


def _compute(p: ConvProblem, x: np.ndarray, w: np.ndarray, bias: np.ndarray, plain: bool = False) -> np.ndarray:
    """Of channels first, in the problem's layout, to channels first."""
    machine, last = detect(), p.layout == "channels_last"
    out = np.full(p.result_shape, 99, p.dtype)
    ROW.run(p, (np.ascontiguousarray(np.moveaxis(x, 1, -1)) if last else x, w if plain else ROW.pack(p, w, machine), bias), out, machine)
    return np.moveaxis(out, -1, 1) if last else out


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("case", CASES, ids=lambda c: "-".join(map(str, c[3:])))
def test_forward(case: tuple, layout: str) -> None:
    p = _problem(case, "float32").with_(layout=layout)
    x, w, bias = (
        _integers((2, p.in_channels, *p.spatial), "float32", 1),
        _integers(p.weight_shape, "float32", 2),
        _integers((p.out_channels,), "float32", 3),
    )
    expected = reference.conv(x, w, bias, stride=p.stride, pads=[(a, a) for a in p.pad_low], dilation=p.dilation, groups=p.groups)
    np.testing.assert_array_equal(_compute(p, x, w, bias), expected)
    np.testing.assert_array_equal(_compute(p, x, w, bias, plain=True), expected)  # packed ahead of the tasks, in parts
    np.testing.assert_array_equal(
        _compute(p.with_(batch=1), x[:1], w, bias, plain=True), expected[:1]
    )  # by the task that uses a block, where boxes are few


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("case", CASES, ids=lambda c: "-".join(map(str, c[3:])))
def test_transposed(case: tuple, layout: str) -> None:
    """The same geometry read backwards: `spatial` is produced."""
    p = _problem(case, "float32").with_(direction="input_grad", layout=layout)
    x, w, bias = (
        _integers((2, p.out_channels, *p.outputs), "float32", 1),
        _integers(p.weight_shape, "float32", 2),
        _integers((p.in_channels,), "float32", 3),
    )
    extra = [
        i - ((o - 1) * s - 2 * a + effective_kernel(k, d))
        for i, o, s, a, k, d in zip(p.spatial, p.outputs, p.stride, p.pad_low, p.kernel, p.dilation, strict=True)
    ]
    expected = reference.conv_transpose(
        x, w, bias, stride=p.stride, pads=[(a, a) for a in p.pad_low], output_padding=extra, groups=p.groups, dilation=p.dilation
    )
    np.testing.assert_array_equal(_compute(p, x, w, bias), expected)


def test_the_plan_counts_the_packing_of_weights_given_plain() -> None:
    """Few positions, many filters: shared out by filters, each packed by who uses it; packed before, shared out by positions."""
    p = _problem((256, 288, 1, (17, 17), (3, 3), 2, 0, 1), "float32").with_(batch=1)
    packed, plain = prepared(p, WIDE, 2), prepared(p, WIDE, 2, given=True)
    assert (packed.plan.h.boxes, plain.plan.h.boxes) == (2, 1)
    assert packed.tile == plain.tile


def test_pixels_beyond_the_second_cache_are_asked_for() -> None:
    """Of the next tile, one after the other: pointwise, one group, channels last."""
    p = _problem((64, 32, 1, (96, 96), (1, 1), 1, 0, 1), "float32").with_(layout="channels_last")
    far, near = (prepared(p, replace(WIDE, l2=size), 1) for size in (1 << 20, 1 << 22))
    assert (far.tile[4], near.tile[4]) == (True, False)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float64", "int32", "int64"])
def test_other_types(dtype: str, layout: str) -> None:
    p = _problem((3, 40, 2, (7, 13), (3, 3), 1, 1, 1), dtype).with_(layout=layout)
    x, w, bias = _integers((2, 6, 7, 13), dtype, 1), _integers(p.weight_shape, dtype, 2), _integers((80,), dtype, 3)
    expected = reference.conv(x, w, bias, stride=p.stride, pads=[(1, 1)] * 2, dilation=p.dilation, groups=2)
    np.testing.assert_array_equal(_compute(p, x, w, bias), expected)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shuffle", [1, 4])
@pytest.mark.parametrize("activation", ["relu6", "hardswish"])
def test_sums_are_finished(activation: str, shuffle: int, layout: str) -> None:
    """Bias, activation and shuffle on the way out; padding of another width on each side."""
    p = _problem((3, 20, 2, (7, 13), (3, 3), 1, 1, 1), "float32")
    p = p.with_(layout=layout, activation=activation, shuffle=shuffle, pad_low=(2, 0), outputs=(7, 12))
    x, w, bias = _integers((2, 6, 7, 13), "float32", 1), _integers(p.weight_shape, "float32", 2), _integers((40,), "float32", 3)
    expected = reference.conv(x, w, bias, pads=[(2, 0), (0, 1)], groups=2, activation=activation)
    np.testing.assert_allclose(_compute(p, x, w, bias), reference.shuffle(expected, shuffle), rtol=1e-6)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("at_end", [True, False])
@pytest.mark.parametrize("case", CASES, ids=lambda c: "-".join(map(str, c[3:])))
def test_reads_stay_inside(case: tuple, at_end: bool, layout: str) -> None:
    """Inputs, weights and output that touch a page which may not be touched: a read or write outside ends the process."""
    p = _problem(case, "float32").with_(batch=1, layout=layout)
    machine = detect()
    x, w = (
        guarded(np.ones(image_shape(1, p.in_channels, p.spatial, layout), "float32"), at_end),
        guarded(np.ones(p.weight_shape, "float32"), at_end),
    )
    out, bias = guarded(np.zeros(p.result_shape, "float32"), at_end), guarded(np.ones(p.out_channels, "float32"), at_end)
    packed = guarded(ROW.pack(p, w, machine), at_end)
    ROW.run(p, (x, packed, bias), out, machine)
    assert out.min() >= 1


#: channels, kernel, stride, padding, dilation, extents: whatever is huge here, no plan and no call may grow with it
HUGE = {
    "stride": (3, 3, 2**31 - 1, 1, 1, (9, 9)),
    "dilation and padding": (3, 3, 1, 2**30, 2**30, (9, 11)),
    "phases": (2, 64, 32, 16, 1, (64, 96)),
    "phases that no tap serves": (2, 3, 7, 1, 1, (30, 40)),
    "dilated phases": (2, 5, 6, 5, 4, (30, 41)),
    "a volume": (2, 3, 2, 1, 3, (7, 9, 8)),
}


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("direction", ["forward", "input_grad"])
@pytest.mark.parametrize("case", HUGE)
def test_huge_numbers(case: str, direction: str, layout: str, bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sums by their definition, tap by tap; offsets in 64 bits as where a source has 2³¹ elements."""
    channels, kernel, stride, padding, dilation, spatial = HUGE[case]
    p = _problem((channels, 5, 1, spatial, (kernel,) * len(spatial), stride, padding, dilation), "float32")
    p = p.with_(direction=direction, layout=layout)
    monkeypatch.setattr(plan, "FAR", 1 << 31 if bits == 32 else 0)
    memory.forget()
    assert prepared(p, detect(), 1).tile[-2] == bits
    source, target = p.source, p.target
    x, w, bias = (
        _integers((2, source[0], *source[1]), "float32", 1),
        _integers(p.weight_shape, "float32", 2),
        _integers(target[:1], "float32", 3),
    )
    expected = np.zeros((2, target[0], *target[1])) + bias.reshape(-1, *(1,) * p.rank)
    for tap in np.ndindex(*p.kernel):
        read, put = [], []  # places of the source that the tap multiplies, and of the target that it adds to
        for a, s, lo, d, i, o in zip(tap, p.stride, p.pad_low, p.dilation, p.spatial, p.outputs, strict=True):
            outputs = np.array([u for u in range(o) if 0 <= u * s - lo + a * d < i], np.int64)
            places = outputs * s - lo + a * d
            read.append(places if direction == "forward" else outputs)
            put.append(outputs if direction == "forward" else places)
        sums = np.einsum(
            "nc...,kc->nk..." if direction == "forward" else "nk...,kc->nc...",
            x[np.ix_(range(2), range(x.shape[1]), *read)],
            w[(..., *tap)],
        )
        expected[np.ix_(range(2), range(expected.shape[1]), *put)] += sums
    np.testing.assert_array_equal(_compute(p, x, w, bias), expected)
    np.testing.assert_array_equal(_compute(p, x, w, bias, plain=True), expected)
    np.testing.assert_array_equal(_compute(p.with_(batch=1), x[:1], w, bias, plain=True), expected[:1])
    memory.forget()


@pytest.mark.parametrize("direction", ["forward", "input_grad"])
def test_plans_are_small(direction: str) -> None:
    """As many integers for any extents, strides and dilations; and as few for 10⁵ taps."""
    cases = (
        (4, 4, 1, (10**8,), (3,), 1, 1, 1),
        (1, 1, 1, (10**6,), (10**5,), 1, 0, 1),
        (21, 21, 1, (544, 544), (64, 64), 32, 16, 1),
        (4, 4, 1, (9, 9), (3, 3), 2**31 - 1, 1, 1),
        (4, 4, 1, (10**8,), (10**4,), 5000, 0, 3),
    )
    for case in cases:
        p = prepared(_problem(case, "float32").with_(direction=direction), WIDE, 2)
        assert p.numbers.nbytes + p.filters.nbytes < 2000


@pytest.mark.parametrize("direction", ["forward", "input_grad"])
@pytest.mark.parametrize(("channels", "produced", "groups"), [(70, 33, 1), (512, 48, 1), (9, 5, 3), (40, 100, 2)])
def test_samples_of_one_pixel(channels: int, produced: int, groups: int, direction: str) -> None:
    """They are the pixels of one image: the same results, the same bits one by one, and one packing for any number of them."""
    rng, machine = np.random.default_rng(5), detect()
    one = _problem((channels, produced, groups, (1, 1), (1, 1), 1, 0, 1), "float32").with_(batch=1, direction=direction)
    w, bias = rng.integers(-4, 5, one.weight_shape).astype("float32"), rng.integers(-4, 5, one.target[0]).astype("float32")
    matrix = w.reshape(groups, produced, channels)
    real, packed = rng.standard_normal(w.shape, "float32"), ROW.pack(one, w, machine)
    for samples in (1, 2, 5, 14, 16, 37, 64):
        p = one.with_(batch=samples)
        np.testing.assert_array_equal(ROW.pack(p, w, machine), packed)
        x = rng.integers(-4, 5, (samples, one.source[0], 1, 1)).astype("float32")
        apart = x.reshape(samples, groups, -1)
        expected = np.einsum("ngc,gkc->ngk" if direction == "forward" else "ngk,gkc->ngc", apart, matrix).reshape(samples, -1, 1, 1)
        for layout in LAYOUTS:
            for weights in (packed, w):
                out = np.full(p.result_shape, 99, "float32")
                ROW.run(p.with_(layout=layout), (x, weights, bias), out, machine)
                np.testing.assert_array_equal(out, expected + bias[:, None, None])
        together, alone = np.empty(p.result_shape, "float32"), np.empty(one.result_shape, "float32")
        ROW.run(p, (x + 0.1, real, bias), together, machine)
        for sample in (0, samples - 1):
            ROW.run(one, (x[sample : sample + 1] + np.float32(0.1), real, bias), alone, machine)
            np.testing.assert_array_equal(together[sample], alone[0])
