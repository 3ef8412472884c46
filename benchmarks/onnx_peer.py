"""A named layer in onnxruntime, its own way: a graph of one node whose weights and bias are constants, packed when the session opens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from layers import Layer


def model_of(layer: Layer, w: Any, bias: Any) -> bytes:
    """The graph, as a file has it."""
    from onnx import TensorProto, helper, numpy_helper

    options: dict[str, Any] = {
        "kernel_shape": layer.kernel, "strides": layer.stride, "dilations": layer.dilation, "group": layer.groups,
        "pads": [lo for lo, _ in layer.pads] + [hi for _, hi in layer.pads],
    }  # fmt: skip
    if layer.transposed:
        options["output_padding"] = layer.output_padding
    node = helper.make_node("ConvTranspose" if layer.transposed else "Conv", ["x", "w", "b"], ["y"], **options)
    start, end = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in (("x", layer.x_shape), ("y", layer.y_shape))
    )
    graph = helper.make_graph([node], "layer", [start], [end], [numpy_helper.from_array(w, "w"), numpy_helper.from_array(bias, "b")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()  # type: ignore[no-any-return]


def with_onnxruntime(layer: Layer, x: Any, w: Any, bias: Any, threads: int) -> Callable[[], Any]:
    """A function of no arguments: NumPy array in, NumPy array out."""
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads, settings.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(model_of(layer, w, bias), settings, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"x": x})[0]
