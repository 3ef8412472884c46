"""The convolution's matrix: against the oracle, its own operator, and its transpose."""

from dataclasses import dataclass

import numpy as np
import pytest
import reference
from numpy.testing import assert_allclose, assert_array_equal

import numconv as nc


@dataclass(frozen=True)
class Geometry:
    spatial: tuple
    kernel: tuple
    channels: tuple = (1, 1)  # in and out, per group
    groups: int = 1
    stride: object = 1
    padding: object = 0
    dilation: object = 1

    @property
    def options(self):
        return {"stride": self.stride, "padding": self.padding, "dilation": self.dilation, "groups": self.groups}

    @property
    def oracle(self):
        return {"stride": self.stride, "pads": self.padding, "dilation": self.dilation, "groups": self.groups}

    @property
    def input_shape(self):
        return (self.channels[0] * self.groups, *self.spatial)

    def arrays(self, dtype=np.float64, low=-4):
        random = np.random.default_rng(0)
        shapes = self.input_shape, (self.channels[1] * self.groups, self.channels[0], *self.kernel)
        return tuple(random.integers(low, 5, s).astype(dtype) for s in shapes)


GEOMETRIES = [
    Geometry((7,), (3,)),
    Geometry((9,), (2,), (2, 3), 2, 2, [(1, 2)], 3),
    Geometry((4, 4), (3, 3)),
    Geometry((6, 7), (3, 2), (2, 3), 1, (2, 1), [(1, 0), (2, 1)], (1, 2)),
    Geometry((5, 6), (3, 3), (1, 2), 3, 2, 1),
    Geometry((5, 6), (1, 1), (2, 2), 2, 3),
    Geometry((4, 5, 3), (2, 3, 1), (2, 1), 2, (1, 2, 1), 1, (2, 1, 1)),
    Geometry((3, 3), (2, 2), (1, 1), 1, 2, 3),  # windows wholly in the padding: empty rows
]


@pytest.mark.parametrize("case", GEOMETRIES, ids=str)
def test_matrix_is_the_convolution(case):
    x, w = case.arrays()
    c = nc.matrix.conv_matrix(w, case.input_shape, **case.options)
    y = reference.conv(x[None], w, **case.oracle)[0]
    assert c.shape == (y.size, x.size)
    assert_array_equal(c @ x.ravel(), y.ravel())
    assert c.has_canonical_format


@pytest.mark.parametrize("case", GEOMETRIES, ids=str)
def test_transpose_is_the_transposed_convolution(case):
    x, w = case.arrays()
    c = nc.matrix.conv_matrix(w, case.input_shape, **case.options)
    g = np.random.default_rng(1).integers(-4, 5, c.shape[0]).astype(float)
    shape = reference.conv(x[None], w, **case.oracle).shape
    expected = reference.input_grad(g.reshape(shape), w, case.spatial, **case.oracle)
    assert_array_equal(c.T @ g, expected.ravel())
    pads = reference.pairs(case.padding, len(case.spatial))
    sizes = zip(
        case.spatial,
        shape[2:],
        case.kernel,
        pads,
        *(reference.per_axis(v, len(case.spatial)) for v in (case.stride, case.dilation)),
        strict=True,
    )
    extra = [i - ((o - 1) * s + d * (k - 1) + 1 - sum(p)) for i, o, k, p, s, d in sizes]
    assert_array_equal(reference.conv_transpose(g.reshape(shape), w, None, case.stride, pads, extra, case.groups, case.dilation), expected)


@pytest.mark.parametrize("case", GEOMETRIES, ids=str)
@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular", "symmetric"])
def test_operator_and_its_adjoint(case, mode):
    x, w = case.arrays()
    if mode != "zeros" and max(max(p) for p in reference.pairs(case.padding, len(case.spatial))) >= min(case.spatial):
        with pytest.raises(ValueError, match="conv_operator: padding_mode") if mode == "reflect" else pytest.MonkeyPatch.context():
            nc.matrix.conv_operator(w, case.input_shape, **case.options, padding_mode=mode)
        if mode != "replicate":
            return
    operator = nc.matrix.conv_operator(w, case.input_shape, **case.options, padding_mode=mode)
    y = reference.conv(x[None], w, **case.oracle, padding_mode=mode)
    assert_array_equal(operator @ x.ravel(), y.ravel())
    g = np.random.default_rng(1).integers(-4, 5, y.shape).astype(float)
    expected = reference.input_grad(g, w, case.spatial, **case.oracle, padding_mode=mode)
    assert_array_equal(operator.T @ g.ravel(), expected.ravel())
    assert np.vdot(operator @ x.ravel(), g) == np.vdot(x, operator.H @ g.ravel())


def test_operator_on_several_columns():
    case = GEOMETRIES[3]
    x, w = case.arrays()
    operator, c = nc.matrix.conv_operator(w, case.input_shape, **case.options), nc.matrix.conv_matrix(w, case.input_shape, **case.options)
    many = np.random.default_rng(2).integers(-4, 5, (x.size, 3)).astype(float)
    assert_array_equal(operator.matmat(many), c @ many)
    assert_array_equal(operator.rmatmat(c @ many), c.T @ (c @ many))


def test_complex_adjoint_conjugates():
    random = np.random.default_rng(3)
    w, x, g = (random.normal(size=s) + 1j * random.normal(size=s) for s in ((2, 2, 3), (12,), (8,)))
    operator, c = nc.matrix.conv_operator(w, (2, 6)), nc.matrix.conv_matrix(w, (2, 6))
    assert_allclose(operator @ x, c @ x)
    assert_allclose(operator.H @ g, c.conj().T @ g)
    assert_allclose(operator.T @ g, c.T @ g)


def test_plain_kernel_and_batch():
    assert nc.matrix.conv_matrix(np.ones((3, 3)), (4, 4)).shape == (4, 16)
    assert nc.matrix.conv_matrix(np.ones((1, 1, 3, 3)), (4, 4)).shape == (4, 16)
    assert nc.matrix.conv_matrix(np.ones(3), 5).shape == (3, 5)
    case = GEOMETRIES[4]
    _, w = case.arrays()
    x = np.random.default_rng(4).integers(-3, 4, (2, *case.input_shape)).astype(float)
    y = reference.conv(x, w, **case.oracle).ravel()
    assert_array_equal(nc.matrix.conv_matrix(w, x.shape, **case.options) @ x.ravel(), y)
    assert_array_equal(nc.matrix.conv_operator(w, x.shape, **case.options) @ x.ravel(), y)


def test_dtypes_are_the_convolutions():
    for given, kept in (
        (np.float32, np.float32),
        (np.int8, np.int32),
        (np.int32, np.int64),
        (np.float16, np.float32),
        (np.complex64, np.complex64),
    ):
        assert nc.matrix.conv_matrix(np.ones((3, 3), given), (4, 4)).dtype == kept
    x = np.full((4, 4), 127, np.int8)
    assert_array_equal(nc.matrix.conv_matrix(np.full((3, 3), 127, np.int8), (4, 4)) @ x.ravel(), np.full(4, 9 * 127**2))


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (
            (np.ones((4, 2, 3, 3)), (6, 8, 8), 1, 0, 1, 2),
            ValueError,
            "conv_matrix: w expects 2 input channels per group times groups=2, x has 6 channels",
        ),
        ((np.ones((3, 3)), (2, 2)), ValueError, "conv_matrix: no output"),
        ((np.ones((1, 1, 3, 3)), (1, 1, 1, 8, 8)), ValueError, "conv_matrix: input_shape must be"),
        ((np.ones((3, 3)), (4, 4.0)), TypeError, "conv_matrix: input_shape must be an integer"),
        ((np.ones((3, 3), bool), (4, 4)), TypeError, "conv_matrix: w has dtype bool"),
    ],
)
def test_errors(arguments, error, text):
    with pytest.raises(error, match=text):
        nc.matrix.conv_matrix(*arguments)


def test_one_axis_with_the_batch_axis_given():
    """Three axes of w and three numbers: the channels decide, as weights are (C_out, C_in/groups, length) elsewhere."""
    random = np.random.default_rng(0)
    x, w = random.integers(-3, 4, (2, 4, 6)).astype(float), random.integers(-3, 4, (4, 2, 3)).astype(float)
    wanted = nc.conv1d(x, w, None, 2, 1, 1, 2)
    for found in (nc.matrix.conv_matrix(w, x.shape, 2, 1, 1, 2), nc.matrix.conv_operator(w, x.shape, 2, 1, 1, 2)):
        assert_array_equal(found @ x.ravel(), wanted.ravel())
    whole = nc.matrix.conv_matrix(w[:, :, :], (1, 2, 5))
    assert_array_equal(whole @ x[0, :2, :5].ravel(), nc.conv1d(x[:1, :2, :5], w).ravel())
    assert nc.matrix.conv_matrix(np.ones((2, 2, 2)), (3, 4, 5)).shape == (2 * 3 * 4, 60)  # no channels fit: a volume
