"""`vjp`: any operator's result, and the function that leads a gradient of it back to the arrays."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from .. import devices, hosts
from ..api.layers import _Layer
from ..arguments.edge import edge
from ..arguments.types import COMPLEX, FLOATS, INTEGERS
from ..arguments.values import Subject, host_array, shown
from ..catalog import find
from ..watching import sessions
from . import elementwise
from .tape import Tape

SUBJECT = Subject("vjp")
#: names of parameters that are arrays, in any operator
ARRAYS = frozenset(
    {"x", "w", "bias", "depthwise", "pointwise", "mid_bias", "column", "row", "lateral", "vertical", "horizontal", "fc1", "fc2", "bias1"}
    | {"bias2", "kernels", "attention", "offset", "mask", "cols", "in1", "in2", "input", "weights"}
)  # fmt: skip


@edge("vjp", operators=True)
def vjp(function: Callable[..., Any], *arrays: Any, **options: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    """The result of an operator, and the function that takes a gradient of the result to gradients of its arrays.

    Parameters
    ----------
    function : an operator of numconv, or a layer
        Any function that maps arrays to an array: `conv2d`, `channel_shuffle`, `dynamic_attention`, `deform_conv2d`, …
    *arrays, **options
        Its arguments, but for `out`.  The arrays must hold floating or complex numbers, and must not be changed before `pullback` is done.

    Returns
    -------
    y : array
        What `function(*arrays, **options)` returns.
    pullback : callable
        ``pullback(dy)``, dy of the shape of y, gives a tuple with one gradient for each array argument of `function`, in the order of its
        parameters, up to the last one given; None for one that was left out or None.  Each has the shape and type of its array.  It may
        be called again.

    Raises
    ------
    TypeError
        For a function that is not an operator of numconv, or arrays of integers.
    ValueError
        For a dy of another shape; and whatever `function` raises.

    Notes
    -----
    With J the derivative of y by an array, its gradient is Jᵀ·dy.  For complex arrays it is Jᴴ·dy (torch's convention): that of the real
    loss L with dy = ∂L/∂Re y + i·∂L/∂Im y, so that ``x -= rate * dx`` descends; ⟨dy, J·v⟩ = ⟨Jᴴ·dy, v⟩.

    Sums run in a fixed order: the same bits for any number of threads.

    Examples
    --------
    >>> y, pullback = nc.vjp(nc.conv1d, np.array([[1.0, 2.0, 3.0]]), np.array([[[1.0, -1.0]]]))
    >>> y
    array([[-1., -1.]])
    >>> dx, dw = pullback(np.array([[1.0, 10.0]]))
    >>> dx, dw
    (array([[  1.,   9., -10.]]), array([[[21., 32.]]]))
    """
    if isinstance(function, _Layer):
        return _vjp_of_layer(function, arrays, options)
    variant = find(function) if callable(function) else None
    if variant is None:
        raise SUBJECT.type(f"function must be an operator of numconv that maps arrays to an array; got {shown(function)}")
    if options.get("out") is not None:
        raise SUBJECT.type("the result is kept for the way back: out is not supported")
    given = {**dict(zip(parameters(function), arrays, strict=False)), **options}
    labels = array_parameters(function)
    passed = [i for i, name in enumerate(labels) if name in given]
    kept = labels[: max(passed, default=-1) + 1]
    _check(function.__name__, [(name, given.get(name)) for name in kept])
    tape = Tape()
    with sessions(tape.session):
        y = function(*arrays, **options)
    return y, Pullback(tape, y, [given.get(name) for name in kept])


@cache
def parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    return tuple(inspect.signature(function).parameters)


def array_parameters(function: Callable[..., Any]) -> list[str]:
    """The names of an operator's parameters that are arrays, in order."""
    return [name for name in parameters(function) if name in ARRAYS]


def _vjp_of_layer(layer: _Layer, arrays: tuple[Any, ...], options: dict[str, Any]) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    if len(arrays) != 1 or options:
        raise SUBJECT.type(f"a layer takes x alone; got {len(arrays)} arrays and the keywords {sorted(options)}")
    _check(repr(layer), [("x", arrays[0])])
    tape = Tape(layer.pack, layer.gradients)
    with sessions(tape.session):
        y = layer.unpacked(arrays[0])
    return y, Pullback(tape, y, [arrays[0]])


def _check(name: str, arrays: list[tuple[str, Any]]) -> None:
    for label, array in arrays:
        if array is None:
            continue
        dtype = getattr(array, "dtype", None) or host_array(SUBJECT, f"{label} of {name}", array).dtype
        if not _differentiable(dtype):
            raise SUBJECT.type(f"gradients are of floating or complex numbers; {label} of {name} has dtype {_name_of(dtype)}")


def _name_of(dtype: Any) -> str:
    """Whatever the order of its bytes, which NumPy's `str` has in it: ">f8" is float64."""
    return dtype.name if isinstance(dtype, np.dtype) else str(dtype).removeprefix("torch.")


@cache
def _differentiable(dtype: Any) -> bool:
    return _name_of(dtype) in FLOATS | COMPLEX


class Pullback:
    """The way back along a tape, as `vjp` gives it."""

    def __init__(self, tape: Tape, y: Any, wanted: list[Any]) -> None:
        self._tape, self._wanted, self._device = tape, wanted, devices.kind(y)
        native = devices.device(self._device).adopt(y)
        self._shape, self._dtype = tuple(native.shape), native.dtype

    @edge("vjp")
    def __call__(self, dy: Any) -> tuple[Any, ...]:
        device, dtype = devices.device(self._device), self._dtype
        if devices.kind(dy) != device.name:
            raise SUBJECT.type(f"dy must be on {device.name}, as y is; got {type(dy).__module__}.{type(dy).__qualname__}")
        try:
            g = device.adopt(dy)
        except hosts.Refusal as error:
            raise SUBJECT.type(f"dy {error}") from None
        if tuple(g.shape) != self._shape:
            raise SUBJECT.value(f"dy must have the shape of y, {self._shape}; got {tuple(g.shape)}")
        if g.dtype != dtype:
            if g.dtype.name not in INTEGERS | FLOATS | COMPLEX:
                raise SUBJECT.type(f"dy must hold numbers; got dtype {g.dtype}")
            if g.dtype.kind == "c" and dtype.kind != "c":
                raise SUBJECT.type(f"dy must be real, as y is; got dtype {g.dtype}")
            g = device.cast(g, dtype.name)
        found = self._tape.pull(g) if self._tape.notes else [None] * len(self._wanted)  # an empty result has no steps
        return tuple(None if a is None else _finished(device, a, part, g) for a, part in zip(self._wanted, found, strict=False))


def _finished(device: Any, array: Any, gradient: Any, g: Any) -> Any:
    """As the user's kind of array; zeros where nothing leads from the array to the result (an empty batch)."""
    if gradient is None:
        like = device.adopt(array)
        gradient = elementwise.zeros(tuple(like.shape), like.dtype, like)
    elif device.name == "cpu":
        flags = gradient.flags
        if not (flags.c_contiguous and flags.writeable) or np.may_share_memory(gradient, g):
            gradient = np.array(gradient, order="C")
    return device.release(gradient, array)
