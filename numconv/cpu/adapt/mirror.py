"""The input gradient of a convolution of stride 1 as what it also is: a convolution, with the filters flipped and their channels swapped.

So kernels that know the forward map serve it as well: `winograd` reads the filters in that order, the depthwise ones are given flipped
copies.
"""

from __future__ import annotations

from dataclasses import replace
from functools import wraps
from math import prod
from typing import Any

import numpy as np

from ...kernel import Kernel, Machine
from ...memory import kept
from ...problem import ConvProblem, effective_kernel, one_of


def refusal(p: ConvProblem) -> str | None:
    """Why `p` is no convolution, or None."""
    if p.direction == "forward":
        return None
    if set(p.stride) != {1}:
        return "serves the input gradient of stride 1 only"
    return "serves no padding beyond the filter" if min(_low(p)) < 0 else None


def _low(p: ConvProblem) -> tuple[int, ...]:
    return tuple(effective_kernel(k, d) - 1 - low for k, d, low in zip(p.kernel, p.dilation, p.pad_low, strict=True))


@kept
def forward_of(p: ConvProblem) -> ConvProblem:
    """The convolution that gives the same as `p`; unless it is refused."""
    if p.direction == "forward":
        return p
    found: ConvProblem = one_of(
        p.with_(
            direction="forward",
            in_channels=p.out_channels,
            out_channels=p.in_channels,
            spatial=p.outputs,
            pad_low=_low(p),
            outputs=p.spatial,
        )
    )
    return found


def flipped(p: ConvProblem, w: np.ndarray) -> np.ndarray:
    """The filters of that convolution, whatever its stride."""
    if p.direction == "forward":
        return w
    grouped = w.reshape(p.groups, p.group_out, p.group_in, *p.kernel)
    turned = np.flip(grouped.swapaxes(1, 2), axis=tuple(range(3, 3 + p.rank)))
    return np.ascontiguousarray(turned).reshape(p.in_channels, p.group_out, *p.kernel)


def _copied(p: ConvProblem) -> int:
    """Bytes."""
    return 0 if p.direction == "forward" else prod(p.weight_shape) * np.dtype(p.dtype).itemsize


def mirrored(row: Kernel) -> Kernel:
    """A row for small filters that serves input gradients as well: the filters are flipped before they are packed."""

    @wraps(row.run)
    def run(problem: ConvProblem, arrays: tuple[Any, ...], out: np.ndarray, machine: Machine) -> None:
        row.run(forward_of(problem), arrays, out, machine)

    return replace(
        row, run=run, directions=row.directions | {"input_grad"},
        refuse=lambda problem: refusal(problem) or row.refuse(forward_of(problem)),
        cost=lambda problem, machine: row.cost(forward_of(problem), machine),
        workspace=lambda problem, machine: row.workspace(forward_of(problem), machine) + _copied(problem),
        pack=lambda problem, w, machine: row.pack(forward_of(problem), flipped(problem, w), machine),
    )  # fmt: skip
