"""Which filters are outer products of 1-D filters, and the nearest that are.

A 2-D filter of matrix rank ρ is a sum of ρ column-times-row filters, Σ_j column_j ⊗ row_j, and no fewer; the best of a
smaller rank is the truncated SVD (Eckart & Young 1936).  A filter over channels, rows and columns is flattened into
lateral ⊗ vertical ⊗ horizontal, exactly only if it is rank 1; else by the higher-order power method.

A decomposition of n² elements takes n³ steps.  Where n is large the same is asked of a few combinations of the columns (Halko, Martinsson &
Tropp 2011) and held against the whole: what they leave out is at most `tol`, or the filter is refused.

References
----------
Jin, Dundar & Culurciello, "Flattened Convolutional Neural Networks", arXiv 1412.5474.
De Lathauwer, De Moor & Vandewalle, "On the best rank-1 … approximation of higher-order tensors", SIAM J. Matrix Anal. 21 (2000).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from typing import Any

import numpy as np

from .arguments.edge import public
from .arguments.values import Subject, host_array, integer, number, shown

__all__ = ["Flattened", "Separation", "flatten", "rank", "separate"]

Array = np.ndarray[Any, Any]
LARGEST_EXACT = 2**40  # integer kernels beyond this go by SVD: their elimination could overflow float64 afterwards
MOST_STEPS = 10**5  # of the exact elimination, half a second; longer ones go by SVD
WHOLE = 512  # rows or columns that are decomposed as they are, a tenth of a second
COMBINATIONS = 48  # of the columns of a larger kernel


@dataclass(frozen=True)
class Separation:
    """Factors of a filter: Σ_j columns[j] ⊗ rows[j].

    `columns` (terms, …, kh) and `rows` (terms, …, kw); `error`: ‖kernel − Σ‖/‖kernel‖ in the Frobenius norm; `rank`: of the
    kernel itself (the largest, of several); `exact`: whether nothing but rounding was lost.  Unpacks as columns, rows, error.
    """

    columns: Array
    rows: Array
    error: float
    rank: int
    exact: bool

    @property
    def column(self) -> Array:
        """The first term's column, as `spatially_separable_conv2d` takes it."""
        first: Array = self.columns[0]
        return first

    @property
    def row(self) -> Array:
        first: Array = self.rows[0]
        return first

    def kernel(self) -> Array:
        """The sum of the terms."""
        return np.asarray(np.einsum("j...a,j...b->...ab", self.columns, self.rows))

    def __iter__(self) -> Iterator[Any]:
        return iter((self.columns, self.rows, self.error))


@dataclass(frozen=True)
class Flattened:
    """lateral (C,), vertical (kh,), horizontal (kw,), or with the filters' axis first; `error` as of `Separation`, `errors` of each filter.

    Unpacks as the three factors.
    """

    lateral: Array
    vertical: Array
    horizontal: Array
    error: float
    errors: Array

    def kernel(self) -> Array:
        """lateral ⊗ vertical ⊗ horizontal."""
        return np.asarray(np.einsum("...c,...a,...b->...cab", self.lateral, self.vertical, self.horizontal))

    def __iter__(self) -> Iterator[Array]:
        return iter((self.lateral, self.vertical, self.horizontal))


def real_array(subject: Subject, label: str, value: Any, axes: tuple[int, ...]) -> Array:
    a = host_array(subject, label, value)
    if a.dtype.kind not in "iuf" and a.dtype.name != "bfloat16":
        raise subject.type(f"{label} must be real; got dtype {a.dtype}")
    if a.ndim not in axes or 0 in a.shape:
        raise subject.value(f"{label} must have {' or '.join(map(str, axes))} axes, none empty; got {a.shape}")
    a = a.astype(np.float64)
    if not np.isfinite(a).all():
        raise subject.value(f"{label} must be finite")
    return a


def tolerance(subject: Subject, value: Any) -> float:
    found = number(subject, "tol", value)
    if not found >= 0:
        raise subject.value(f"tol must be at least 0; got {shown(value)}")
    return found


def relative_error(actual: Array, expected: Array) -> float:
    size = float(np.linalg.norm(expected))
    return float(np.linalg.norm(actual - expected)) / size if size else 0.0


@public
def separate(kernel: Any, rank: int | None = None, tol: float = 1e-6) -> Separation:
    """Factors of a filter into columns and rows: exact ones where `rank` allows them, else the best of that rank.

    Parameters
    ----------
    kernel : (kh, kw), or filters (C_out, C_in/groups, kh, kw), each factored for itself
    rank : int, optional
        How many terms at most; by default as many as it takes.
    tol : float
        Singular values up to tol times the largest count as zero.

    Returns
    -------
    Separation
        Integer-valued kernels of that rank get factors by exact elimination, whole numbers where possible.

    Examples
    --------
    >>> sobel = separate([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    >>> sobel.column, sobel.row, sobel.rank, sobel.error
    (array([1., 2., 1.]), array([-1.,  0.,  1.]), 1, 0.0)
    """
    subject = Subject("separate")
    k = real_array(subject, "kernel", kernel, (2, 3, 4))
    limit = None if rank is None else integer(subject, "rank", rank, 1)
    filters = k.reshape(-1, *k.shape[-2:])
    tol = tolerance(subject, tol)
    parts = [decomposed(subject, f, tol) for f in filters]
    own = [count(values, tol) for _, values, _ in parts]
    terms = max(1, min(max(own), limit or max(own)))
    factors = [factor(f, part, r, terms) for f, part, r in zip(filters, parts, own, strict=True)]
    columns = np.stack([c for c, _ in factors], axis=1).reshape(terms, *k.shape[:-1])
    rows = np.stack([r for _, r in factors], axis=1).reshape(terms, *k.shape[:-2], k.shape[-1])
    error = relative_error(np.einsum("j...a,j...b->...ab", columns, rows), k)
    return Separation(columns, rows, error, max(own), max(own) <= terms)


def count(values: Array, tol: float) -> int:
    return int((values > tol * values[0]).sum()) if values[0] else 0


def decomposed(subject: Subject, matrix: Array, tol: float) -> tuple[Array, Array, Array]:
    """The singular value decomposition; of a large matrix its largest values, all the others are at most tol times the first."""
    if min(matrix.shape) <= WHOLE:
        return np.linalg.svd(matrix, full_matrices=False)
    combined = matrix @ np.random.default_rng(0).standard_normal((matrix.shape[1], COMBINATIONS))
    for _ in range(2):  # each turns what is left out away by the square of its share
        basis = np.linalg.qr(matrix.T @ np.linalg.qr(combined)[0])[0]
        combined = matrix @ basis
    u, values, v = np.linalg.svd(combined, full_matrices=False)
    v = v @ basis.T
    if np.linalg.norm(matrix - u * values @ v) > tol * values[0]:
        sides = " × ".join(map(str, matrix.shape))
        raise subject.value(
            f"a kernel of {sides} elements that is no sum of {COMBINATIONS} products of a column and a row would take too long; at most "
            f"{WHOLE} rows or columns"
        )
    return u, values, v


def factor(matrix: Array, part: tuple[Array, Array, Array], own: int, terms: int) -> tuple[Array, Array]:
    """(terms, kh) columns and (terms, kw) rows, by the matrix's singular values; unused terms are zero."""
    columns, rows = np.zeros((terms, matrix.shape[0])), np.zeros((terms, matrix.shape[1]))
    if own <= terms and (matrix == np.round(matrix)).all() and np.abs(matrix).max() < LARGEST_EXACT:
        exact = eliminate(matrix, own)
        if exact is not None:
            for j, (c, r) in enumerate(exact):
                columns[j], rows[j] = c, r
            return columns, rows
    u, values, v = part
    for j in range(min(terms, own)):
        sign = 1.0 if u[np.argmax(np.abs(u[:, j])), j] > 0 else -1.0
        columns[j], rows[j] = sign * np.sqrt(values[j]) * u[:, j], sign * np.sqrt(values[j]) * v[j]
    return columns, rows


def independent_rows(matrix: Array, number: int) -> list[int]:
    """So many rows that span the others, by elimination in floating point: the largest element that is left is the next pivot."""
    left, found = matrix.copy(), []
    for _ in range(number):
        i, j = np.unravel_index(np.abs(left).argmax(), left.shape)
        if not left[i, j]:
            break
        found.append(int(i))
        left -= np.outer(left[:, j] / left[i, j], left[i])
        left[i] = 0
    return sorted(found)


def eliminate(matrix: Array, own: int) -> list[tuple[list[float], list[float]]] | None:
    """Exact factors of an integer matrix of that rank: its pivot columns times the rows of its reduced echelon form.

    Independent rows have the form that the whole has.  None: that would take too long, or the rank is larger, exactly.
    """
    if own * own * matrix.shape[1] > MOST_STEPS:
        return None
    work = [[Fraction(int(v)) for v in row] for row in matrix[independent_rows(matrix, own)]]
    pivots: list[int] = []
    for j in range(matrix.shape[1]):
        at = next((i for i in range(len(pivots), len(work)) if work[i][j]), None)
        if at is None:
            continue
        top = len(pivots)
        work[top], work[at] = work[at], work[top]
        work[top] = [v / work[top][j] for v in work[top]]
        for i, row in enumerate(work):
            if i != top and row[j]:
                work[i] = [a - row[j] * b for a, b in zip(row, work[top], strict=True)]
        pivots.append(j)
    factors = []
    for j, row in zip(pivots, work, strict=False):
        column = [int(v) for v in matrix[:, j]]
        scale = lcm(*(v.denominator for v in row))
        if any(v % scale for v in column):
            scale = 1
        if next(v for v in column if v) < 0:
            scale = -scale  # the column begins positive
        factors.append(([v / scale for v in column], [float(v * scale) for v in row]))
    product = np.array([c for c, _ in factors]).T @ np.array([r for _, r in factors]) if factors else np.zeros(matrix.shape)
    return factors if np.abs(product - matrix).max() < 0.5 else None  # a whole number off, at least, if rows are missing


@public
def rank(kernel: Any, tol: float = 1e-6) -> int:
    """1 exactly if the filter is an outer product of 1-D filters, one per axis.

    The matrix rank of a 2-D filter; of one with more axes the largest rank of its unfoldings, a lower bound of the number
    of outer products that it takes.

    Examples
    --------
    >>> rank([[0, 1, 0], [1, -4, 1], [0, 1, 0]])
    2
    """
    subject = Subject("rank")
    k, tol = real_array(subject, "kernel", kernel, (1, 2, 3, 4)), tolerance(subject, tol)
    axes = range(k.ndim if k.ndim > 2 else 1)  # a matrix and its transpose have one rank
    unfolded = [np.moveaxis(k, axis, 0).reshape(k.shape[axis], -1) for axis in axes]
    return max(count(decomposed(subject, m, tol)[1], tol) for m in unfolded)


@public
def flatten(w: Any, iterations: int = 200) -> Flattened:
    """Three 1-D factors, across channels, vertical and horizontal, of each filter.

    Parameters
    ----------
    w : (C, kh, kw) or (F, C, kh, kw)
    iterations : int
        Of the power method at most; a rank-1 filter needs one.

    Returns
    -------
    Flattened
        Balanced factors with the error that remains; as `flattened_conv2d` takes them.

    Examples
    --------
    >>> w = np.einsum("c,a,b->cab", [1.0, 2.0], [1.0, 2.0, 1.0], [1.0, 0.0, -1.0])
    >>> flatten(w).error < 1e-12
    True
    """
    subject = Subject("flatten")
    filters = real_array(subject, "w", w, (3, 4))
    single = filters.ndim == 3
    filters = filters[None] if single else filters
    lateral, vertical, horizontal = (leading(filters, axis) for axis in (1, 2, 3))
    previous = np.full(len(filters), -1.0)
    for _ in range(integer(subject, "iterations", iterations, 1)):
        lateral, _ = unit(np.einsum("fcab,fa,fb->fc", filters, vertical, horizontal))
        vertical, _ = unit(np.einsum("fcab,fc,fb->fa", filters, lateral, horizontal))
        horizontal, gain = unit(np.einsum("fcab,fc,fa->fb", filters, lateral, vertical))
        if (gain <= previous * (1 + 1e-15)).all():
            break
        previous = gain
    scale = np.cbrt(gain)[:, None]
    lateral, vertical, horizontal = lateral * scale, vertical * scale, horizontal * scale
    fitted = np.einsum("fc,fa,fb->fcab", lateral, vertical, horizontal)
    errors = np.array([relative_error(a, b) for a, b in zip(fitted, filters, strict=True)])
    parts = (lateral, vertical, horizontal)
    if single:
        parts = (lateral[0], vertical[0], horizontal[0])
    return Flattened(*parts, relative_error(fitted, filters), errors)


def leading(filters: Array, axis: int) -> Array:
    """(F, n): the first left singular vector of each filter unfolded along `axis` (the higher-order SVD's start)."""
    moved = np.moveaxis(filters, axis, 1)
    unfolded = moved.reshape(*moved.shape[:2], -1)
    u = np.linalg.eigh(unfolded @ unfolded.swapaxes(1, 2))[1][:, :, -1]  # as the power method only begins there, its square will do
    sign: Array = np.sign(np.take_along_axis(u, np.abs(u).argmax(axis=1)[:, None], axis=1))
    return np.asarray(u * sign)


def unit(vectors: Array) -> tuple[Array, Array]:
    """Unit vectors and their former lengths; zero stays zero."""
    lengths = np.linalg.norm(vectors, axis=1)
    return vectors / np.where(lengths == 0, 1, lengths)[:, None], lengths
