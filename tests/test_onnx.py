"""Networks in ONNX files: ONNX's own tests of its operators, foldings against the reference evaluator, the interface."""

from __future__ import annotations

import re
import unittest
import warnings
import weakref
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference

pytest.importorskip("onnx", reason="needs the extra `onnx`")
import onnx.backend.test
import onnx_oracle
from onnx import helper, numpy_helper
from onnx.reference.op_run import OpRun

import numconv as nc
from numconv.onnx import operators
from numconv.onnx.evaluator import Evaluator
from numconv.onnx.graph import simplified

Array = np.ndarray[Any, Any]

OURS = re.compile("conv|col2im|resize|upsample|maxpool|averagepool|batchnorm", re.IGNORECASE)


def onnx_cases() -> dict[str, Callable[[Any], None]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ONNX makes the data of its cases here, overflows on purpose among them
        found = onnx.backend.test.BackendTest(nc.onnx.backend, __name__).test_cases
    return {
        name: case for cases in found.values() for name, case in vars(cases).items()
        if name.startswith("test_") and name.endswith("_cpu") and OURS.search(name)
    }  # fmt: skip


CASES = onnx_cases()


@pytest.mark.parametrize("name", CASES)
def test_of_onnx(name: str) -> None:
    CASES[name](unittest.TestCase())


def test_conv_cases_are_not_left_to_the_reference_evaluator(monkeypatch: pytest.MonkeyPatch) -> None:
    left = set()

    def noted(self: Any, *inputs: Any) -> Any:
        left.add(type(self).__name__)
        return original(self, *inputs)

    original = operators.Operator._reference
    monkeypatch.setattr(operators.Operator, "_reference", noted)
    for name, case in CASES.items():
        if re.search("conv|col2im", name, re.IGNORECASE):
            case(unittest.TestCase())
    assert not left


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(45)


def whole(rng: np.random.Generator, *shape: int, kind: str = "float64") -> Array:
    return rng.integers(-4, 5, shape).astype(kind)


def model_of(nodes: list[Any], inputs: dict[str, Array], constants: dict[str, Array], outputs: list[str], opset: int = 21) -> Any:
    """One that ONNX's checker has nothing against."""
    kind, first = helper.np_dtype_to_tensor_dtype, next(iter(inputs.values()))
    taken = [helper.make_tensor_value_info(name, kind(v.dtype), [None] * v.ndim) for name, v in inputs.items()]
    given = [helper.make_tensor_value_info(name, kind(first.dtype), [None] * first.ndim) for name in outputs]
    initializers = [numpy_helper.from_array(v, name) for name, v in constants.items()]
    graph = helper.make_graph(nodes, "test", taken, given, initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def left_in(model: Any) -> list[str]:
    return [node.op_type for node in simplified(model).graph.node]


def agrees(model: Any, inputs: dict[str, Array], ulps: int = 0, rounded: float = 0) -> None:
    """With the reference evaluator over the oracle's sums."""
    expected = onnx_oracle.run(model, inputs)
    for _ in range(2):  # layers are made at the first run
        for got, want in zip(nc.onnx.run(model, inputs), expected, strict=True):
            assert got.dtype == want.dtype
            np.testing.assert_array_less(np.abs(got - want), (ulps * np.spacing(np.abs(want)) + rounded + np.finfo(want.dtype).tiny))


def activation_nodes(form: str) -> list[Any]:
    """From v to y, as exporters write them."""
    n = helper.make_node
    return {
        "relu": [n("Relu", ["v"], ["y"])],
        "clip from zero": [n("Clip", ["v", "zero"], ["y"])],
        "relu6": [n("Clip", ["v", "zero", "six"], ["y"])],
        "sigmoid": [n("Sigmoid", ["v"], ["y"])],
        "tanh": [n("Tanh", ["v"], ["y"])],
        "hardswish": [n("HardSwish", ["v"], ["y"])],
        "silu": [n("Sigmoid", ["v"], ["s"]), n("Mul", ["s", "v"], ["y"])],
        "gated": [n("HardSigmoid", ["v"], ["s"], alpha=1 / 6, beta=0.5), n("Mul", ["v", "s"], ["y"])],
        "paddle": [
            n("Add", ["v", "three"], ["a"]), n("Clip", ["a", "zero", "six"], ["c"]), n("Mul", ["v", "c"], ["m"]),
            n("Div", ["m", "six"], ["y"]),
        ],
        "torch": [
            n("Add", ["three", "v"], ["a"]), n("Clip", ["a", "zero", "six"], ["c"]), n("Div", ["c", "six"], ["d"]),
            n("Mul", ["v", "d"], ["y"]),
        ],
    }[form]  # fmt: skip


NUMBERS = {"zero": np.array(0.0), "three": np.array(3.0), "six": np.array(6.0)}
#: roundings of results and of what goes into them, times how far an activation spreads them
ULPS = {"sigmoid": 8, "tanh": 8, "silu": 8, "paddle": 8, "torch": 8}
#: v times the rounding of its gate, |v| ≤ 3 where the gate is no whole number; ONNX holds the slope of HardSigmoid, v/6, in float32
ROUNDED = {"hardswish": 1.5 * 2.0**-24, "gated": 1.5 * 2.0**-24}


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("kind", ["Conv", "ConvTranspose"])
@pytest.mark.parametrize("form", ["relu", "relu6", "clip from zero", "sigmoid", "tanh", "hardswish", "silu", "gated", "paddle", "torch"])
def test_normalisation_and_activation_fold_into_a_convolution(kind: str, rank: int, form: str, rng: np.random.Generator) -> None:
    tail = (1,) * rank
    c, k, groups = 4, 6, 2
    w = whole(rng, *((k, c // groups) if kind == "Conv" else (c, k // groups)), *(3,) * rank)
    constants = NUMBERS | {"w": w, "b": whole(rng, k), "gamma": 2.0 ** whole(rng, k) / 16, "beta": whole(rng, k), "mean": whole(rng, k)}
    constants |= {"variance": np.full(k, 0.25), "half": np.full((k, *tail), 0.5), "one": np.array([1.0])}
    n = helper.make_node
    nodes = [
        n(kind, ["x", "w", "b"], ["c0"], group=groups, strides=[2] * rank, pads=[1] * rank + [0] * rank),
        n("BatchNormalization", ["c0", "gamma", "beta", "mean", "variance"], ["c1"], epsilon=0.0),
        n("Mul", ["half", "c1"], ["c2"]), n("Sub", ["one", "c2"], ["c3"]), n("Div", ["c3", "six"], ["c4"]), n("Mul", ["c4", "six"], ["v"]),
        *activation_nodes(form),
    ]  # fmt: skip
    if form != "relu":  # thirds are not exact
        del nodes[4:6]
        nodes[3].output[0] = "v"
    x = {"x": whole(rng, 2, c, *(7, 6, 5)[:rank])}
    model = model_of(nodes, x, constants, ["y"])
    (node,) = simplified(model).graph.node
    assert node.op_type == kind
    agrees(model, x, 64 if form == "relu" else ULPS.get(form, 0), ROUNDED.get(form, 0))


def conv_model(rng: np.random.Generator, nodes: list[Any], constants: dict[str, Array], outputs: list[str]) -> tuple[Any, dict[str, Array]]:
    x = {"x": whole(rng, 1, 2, 5)}
    first = helper.make_node("Conv", ["x", "w"], ["v"])
    return model_of([first, *nodes], x, NUMBERS | {"w": whole(rng, 3, 2, 3)} | constants, outputs), x


def test_what_others_read_is_not_folded_away(rng: np.random.Generator) -> None:
    n = helper.make_node
    relu, twice = n("Relu", ["v"], ["y"]), n("Add", ["v", "three"], ["z"])
    for nodes, outputs, left in (
        ([relu], ["v", "y"], ["Conv", "Relu"]),
        ([relu, twice], ["y", "z"], ["Conv", "Relu", "Add"]),
        ([n("Clip", ["v", "three", "six"], ["y"])], ["y"], ["Conv", "Clip"]),
        ([n("Add", ["v", "row"], ["y"])], ["y"], ["Conv", "Add"]),  # one for each position, not channel
        ([n("Mul", ["v", "infinite"], ["y"])], ["y"], ["Conv", "Mul"]),
        ([n("Sigmoid", ["v"], ["s"]), n("Mul", ["s", "v"], ["y"])], ["y", "s"], ["Conv", "Sigmoid", "Mul"]),
        ([n("Sigmoid", ["v"], ["s"]), n("Mul", ["s", "s"], ["z"]), n("Mul", ["v", "v"], ["y"])], ["y", "z"], ["Conv", "Sigmoid", "Mul", "Mul"]),
        ([n("Add", ["v", "three"], ["a"]), n("Clip", ["a", "zero", "six"], ["c"]), n("Mul", ["v", "c"], ["m"]), n("Div", ["six", "m"], ["y"])],
         ["y"], ["Conv", "Add", "Clip", "Mul", "Div"]),
    ):  # fmt: skip
        model, x = conv_model(rng, nodes, {"row": whole(rng, 3), "infinite": np.array(np.inf)}, outputs)
        if "infinite" in nodes[0].input:
            x["x"] += 0.5  # no 0·∞, of which the reference warns
        assert left_in(model) == left
        if "Div" not in left and "infinite" not in nodes[0].input:
            agrees(model, x, 8)


def test_weights_that_are_fed_are_neither_folded_nor_kept(rng: np.random.Generator) -> None:
    model, x = conv_model(rng, [helper.make_node("Relu", ["v"], ["y"])], {}, ["y"])
    w = numpy_helper.to_array(next(i for i in model.graph.initializer if i.name == "w"))
    model.graph.input.append(helper.make_tensor_value_info("w", onnx.TensorProto.DOUBLE, w.shape))
    network = nc.onnx.prepare(model)
    assert network.inputs == ("x", "w") and left_in(model) == ["Conv", "Relu"]
    expected = np.maximum(reference.conv(x["x"], w), 0)
    np.testing.assert_array_equal(network.run(x)[0], expected)
    other = w.copy()
    for _ in range(2):
        other *= -1  # in place: nothing of it may have been kept
        np.testing.assert_array_equal(network.run(x | {"w": other})[0], np.maximum(reference.conv(x["x"], other), 0))


def test_branches_and_loops_have_their_convolutions_prepared_too(rng: np.random.Generator) -> None:
    n, info = helper.make_node, helper.make_empty_tensor_value_info
    own = numpy_helper.from_array(whole(rng, 3, 2, 3), "own")
    branches = {
        "then_branch": helper.make_graph([n("Conv", ["x", "w"], ["t"]), n("Relu", ["t"], ["a"])], "then", [], [info("a")]),
        "else_branch": helper.make_graph([n("Conv", ["x", "own"], ["e"]), n("Mul", ["e", "three"], ["b"])], "else", [], [info("b")], [own]),
    }
    for flag in (True, False):
        x = {"x": whole(rng, 1, 2, 5), "flag": np.array(flag)}
        model = model_of([n("If", ["flag"], ["y"], **branches)], x, {"w": whole(rng, 3, 2, 3), "three": np.array(3.0)}, ["y"])
        for attribute in simplified(model).graph.node[0].attribute:
            (node,) = attribute.g.node
            assert node.op_type == "Conv" and any(a.name == "frozen" for a in node.attribute)
        agrees(model, x)


@pytest.mark.parametrize("kind", ["uint8", "int8"])
@pytest.mark.parametrize("frozen", [True, False])
def test_quantised_convolution(kind: str, frozen: bool, rng: np.random.Generator) -> None:
    limits = np.iinfo(kind)
    x = rng.integers(limits.min, limits.max, (2, 4, 9, 7), kind, endpoint=True)
    w = rng.integers(-128, 127, (6, 2, 3, 2), "int8", endpoint=True)
    zero, zeros = np.array(limits.max, kind), rng.integers(-128, 127, 6, "int8")
    y_zero = np.array(limits.min + 3, kind)
    bias, scales = rng.integers(-(2**15), 2**15, 6, "int32"), (2.0 ** rng.integers(-9, -6, 6)).astype("float32")
    shifted, wide = x.astype("int64") - int(zero), w.astype("int64") - zeros.astype("int64").reshape(-1, 1, 1, 1)
    sums = reference.conv(shifted, wide, stride=(2, 1), pads=[(1, 0), (2, 1)], dilation=(1, 2), groups=2)
    channel = (-1, 1, 1)
    scaled = np.rint((sums + bias.reshape(channel)) * scales.astype("float64").reshape(channel) * 0.5)  # powers of two: exact
    expected = np.clip(scaled + int(y_zero), limits.min, limits.max)
    half, one = np.array(0.5, "float32"), np.array(1, "float32")
    constants = {"w": w, "zeros": zeros} if frozen else {}
    inputs = {"x": x} if frozen else {"x": x, "w": w, "zeros": zeros}
    rest = {"half": half, "zero": zero, "scales": scales, "one": one, "y_zero": y_zero, "bias": bias}
    geometry = {"strides": [2, 1], "pads": [1, 2, 0, 1], "dilations": [1, 2], "group": 2}
    names = ["x", "half", "zero", "w", "scales", "zeros", "one", "y_zero", "bias"]
    model = model_of([helper.make_node("QLinearConv", names, ["y"], **geometry)], inputs, constants | rest, ["y"])
    plain = model_of([helper.make_node("ConvInteger", ["x", "w", "zero", "zeros"], ["y"], **geometry)], inputs, constants | rest, ["y"])
    network = nc.onnx.prepare(model)
    for _ in range(2):
        (got,) = network.run(inputs)
        assert got.dtype == kind
        np.testing.assert_array_equal(got, expected)
    (got,) = nc.onnx.run(plain, inputs)
    assert got.dtype == "int32"
    np.testing.assert_array_equal(got, sums)


@pytest.mark.parametrize("same", ["SAME_UPPER", "SAME_LOWER", "NOTSET"])
def test_transposed_to_a_wanted_size(same: str, rng: np.random.Generator) -> None:
    """Sizes on both sides of the usual one: cropped, or with elements that no stamp reaches."""
    x, w, b = whole(rng, 1, 2, 4), whole(rng, 2, 3, 3), whole(rng, 3)
    for size in range(7, 15):  # 3·3 + 3 = 12 elements in all
        whole_result = reference.conv_transpose(x, w, b, 3)
        crop = 12 - size
        low = crop // 2 if same == "SAME_UPPER" else crop - crop // 2
        expected = reference.conv_transpose(x, w, b, 3, [(low, crop - low)])
        node = helper.make_node("ConvTranspose", ["x", "w", "b"], ["y"], strides=[3], output_shape=[size], auto_pad=same)
        (got,) = nc.onnx.run(model_of([node], {"x": x}, {"w": w, "b": b}, ["y"]), x)
        np.testing.assert_array_equal(got, expected)
        assert whole_result.shape == (1, 3, 12)


def test_results_that_nobody_reads_any_more_are_let_go(rng: np.random.Generator) -> None:
    alive: list[weakref.ref[Array]] = []
    most = []

    class Negative(OpRun):
        op_domain = "test"

        def _run(self, x: Array) -> tuple[Array]:
            y = -x
            alive.append(weakref.ref(y))
            most.append(sum(1 for r in alive if r() is not None))
            return (y,)

    names = ["x", *(f"v{i}" for i in range(9))]
    nodes = [helper.make_node("Negative", [a], [b], domain="test") for a, b in pairwise(names)]
    x = {"x": whole(rng, 1, 2, 5)}
    model = model_of(nodes, x, {}, [names[-1]])
    model.opset_import.append(helper.make_opsetid("test", 1))
    (got,) = Evaluator(model, new_ops=[Negative]).run(None, x)
    np.testing.assert_array_equal(got, -x["x"])
    assert max(most) == 2  # what a node reads and what it makes


def test_models_by_path_bytes_and_proto(tmp_path: Path, rng: np.random.Generator) -> None:
    model, x = conv_model(rng, [helper.make_node("Relu", ["v"], ["y"])], {}, ["y"])
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    before = model.SerializeToString()
    (expected,) = nc.onnx.run(model, x)
    assert model.SerializeToString() == before
    for given in (path, str(path), before, nc.onnx.prepare(model)):
        for inputs in (x, [x["x"]], x["x"]):
            np.testing.assert_array_equal(nc.onnx.run(given, inputs)[0], expected)
    (named,) = nc.onnx.backend.run_model(model, [x["x"]])
    np.testing.assert_array_equal(named, expected)
    node = helper.make_node("Conv", ["x", "w"], ["y"])
    w = whole(rng, 3, 2, 3)
    found = nc.onnx.backend.run_node(node, [x["x"], w])
    np.testing.assert_array_equal(found.y, reference.conv(x["x"], w))
    assert nc.onnx.backend.supports_device("CPU") and not nc.onnx.backend.supports_device("CUDA")


def test_what_is_wrong_is_said(rng: np.random.Generator) -> None:
    model, x = conv_model(rng, [], {}, ["v"])
    for inputs, error, message in (
        ({}, ValueError, r"onnx\.run: inputs \['x'\] are missing; the model takes \['x'\]; got \[\]"),
        (x | {"z": 1}, ValueError, r"onnx\.run: inputs \['z'\] are none of the model's"),
        ([x["x"]] * 2, ValueError, r"onnx\.run: the model takes 1 inputs, \['x'\]; got 2"),
        (x["x"].astype("float32"), TypeError, r"onnx\.run: input 'x' must be of float64; got float32"),
        (x["x"][:, :1], ValueError, "Conv1d: w expects 2 input channels"),
    ):
        with pytest.raises(error, match=message):
            nc.onnx.run(model, inputs)
    with pytest.raises(TypeError, match=r"onnx\.prepare: model must be a path, bytes or an onnx\.ModelProto; got"):
        nc.onnx.prepare(3)
    with pytest.raises(ValueError, match=r"onnx\.backend\.prepare: no device but the CPU; got 'CUDA'"):
        nc.onnx.backend.prepare(model, "CUDA")


@pytest.mark.parametrize("opset", [9, 13, 21])
def test_normalisation_that_follows_no_convolution(opset: int, rng: np.random.Generator) -> None:
    x = {"x": whole(rng, 2, 3, 4, 5)}
    constants = {"g": whole(rng, 3), "b": whole(rng, 3), "m": whole(rng, 3), "v": np.array([1.0, 4.0, 0.25])}
    node = helper.make_node("BatchNormalization", ["x", *constants], ["y"], epsilon=0.0)
    agrees(model_of([node], x, constants, ["y"], opset), x)
