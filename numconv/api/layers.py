"""Convolutions with weights of their own, packed once: inference."""

from __future__ import annotations

from types import FunctionType
from typing import Any

import numpy as np

from .. import devices
from ..arguments.convolution import ConvOptions, conv
from ..arguments.edge import at_edge, edge
from ..arguments.request import Builder, Request, View, optional, required, weights
from ..arguments.transposed import TransposeOptions, transpose
from ..arguments.values import LAYOUTS, Spec, Subject, choice, integer
from ..call import adopt, call, fits, on_host, only_step, run
from ..memory import BOUND, Store
from ..plan import Plan
from ..planning import ACCURACIES, plan_for
from ..problem import ConvProblem
from ..session import Session, launch, repeat
from ..watching import watched
from .dense import LABELS

IMAGE = 1 << 14  # side of an image that no kernel or reflection exceeds
PACKED = 16  # packings kept by a layer, which differ: for rows and tiles that images of several sizes take


def _bits(packed: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return packed.reshape(-1).view(np.uint8)


class _Layer:
    """Weights, bias and keywords; `layer(x, out=None)` convolves."""

    _labels: tuple[str, ...]

    def __init_subclass__(cls) -> None:
        """A public class: what its calls raise begins with its name, Python's own words about missing arguments too."""
        if "rank" not in vars(cls):
            return
        cls.__init__ = edge(cls.__name__)(cls.__init__)  # type: ignore[method-assign]
        own = FunctionType(_Layer.__call__.__code__, globals(), "__call__", _Layer.__call__.__defaults__)
        own.__qualname__ = f"{cls.__name__}.__call__"
        cls.__call__ = own  # type: ignore[assignment, method-assign]

    def __init__(self, name: str, build: Builder, rank: int, w: Any, bias: Any, options: tuple[Any, ...], rows: tuple[str, str]) -> None:
        self._name, self._build, self._rank, self._options = name, build, rank, options
        self._algorithm, self._accuracy = rows
        device, (weight, own_bias), subject = adopt(name, ("w", "bias"), (w, bias))
        spec = required(subject, "w", subject.arrays[0][1])
        weights(subject, spec, rank)
        optional(subject, "bias", subject.arrays[1][1])
        self._like, self._device = w, device
        self._weight = device.copy(weight)  # the caller may go on to change what was given
        self._bias = None if own_bias is None else device.copy(own_bias)
        self._packings: list[Any] = []
        self._packed = Store()  # one of them by row and geometry
        self.gradients: dict[Plan, Any] = {}  # the weights as input gradients want them: kept by `vjp`
        self._calls = Store()  # (plan, weights as packed, bias, bound call) by shape, dtype and flags of x
        self._check(subject, spec)

    def _check(self, subject: Subject, spec: Spec) -> None:
        """Refuse impossible keywords now: hold them against an image that suits the weights."""
        choice(subject, "accuracy", self._accuracy, ACCURACIES)
        groups = integer(subject, "groups", self._options[self._labels.index("groups")], 1)
        channels = spec.shape[1] * groups if self._build is conv else spec.shape[0]
        options = [None if label == "output_size" else value for label, value in zip(self._labels, self._options, strict=True)]
        layout = choice(subject, "layout", options[self._labels.index("layout")], LAYOUTS)
        sides = (IMAGE,) * self._rank
        shape = (1, *sides, channels) if layout == "channels_last" else (1, channels, *sides)
        self._build(subject, (Spec(shape, spec.dtype), *(s for _, s in subject.arrays)), (self._rank, *options))

    @property
    def weight(self) -> Any:
        """The weights, as they were given."""
        return self._device.release(self._device.copy(self._weight), self._like)

    def pack(self, plan: Plan) -> Any:
        """The weights as the plan's kernel wants them."""
        problem = plan.problem
        assert isinstance(problem, ConvProblem)
        key = (plan.kernel, problem.with_(batch=1))
        found = self._packed.get(key)
        if found is None:
            found = self._device.pack(plan, self._device.cast(self._weight, problem.dtype))
            found = self._shared(found)
            self._packed.put(key, found, 0)
        return found

    def _shared(self, packed: Any) -> Any:
        """The same packing as of an image of another size, where it is one."""
        for other in self._packings if isinstance(packed, np.ndarray) else ():
            if other.shape == packed.shape and other.dtype == packed.dtype and np.array_equal(_bits(other), _bits(packed)):
                return other
        if len(self._packings) >= PACKED:
            for holder in (self._packings, self._packed, self._calls):
                holder.clear()
        self._packings.append(packed)
        return packed

    def __call__(self, x: Any, out: Any = None) -> Any:
        try:
            hosted = on_host((x,)) if x is not None and not watched() else None
            known = None if hosted is None else self._calls.get((hosted[0].shape, hosted[0].dtype, hosted[0].flags.num))
            if known is not None and hosted is not None:
                plan, packed, bias, bound = known
                if out is None:
                    return self._device.release(repeat(self._name, bound, (*hosted, packed, bias)), x)
                if fits(out, plan.problem, (x,)):
                    return self._device.release(launch(self._name, self._device, plan, (*hosted, packed, bias), out, True), x)
            device, natives, subject = adopt(self._name, LABELS, (x, self._weight, self._bias))
            request = self._build(subject, tuple(spec for _, spec in subject.arrays), (self._rank, *self._options))
            session = Session(subject, device, self._algorithm, self._accuracy, self.pack)
            result = run(session, request, natives, x, out, only_step)
            if hosted is not None:
                self._remember(session, request, hosted[0])
            return result
        except Exception as error:
            at_edge(self._name, error)
            raise

    def unpacked(self, x: Any) -> Any:
        """The same result by way of `call.call`, where a gradient's tape sees the weights as they were given."""
        options = (self._rank, *self._options)
        return call(self._name, self._build, LABELS, (x, self._weight, self._bias), options, None, self._algorithm, accuracy=self._accuracy)

    def _remember(self, session: Session, request: Request, x: Any) -> None:
        """Shape and type of an image on which one kernel runs as it is: the next call with such an image needs no checks."""
        (problem,), (x_view, _, bias_view) = request.problems, request.views
        if x_view != View() or problem.result_shape != request.result_shape or 0 in request.result_shape:
            return
        plan = plan_for(session.subject, session.device, problem, None, self._algorithm, self._accuracy)
        bias = self._bias if bias_view.dtype is None else self._device.cast(self._bias, bias_view.dtype)
        packed = self.pack(plan)
        bound = self._device.bind(plan, (x, packed, bias), True)
        self._calls.put((x.shape, x.dtype, x.flags.num), (plan, packed, bias, bound), BOUND)

    def __getstate__(self) -> dict[str, Any]:
        """For pickle and copy: the weights and keywords; what is packed or bound is found again."""
        fresh: dict[str, Any] = {"_packings": [], "_packed": Store(), "gradients": {}, "_calls": Store()}
        return vars(self) | fresh | {"_device": self._device.name, "_like": self._like[:0]}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _device=devices.device(state["_device"]))

    def __repr__(self) -> str:
        return f"{self._name}(w {tuple(self._weight.shape)} {self._weight.dtype}, bias={self._bias is not None})"


class _Conv(_Layer):
    rank: int
    _labels = ("shuffle", *ConvOptions._fields)

    def __init__(
        self, w: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1, *,
        padding_mode: str = "zeros", layout: str = "channels_first", activation: str | None = None, out_dtype: Any = None,
        algorithm: str = "auto", precision: str = "highest", accuracy: str = "any",
    ) -> None:  # fmt: skip
        options = (False, stride, padding, dilation, groups, padding_mode, layout, activation, out_dtype, precision)
        super().__init__(type(self).__name__, conv, self.rank, w, bias, options, (algorithm, accuracy))


class _ConvTranspose(_Layer):
    rank: int
    _labels = TransposeOptions._fields

    def __init__(
        self, w: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0, groups: int = 1, dilation: Any = 1, *,
        output_size: Any = None, layout: str = "channels_first", activation: str | None = None, out_dtype: Any = None,
        algorithm: str = "auto", precision: str = "highest", accuracy: str = "any",
    ) -> None:  # fmt: skip
        options = (stride, padding, output_padding, groups, dilation, output_size, layout, activation, out_dtype, precision)
        super().__init__(type(self).__name__, transpose, self.rank, w, bias, options, (algorithm, accuracy))


class Conv1d(_Conv):
    """`conv1d` with weights of its own, packed once for each geometry that is asked for: `layer(x, out=None)`.

    Takes the arguments of `conv1d` but for x and out.  Weights and bias are copied; `layer.weight` gives a copy back.

    Examples
    --------
    >>> layer = nc.Conv1d(np.ones((4, 2, 3)))
    >>> layer(np.ones((1, 2, 8))).shape
    (1, 4, 6)
    """

    rank = 1


class Conv2d(_Conv):
    """`conv2d` with weights of its own, packed once for each geometry that is asked for: `layer(x, out=None)`.

    Takes the arguments of `conv2d` but for x and out.  Weights and bias are copied; `layer.weight` gives a copy back.

    Examples
    --------
    >>> layer = nc.Conv2d(np.ones((4, 2, 3, 3)), padding="same")
    >>> layer(np.ones((1, 2, 8, 8))).shape
    (1, 4, 8, 8)
    """

    rank = 2


class Conv3d(_Conv):
    """`conv3d` with weights of its own, packed once for each geometry that is asked for: `layer(x, out=None)`.

    Takes the arguments of `conv3d` but for x and out.  Weights and bias are copied; `layer.weight` gives a copy back.

    Examples
    --------
    >>> layer = nc.Conv3d(np.ones((4, 2, 3, 3, 3)))
    >>> layer(np.ones((1, 2, 4, 4, 4))).shape
    (1, 4, 2, 2, 2)
    """

    rank = 3


class ConvTranspose1d(_ConvTranspose):
    """`conv_transpose1d` with weights of its own, packed once for each geometry that is asked for: `layer(x, out=None)`.

    Takes the arguments of `conv_transpose1d` but for x and out.  Weights and bias are copied; `layer.weight` gives a copy back.

    Examples
    --------
    >>> layer = nc.ConvTranspose1d(np.ones((2, 4, 3)), stride=2)
    >>> layer(np.ones((1, 2, 8))).shape
    (1, 4, 17)
    """

    rank = 1


class ConvTranspose2d(_ConvTranspose):
    """`conv_transpose2d` with weights of its own, packed once for each geometry that is asked for: `layer(x, out=None)`.

    Takes the arguments of `conv_transpose2d` but for x and out.  Weights and bias are copied; `layer.weight` gives a copy back.

    Examples
    --------
    >>> layer = nc.ConvTranspose2d(np.ones((2, 4, 2, 2)), stride=2)
    >>> layer(np.ones((1, 2, 8, 8))).shape
    (1, 4, 16, 16)
    """

    rank = 2


class ConvTranspose3d(_ConvTranspose):
    """`conv_transpose3d` with weights of its own, packed once for each geometry that is asked for: `layer(x, out=None)`.

    Takes the arguments of `conv_transpose3d` but for x and out.  Weights and bias are copied; `layer.weight` gives a copy back.

    Examples
    --------
    >>> layer = nc.ConvTranspose3d(np.ones((2, 4, 2, 2, 2)), stride=2)
    >>> layer(np.ones((1, 2, 4, 4, 4))).shape
    (1, 4, 8, 8, 8)
    """

    rank = 3
