"""ONNX models by ONNX's reference evaluator over the oracle's sums, in the model's type or in float64 throughout."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import reference
from onnx import TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

Array = np.ndarray[Any, Any]


def paired(pads: Any, rank: int) -> Any:
    return list(zip(pads[:rank], pads[rank:], strict=True)) if pads else 0


class Conv(OpRun):
    def _run(self, x: Array, w: Array, b: Array | None = None, **given: Any) -> tuple[Array]:
        assert given["auto_pad"] in (None, "NOTSET", "VALID")
        pads = paired(given["pads"], x.ndim - 2)
        y = reference.conv(x, w, b, given["strides"] or 1, pads, given["dilations"] or 1, given["group"])
        return (y.astype(x.dtype),)


class ConvTranspose(OpRun):
    def _run(self, x: Array, w: Array, b: Array | None = None, **given: Any) -> tuple[Array]:
        assert given["auto_pad"] in (None, "NOTSET") and not given["output_shape"]
        pads, more = paired(given["pads"], x.ndim - 2), given["output_padding"] or 0
        y = reference.conv_transpose(x, w, b, given["strides"] or 1, pads, more, given["group"], given["dilations"] or 1)
        return (y.astype(x.dtype),)


class BatchNormalization(OpRun):
    """Of inference: the evaluator's own takes the batch's mean and variance in models before version 14."""

    def _run(self, x: Array, gamma: Array, beta: Array, mean: Array, variance: Array, **given: Any) -> tuple[Array]:
        gamma, beta, mean, variance = (v.reshape(-1, *(1,) * (x.ndim - 2)) for v in (gamma, beta, mean, variance))
        return (((x - mean) / np.sqrt(variance + x.dtype.type(given["epsilon"])) * gamma + beta).astype(x.dtype),)


def run(model: Any, inputs: dict[str, Array]) -> list[Array]:
    """Nothing folded; the evaluator's own transposed convolutions of groups are wrong, too."""
    found = ReferenceEvaluator(model, new_ops=[Conv, ConvTranspose, BatchNormalization]).run(None, inputs)
    assert isinstance(found, list)
    return found


def widened(graph: Any) -> None:
    """All float32 numbers of a graph and of its branches become float64."""

    def wide(tensor: Any) -> None:
        if tensor.data_type == TensorProto.FLOAT:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype("float64"), tensor.name))

    for tensor in graph.initializer:
        wide(tensor)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                wide(attribute.t)
            if attribute.HasField("g"):
                widened(attribute.g)
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.FLOAT:
                attribute.i = TensorProto.DOUBLE


def run_wide(model: Any, inputs: dict[str, Array]) -> list[Array]:
    """In float64: what rounding may be measured against."""
    wide = onnx.ModelProto()
    wide.CopyFrom(model)
    widened(wide.graph)
    return run(wide, {name: v.astype("float64") if v.dtype == "float32" else v for name, v in inputs.items()})
