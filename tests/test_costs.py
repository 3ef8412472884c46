"""Costs of every variant: hand counts, the oracle on ones, and that nothing is computed."""

import inspect

import numpy as np
import pytest
import reference

import numconv as nc
from numconv.catalog import VARIANTS


def test_hand_counts():
    found = nc.cost(nc.conv2d, (2, 3, 7, 7), (4, 3, 3, 3), (4,))
    outputs = 2 * 4 * 5 * 5
    assert found.multiplications == outputs * 27
    assert found.additions == outputs * 26 + outputs
    assert found.parameters == 4 * 27 + 4
    assert found.bytes == 4 * (2 * 3 * 49 + 4 * 27 + 4 + outputs)
    assert found.intensity == 2 * found.multiplications / found.bytes
    assert nc.cost(nc.conv2d, (2, 3, 7, 7), (4, 3, 3, 3), (4,), dtype="float64").bytes == 2 * found.bytes


def test_depthwise_is_bound_by_bandwidth_and_pointwise_is_not():
    depthwise = nc.cost(nc.depthwise_conv2d, (1, 256, 56, 56), (256, 1, 3, 3), padding=1)
    pointwise = nc.cost(nc.pointwise_conv2d, (1, 256, 56, 56), (256, 256))
    assert 2.2 < depthwise.intensity < 2.25
    assert 50 < pointwise.intensity < 64


def brute_additions(x, w, **options):
    """Products at each output, counted by the oracle; a sum of n takes n − 1."""
    terms = reference.conv(np.ones(x), np.ones(w), **options)
    return int((terms[terms > 0] - 1).sum())


@pytest.mark.parametrize(("stride", "padding", "dilation"), [(1, 0, 1), (2, 2, 1), (3, 2, 2), (1, 3, 3), (2, 3, 1)])
def test_skip_counts_sums_too(stride, padding, dilation):
    x, w = (2, 4, 6, 5), (6, 2, 3, 2)
    found = nc.cost(nc.conv2d, x, w, None, stride, padding, dilation, 2, border="skip")
    assert found.additions == brute_additions(x, w, stride=stride, pads=padding, dilation=dilation, groups=2)
    y = nc.conv2d(np.ones(x), np.ones(w), None, stride, padding, dilation, 2)
    terms = reference.input_grad(np.ones(y.shape), np.ones(w), x[2:], stride, padding, dilation, 2)
    back = nc.cost(nc.conv_transpose2d, y.shape, w, None, stride, padding, 0, 2, dilation, output_size=x[2:], border="skip")
    assert (back.multiplications, back.additions) == (terms.sum(), (terms[terms > 0] - 1).sum())


def test_padding_that_repeats_data_counts():
    shapes = (1, 5, 5), (1, 1, 3, 3)
    assert nc.cost(nc.conv2d, *shapes, padding=1, border="skip").multiplications == 13**2
    assert nc.cost(nc.conv2d, *shapes, padding=1, padding_mode="reflect", border="skip").multiplications == 225


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: v.name)
def test_every_variant_has_a_cost(variant):
    names = list(inspect.signature(variant.function).parameters)
    for case in variant.cases:
        count, skip = (nc.cost(variant.function, *case.shapes, border=border, **case.options) for border in ("count", "skip"))
        assert 0 <= skip.multiplications <= count.multiplications
        assert 0 <= skip.additions <= count.additions
        weights = [
            s
            for n, s in zip(names, case.shapes, strict=False)
            if s is not None and n not in ("x", "cols", "offset", "mask", "attention", "in1")
        ]
        assert count.parameters == sum(int(np.prod(s)) for s in weights)
        # the mask is the one array that the catalog keeps among the keywords, as a shape
        options = {name: np.ones(value, np.float32) if name == "mask" else value for name, value in case.options.items()}
        result = variant.function(*case.arrays(np.random.default_rng(0)), **options)
        shapes = (*case.shapes, case.options.get("mask"))
        assert count.bytes == 4 * (sum(int(np.prod(s)) for s in shapes if s is not None) + result.size)
        assert count.workspace >= 0


def test_fold_adds_what_overlaps():
    assert nc.cost(nc.fold, (1, 4, 9), (4, 4), 2).additions == 36 - 16
    assert nc.cost(nc.unfold, (1, 1, 4, 4), 2).multiplications == 0


def test_nothing_is_computed():
    found = nc.cost(nc.conv2d, (1, 64, 100_000, 100_000), (64, 64, 3, 3), padding=1)  # 2.5 TB of input
    assert found.multiplications == 10**10 * 64 * 64 * 9
    assert (
        found.multiplications - nc.cost(nc.conv2d, (1, 64, 100_000, 100_000), (64, 64, 3, 3), padding=1, border="skip").multiplications > 0
    )


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: nc.cost(nc.conv2d, (1, 5, 5), (1, 1, 3, 3), border="wrap"), ValueError, "cost: border must be one of 'count', 'skip'"),
        (lambda: nc.cost("conv2d", (1, 5, 5)), TypeError, "cost: function must be"),
        (lambda: nc.cost(nc.conv2d, (1, 5, 5), (1, 2, 3, 3)), ValueError, "conv2d: w expects 2 input channels"),
    ],
)
def test_errors(call, error, text):
    with pytest.raises(error, match=text):
        call()
