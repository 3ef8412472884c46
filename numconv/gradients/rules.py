"""One rule for each kind of problem: from the gradient of its result to those of its arrays.

Complex arrays: gradients are those of a real function of the result, g = ∂L/∂Re y + i·∂L/∂Im y, so a product's gradient takes the conjugate
of the other factor (torch's convention).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from .. import sampling
from ..chunks import gradients as chunked
from ..devices import kind
from ..problem import AttentionProblem, ConvProblem, DeformProblem, MixProblem, PatchProblem, Problem, ResizeProblem, ShuffleProblem
from ..session import Session
from . import convolution, elementwise
from .elementwise import adjoint_along, conjugate

Pull = Callable[[Any], tuple[Any, ...]]
Arrays = tuple[Any, ...]


def rule(session: Session, problem: Problem, arrays: Arrays, result: Any, plan_as: Problem | None, kept: dict[Any, Any] | None) -> Pull:
    """The way back through one problem that was run on `arrays` and gave `result`; `kept`: packed weights, of a layer."""
    if isinstance(problem, ConvProblem):
        filters = convolution.Filters(session, arrays[1], kept)
        return partial(convolution.pull, session, problem, arrays, result, plan_as, filters)
    return partial(_RULES[type(problem)], session, problem, arrays, result)


def _shuffle(session: Session, p: ShuffleProblem, arrays: Arrays, result: Any, g: Any) -> Arrays:
    return (session(replace(p, groups=p.channels // p.groups, dtype=g.dtype.name), (g,)),)


def _resize(session: Session, p: ResizeProblem, arrays: Arrays, result: Any, g: Any) -> Arrays:
    scales: tuple[float | None, ...] = p.scale or (None,) * len(p.size)
    start = 1 if p.layout == "channels_last" else 2
    for axis, (count, size, scale) in enumerate(zip(p.spatial, p.size, scales, strict=True), start=start):
        if p.mode == "nearest":
            g = adjoint_along(g, axis, sampling.nearest(count, size, scale)[None], None, count)
        else:
            real = "float64" if g.dtype in (np.float64, np.complex128) else "float32"  # as the kernel rounds them
            index, weight = sampling.linear(count, size, scale, p.align_corners, real)
            g = adjoint_along(g, axis, index, weight, count)
    return (g,)


def _attention(session: Session, p: AttentionProblem, arrays: Arrays, result: Any, g: Any) -> Arrays:
    """Back through the softmax, the two dense layers and the mean; in float32 for half types."""
    if kind(g) == "chunks":
        return chunked.together(session, p, arrays, result, g)
    if kind(g) == "cuda":
        from ..cuda.operators.dynamic import attention_back

        return _attention_on_gpu(session, p, arrays, attention_back(p, arrays, result, g))
    wide = np.dtype(np.float32) if g.dtype.itemsize == 2 else g.dtype
    widened: list[Any] = [None if a is None else a.astype(wide, copy=False) for a in arrays]
    x, fc1, fc2, bias1, bias2 = widened
    axes = tuple(range(1, len(p.spatial) + 1)) if p.layout == "channels_last" else tuple(range(2, x.ndim))
    pooled = x.mean(axis=axes)
    before = pooled @ fc1.T + (0 if bias1 is None else bias1)
    hidden = np.maximum(before, 0)
    a, g = result.astype(wide, copy=False), g.astype(wide, copy=False)
    dz = a * (g - (g * a).sum(axis=1, keepdims=True)) / wide.type(p.temperature)
    dh = (dz @ fc2) * (before > 0)
    dpooled = (dh @ fc1) / (x.size / max(pooled.size, 1))
    dx = np.broadcast_to(np.expand_dims(dpooled, axes), x.shape)
    found = (dx, dh.T @ pooled, dz.T @ hidden, None if bias1 is None else dh.sum(axis=0), None if bias2 is None else dz.sum(axis=0))
    return tuple(None if d is None else d.astype(array.dtype) for d, array in zip(found, arrays, strict=True))


def _attention_on_gpu(session: Session, p: AttentionProblem, arrays: Arrays, steps: Arrays) -> Arrays:
    """The products of matrices and the spreading of the means, as the device runs them."""
    means, hidden, dz, dh, dmeans = steps
    x, fc1, fc2, bias1, bias2 = arrays

    def product(a: Any, b: Any, like: Any) -> Any:  # aᵀ·b, over the samples
        mix = MixProblem(a.shape[1], p.batch, b.shape[1], a.dtype.name)
        return session.cast(session(mix, (session.transpose(a, (1, 0)), b)), like.dtype.name)

    dx = session.device.broadcast(session.reshape(session.cast(dmeans, x.dtype.name), (*dmeans.shape, *(1 for _ in p.spatial))), x.shape)
    return (
        session.device.copy(dx),
        product(dh, means, fc1),
        product(dz, hidden, fc2),
        None if bias1 is None else elementwise.column_sum(session, dh, bias1.dtype),
        None if bias2 is None else elementwise.column_sum(session, dz, bias2.dtype),
    )


def _mix(session: Session, p: MixProblem, arrays: Arrays, result: Any, g: Any) -> Arrays:
    """Both factors of the product of matrices attention (N, K) · values (K, L), as problems of the device."""
    attention, values = (conjugate(a) for a in arrays)
    product = ConvProblem(
        direction="forward", batch=p.batch, in_channels=p.length, out_channels=p.kernels, groups=1, spatial=(1,), kernel=(1,), stride=(1,),
        pad_low=(0,), dilation=(1,), outputs=(1,), dtype=p.dtype, out_dtype=p.dtype,
    )  # fmt: skip
    back = session.reshape
    da = session(product, (back(g, (p.batch, p.length, 1)), back(values, (p.kernels, p.length, 1)), None))
    dv = session(replace(p, batch=p.kernels, kernels=p.batch), (session.transpose(attention, (1, 0)), g))
    return back(da, (p.batch, p.kernels)), dv


def _patches(session: Session, p: PatchProblem, arrays: Arrays, result: Any, g: Any) -> Arrays:
    direction = "fold" if p.direction == "unfold" else "unfold"
    return (session(replace(p, direction=direction), (g,)),)


def _deformable(session: Session, p: DeformProblem, arrays: Arrays, result: Any, g: Any) -> Arrays:
    if kind(g) == "chunks":
        return chunked.together(session, p, arrays, result, g)
    g = elementwise.through_activation(session, p, arrays, result, g)
    x, offset, w, bias, mask = arrays
    db = None if bias is None else elementwise.channel_sum(session, g, False, bias.dtype)
    if kind(g) == "cuda":
        from ..cuda.operators.deformable import backward as on_gpu

        dx, doffset, dw, dmask = on_gpu.gradients(session, p, (x, offset, w, mask), g)
    else:
        from ..cpu.operators.deformable import backward as deformable_grad

        dx, doffset, dw, dmask = deformable_grad.gradients(p, x, offset, w, mask, g)
    return dx, doffset, dw, db, dmask


_RULES: dict[type, Callable[[Session, Any, Arrays, Any, Any], Arrays]] = {
    ShuffleProblem: _shuffle,
    ResizeProblem: _resize,
    AttentionProblem: _attention,
    MixProblem: _mix,
    PatchProblem: _patches,
    DeformProblem: _deformable,
}
