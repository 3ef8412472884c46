"""The way back through a convolution.

What follows from the problem alone is worked out once.  What follows from the weights is kept where they stay: those of a layer, and of a
pullback that is called again, are packed once for the input gradient.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import hosts
from ..memory import kept
from ..plan import Plan
from ..problem import ConvProblem, ShuffleProblem, one_of
from ..sampling import padded
from ..session import Session
from . import elementwise
from .elementwise import adjoint_along, conjugate

Arrays = tuple[Any, ...]
PACKED = 16  # packings kept with a layer: one for each geometry that gradients were asked for


class Filters:
    """The weights of a convolution as its input gradient wants them.  `kept`: what was packed of the same weights before."""

    def __init__(self, session: Session, w: Any, kept: dict[Plan, Any] | None) -> None:
        self.plain, self.w = session, w
        self.kept, self.again = ({}, False) if kept is None else (kept, True)
        self.packing = Session(session.subject, session.device, "auto", session.accuracy, self._packed)

    def __getstate__(self) -> dict[str, Any]:
        """For pickle and copy: what is packed is packed again."""
        return vars(self) | {"kept": {}}

    def _packed(self, plan: Plan) -> Any:
        problem: Any = plan.problem
        found = self.kept.get(plan)
        if found is None:
            if len(self.kept) >= PACKED:
                self.kept.clear()
            found = self.kept[plan] = self.plain.device.pack(plan, self.plain.cast(conjugate(self.w), problem.dtype))
        return found

    def gradient(self, problem: ConvProblem, plan_as: Any, g: Any) -> Any:
        """The weights as they are the first time: whoever calls once would pack in vain what kernels pack for themselves."""
        if self.again:
            return self.packing(problem, (g, None, None), None, plan_as)
        self.again = True
        return self.plain(problem, (g, conjugate(self.w), None), None, plan_as, "auto")


@kept
def _gradient_of(p: ConvProblem, direction: str, g: np.dtype[Any], like: np.dtype[Any]) -> ConvProblem:
    """The same geometry in another direction, without what surrounds the sum; of a padding mode, the gradient of the padded image."""
    changes: dict[str, Any] = {}
    if direction == "input_grad" and p.padding_mode != "zeros":
        spatial = tuple(n + low + high for n, low, high in zip(p.spatial, p.pad_low, _highs(p), strict=True))
        changes = {"padding_mode": "zeros", "spatial": spatial, "pad_low": (0,) * p.rank}
    dtype = np.promote_types(hosts.dtype_of(p.dtype), g).name
    found: ConvProblem = one_of(
        p.with_(direction=direction, dtype=dtype, out_dtype=like.name, bias=False, activation=None, shuffle=1, **changes)
    )
    return found


def _highs(p: ConvProblem) -> tuple[int, ...]:
    return tuple(max(high, 0) for high in p.pad_high)


def pull(session: Session, p: ConvProblem, arrays: Arrays, result: Any, plan_as: Any, filters: Filters, g: Any) -> Arrays:
    """The gradients of x, w and bias."""
    x, w, bias = arrays
    if p.activation is not None:
        g = elementwise.through_activation(session, p, arrays, result, g, plan_as)
    if p.shuffle > 1:
        channels, extents = p.target
        g = session(ShuffleProblem(p.batch, channels, extents, g.dtype.name, p.layout, channels // p.shuffle), (g,))

    def of(direction: str, like: Any) -> tuple[ConvProblem, Any]:
        return _gradient_of(p, direction, g.dtype, like.dtype), plan_as and _gradient_of(plan_as, direction, g.dtype, like.dtype)

    db = None if bias is None else elementwise.channel_sum(session, g, p.layout == "channels_last", bias.dtype)
    problem, one = of("weight_grad", w)
    dw = session(problem, (g, conjugate(x)) if p.direction == "input_grad" else (conjugate(x), g), None, one)
    problem, one = of("forward" if p.direction == "input_grad" else "input_grad", x)
    dx = filters.gradient(problem, one, g)
    return dx if p.padding_mode == "zeros" or p.direction == "input_grad" else _unpad(dx, p), dw, db


def _unpad(g: Any, p: ConvProblem) -> Any:
    """Adjoint of padding by a mode: every copy is added to what it copies."""
    axes = zip(p.spatial, p.pad_low, _highs(p), strict=True)
    for axis, (size, low, high) in enumerate(axes, start=1 if p.layout == "channels_last" else 2):
        if low or high:
            g = adjoint_along(g, axis, padded(size, low, high, p.padding_mode)[None], None, size)
    return g
