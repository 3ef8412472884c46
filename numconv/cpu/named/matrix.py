"""The convolution of one sample as a sparse matrix C, built by index arithmetic alone; transposed convolution as Cᵀ · y."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ...kernel import Kernel, Machine
from ...problem import ConvProblem
from ..adapt.lowering import FLOATS, INTEGERS
from ..stages.finish import finish
from .cost import ENTRY_BYTES, INDEX_BYTES, matrix_seconds

Array = np.ndarray[Any, Any]
LARGEST_MATRIX = 50_000_000  # entries


def entries(problem: ConvProblem) -> int:
    """Upper bound of C's stored entries: border taps counted."""
    return problem.out_channels * problem.group_in * problem.taps * prod(problem.outputs)


def _reached(problem: ConvProblem) -> tuple[Array, Array]:
    """(outputs, taps): the flat input position under each tap of each output, and whether it is inside."""
    c = problem
    position = np.zeros((1, 1), np.int64)
    inside = np.ones((1, 1), bool)
    for i, k, s, lo, d, o in zip(c.spatial, c.kernel, c.stride, c.pad_low, c.dilation, c.outputs, strict=True):
        axis = np.arange(o)[:, None] * s - lo + np.arange(k) * d
        ok = (axis >= 0) & (axis < i)
        rows, taps = position.shape[0] * o, position.shape[1] * k
        position = (position[:, None, :, None] * i + axis[None, :, None, :]).reshape(rows, taps)
        inside = (inside[:, None, :, None] & ok[None, :, None, :]).reshape(rows, taps)
    return position, inside


def convolution_matrix(problem: ConvProblem, w: Array) -> Any:
    """scipy.sparse.csr_array (out_channels·|outputs|, in_channels·|spatial|) with C @ x.ravel() = conv(x).ravel() for one sample.

    `w` has the problem's weight_shape.  Columns ascend in each row; weights that are zero are stored.
    """
    from scipy import sparse

    c = problem
    position, inside = _reached(c)
    outputs, cells = prod(c.outputs), prod(c.spatial)
    # [k, p, c', r]: group and channel select the block of columns, (p, r) the place in it
    first = np.arange(c.out_channels) // c.group_out * c.group_in
    channel = first[:, None] + np.arange(c.group_in)
    columns = channel[:, None, :, None] * cells + position[None, :, None, :]
    keep = np.broadcast_to(inside[None, :, None, :], columns.shape)
    values = np.broadcast_to(w.reshape(c.out_channels, 1, c.group_in, c.taps), columns.shape)[keep]
    counts = np.tile(inside.sum(axis=1) * c.group_in, c.out_channels)
    pointers = np.concatenate([[0], np.cumsum(counts)])
    return sparse.csr_array((values, columns[keep], pointers), shape=(c.out_channels * outputs, c.in_channels * cells))


def _run(c: ConvProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    if not out.size:
        return
    y, w = (a.astype(out.dtype, copy=False) for a in arrays[:2])
    out[...] = (convolution_matrix(c, w).T @ y.reshape(c.batch, -1).T).T.reshape(out.shape)
    finish(c, out, arrays[2])


def _refuse(c: ConvProblem) -> str | None:
    stored = entries(c)
    return f"would store a matrix of {stored:,} entries, more than {LARGEST_MATRIX:,}" if stored > LARGEST_MATRIX else None


def _workspace(c: ConvProblem, machine: Machine) -> int:
    size = np.dtype(c.out_dtype).itemsize
    images = c.batch * (c.in_channels * prod(c.spatial) + c.out_channels * prod(c.outputs))
    made, kept = entries(c) * (size + ENTRY_BYTES), entries(c) * (size + INDEX_BYTES)
    return max(made, kept + images * size)


ROWS: tuple[Kernel, ...] = (
    Kernel(
        name="matrix",
        problem=ConvProblem,
        run=_run,
        cost=lambda c, machine: matrix_seconds(entries(c)),
        workspace=_workspace,
        refuse=_refuse,
        automatic=False,
        directions=frozenset({"input_grad"}),
        dtypes=FLOATS | INTEGERS,
        honours=frozenset({"groups", "activation", "precision"}),
        summary="multiplies by the transposed sparse matrix of the convolution",
    ),
)
