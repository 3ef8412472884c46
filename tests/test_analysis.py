"""Checkerboards and separability: against counting, and against matrices built from the factors."""

from itertools import product

import numpy as np
import pytest
import reference
from numpy.testing import assert_allclose, assert_array_equal

from numconv import checkerboard, separability

SOBEL = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
LAPLACIAN = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]])


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation"), [(3, 2, 0, 1), (4, 2, 1, 1), (5, 3, [(1, 2)], 1), (2, 3, 0, 1), (3, 2, 1, 2), (2, 1, 0, 3)]
)
def test_overlap_map_is_a_transposed_convolution_of_ones(kernel, stride, padding, dilation):
    expected = reference.conv_transpose(np.ones((1, 1, 6)), np.ones((1, 1, kernel)), None, stride, padding, 0, 1, dilation)[0, 0]
    assert_array_equal(checkerboard.overlap_map((6,), kernel, stride, padding, dilation), expected)


def test_overlap_map_multiplies_across_axes():
    across, down = checkerboard.overlap_map(5, 3, 2), checkerboard.overlap_map(4, 5, 3)
    assert_array_equal(checkerboard.overlap_map((4, 5), (5, 3), (3, 2)), np.outer(down, across))
    assert set(checkerboard.overlap_map((9, 9), 3, 2)[3:-3, 3:-3].ravel().tolist()) == {1, 2, 4}
    assert set(checkerboard.overlap_map(9, 2, 3)[:-3].tolist()) == {0, 1}  # stride beyond the kernel: holes


def test_is_even_is_an_even_interior():
    for k, s, d in product(range(1, 7), range(1, 5), range(1, 4)):
        inside = checkerboard.overlap_map(40, k, s, 0, d)[k * d : -k * d]
        assert checkerboard.is_even(k, s, d) == (len(set(inside.tolist())) == 1), (k, s, d)
    assert not checkerboard.is_even((4, 3), 2)
    assert checkerboard.is_even((4, 3), (2, 3))


def test_phase_gain_is_the_response_to_a_constant():
    assert_array_equal(checkerboard.phase_gain([1, 3, 1, 3], 2), [2, 6])
    w = np.random.default_rng(0).normal(size=(3, 2, 5, 4))
    gain = checkerboard.phase_gain(w, (2, 3))
    assert gain.shape == (3, 2, 2, 3)
    y = reference.conv_transpose(np.ones((1, 3, 9, 9)), w, None, (2, 3))[0]
    for r, c in product(range(2), range(3)):
        assert_allclose(y[:, 6 + r, 6 + c], gain.sum(axis=0)[:, r, c])


def test_score():
    random = np.random.default_rng(0)
    noise, ramp = random.normal(size=(64, 64)), np.add.outer(np.arange(64.0), np.arange(64.0))
    board = np.add.outer(np.arange(64), np.arange(64)) % 2
    assert checkerboard.score(board, 2) == 1
    assert checkerboard.score(np.ones((8, 8)), 2) == 0
    assert checkerboard.score(noise, 2) < 0.01
    assert checkerboard.score(ramp, 2) < 0.01
    assert checkerboard.score(noise, 2) < checkerboard.score(noise + 0.3 * board, 2) < checkerboard.score(noise + board, 2)
    assert_allclose(checkerboard.score(np.stack([board, board]), 2), 1)


def test_checkerboard_errors():
    with pytest.raises(ValueError, match=r"overlap_map: .*crops all of it"):
        checkerboard.overlap_map(1, 1, 1, 1)
    with pytest.raises(ValueError, match="score: image must hold one period"):
        checkerboard.score(np.ones((1, 1)), 2)
    with pytest.raises(ValueError, match="phase_gain: stride must be at least 1"):
        checkerboard.phase_gain([1, 2], 0)


def test_separate_sobel_exactly():
    found = separability.separate(SOBEL)
    assert (found.rank, found.exact, found.error) == (1, True, 0)
    assert_array_equal(found.column, [1, 2, 1])
    assert_array_equal(found.row, [-1, 0, 1])
    assert_array_equal(np.outer(found.column, found.row), SOBEL)


@pytest.mark.parametrize(
    "matrix",
    [LAPLACIAN, np.outer([2, 4], [3, 6, 9]), np.arange(9).reshape(3, 3), np.eye(3), np.zeros((2, 3))],
    ids=lambda m: f"{m.shape}{m.sum()}",
)
def test_integer_kernels_are_exact(matrix):
    found = separability.separate(matrix)
    assert found.exact
    assert found.rank == np.linalg.matrix_rank(matrix)
    assert_array_equal(found.kernel(), matrix)


def test_separate_is_the_best_of_its_rank():
    k = np.random.default_rng(1).normal(size=(5, 7))
    values = np.linalg.svd(k, compute_uv=False)
    for terms in range(1, 6):
        found = separability.separate(k, rank=terms)
        assert_allclose(found.error, np.sqrt((values[terms:] ** 2).sum() / (values**2).sum()), atol=1e-14)
        assert found.exact == (terms == 5)
        assert_allclose(np.linalg.norm(found.kernel() - k) / np.linalg.norm(k), found.error, atol=1e-14)


def test_separate_a_gaussian_and_noise_around_it():
    g = np.exp(-(np.linspace(-2, 2, 7) ** 2))
    found = separability.separate(np.outer(g, g))
    assert found.rank == 1
    assert found.error < 1e-14
    noisy = np.outer(g, g) + 1e-4 * np.random.default_rng(0).normal(size=(7, 7))
    assert separability.separate(noisy).rank == 7
    assert separability.separate(noisy, tol=1e-2).rank == 1


def test_separate_filters_each_for_itself():
    w = np.random.default_rng(2).normal(size=(3, 2, 3, 5))
    found = separability.separate(w)
    assert found.columns.shape == (3, 3, 2, 3)
    assert found.rows.shape == (3, 3, 2, 5)
    assert_allclose(found.kernel(), w, atol=1e-14)
    assert_allclose(separability.separate(w, rank=1).columns[0, 1, 1] @ separability.separate(w[1, 1], rank=1).columns[0] > 0, True)


def test_rank():
    assert separability.rank(SOBEL) == 1
    assert separability.rank(LAPLACIAN) == 2
    assert separability.rank(np.zeros((3, 3))) == 0
    assert separability.rank(np.einsum("c,a,b->cab", [1, 2], [1, 2, 3], [1, 0, 1])) == 1
    assert separability.rank(np.arange(24).reshape(2, 3, 4)) == 2


def test_flatten_rank_one_exactly_and_others_with_their_error():
    random = np.random.default_rng(3)
    factors = [random.normal(size=(6, n)) for n in (4, 3, 5)]
    w = np.einsum("fc,fa,fb->fcab", *factors)
    lateral, vertical, horizontal = found = separability.flatten(w)
    assert (lateral.shape, vertical.shape, horizontal.shape) == ((6, 4), (6, 3), (6, 5))
    assert found.error < 1e-14
    assert_allclose(found.kernel(), w, atol=1e-13)
    noisy = w + 0.1 * random.normal(size=w.shape)
    found = separability.flatten(noisy)
    assert_allclose(found.error, np.linalg.norm(found.kernel() - noisy) / np.linalg.norm(noisy))
    assert 0 < found.error <= np.linalg.norm(w - noisy) / np.linalg.norm(noisy)  # no worse than what it was made of
    assert separability.flatten(noisy[0]).lateral.shape == (4,)
    assert_allclose(separability.flatten(noisy[0]).error, found.errors[0], rtol=1e-6)


def test_separability_errors():
    with pytest.raises(ValueError, match="separate: kernel must have 2 or 3 or 4 axes"):
        separability.separate([1, 2])
    with pytest.raises(ValueError, match="separate: rank must be at least 1"):
        separability.separate(SOBEL, rank=0)
    with pytest.raises(TypeError, match="flatten: w must be real"):
        separability.flatten(np.ones((2, 2, 2), complex))
    with pytest.raises(ValueError, match="finite"):
        separability.rank([[np.nan]])


def whole_numbers(*shape):
    return np.random.default_rng(3).integers(-9, 10, shape)


@pytest.mark.parametrize("terms", [1, 3])
def test_large_kernels_are_factored_by_a_few_combinations(terms):
    columns, rows = whole_numbers(900, terms), whole_numbers(terms, 1100)
    found = separability.separate(columns @ rows)
    assert (found.rank, found.exact) == (terms, True)
    assert_allclose(found.kernel(), columns @ rows, atol=1e-9)  # by elimination
    noisy = (columns @ rows + 1e-6 * np.random.default_rng(4).standard_normal((900, 1100))).astype("f4")
    found, values = separability.separate(noisy), np.linalg.svd(noisy.astype("f8"), compute_uv=False)
    assert found.rank == terms == separability.rank(noisy)
    assert_allclose(found.error, np.sqrt((values[terms:] ** 2).sum() / (values**2).sum()), rtol=1e-3)  # the best that there is


def test_large_kernels_of_full_rank_are_refused():
    for function in (separability.separate, separability.rank):
        with pytest.raises(ValueError, match="3000 × 3000 elements that is no sum of 48 products"):
            function(np.random.default_rng(0).standard_normal((3000, 3000)))


def test_whole_numbers_that_would_take_long_go_by_svd():
    for size in (20, 80):
        kernel = whole_numbers(size, size)
        found = separability.separate(kernel)
        assert found.rank == size
        assert_allclose(found.kernel(), kernel, atol=1e-9)
    hidden = np.outer([1, 2, 3], [2**35, 2**36, 0]) + np.outer([0, 0, 1], [0, 0, 1])  # rank 2 that SVD takes for 1
    found = separability.separate(hidden, tol=1e-6)
    assert found.rank == 1
    assert found.error < 1e-10
