"""The input gradient of a convolution of stride 1 as what it also is: a convolution, with the filters flipped and their channels swapped.

So it can run on the kernels that know the forward map only (Winograd, depthwise rows), where these are predicted to be faster.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from ..problem import ConvProblem, effective_kernel, one_of
from ..session import Session, plan_for


@lru_cache(maxsize=4096)
def flipped_problem(p: ConvProblem) -> ConvProblem | None:
    """The convolution that gives the same as `p`, an input_grad; None where there is none."""
    low = tuple(effective_kernel(k, d) - 1 - pad for k, d, pad in zip(p.kernel, p.dilation, p.pad_low, strict=True))
    if set(p.stride) != {1} or min(low) < 0 or p.padding_mode != "zeros" or not p.batch:
        return None
    found: ConvProblem = one_of(
        p.with_(direction="forward", in_channels=p.out_channels, out_channels=p.in_channels, spatial=p.outputs, pad_low=low, outputs=p.spatial)
    )
    return found


def flipped_if_better(session: Session, p: ConvProblem) -> ConvProblem:
    """That convolution if its kernel is predicted to be faster, else `p`; on the CPU only, as a GPU would have to copy the filters."""
    found = flipped_problem(p) if session.device.name == "cpu" else None
    return found if found is not None and _seconds(session, found) < _seconds(session, p) else p


def _seconds(session: Session, problem: ConvProblem) -> float:
    return plan_for(session.subject, session.device, problem, None, "auto", session.accuracy).seconds


def flipped_weights(p: ConvProblem, w: Any) -> Any:
    """Those of the convolution `p` that stands for an input gradient: its inputs' filters, with channels swapped, each flipped along all its axes."""
    grouped = w.reshape(p.groups, p.group_in, p.group_out, *p.kernel)
    flipped = np.flip(grouped.swapaxes(1, 2), axis=tuple(range(3, 3 + p.rank)))
    return np.ascontiguousarray(flipped).reshape(p.weight_shape)
