"""Activations after a node, as graphs write them: one node, or the few that make x·sigmoid(x) and x·clip(x + 3, 0, 6)/6."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, NamedTuple, TypeGuard

import numpy as np
import onnx
from onnx import helper

if TYPE_CHECKING:
    from .graph import Network

ONE_NODE = {"Relu": "relu", "Sigmoid": "sigmoid", "Tanh": "tanh", "HardSwish": "hardswish"}
CLIPS = {(0.0, 6.0): "relu6", (0.0, inf): "relu"}
SIXTH = (float(np.float32(1 / 6)), 1 / 6)  # the slope of hardsigmoid inside hardswish, as files hold it


class Absorbed(NamedTuple):
    """Nodes that are an activation together."""

    name: str  # as `numconv.activations` calls it
    nodes: list[onnx.NodeProto]
    output: str  # of the last of them


def absorbed(name: str, network: Network) -> Absorbed | None:
    """The activation that everyone who reads the value wants."""
    if name in network.outputs:
        return None
    readers = network.readers[name]
    if len(readers) == 1:
        return _alone(readers[0], network)
    if len(readers) == 2:
        for gate, product in (readers, readers[::-1]):
            found = _gated(name, gate, product, network)
            if found is not None:
                return found
    return None


def _alone(node: onnx.NodeProto, network: Network) -> Absorbed | None:
    found = None if node.domain else ONE_NODE.get(node.op_type)
    if _is(node, "Clip"):
        found = CLIPS.get(_bounds(node, network) or (0.0, 0.0))
    elif _is(node, "Swish") and _attribute(node, "alpha", 1.0) == 1.0:
        found = "silu"
    return None if found is None else Absorbed(found, [node], node.output[0])


def _gated(name: str, gate: onnx.NodeProto, product: onnx.NodeProto, network: Network) -> Absorbed | None:
    """x·gate(x): the gate's chain of nodes ends in the product."""
    if _is(gate, "Sigmoid") and _meets(gate, name, product, network):
        return Absorbed("silu", [gate, product], product.output[0])
    if _is(gate, "HardSigmoid") and _meets(gate, name, product, network):
        slope, centre = _attribute(gate, "alpha", 0.2), _attribute(gate, "beta", 0.5)
        return Absorbed("hardswish", [gate, product], product.output[0]) if slope in SIXTH and centre == 0.5 else None
    if not _is(gate, "Add") or _constant(gate, name, network) != 3:
        return None
    clip = _next(gate, network)
    if not _is(clip, "Clip") or _bounds(clip, network) != (0.0, 6.0):
        return None
    if _meets(clip, name, product, network):  # x·clip, then a sixth of it
        sixth = _next(product, network)
        return Absorbed("hardswish", [gate, clip, product, sixth], sixth.output[0]) if _is_sixth(sixth, product, network) else None
    sixth = _next(clip, network)
    if _is_sixth(sixth, clip, network) and _meets(sixth, name, product, network):
        return Absorbed("hardswish", [gate, clip, sixth, product], product.output[0])
    return None


def _is(node: onnx.NodeProto | None, kind: str) -> TypeGuard[onnx.NodeProto]:
    return node is not None and not node.domain and node.op_type == kind


def _next(node: onnx.NodeProto, network: Network) -> onnx.NodeProto | None:
    """Who alone reads the node's result."""
    readers = network.readers[node.output[0]]
    return readers[0] if len(readers) == 1 and node.output[0] not in network.outputs else None


def _meets(gate: onnx.NodeProto, name: str, product: onnx.NodeProto, network: Network) -> bool:
    return _next(gate, network) is product and _is(product, "Mul") and set(product.input) == {name, gate.output[0]}


def _attribute(node: onnx.NodeProto, label: str, default: float) -> float:
    return next((float(helper.get_attribute_value(a)) for a in node.attribute if a.name == label), default)


def _constant(node: onnx.NodeProto, name: str, network: Network) -> float | None:
    """The one number that a node of two inputs adds to, or multiplies with, the named one."""
    others = [network.constants.get(i) for i in node.input if i != name]
    return float(others[0].reshape(())) if len(others) == 1 and others[0] is not None and others[0].size == 1 else None


def _is_sixth(node: onnx.NodeProto | None, before: onnx.NodeProto, network: Network) -> TypeGuard[onnx.NodeProto]:
    if _is(node, "Div"):
        return node.input[0] == before.output[0] and _constant(node, before.output[0], network) == 6
    return _is(node, "Mul") and _constant(node, before.output[0], network) in SIXTH


def _bounds(node: onnx.NodeProto, network: Network) -> tuple[float, float] | None:
    """Of a Clip, by attributes or by inputs that are constants."""
    if len(node.input) == 1:
        top = _attribute(node, "max", inf)
        return _attribute(node, "min", -inf), inf if top >= np.finfo("float32").max else top
    given = [*node.input[1:], ""][:2]
    values = [network.constants.get(name) for name in given]
    if any(name and (value is None or value.size != 1) for name, value in zip(given, values, strict=True)):
        return None
    low, high = (default if v is None else float(v.reshape(())) for v, default in zip(values, (-inf, inf), strict=True))
    return low, high
