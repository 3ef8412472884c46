"""Neural networks in ONNX files, their convolutions by numconv: needs the extra `onnx`.

Weights are packed once; batch normalisation and activations after a convolution are folded into it; all other operators are those of
ONNX's reference evaluator.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper

from ..arguments.values import shown
from .evaluator import Evaluator
from .graph import fed, simplified

__all__ = ["Network", "backend", "prepare", "run"]

Array = np.ndarray[Any, Any]


class Network:
    """A model made ready by `prepare`: `network.run(inputs)` as often as wanted.

    Attributes
    ----------
    inputs, outputs : tuple of str
        Names, in the order in which sequences of them are taken and given.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        wanted = fed(model)
        self.inputs = tuple(i.name for i in wanted)
        self.outputs = tuple(o.name for o in model.graph.output)
        self._kinds = {i.name: _element_type(i) for i in wanted}
        self._optional = {i.name for i in model.graph.initializer}
        self._evaluator = Evaluator(simplified(model))

    def run(self, inputs: Any) -> list[Any]:
        """All outputs, in the model's order.

        Parameters
        ----------
        inputs : mapping of names to arrays, sequence of arrays in the model's order, or the only array
            Of the types that the model declares; lists are taken for arrays of them.

        Returns
        -------
        list of arrays

        Raises
        ------
        ValueError
            An input is missing or unknown, or one is of a shape that a convolution cannot take.
        TypeError
            An input is of another type than the model declares.

        Examples
        --------
        >>> network = nc.onnx.prepare(model)  # doctest: +SKIP
        >>> network.run({"x": image})  # doctest: +SKIP
        """
        given = self._named(inputs)
        unknown = [name for name in given if name not in self.inputs]
        missing = [name for name in self.inputs if name not in given and name not in self._optional]
        if unknown or missing:
            wrong = f"inputs {missing} are missing" if missing else f"inputs {unknown} are none of the model's"
            raise ValueError(f"onnx.run: {wrong}; the model takes {list(self.inputs)}; got {list(given)}")
        found = self._evaluator.run(None, {name: self._typed(name, value) for name, value in given.items()})
        assert isinstance(found, list)
        return found

    def _named(self, inputs: Any) -> dict[str, Any]:
        if isinstance(inputs, Mapping):
            return dict(inputs)
        values = list(inputs) if isinstance(inputs, Sequence) and not isinstance(inputs, str) else [inputs]
        if len(values) > len(self.inputs):
            raise ValueError(f"onnx.run: the model takes {len(self.inputs)} inputs, {list(self.inputs)}; got {len(values)}")
        return dict(zip(self.inputs, values, strict=False))

    def _typed(self, name: str, value: Any) -> Any:
        kind = self._kinds[name]
        if kind is None or value is None:  # a sequence, an optional, a map: the evaluator's business
            return value
        if not isinstance(value, np.ndarray | np.generic):
            return np.asarray(value, kind)
        if value.dtype != kind and not (kind.kind == "O" and value.dtype.kind in "UST"):
            raise TypeError(f"onnx.run: input {name!r} must be of {kind}; got {value.dtype}")
        return np.asarray(value)


def _element_type(value: onnx.ValueInfoProto) -> np.dtype[Any] | None:
    kind = value.type.tensor_type.elem_type if value.type.WhichOneof("value") == "tensor_type" else 0
    return np.dtype(helper.tensor_dtype_to_np_dtype(kind)) if kind else None


def prepare(model: Any) -> Network:
    """A model made ready to be run many times: constants worked out, weights packed once, activations folded.

    Parameters
    ----------
    model : path, bytes or onnx.ModelProto
        A path reads weights in files beside it too.  The model itself is not changed.

    Returns
    -------
    Network

    Raises
    ------
    TypeError
        The model is none of these.

    Examples
    --------
    >>> network = nc.onnx.prepare("detector.onnx")  # doctest: +SKIP
    """
    if isinstance(model, bytes | bytearray | memoryview):
        return Network(onnx.load_from_string(bytes(model)))
    if isinstance(model, str | os.PathLike):
        return Network(onnx.load(model))
    if isinstance(model, onnx.ModelProto):
        return Network(model)
    raise TypeError(f"onnx.prepare: model must be a path, bytes or an onnx.ModelProto; got {shown(model)}")


def run(model: Any, inputs: Any) -> list[Any]:
    """Run an ONNX model once, its convolutions by numconv's kernels.

    Parameters
    ----------
    model : path, bytes, onnx.ModelProto or Network
        To run one many times, give what `prepare` made of it: the weights are packed once.
    inputs : mapping of names to arrays, sequence of arrays in the model's order, or the only array
        Of the types that the model declares.

    Returns
    -------
    list of arrays
        The model's outputs, in its order.

    Raises
    ------
    ValueError
        An input is missing or unknown, or one is of a shape that a convolution cannot take.
    TypeError
        The model is none of these, or an input is of another type than the model declares.

    Examples
    --------
    >>> probabilities, = nc.onnx.run("classifier.onnx", {"image": x})  # doctest: +SKIP
    """
    network = model if isinstance(model, Network) else prepare(model)
    return network.run(inputs)


from . import backend  # noqa: E402  (which needs the names above)
