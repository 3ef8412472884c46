"""A model's graph made ready: constants worked out once, what follows a convolution folded into it.

A convolution takes in the scales and shifts of its output channels (batch normalisation, products and sums with constants), then one
activation; it keeps the names of ONNX, with two attributes more: `activation`, and `frozen` where all its weights are constants.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import helper, inliner, numpy_helper
from onnx.reference import ReferenceEvaluator

from .activations import absorbed

Array = np.ndarray[Any, Any]

#: of which a node without inputs that change is worked out once: cheap, without chance, and no larger than what the model holds
FOLDED = frozenset({
    "Add", "Cast", "Concat", "Constant", "Div", "Flatten", "Gather", "Identity", "Mul", "Neg", "Reciprocal", "Reshape", "Shape", "Slice",
    "Sqrt", "Squeeze", "Sub", "Transpose", "Unsqueeze",
})  # fmt: skip
#: inputs that, all constant, make an operator's weights ready for packing
WEIGHTS = {"Conv": (1, 2), "ConvTranspose": (1, 2), "ConvInteger": (1, 3), "QLinearConv": (3, 5)}
FUSED = ("Conv", "ConvTranspose")
RANKS = range(1, 4)  # spatial axes of numconv's kernels
OPTIONAL_INITIALIZERS = 4  # the first version of the format whose initializers need not be inputs too: those that are may be fed


def simplified(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of the model, with the same inputs and outputs."""
    if model.functions:
        model = inliner.inline_local_functions(model)
    found = onnx.ModelProto()
    found.CopyFrom(model)
    _simplify(found.graph, {}, found)
    return found


def fed(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """The inputs that are not constants."""
    constant = {i.name for i in model.graph.initializer} if model.ir_version < OPTIONAL_INITIALIZERS else set()
    return [i for i in model.graph.input if i.name not in constant]


def subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            yield attribute.g
        elif attribute.type == onnx.AttributeProto.GRAPHS:
            yield from attribute.graphs


def read_by(node: onnx.NodeProto) -> set[str]:
    """Names that a node reads, those that its subgraphs take from outside among them."""
    found = {name for name in node.input if name}
    for graph in subgraphs(node):
        inner = {name for n in graph.node for name in read_by(n)} | {o.name for o in graph.output}
        found |= inner - {name for n in graph.node for name in n.output} - {i.name for i in (*graph.input, *graph.initializer)}
    return found


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


class Network:
    """Nodes of one graph that are still there, who reads what, and the constants in sight."""

    def __init__(self, graph: onnx.GraphProto, constants: dict[str, Array]) -> None:
        self.constants = constants
        self.nodes = {id(node): node for node in graph.node}
        self.outputs = {o.name for o in graph.output}
        self.readers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in self.nodes.values():
            for name in read_by(node):
                self.readers[name].append(node)

    def replace(self, node: onnx.NodeProto, gone: list[onnx.NodeProto], output: str) -> None:
        """The node gives what the last of those after it gave."""
        for other in gone:
            del self.nodes[id(other)]
            for name in other.input:
                if name:
                    self.readers[name] = [reader for reader in self.readers[name] if reader is not other]
        node.output[0] = output


def _simplify(graph: onnx.GraphProto, outer: dict[str, Array], model: onnx.ModelProto) -> None:
    inputs = {i.name for i in graph.input} if model.ir_version >= OPTIONAL_INITIALIZERS else set()
    own = {i.name: numpy_helper.to_array(i) for i in graph.initializer if i.name not in inputs}
    constants = outer | own
    _work_out(graph, constants, model)
    network = Network(graph, constants)
    for node in list(network.nodes.values()):
        if id(node) not in network.nodes or node.domain:
            continue
        if node.op_type in FUSED and _is_frozen(node, constants):
            _fold(node, network, graph)
        if node.op_type in WEIGHTS and _is_frozen(node, constants):
            node.attribute.append(helper.make_attribute("frozen", 1))
        for inner in subgraphs(node):
            hidden = {i.name for i in (*inner.input, *inner.initializer)}
            _simplify(inner, {k: v for k, v in constants.items() if k not in hidden}, model)
    kept = list(network.nodes.values())
    del graph.node[:]
    graph.node.extend(kept)
    _drop_unread(graph)


def _work_out(graph: onnx.GraphProto, constants: dict[str, Array], model: onnx.ModelProto) -> None:
    """Nodes whose inputs are all constants become constants."""
    known = set(constants)
    folded, kept = [], []
    for node in graph.node:
        if not node.domain and node.op_type in FOLDED and all(name in known for name in node.input if name):
            folded.append(node)
            known.update(node.output)
        else:
            kept.append(node)
    if not folded:
        return
    names = [name for node in folded for name in node.output]
    made = {*names}
    given = {name for node in folded for name in node.input if name and name not in made}
    values = [helper.make_empty_tensor_value_info(name) for name in names]
    initializers = [numpy_helper.from_array(constants[name], name) for name in sorted(given)]
    part = helper.make_model(helper.make_graph(folded, "constants", [], values, initializers), opset_imports=model.opset_import)
    found = dict(zip(names, ReferenceEvaluator(part).run(names, {}), strict=True))
    strange = [name for name, value in found.items() if not isinstance(value, np.ndarray)]  # sparse ones stay nodes
    kept = [node for node in graph.node if node in kept or any(name in strange for name in node.output)] if strange else kept
    for name in names:
        if name not in strange:
            constants[name] = found[name]
            graph.initializer.append(numpy_helper.from_array(found[name], name))
    del graph.node[:]
    graph.node.extend(kept)


def _drop_unread(graph: onnx.GraphProto) -> None:
    read = {o.name for o in graph.output}.union(*map(read_by, graph.node))
    kept = [i for i in graph.initializer if i.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _is_frozen(node: onnx.NodeProto, constants: dict[str, Array]) -> bool:
    return all(node.input[i] in constants for i in WEIGHTS[node.op_type] if i < len(node.input) and node.input[i])


class _Affine(NamedTuple):
    """What a node does to each channel: scale·v + shift."""

    scale: Array  # float64, one or one per channel
    shift: Array


def _fold(node: onnx.NodeProto, network: Network, graph: onnx.GraphProto) -> None:
    """Take in what follows: scales and shifts into the weights, then an activation."""
    w = network.constants[node.input[1]]
    given = attributes(node)
    if w.ndim - 2 not in RANKS or w.dtype.kind != "f" or not _is_usual(given):
        return
    groups = given.get("group", 1)
    channels = w.shape[0] if node.op_type == "Conv" else w.shape[1] * groups
    scale, shift = np.ones(channels), np.zeros(channels)
    if len(node.input) > 2 and node.input[2]:
        shift = network.constants[node.input[2]].astype("float64")
    changed = False
    while (following := _only_reader(node, network)) is not None:
        affine = _affine(following, node.output[0], network.constants, channels, w)
        if affine is None:
            break
        scale, shift, changed = scale * affine.scale, shift * affine.scale + affine.shift, True
        network.replace(node, [following], following.output[0])
    if changed:
        _reweigh(node, network, graph, scale, shift)
    found = absorbed(node.output[0], network)
    if found is not None:
        network.replace(node, found.nodes, found.output)
        node.attribute.append(helper.make_attribute("activation", found.name))


def _is_usual(given: dict[str, Any]) -> bool:
    """Nothing that numconv might leave to the reference evaluator, which knows of no activation."""
    smallest_step = min([*(given.get("strides") or [1]), *(given.get("dilations") or [1])])
    low, widest = min(given.get("pads") or [0]), max(given.get("output_padding") or [0])
    transposed_to_size = "output_shape" in given or (given.get("auto_pad", b"NOTSET").startswith(b"SAME") and "output_padding" in given)
    return low >= 0 and (widest == 0 or widest < smallest_step) and not transposed_to_size


def _only_reader(node: onnx.NodeProto, network: Network) -> onnx.NodeProto | None:
    name = node.output[0]
    readers = network.readers[name]
    return readers[0] if len(readers) == 1 and name not in network.outputs else None


def _reweigh(node: onnx.NodeProto, network: Network, graph: onnx.GraphProto, scale: Array, shift: Array) -> None:
    """Weights times the scale of their output channel, of names of their own, since others may read the old ones."""
    w = network.constants[node.input[1]]
    tail = (1,) * (w.ndim - 2)
    if node.op_type == "Conv":
        scaled = w * scale.reshape(-1, 1, *tail)
    else:
        groups = attributes(node).get("group", 1)
        scaled = (w.reshape(groups, -1, *w.shape[1:]) * scale.reshape(groups, 1, -1, *tail)).reshape(w.shape)
    names = [f"{node.output[0]} {what}" for what in ("weights", "bias")]
    for name, value in zip(names, (scaled, shift), strict=True):
        network.constants[name] = value.astype(w.dtype)
        graph.initializer.append(numpy_helper.from_array(network.constants[name], name))
    first = node.input[0]
    del node.input[:]
    node.input.extend([first, *names])


def _affine(node: onnx.NodeProto, name: str, constants: dict[str, Array], channels: int, w: Array) -> _Affine | None:
    if node.domain or len(node.output) > 1:
        return None
    if node.op_type == "BatchNormalization":
        return _normalisation(node, name, constants, w)
    if node.op_type not in ("Add", "Sub", "Mul", "Div"):
        return None
    first, second = node.input
    other = constants.get(second if first == name else first)
    if other is None or other.dtype != w.dtype or other.ndim > w.ndim or not np.isfinite(other).all():
        return None
    shape = (1,) * (w.ndim - other.ndim) + other.shape
    if shape[1] not in (1, channels) or any(n != 1 for axis, n in enumerate(shape) if axis != 1):
        return None
    c = other.astype("float64").reshape(-1)
    one, zero = np.ones(1), np.zeros(1)
    if node.op_type == "Div":
        return _Affine(1 / c, zero) if first == name and c.all() else None
    if node.op_type == "Sub":
        return _Affine(one, -c) if first == name else _Affine(-one, c)
    return _Affine(one, c) if node.op_type == "Add" else _Affine(c, zero)


def _normalisation(node: onnx.NodeProto, name: str, constants: dict[str, Array], w: Array) -> _Affine | None:
    given = attributes(node)
    if node.input[0] != name or given.get("training_mode", 0) or not all(i in constants for i in node.input[1:]):
        return None
    if any(constants[i].dtype != w.dtype for i in node.input[1:]):
        return None
    gamma, beta, mean, variance = (constants[i].astype("float64") for i in node.input[1:])
    scale = gamma / np.sqrt(variance + given.get("epsilon", 1e-5))
    shift = beta - mean * scale
    return _Affine(scale, shift) if np.isfinite([scale, shift]).all() else None
