"""Laws that hold for every geometry, on small integers: sums are exact, so equality is equality, whatever the order."""

from typing import NamedTuple

import numpy as np
import reference
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

import numconv as nc

CONV = {1: nc.conv1d, 2: nc.conv2d, 3: nc.conv3d}
TRANSPOSE = {1: nc.conv_transpose1d, 2: nc.conv_transpose2d, 3: nc.conv_transpose3d}
laws = settings(deadline=None, max_examples=60, derandomize=True)


class Case(NamedTuple):
    x: np.ndarray
    w: np.ndarray
    stride: tuple
    padding: tuple
    dilation: tuple
    groups: int
    seed: int

    @property
    def rank(self):
        return self.x.ndim - 2

    @property
    def geometry(self):
        return {"stride": self.stride, "padding": self.padding, "dilation": self.dilation, "groups": self.groups}

    def conv(self, x=None, w=None, **changes):
        return CONV[self.rank](self.x if x is None else x, self.w if w is None else w, **{**self.geometry, **changes})

    def another(self, shape, number=1):
        return np.random.default_rng(self.seed + number).integers(-4, 5, shape).astype(self.x.dtype)


@st.composite
def cases(draw, ranks=(1, 2)):
    rank = draw(st.sampled_from(ranks))

    def axes(low, high):
        return tuple(draw(st.lists(st.integers(low, high), min_size=rank, max_size=rank)))

    spatial, kernel, stride, dilation, before, after = axes(1, 9), axes(1, 4), axes(1, 3), axes(1, 3), axes(0, 3), axes(0, 3)
    assume(all(i + lo + hi > d * (k - 1) for i, k, d, lo, hi in zip(spatial, kernel, dilation, before, after, strict=True)))
    batch, groups, c_in, c_out = (draw(st.integers(1, 3)) for _ in range(4))
    seed = draw(st.integers(0, 1000))
    random = np.random.default_rng(seed)
    x = random.integers(-4, 5, (batch, groups * c_in, *spatial)).astype(np.float64)
    w = random.integers(-4, 5, (groups * c_out, c_in, *kernel)).astype(np.float64)
    return Case(x, w, stride, tuple(zip(before, after, strict=True)), dilation, groups, seed)


@given(cases(ranks=(1, 2, 3)))
@laws
def test_the_defining_sum(case):
    assert_array_equal(case.conv(), reference.conv(case.x, case.w, None, case.stride, case.padding, case.dilation, case.groups))


@given(cases(ranks=(1, 2, 3)), st.integers(0, 2))
@laws
def test_the_transposed_sum(case, extra):
    w = case.another((case.x.shape[1], 2, *case.w.shape[2:]))
    extra = tuple(min(extra, max(s, d) - 1) for s, d in zip(case.stride, case.dilation, strict=True))
    axes = zip(case.x.shape[2:], w.shape[2:], case.stride, case.dilation, case.padding, extra, strict=True)
    assume(all((i - 1) * s + d * (k - 1) + 1 - lo - hi + e >= 1 for i, k, s, d, (lo, hi), e in axes))
    arguments = None, case.stride, case.padding, extra, case.groups, case.dilation
    assert_array_equal(TRANSPOSE[case.rank](case.x, w, *arguments), reference.conv_transpose(case.x, w, *arguments))


@given(cases(), st.integers(-3, 3))
@laws
def test_linear_in_both(case, factor):
    x, w = case.another(case.x.shape), case.another(case.w.shape)
    assert_array_equal(case.conv(x=case.x + factor * x), case.conv() + factor * case.conv(x=x))
    assert_array_equal(case.conv(w=case.w + factor * w), case.conv() + factor * case.conv(w=w))


@given(cases())
@laws
def test_transposed_is_the_adjoint(case):
    y = case.conv()
    g = case.another(y.shape)
    back = TRANSPOSE[case.rank](g, case.w, None, case.stride, case.padding, 0, case.groups, case.dilation, output_size=case.x.shape[2:])
    assert back.shape == case.x.shape
    assert np.vdot(y, g) == np.vdot(case.x, back)


@given(cases())
@laws
def test_batch_split_is_bit_identical(case):
    random = np.random.default_rng(case.seed)
    x, w = random.normal(size=case.x.shape).astype(np.float32), random.normal(size=case.w.shape).astype(np.float32)
    whole = case.conv(x, w)
    assert_array_equal(whole, np.concatenate([case.conv(x[n : n + 1], w) for n in range(len(x))]))


@given(cases())
@laws
def test_grouped_is_block_diagonal(case):
    full = np.zeros((case.w.shape[0], case.x.shape[1], *case.w.shape[2:]))
    out, width = case.w.shape[0] // case.groups, case.w.shape[1]
    for g in range(case.groups):
        full[g * out : (g + 1) * out, g * width : (g + 1) * width] = case.w[g * out : (g + 1) * out]
    assert_array_equal(case.conv(), case.conv(w=full, groups=1))


@given(cases())
@laws
def test_dilated_is_a_zero_stuffed_filter(case):
    stuffed = np.zeros((*case.w.shape[:2], *(d * (k - 1) + 1 for k, d in zip(case.w.shape[2:], case.dilation, strict=True))))
    stuffed[(..., *(slice(None, None, d) for d in case.dilation))] = case.w
    assert_array_equal(case.conv(), case.conv(w=stuffed, dilation=1))


@given(cases())
@laws
def test_strided_is_subsampled(case):
    assert_array_equal(case.conv(), case.conv(stride=1)[(..., *(slice(None, None, s) for s in case.stride))])


@given(cases(), st.integers(-4, 4))
@laws
def test_a_shift_goes_through(case, steps):
    pads = tuple((0, d * (k - 1)) for k, d in zip(case.w.shape[2:], case.dilation, strict=True))  # one output for each input, circular
    assume(all(hi <= i for (_, hi), i in zip(pads, case.x.shape[2:], strict=True)))
    options = {"stride": 1, "padding": pads, "padding_mode": "circular"}
    assert_array_equal(case.conv(np.roll(case.x, steps, axis=2), **options), np.roll(case.conv(**options), steps, axis=2))


@given(cases(ranks=(1,)))
@laws
def test_one_dimension_is_a_unit_axis(case):
    flat = nc.conv2d(
        case.x[:, :, None],
        case.w[:, :, None],
        stride=(1, *case.stride),
        padding=((0, 0), *case.padding),
        dilation=(1, *case.dilation),
        groups=case.groups,
    )
    assert_array_equal(case.conv(), flat[:, :, 0])
    deep = nc.conv3d(
        case.x[..., None, None], case.w[..., None, None], stride=(*case.stride, 1, 1), padding=(*case.padding, (0, 0), (0, 0)),
        dilation=(*case.dilation, 1, 1), groups=case.groups,
    )  # fmt: skip
    assert_array_equal(case.conv(), deep[..., 0, 0])


@given(cases())
@laws
def test_unfold_then_matrix_product_is_the_convolution(case):
    columns = nc.unfold(case.x, case.w.shape[2:], case.stride, case.padding, case.dilation)
    grouped = columns.reshape(len(case.x), case.groups, -1, columns.shape[-1])
    y = np.einsum("gkr,ngrl->ngkl", case.w.reshape(case.groups, case.w.shape[0] // case.groups, -1), grouped)
    assert_array_equal(case.conv().ravel(), y.ravel())


@given(cases())
@laws
def test_cost_skips_what_touches_no_data(case):
    """A convolution of ones with ones counts the products on real data."""
    ones = np.ones_like(case.x), np.ones_like(case.w)
    counted = nc.cost(CONV[case.rank], *ones, border="skip", **case.geometry).multiplications
    assert counted == reference.conv(*ones, None, case.stride, case.padding, case.dilation, case.groups).sum()
    everything = nc.cost(CONV[case.rank], *ones, **case.geometry).multiplications
    assert everything >= counted
    g = np.ones_like(case.conv())
    back = nc.cost(
        TRANSPOSE[case.rank],
        g,
        case.w,
        None,
        case.stride,
        case.padding,
        0,
        case.groups,
        case.dilation,
        output_size=case.x.shape[2:],
        border="skip",
    )
    assert back.multiplications == counted
