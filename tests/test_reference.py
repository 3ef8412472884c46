"""The oracle itself: numbers worked out by hand, then once against SciPy and, where importable, torch."""

import numpy as np
import pytest
import reference
import tolerance
from numpy.testing import assert_allclose, assert_array_equal
from scipy import ndimage, signal


def image(values):
    """(1, 1, *spatial) from nested lists."""
    return np.asarray(values)[None, None]


def test_conv_by_hand():
    x, w = image([1, 2, 3, 4]), image([1, 10])
    assert_array_equal(reference.conv(x, w), image([21, 32, 43]))  # correlation: 1·1 + 10·2, not flipped
    assert_array_equal(reference.conv(x, w, stride=2), image([21, 43]))
    assert_array_equal(reference.conv(x, w, pads=[(1, 0)]), image([10, 21, 32, 43]))
    assert_array_equal(reference.conv(x, w, dilation=2), image([31, 42]))
    assert_array_equal(reference.conv(x, w, bias=[100], activation="relu6"), image([6, 6, 6]))


@pytest.mark.parametrize(
    ("mode", "left", "right"),
    [
        ("zeros", [0, 0], [0, 0]),
        ("reflect", [3, 2], [3, 2]),
        ("replicate", [1, 1], [4, 4]),
        ("circular", [3, 4], [1, 2]),
        ("symmetric", [2, 1], [4, 3]),
    ],
)
def test_padding_modes_by_hand(mode, left, right):
    x = image([1, 2, 3, 4])
    assert_array_equal(reference.conv(x, image([1]), pads=2, padding_mode=mode), image([*left, 1, 2, 3, 4, *right]))


def test_conv2d_and_groups_by_hand():
    x = np.array([[[[1, 2], [3, 4]], [[5, 6], [7, 8]]]])
    w = np.array([[[[1, 0], [0, 1]], [[0, 1], [1, 0]]]])
    assert_array_equal(reference.conv(x, w), [[[[1 + 4 + 6 + 7]]]])
    grouped = w.reshape(2, 1, 2, 2)
    assert_array_equal(reference.conv(x, grouped, groups=2), [[[[1 + 4]], [[6 + 7]]]])


def test_conv_transpose_by_hand():
    x, w = image([1, 2]), image([1, 10, 100])
    assert_array_equal(reference.conv_transpose(x, w), image([1, 12, 120, 200]))
    assert_array_equal(reference.conv_transpose(x, w, stride=2), image([1, 10, 102, 20, 200]))
    assert_array_equal(reference.conv_transpose(x, w, stride=2, pads=1), image([10, 102, 20]))
    assert_array_equal(reference.conv_transpose(x, w, stride=2, pads=1, output_padding=1), image([10, 102, 20, 200]))  # not a zero
    assert_array_equal(reference.conv_transpose(x, w, stride=2, pads=[(-1, 0)]), image([0, 1, 10, 102, 20, 200]))
    assert_array_equal(reference.conv_transpose(x, w, pads=[(0, 0)], output_padding=1), image([1, 12, 120, 200, 0]))


def test_gradients_by_hand():
    x, dy = image([1, 2, 3]), image([1, 10])
    assert_array_equal(reference.weight_grad(x, dy, (2,)), image([21, 32]))
    assert_array_equal(reference.input_grad(dy, image([2, 3]), (3,)), image([2, 23, 30]))
    # padded [1 1 2 3 3]: the border cells gather what their copies got
    assert_array_equal(reference.input_grad(image([1, 1, 1, 1, 1]), image([1]), (3,), pads=1, padding_mode="replicate"), image([2, 1, 2]))


def test_resize_by_hand():
    x = image([0.0, 4.0])
    assert_allclose(reference.resize(x, size=4), image([0, 0, 4, 4]))
    assert_allclose(reference.resize(x, scale=2, mode="bilinear"), image([0, 1, 3, 4]))
    assert_allclose(reference.resize(x, size=5, mode="bilinear", align_corners=True), image([0, 1, 2, 3, 4]))
    assert_allclose(reference.resize(image([1, 2, 3]), size=2), image([1, 2]))


def test_shuffle_by_hand():
    x = np.arange(6).reshape(1, 6, 1)
    assert_array_equal(reference.shuffle(x, 3).ravel(), [0, 2, 4, 1, 3, 5])
    assert_array_equal(reference.shuffle(reference.shuffle(x, 3), 2), x)


def test_attention_and_mix_by_hand():
    x = np.array([[[1.0, 3.0]], [[-5.0, 1.0]]])  # means 2 and −2: the second dies in the ReLU
    a = reference.attention(x, [[1.0]], [[0.0], [1.0]], temperature=2.0)
    assert_allclose(a, [[1 / (1 + np.e), np.e / (1 + np.e)], [0.5, 0.5]])
    assert_array_equal(reference.mix([[1, 2]], [[10, 20], [1, 2]]), [[12, 24]])


def test_deform_by_hand():
    x = image([[0.0, 1.0], [2.0, 3.0]])
    w = image([[1.0]])
    offset = np.zeros((1, 2, 2, 2))
    assert_allclose(reference.deform_conv2d(x, offset, w), x)
    offset[0, 0] = 0.5  # half a row down; the last row meets the zeros outside
    assert_allclose(reference.deform_conv2d(x, offset, w), image([[1.0, 2.0], [1.0, 1.5]]))
    assert_allclose(reference.deform_conv2d(x, offset, w, mask=np.full((1, 1, 2, 2), 2.0)), image([[2.0, 4.0], [2.0, 3.0]]))


def test_unfold_and_fold_by_hand():
    x = image([1, 2, 3])
    assert_array_equal(reference.unfold(x, (2,)), [[[1, 2], [2, 3]]])
    assert_array_equal(reference.fold(reference.unfold(x, (2,)), (3,), (2,)), image([1, 4, 3]))


@pytest.mark.parametrize(
    ("name", "at", "value"),
    [("relu", -1.0, 0.0), ("relu6", 7.0, 6.0), ("hardswish", 1.0, 4 / 6), ("silu", 0.0, 0.0), ("sigmoid", 0.0, 0.5), ("tanh", 0.0, 0.0)],
)
def test_activations_by_hand(name, at, value):
    assert_allclose(reference.ACTIVATIONS[name](np.array([at])), [value])


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_against_scipy(rank):
    random = np.random.default_rng(rank)
    x, w = random.normal(size=(7, 6, 5)[:rank]), random.normal(size=(3, 4, 2)[:rank])
    assert_allclose(reference.conv(x[None, None], w[None, None])[0, 0], signal.correlate(x, w, "valid"), atol=1e-12)
    assert_allclose(reference.conv_transpose(x[None, None], w[None, None])[0, 0], signal.convolve(x, w, "full"), atol=1e-12)
    for ours, theirs in (
        ("symmetric", "reflect"),
        ("reflect", "mirror"),
        ("replicate", "nearest"),
        ("circular", "wrap"),
        ("zeros", "constant"),
    ):
        pads = [(k // 2, (k - 1) // 2) for k in w.shape]
        assert_allclose(
            reference.conv(x[None, None], w[None, None], pads=pads, padding_mode=ours)[0, 0],
            ndimage.correlate(x, w, mode=theirs),
            atol=1e-12,
        )


def test_against_torch():
    torch = pytest.importorskip("torch")
    f, t, random = torch.nn.functional, torch.from_numpy, np.random.default_rng(0)
    x, w, u = random.normal(size=(2, 4, 9, 8)), random.normal(size=(6, 2, 3, 2)), random.normal(size=(4, 3, 3, 3))
    y = reference.conv(x, w, None, 2, [(1, 1), (2, 2)], (2, 1), 2)
    assert_allclose(y, f.conv2d(t(x), t(w), None, 2, (1, 2), (2, 1), 2), atol=1e-12)
    assert_allclose(
        reference.weight_grad(x, y, (3, 2), 2, (1, 2), (2, 1), 2),
        torch.nn.grad.conv2d_weight(t(x), w.shape, t(y), 2, (1, 2), (2, 1), 2),
        atol=1e-12,
    )
    assert_allclose(
        reference.input_grad(y, w, (9, 8), 2, (1, 2), (2, 1), 2),
        torch.nn.grad.conv2d_input(x.shape, t(w), t(y), 2, (1, 2), (2, 1), 2),
        atol=1e-12,
    )
    for pad, extra, dilation in ((0, 1, 1), (1, 1, 2), (3, 1, 1)):
        assert_allclose(
            reference.conv_transpose(x, u, None, 2, pad, extra, 2, dilation),
            f.conv_transpose2d(t(x), t(u), None, 2, pad, extra, 2, dilation),
            atol=1e-12,
        )
    for how in ({"size": (5, 13)}, {"scale": 2.0}, {"scale": 1.7}):
        sizes = {"size": how.get("size"), "scale_factor": how.get("scale")}
        assert_allclose(reference.resize(x, **how), f.interpolate(t(x), **sizes))
        for corners in (False, True):
            assert_allclose(
                reference.resize(x, **how, mode="bilinear", align_corners=corners),
                f.interpolate(t(x), **sizes, mode="bilinear", align_corners=corners),
                atol=1e-12,
            )
    columns = reference.unfold(x, (3, 2), 2, 1, 2)
    assert_array_equal(columns, f.unfold(t(x), (3, 2), dilation=2, padding=1, stride=2))
    assert_allclose(
        reference.fold(columns, (9, 8), (3, 2), 2, 1, 2), f.fold(t(columns), (9, 8), (3, 2), dilation=2, padding=1, stride=2), atol=1e-12
    )


def test_integers_wrap():
    x = np.full((1, 1, 2), 2**62, np.int64)
    assert_array_equal(reference.conv(x, np.ones((1, 1, 2), np.int64)), [[[-(2**63)]]])


@pytest.mark.parametrize(
    ("actual", "dtype"),
    [
        ([1.0, 2.0 + 1e-5], "float32"),
        ([1.0, np.nan], "float32"),
        ([1.0, 2.5], "int64"),
        ([1.0], "float32"),
        ([1.0, 2.0 + 1e-13], "float64"),
    ],
)
def test_tolerance_asserts(actual, dtype):
    with pytest.raises(AssertionError):
        tolerance.assert_within(np.array(actual), np.array([1.0, 2.0]), np.array([1.0, 2.0]), 9, dtype)


def test_tolerance_accepts():
    expected = np.array([1.0, np.inf, np.nan])
    tolerance.assert_within(expected.astype(np.float32), expected, np.abs(expected), 9)
    tolerance.assert_within(np.float16([0.1]), np.array([0.1]), np.array([0.1]), 1)
    tolerance.assert_same(np.float32([1, 2]), [1, 2])
