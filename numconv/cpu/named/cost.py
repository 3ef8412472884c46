"""What the rows that are chosen by name cost, in seconds: rough, since `auto` takes none.  AVX-512 (Zen 4), 2026-11-24."""

from __future__ import annotations

from math import prod

import numpy as np

from ...kernel import Machine
from ...problem import ConvProblem

SCATTER_SLOWDOWN = 5.0  # flops' worth of the peak per multiply-add …
SHORT_ROW = 1.5  # … more by this share of a vector per row shorter than it
SCATTER_ELEMENT = 1e-9  # seconds an element of the result, set and finished
ZERO_SLOWDOWN = 4.0  # flops' worth of the peak per multiply-add with what was stretched
ENTRY = 3e-8  # seconds an entry of a sparse matrix, made and used
MATRIX = 1e-4  # seconds a call
ENTRY_BYTES = 17  # of an entry beside its value, while it is made: column, and the mask and indices it comes from …
INDEX_BYTES = 8  # … and then


def _size(c: ConvProblem) -> int:
    return np.dtype(c.out_dtype).itemsize


def scatter_seconds(c: ConvProblem, machine: Machine) -> float:
    """Less than the peak on rows shorter than a vector; and what is set and finished."""
    lanes = machine.vector_bytes // _size(c)
    short = max(1.0, SHORT_ROW * lanes / max(c.outputs[-1], 1))
    one = c.multiplications / max(c.batch, 1)
    work = SCATTER_SLOWDOWN * short * one / machine.flops + SCATTER_ELEMENT * c.in_channels * prod(c.spatial)
    return machine.launch + work / machine.cores


def scatter_workspace(c: ConvProblem, machine: Machine) -> int:
    """Bytes: arguments in the result's type where they have another."""
    return 0 if c.dtype == c.out_dtype else _size(c) * (c.batch * c.out_channels * prod(c.outputs) + prod(c.weight_shape))


def zero_insertion_seconds(c: ConvProblem, machine: Machine) -> float:
    """The stride's worth of multiplications with zeros, and the copy."""
    dense = c.in_channels * c.group_out * c.taps * prod(c.spatial)
    copied = 2 * _size(c) * c.out_channels * prod(c.spatial)
    return 2 * machine.launch + ZERO_SLOWDOWN * dense / machine.flops / machine.cores + copied / machine.bandwidth


def matrix_seconds(entries: int) -> float:
    """Of a sparse matrix with so many."""
    return MATRIX + ENTRY * entries
