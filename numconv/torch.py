"""numconv's operators as functions of torch tensors that autograd goes through: needs the extra `torch`.

`conv1d` … `conv_transpose3d` can be differentiated any number of times: a convolution, its gradient by the input and its gradient by the
weights are three maps that are each other's derivatives.  Every other operator is reached by its name too (`numconv.torch.resize2d`), once
differentiable.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch.autograd.function import once_differentiable

from . import devices, hosts
from .arguments.convolution import conv
from .arguments.edge import at_edge, edge
from .arguments.request import Request
from .arguments.transposed import transpose
from .arguments.values import Spec, Subject, choice, shown
from .catalog import find
from .gradients.vjp import array_parameters, vjp
from .planning import ACCURACIES
from .problem import ConvProblem
from .sampling import padded
from .session import Session

__all__ = ["apply", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "replace"]  # noqa: F822

Tensor = Any  # torch.Tensor: torch is no dependency of the type checker's


class Rows(NamedTuple):
    """Which kernels may be taken, and for whom."""

    function: str
    algorithm: str
    accuracy: str  # which gradients keep to as well


class _Map(torch.autograd.Function):
    """One of the three maps of a geometry; the derivatives of each are the other two."""

    @staticmethod
    def forward(a: Tensor, b: Tensor, bias: Tensor | None, geometry: ConvProblem, direction: str, rows: Rows) -> Tensor:
        device = devices.device(devices.kind(a))
        natives = tuple(None if t is None else device.adopt(t.detach().resolve_conj()) for t in (a, b, bias))
        problem = geometry.with_(direction=direction, bias=bias is not None)
        session = Session(Subject(rows.function), device, rows.algorithm, rows.accuracy)
        return device.release(session(problem, natives[:2] if direction == "weight_grad" else natives), a)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        """Apart from `forward`, as torch.func wants it."""
        a, b, _, ctx.geometry, ctx.direction, ctx.rows = inputs
        ctx.save_for_backward(a, b)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], a: Tensor, b: Tensor, bias: Tensor | None, *rest: Any) -> tuple[Tensor, int]:
        """Images that share their filters are one batch; else one call after the other."""
        geometry, direction, rows = rest
        count, tensors = info.batch_size, (a, b, bias)
        if direction != "weight_grad" and in_dims[1] is None and in_dims[2] is None:
            images = a.movedim(in_dims[0], 0).flatten(0, 1)
            y = _Map.apply(images, b, bias, geometry.with_(batch=count * geometry.batch), direction, rows)
            return y.unflatten(0, (count, geometry.batch)), 0
        found = []
        for i in range(count):
            one = (t if dim is None else t.select(dim, i) for t, dim in zip(tensors, in_dims[:3], strict=True))
            found.append(_Map.apply(*one, *rest))
        return torch.stack(found), 0

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        a, b = ctx.saved_tensors
        geometry, direction, rows = ctx.geometry, ctx.direction, ctx.rows._replace(algorithm="auto")
        wants_a, wants_b, wants_bias = ctx.needs_input_grad[:3]
        da = db = dbias = None
        if direction == "forward":  # x, w
            da = _run("input_grad", g, b.conj(), geometry, rows) if wants_a else None
            db = _run("weight_grad", a.conj(), g, geometry, rows) if wants_b else None
        elif direction == "input_grad":  # y, w
            da = _run("forward", g, b.conj(), geometry, rows) if wants_a else None
            db = _run("weight_grad", g, a.conj(), geometry, rows) if wants_b else None
        else:  # x, y
            da = _run("input_grad", b.conj(), g, geometry, rows) if wants_a else None
            db = _run("forward", a.conj(), g, geometry, rows) if wants_b else None
        if wants_bias:
            channel = g.dim() - 1 if geometry.layout == "channels_last" else 1
            dbias = g.sum(dim=[d for d in range(g.dim()) if d != channel])
        return da, db, dbias, None, None, None


def _run(direction: str, a: Tensor, b: Tensor, geometry: ConvProblem, rows: Rows, bias: Tensor | None = None) -> Tensor:
    return _Map.apply(a, b, bias, geometry, direction, rows)


def _sigmoid_linear(v: Tensor) -> Tensor:
    return torch.nn.functional.silu(v)


ACTIVATIONS: dict[str | None, Callable[[Tensor], Tensor]] = {
    None: lambda v: v,
    "relu": torch.relu,
    "relu6": torch.nn.functional.relu6,
    "silu": _sigmoid_linear,
    "hardswish": torch.nn.functional.hardswish,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
}


def _same_type(x: Tensor, w: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    dtype = functools.reduce(torch.promote_types, [t.dtype for t in (x, w, bias) if t is not None])
    return x.to(dtype), w.to(dtype), None if bias is None else bias.to(dtype)


def _check(name: str, **tensors: Any) -> None:
    for label, t in tensors.items():
        if not isinstance(t, torch.Tensor) and not (label == "bias" and t is None):
            raise TypeError(f"numconv.torch.{name}: {label} must be a torch.Tensor; got {type(t).__module__}.{type(t).__qualname__}")


def _request(name: str, build: Any, tensors: tuple[Any, ...], options: tuple[Any, ...]) -> Request:
    def spec(t: Tensor | None) -> Spec | None:
        if t is None:
            return None
        try:
            return Spec(tuple(t.shape), hosts.dtype_of(str(t.dtype).removeprefix("torch.")))
        except TypeError:
            raise TypeError(f"numconv.torch.{name}: no arithmetic for tensors of {t.dtype}") from None

    specs = tuple(map(spec, tensors))
    subject = Subject(f"numconv.torch.{name}", tuple(zip(("x", "w", "bias"), specs, strict=True)))
    request: Request = build(subject, specs, options)
    return request


def _pad(x: Tensor, problem: ConvProblem) -> Tensor:
    """Padded by the problem's mode: torch selects, so torch knows the way back."""
    start = x.dim() - problem.rank - (problem.layout == "channels_last")
    for axis, (size, low, high) in enumerate(zip(problem.spatial, problem.pad_low, problem.pad_high, strict=True), start=start):
        if low > 0 or high > 0:
            index = torch.from_numpy(padded(size, low, max(high, 0), problem.padding_mode))
            x = x.index_select(axis, index.to(x.device))
    return x


def _convolution(
    rank: int, x: Tensor, w: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1, *,
    padding_mode: str = "zeros", layout: str = "channels_first", activation: str | None = None, algorithm: str = "auto",
    precision: str = "highest", accuracy: str = "any",
) -> Tensor:  # fmt: skip
    name = f"conv{rank}d"
    _check(name, x=x, w=w, bias=bias)
    x, w, bias = _same_type(x, w, bias)

    def options(padding: Any, mode: str) -> tuple[Any, ...]:
        return (rank, False, stride, padding, dilation, groups, mode, layout, activation, None, precision)

    request = _request(name, conv, (x, w, bias), options(padding, padding_mode))
    if request.problems[0].padding_mode != "zeros":  # type: ignore[union-attr]
        x = _pad(x, request.problems[0])  # type: ignore[arg-type]
        request = _request(name, conv, (x, w, bias), options(0, "zeros"))
    return _finish(request, "forward", x, w, bias, activation, Rows(f"numconv.torch.{name}", algorithm, accuracy))


def _transposed(
    rank: int, x: Tensor, w: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0,
    groups: int = 1, dilation: Any = 1, *, output_size: Any = None, layout: str = "channels_first", activation: str | None = None,
    algorithm: str = "auto", precision: str = "highest", accuracy: str = "any",
) -> Tensor:  # fmt: skip
    name = f"conv_transpose{rank}d"
    _check(name, x=x, w=w, bias=bias)
    x, w, bias = _same_type(x, w, bias)
    options = (rank, stride, padding, output_padding, groups, dilation, output_size, layout, activation, None, precision)
    request = _request(name, transpose, (x, w, bias), options)
    return _finish(request, "input_grad", x, w, bias, activation, Rows(f"numconv.torch.{name}", algorithm, accuracy))


def _finish(request: Request, direction: str, x: Tensor, w: Tensor, bias: Any, activation: str | None, rows: Rows) -> Tensor:
    if type(rows.algorithm) is not str:
        raise Subject(rows.function).type(f"algorithm must be a string; got {shown(rows.algorithm)}")
    choice(Subject(rows.function), "accuracy", rows.accuracy, ACCURACIES)
    (problem,) = request.problems
    assert isinstance(problem, ConvProblem)
    shape = request.views[0].shape
    x = x if shape is None else x.reshape(shape)
    y = _run(direction, x, w, problem.with_(activation=None), rows, bias)
    return ACTIVATIONS[activation](y.reshape(request.result_shape))


def _named(name: str, function: Callable[..., Any], rank: int) -> Callable[..., Tensor]:
    @edge(f"numconv.torch.{name}")
    @functools.wraps(function)
    def convolution(*arguments: Any, **options: Any) -> Tensor:
        try:
            return function(rank, *arguments, **options)
        except TypeError:
            signature.bind(*arguments, **options)  # what is missing, or too much, by the public function's parameters
            raise

    signature = inspect.Signature(list(inspect.signature(function).parameters.values())[1:])
    convolution.__name__ = convolution.__qualname__ = name
    convolution.__signature__ = signature  # type: ignore[attr-defined]
    convolution.__doc__ = f"`numconv.{name}` of tensors: any number of derivatives, on the device of x.  Arguments as of that."
    return convolution


conv1d, conv2d, conv3d = (_named(f"conv{n}d", _convolution, n) for n in (1, 2, 3))
conv_transpose1d, conv_transpose2d, conv_transpose3d = (_named(f"conv_transpose{n}d", _transposed, n) for n in (1, 2, 3))


class _Operator(torch.autograd.Function):
    """Any operator by way of `numconv.vjp`."""

    @staticmethod
    def forward(ctx: Any, function: Callable[..., Any], names: tuple[str, ...], options: dict[str, Any], *tensors: Tensor) -> Tensor:
        y, ctx.pullback = vjp(function, **dict(zip(names, (t.detach() for t in tensors), strict=True)), **options)
        order = array_parameters(function)
        ctx.at = [order.index(name) for name in names]
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        found = ctx.pullback(g)
        return (None, None, None, *(found[i] for i in ctx.at))


def apply(function: Callable[..., Any], *values: Any, **options: Any) -> Tensor:
    """Any operator of numconv on tensors, once differentiable.

    Parameters
    ----------
    function : an operator of numconv
        `numconv.dynamic_conv2d`, say.
    *values, **options
        Its arguments; tensors of floating or complex numbers where it takes arrays.

    Returns
    -------
    torch.Tensor

    Examples
    --------
    >>> x = torch.ones(1, 4, 2, 2, requires_grad=True)
    >>> apply(nc.channel_shuffle, x, 2).sum().backward()
    >>> x.grad.sum()
    tensor(16.)
    """
    variant = find(function)
    name = "apply" if variant is None else variant.name
    try:
        if variant is None:
            raise TypeError(f"numconv.torch.apply: function must be an operator of numconv; got {shown(function)}")
        return _applied(variant.function, values, options)
    except Exception as error:
        at_edge(f"numconv.torch.{name}", error)
        raise


def _applied(function: Callable[..., Any], values: tuple[Any, ...], options: dict[str, Any]) -> Tensor:
    given = inspect.signature(function).bind(*values, **options).arguments
    names = tuple(name for name in array_parameters(function) if given.get(name) is not None)
    _check(function.__name__, **{name: given[name] for name in names})
    rest = {k: v for k, v in given.items() if k not in names and v is not None}
    if any(torch._C._functorch.is_functorch_wrapped_tensor(given[name]) for name in names):
        served = ", ".join(name for name in __all__ if name.startswith("conv"))
        raise TypeError(f"numconv.torch.{function.__name__}: not under torch.vmap or torch.func, which {served} are made for")
    return _Operator.apply(function, names, rest, *(given[name] for name in names))


def __getattr__(name: str) -> Any:
    if name == "replace":  # its modules call the functions above
        from .torch_modules import replace

        return replace
    variant = find(name)
    if variant is None:
        raise AttributeError(f"module 'numconv.torch' has no attribute {name!r}")
    return functools.wraps(variant.function)(functools.partial(apply, variant.function))


def __dir__() -> list[str]:
    from .catalog import VARIANTS

    return sorted({*globals(), *__all__, *(v.name for v in VARIANTS)})
