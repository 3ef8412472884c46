"""Every figure of the survey "Convolution in Computer Vision", computed by the library, section by section."""

import numpy as np
import pytest
import reference
from numpy.testing import assert_allclose, assert_array_equal

import numconv as nc

SOBEL = np.array([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])


def integers(*shape, seed=0, dtype=np.float64):
    """Small integers, exact in any order of summation."""
    return np.random.default_rng(seed).integers(-4, 5, shape).astype(dtype)


# 1. convolution and cross-correlation


def test_convolution_is_correlation_with_the_flipped_filter():
    f, g = integers(9), integers(4, seed=1)
    assert_array_equal(nc.convolve(f, g), nc.correlate(f, g[::-1]))
    assert not np.array_equal(nc.convolve(f, g), nc.correlate(f, g))
    f, g = integers(7, 8), integers(3, 2, seed=1)
    assert_array_equal(nc.convolve(f, g), nc.correlate(f, g[::-1, ::-1]))


def test_the_two_coincide_for_a_symmetric_filter():
    f, g = integers(9), np.array([1.0, 3.0, 1.0])
    assert_array_equal(nc.convolve(f, g), nc.correlate(f, g))


def test_deep_learning_correlates():
    f, g = integers(9), integers(4, seed=1)
    assert_array_equal(nc.conv1d(f[None, None], g[None, None])[0, 0], nc.correlate(f, g, "valid"))


# 2. 2-D convolution, single and multi channel


def test_one_filter_gives_one_map_and_many_many():
    x, w = integers(3, 7, 7), integers(128, 3, 3, 3, seed=1)
    assert nc.conv2d(x, w[:1]).shape == (1, 5, 5)
    assert nc.conv2d(x, w).shape == (128, 5, 5)
    assert nc.conv2d(np.moveaxis(x, 0, -1), w, layout="channels_last").shape == (5, 5, 128)


def test_a_filter_spans_all_channels_and_sums_over_them():
    x, w = integers(3, 7, 7), integers(1, 3, 3, 3, seed=1)
    assert_array_equal(nc.conv2d(x, w), sum(nc.conv2d(x[c : c + 1], w[:, c : c + 1]) for c in range(3)))


# 3. 3-D convolution


def test_a_filter_as_deep_as_its_input_is_two_dimensional():
    volume, w = integers(6, 7, 8), integers(4, 6, 3, 3, seed=1)
    deep = nc.conv3d(volume[None], w[:, None])
    assert deep.shape == (4, 1, 5, 6)  # moves in two directions
    assert_array_equal(deep[:, 0], nc.conv2d(volume, w))
    assert nc.conv3d(volume[None], w[:, None, :3]).shape == (4, 4, 5, 6)  # a shallower one in three


# 4. 1×1 convolution


def test_pointwise_reduces_200_channels_to_one_with_the_relu_fused():
    x, w = integers(200, 4, 5), integers(1, 200, seed=1)
    y = nc.pointwise_conv2d(x, w, activation="relu")
    assert y.shape == (1, 4, 5)
    assert_array_equal(y, np.maximum(np.einsum("kc,chw->khw", w, x), 0))
    assert (y == 0).any()
    assert (y > 0).any()
    assert nc.pointwise_conv2d(np.moveaxis(x, 0, -1), integers(7, 200), layout="channels_last").shape == (4, 5, 7)


# 5. convolution arithmetic


@pytest.mark.parametrize("relationship", nc.arithmetic.relationships(), ids=lambda r: str(r.number))
def test_relationships_are_the_shapes_of_real_convolutions(relationship):
    cases = relationship.cases()
    for sizes in cases[:: max(1, len(cases) // 12)]:
        i, k, s, p, d, a = (sizes[name] for name in "ikspda")
        x, w = np.ones((1, i)), np.ones((1, 1, k))
        y = nc.conv_transpose1d(x, w, None, s, p, a) if relationship.transposed else nc.conv1d(x, w, None, s, p, d)
        assert y.shape == (1, relationship(**sizes))


def test_sizes_and_back():
    sizes = nc.arithmetic.input_sizes(3, kernel=3, stride=2, padding=1)
    assert sizes == (5, 6)
    for i in sizes:
        assert nc.conv1d(np.ones((1, i)), np.ones((1, 1, 3)), stride=2, padding=1).shape == (1, 3)


# 6. transposed convolution

WAYS = ["auto", "scatter", "gather", "matrix", "zero_insertion"]


@pytest.mark.parametrize("algorithm", WAYS)
def test_two_by_two_becomes_four_by_four(algorithm):
    x, w = integers(1, 2, 2), integers(1, 1, 3, 3, seed=1)
    y = nc.conv_transpose2d(x, w, algorithm=algorithm)
    assert y.shape == (1, 4, 4)
    assert_array_equal(y, nc.conv2d(np.pad(x, ((0, 0), (2, 2), (2, 2))), w[..., ::-1, ::-1]))  # padded 2 all round


@pytest.mark.parametrize("algorithm", WAYS)
def test_one_zero_between_gives_five_by_five(algorithm):
    x, w = integers(1, 2, 2), integers(1, 1, 3, 3, seed=1)
    y = nc.conv_transpose2d(x, w, stride=2, algorithm=algorithm)
    assert y.shape == (1, 5, 5)
    stuffed = np.zeros((1, 3, 3))
    stuffed[:, ::2, ::2] = x
    assert_array_equal(y, nc.conv2d(stuffed, w[..., ::-1, ::-1], padding=2))


def test_the_matrix_of_a_convolution_and_its_transpose():
    w, large, small = integers(3, 3), integers(4, 4, seed=1), integers(2, 2, seed=2)
    c = nc.matrix.conv_matrix(w, (4, 4))
    assert c.shape == (4, 16)
    assert_array_equal(c @ large.ravel(), nc.conv2d(large[None], w[None, None]).ravel())
    assert_array_equal(c.T @ small.ravel(), nc.conv_transpose2d(small[None], w[None, None]).ravel())


def test_the_transpose_is_the_adjoint_and_not_the_inverse():
    c = nc.matrix.conv_matrix(integers(3, 3), (4, 4))
    x, y = integers(16, seed=1), integers(4, seed=2)
    assert (c @ x) @ y == x @ (c.T @ y)
    restored = c.T @ (c @ x)
    assert restored.shape == x.shape  # the shape comes back,
    assert not np.allclose(restored, x)  # the values do not
    assert not np.allclose((c @ c.T).toarray(), np.eye(4))


# 6. checkerboard artifacts


@pytest.mark.parametrize(
    ("stride", "kernel", "inside"), [(1, 2, {2}), (1, 3, {3}), (2, 2, {1}), (2, 4, {2}), (2, 3, {1, 2}), (2, 5, {2, 3})]
)
def test_overlap_is_even_only_if_the_stride_divides_the_kernel(stride, kernel, inside):
    counts = nc.checkerboard.overlap_map(12, kernel, stride)
    assert set(counts[kernel:-kernel].tolist()) == inside
    assert nc.checkerboard.is_even(kernel, stride) == (len(inside) == 1) == (kernel % stride == 0)
    board = nc.checkerboard.overlap_map((12, 12), kernel, stride)
    assert_array_equal(board, np.outer(counts, counts))  # unevenness multiplies
    real = nc.conv_transpose2d(np.ones((1, 12, 12)), np.ones((1, 1, kernel, kernel)), stride=stride)
    assert_array_equal(real[0], board)


def test_an_even_count_is_not_an_even_response():
    w = np.array([1.0, 3.0, 1.0, 3.0])
    assert nc.checkerboard.is_even(4, 2)
    assert_array_equal(nc.checkerboard.phase_gain(w, 2), [2, 6])
    assert_array_equal(nc.conv_transpose1d(np.ones((1, 8)), w[None, None], stride=2)[0, 4:8], [2, 6, 2, 6])


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_resizing_first_avoids_checkerboards(mode):
    x, w = np.ones((1, 8, 8)), integers(1, 1, 3, 3) + 5
    transposed = nc.conv_transpose2d(x, w, stride=2)[0, 2:-2, 2:-2]
    resized = nc.resize_conv2d(x, w, scale=2, mode=mode)[0, 2:-2, 2:-2]
    assert nc.checkerboard.score(transposed, 2) > 0.9
    assert nc.checkerboard.score(resized, 2) == 0
    assert_allclose(resized, w.sum())


# 7. dilated convolution


def test_dilation_widens_the_field_at_no_more_parameters():
    layers = [{"kernel": 3, "dilation": d} for d in (1, 2, 4)]
    field = nc.arithmetic.receptive_field(layers)
    assert [f.size for f in field.layers] == [3, 7, 15]
    x = np.zeros((1, 31, 31))
    x[0, 15, 15] = 1
    w = np.ones((1, 1, 3, 3))
    costs = []
    for dilation, size in zip((1, 2, 4), (3, 7, 15), strict=True):
        costs.append(nc.cost(nc.dilated_conv2d, x, w, dilation=dilation))
        x = nc.dilated_conv2d(x, w, dilation=dilation)
        rows, columns = np.nonzero(x[0])
        assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (size, size)
    assert {c.parameters for c in costs} == {9}
    assert len({c.multiplications for c in costs}) == 1


# 8. separable convolutions


def test_sobel_is_a_column_times_a_row():
    found = nc.separability.separate(SOBEL)
    assert (found.rank, found.error) == (1, 0)
    assert (found.column.size + found.row.size, SOBEL.size) == (6, 9)
    x = integers(1, 5, 5)
    assert_array_equal(nc.spatially_separable_conv2d(x, found.column, found.row), nc.conv2d(x, SOBEL[None, None]))
    costs = nc.cost(nc.spatially_separable_conv2d, x, found.column, found.row), nc.cost(nc.conv2d, x, SOBEL[None, None])
    assert [c.parameters for c in costs] == [6, 9]


def test_not_all_filters_are_separable():
    laplacian = np.array([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]])
    assert nc.separability.rank(laplacian) == 2
    best = nc.separability.separate(laplacian, rank=1)
    assert not best.exact
    assert best.error > 0.1
    both = nc.separability.separate(laplacian)
    x = integers(1, 6, 6)
    terms = [nc.spatially_separable_conv2d(x, c, r) for c, r in zip(both.columns, both.rows, strict=True)]
    assert_array_equal(sum(terms), nc.conv2d(x, laplacian[None, None]))


def test_81_multiplications_against_72():
    whole = nc.cost(nc.conv2d, (1, 5, 5), (1, 1, 3, 3))
    split = nc.cost(nc.spatially_separable_conv2d, (1, 5, 5), (3,), (3,))
    assert whole.multiplications == 81
    assert [s.problem.multiplications for s in split.steps] == [45, 27]
    assert split.multiplications == 72


@pytest.mark.parametrize(("m", "ratio"), [(3, 2 / 3), (5, 2 / 5), (7, 2 / 7)])
def test_the_ratio_tends_to_two_over_m(m, ratio):
    def measured(n):
        return (
            nc.cost(nc.spatially_separable_conv2d, (1, n, n), (m,), (m,)).multiplications
            / nc.cost(nc.conv2d, (1, n, n), (1, 1, m, m)).multiplications
        )

    assert measured(10) > measured(100) > measured(1000) > ratio
    assert_allclose(measured(10**5), ratio, rtol=1e-4)


def test_depthwise_separable_costs_twelve_percent():
    x, depthwise, pointwise = (3, 7, 7), (3, 1, 3, 3), (128, 3)
    whole = nc.cost(nc.conv2d, x, (128, 3, 3, 3))
    split = nc.cost(nc.depthwise_separable_conv2d, x, depthwise, pointwise)
    assert whole.multiplications == 86_400
    assert [s.problem.multiplications for s in split.steps] == [675, 9_600]
    assert split.multiplications == 10_275
    share = split.multiplications / whole.multiplications
    assert round(100 * share) == 12
    assert_allclose(share, 1 / 128 + 1 / 3**2)
    values = integers(*x), integers(*depthwise, seed=1), integers(*pointwise, seed=2)
    y = nc.depthwise_separable_conv2d(*values)
    assert y.shape == (128, 5, 5)
    equivalent = np.einsum("kc,cij->kcij", values[2], values[1][:, 0])
    assert_array_equal(y, nc.conv2d(values[0], equivalent))


# 9. flattened convolution


def test_flattened_is_exact_for_rank_one_only():
    x, (alpha, beta, gamma) = integers(4, 8, 9), (integers(5, 4), integers(5, 3, seed=1), integers(5, 3, seed=2))
    w = np.einsum("fc,fa,fb->fcab", alpha, beta, gamma)
    assert_array_equal(nc.flattened_conv2d(x, alpha, beta, gamma), nc.conv2d(x, w))
    exact = nc.separability.flatten(w)
    assert exact.error < 1e-14
    assert_allclose(nc.flattened_conv2d(x, *exact), nc.conv2d(x, w), atol=1e-10)
    c, r, s = w.shape[1:]
    assert nc.cost(nc.flattened_conv2d, x, alpha, beta, gamma).parameters == 5 * (c + r + s)
    assert nc.cost(nc.conv2d, x, w).parameters == 5 * c * r * s
    other = integers(5, 4, 3, 3, seed=3)
    assert nc.separability.rank(other[0]) > 1
    nearest = nc.separability.flatten(other)
    assert nearest.error > 0.1
    off = nc.flattened_conv2d(x, *nearest) - nc.conv2d(x, other)
    assert_allclose(off, nc.conv2d(x, nearest.kernel() - other), atol=1e-10)  # the filter's error is the result's


# 10. grouped convolution


def test_two_groups_cost_half():
    h, w, d_in, d_out = 3, 3, 8, 6
    outputs = 5 * 5
    whole, halves = (nc.cost(nc.grouped_conv2d, (d_in, 7, 7), (d_out, d_in // g, h, w), groups=g) for g in (1, 2))
    assert whole.parameters == h * w * d_in * d_out
    assert halves.parameters == (h * w * (d_in // 2) * (d_out // 2)) * 2 == whole.parameters // 2
    assert (whole.multiplications, halves.multiplications) == (outputs * whole.parameters, outputs * halves.parameters)


def test_groups_are_block_diagonal():
    x, w = integers(8, 7, 7), integers(6, 4, 3, 3, seed=1)
    full = np.zeros((6, 8, 3, 3))
    full[:3, :4], full[3:, 4:] = w[:3], w[3:]
    assert_array_equal(nc.grouped_conv2d(x, w, groups=2), nc.conv2d(x, full))


# 11. and 12. shuffled grouped, pointwise grouped


def test_three_groups_mix():
    x, w = integers(1, 6, 5, 5), integers(9, 2, 3, 3, seed=1)
    y = nc.grouped_conv2d(x, w, groups=3)
    shuffled = nc.shuffled_grouped_conv2d(x, w, groups=3)
    assert_array_equal(shuffled, nc.channel_shuffle(y, 3))
    for j in range(3):  # neighbours come from different groups
        for i in range(3):
            assert_array_equal(shuffled[:, j * 3 + i], y[:, i * 3 + j])


def shufflenet_unit(lib, x, reduce, depthwise, expand, groups):
    """ReLU(x + expand(depthwise(shuffle(ReLU(reduce(x)))))), stride 1, without normalisation."""
    middle = lib.grouped(x, reduce, groups, "relu")
    middle = lib.depthwise(lib.shuffle(middle, groups), depthwise)
    return np.maximum(x + lib.grouped(middle, expand, groups, None), 0)


class Library:
    grouped = staticmethod(lambda x, w, g, a: nc.pointwise_grouped_conv2d(x, w, groups=g, activation=a))
    shuffle = staticmethod(nc.channel_shuffle)
    depthwise = staticmethod(lambda x, w: nc.depthwise_conv2d(x, w, padding=1))


class Oracle:
    grouped = staticmethod(lambda x, w, g, a: reference.conv(x, w[:, :, None, None], groups=g, activation=a))
    shuffle = staticmethod(reference.shuffle)
    depthwise = staticmethod(lambda x, w: reference.conv(x, w, pads=1, groups=x.shape[1]))


def test_a_shufflenet_unit():
    c, m, g = 12, 6, 3
    weights = integers(m, c // g, seed=1), integers(m, 1, 3, 3, seed=2), integers(c, m // g, seed=3)
    x = integers(2, c, 7, 6)
    assert_array_equal(shufflenet_unit(Library, x, *weights, g), shufflenet_unit(Oracle, x, *weights, g))
    fused = nc.shuffled_grouped_conv2d(x, weights[0][:, :, None, None], groups=g, activation="relu")
    assert_array_equal(fused, Oracle.shuffle(Oracle.grouped(x, weights[0], g, "relu"), g))


@pytest.mark.parametrize("g", [1, 2, 3, 4])
def test_the_units_costs(g):
    h, w, c, m = 14, 14, 48, 12

    def total(*calls):
        return sum(nc.cost(*call, **options).multiplications for *call, options in calls)

    x, y = (1, c, h, w), (1, m, h, w)
    shufflenet = total(
        (nc.pointwise_grouped_conv2d, x, (m, c // g), {"groups": g}),
        (nc.channel_shuffle, y, {"groups": g}),
        (nc.depthwise_conv2d, y, (m, 1, 3, 3), {"padding": 1}),
        (nc.pointwise_grouped_conv2d, y, (c, m // g), {"groups": g}),
    )
    resnext = total(
        (nc.pointwise_conv2d, x, (m, c), {}),
        (nc.grouped_conv2d, y, (m, m // g, 3, 3), {"groups": g, "padding": 1}),
        (nc.pointwise_conv2d, y, (c, m), {}),
    )
    assert shufflenet == h * w * (2 * c * m // g + 9 * m)
    assert resnext == h * w * (2 * c * m + 9 * m * m // g)  # g = 1: ResNet


# 13. dynamic convolution


def test_dynamic_is_the_attention_weighted_sum_of_convolutions():
    random = np.random.default_rng(0)
    x, kernels, bias = random.normal(size=(2, 4, 6, 5)), random.normal(size=(3, 5, 4, 3, 3)), random.normal(size=(3, 5))
    attention = nc.dynamic_attention(x, random.normal(size=(2, 4)), random.normal(size=(3, 2)), temperature=2.0)
    assert attention.shape == (2, 3)
    assert_allclose(attention.sum(axis=1), 1)
    assert (attention > 0).all()
    each = np.stack([nc.conv2d(x, w, b, padding=1) for w, b in zip(kernels, bias, strict=True)], axis=1)
    assert_allclose(nc.dynamic_conv2d(x, kernels, attention, bias, padding=1), np.einsum("nk,nkohw->nohw", attention, each), atol=1e-12)


def overhead(c, size, kernel, count=4):
    """Attention (the mean's sums and two matrices) and mixing, as a share of the convolution."""
    x, w = (1, c, size, size), (c, c, kernel, kernel)
    plain = nc.cost(nc.conv2d, x, w, padding="same").multiplications
    attention = nc.cost(nc.dynamic_attention, x, (c // 4, c), (count, c // 4))
    whole = nc.cost(nc.dynamic_conv2d, x, (count, *w), (1, count), (count, c), padding="same").multiplications
    return (attention.additions + whole - plain) / plain


def test_dynamic_convolutions_extra_cost():
    assert round(100 * overhead(64, 56, 3), 1) == 0.3
    assert all(0.088 < overhead(c, 7, 1) < 0.12 for c in (64, 128, 256, 512))
