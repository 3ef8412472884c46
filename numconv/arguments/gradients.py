"""Gradients of a convolution by its input and by its weights, as `torch.nn.grad` takes their arguments."""

from __future__ import annotations

from typing import Any

from ..problem import ConvProblem, Ints
from .convolution import ConvOptions, forward
from .request import Image, Request, View, image, required, unbatch, view
from .types import types
from .values import Spec, Subject, per_axis, sequence, shown


def _geometry(subject: Subject, source: Image, w: Ints, dy: Spec, kinds: Any, options: ConvOptions) -> ConvProblem:
    problem = forward(subject, source, w, kinds, False, options, "weight")
    if unbatch(problem.result_shape, source) != dy.shape:
        raise subject.value(f"grad_output must have the shape {unbatch(problem.result_shape, source)}; got {dy.shape}")
    return problem


def _sizes(subject: Subject, label: str, value: Any, counts: tuple[int, ...]) -> Ints:
    items = sequence(value)
    if items is None or len(items) not in counts:
        raise subject.value(f"{label} must list the batch, the channels and the spatial axes; got {shown(value)}")
    return per_axis(subject, label, items, len(items), 0)


def input_gradient(subject: Subject, specs: tuple[Spec | None, ...], options: tuple[Any, ...]) -> Request:
    rank, size, *rest = options
    dy, w = required(subject, "grad_output", specs[0]), required(subject, "weight", specs[1])
    kinds = types(subject, (dy.dtype, w.dtype), None, None)
    source = image(subject, Spec(_sizes(subject, "input_size", size, (rank + 1, rank + 2)), dy.dtype), rank, "channels_first", "input")
    if len(w.shape) != rank + 2:
        raise subject.value(f"weight must have {rank + 2} axes; got {len(w.shape)}")
    problem = _geometry(subject, source, w.shape, dy, kinds, ConvOptions(*rest)).with_(direction="input_grad")
    full = dy.shape if source.batched else (1, *dy.shape)
    views = (view(dy, full, kinds.operand), view(w, None, kinds.operand), View())  # no bias
    return Request((problem,), views, unbatch(problem.result_shape, source))


def weight_gradient(subject: Subject, specs: tuple[Spec | None, ...], options: tuple[Any, ...]) -> Request:
    rank, size, *rest = options
    x, dy = required(subject, "input", specs[0]), required(subject, "grad_output", specs[1])
    kinds = types(subject, (x.dtype, dy.dtype), None, None)
    source = image(subject, x, rank, "channels_first", "input")
    shape = _sizes(subject, "weight_size", size, (rank + 2,))
    problem = _geometry(subject, source, shape, dy, kinds, ConvOptions(*rest)).with_(direction="weight_grad")
    full = dy.shape if source.batched else (1, *dy.shape)
    views = (view(x, source.full("channels_first"), kinds.operand), view(dy, full, kinds.operand))
    return Request((problem,), views, problem.result_shape)
