"""Every kind of odd argument: the error's type, and that it begins with the function's name; the fuzzer of `fuzz_arguments` in short."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import fuzz_arguments
import numpy as np
import pytest

import numconv as nc
from numconv.arguments.edge import MARK, NOTE, edge

HUGE = 10**5000
X, W = np.ones((1, 1, 4, 4), "float32"), np.ones((1, 1, 3, 3), "float32")
A, RAGGED = nc.arithmetic, [[1], [1, 2]]
Names = str | tuple[str, ...]


def of_attention(temperature: Any) -> Any:
    return nc.dynamic_attention(np.ones((1, 2, 3)), np.ones((2, 2)), np.ones((2, 2)), temperature=temperature)


KINDS: list[tuple[str, type[Exception], str, Callable[[], Any]]] = [
    ("int of 5,000 digits", ValueError, "conv2d: stride must be at most", lambda: nc.conv2d(X, W, stride=HUGE)),
    ("int of 5,000 digits in a pair", ValueError, "conv2d: padding must be at most", lambda: nc.conv2d(X, W, padding=((HUGE, 0), 1))),
    ("negative one", ValueError, "conv2d: groups must be at least 1; got an integer of", lambda: nc.conv2d(X, W, groups=-HUGE)),
    ("temperature of 5,000 digits", ValueError, "dynamic_attention: temperature must be a number", lambda: of_attention(HUGE)),
    ("array as temperature", TypeError, "dynamic_attention: temperature must be a number", lambda: of_attention(np.ones(2))),
    ("type as temperature", TypeError, "dynamic_attention: temperature must be a number", lambda: of_attention(float)),
    ("type as tol", TypeError, "rank: tol must be a number", lambda: nc.separability.rank(np.eye(2), tol=float)),
    ("array as scale", TypeError, "resize2d: scale must be a number", lambda: nc.resize2d(X, scale=np.ones((2, 2)))),
    ("empty sizes", ValueError, "conv_output_shape: sequences must", lambda: A.conv_output_shape([], 3)),
    ("array of two axes as a size", TypeError, "conv_output_shape: spatial must be", lambda: A.conv_output_shape(np.ones((2, 2), int), 3)),
    ("dict as a size", TypeError, "conv_output_shape: kernel must be", lambda: A.conv_output_shape(5, {})),
    ("array as a function", ValueError, "algorithms: function must be", lambda: nc.algorithms(np.ones(3))),  # type: ignore[arg-type]
    ("array as a device", ValueError, "algorithms: device must be", lambda: nc.algorithms(nc.conv2d, np.ones(3))),  # type: ignore[arg-type]
    ("array as method", ValueError, "correlate: Acceptable method", lambda: nc.correlate([1], [1], method=np.ones(2))),  # type: ignore[arg-type]
    ("array as mode", TypeError, "resize_conv2d: mode must be", lambda: nc.resize_conv2d(X, W, mode=np.ones(2))),  # type: ignore[arg-type]
    ("array as lower", TypeError, "same_padding: lower must be", lambda: A.same_padding(5, 3, lower=np.ones(2))),  # type: ignore[arg-type]
    ("ragged, vjp", TypeError, "vjp: x of conv2d is not an array", lambda: nc.vjp(nc.conv2d, RAGGED, W)),
    ("ragged, cost", TypeError, "cost: x is not an array", lambda: nc.cost(nc.conv2d, RAGGED, W)),
    ("ragged, separate", TypeError, "separate: kernel is not an array", lambda: nc.separability.separate(RAGGED)),
    ("strings", TypeError, "correlate: in1 must hold numbers", lambda: nc.correlate(["a"], ["b"])),
    ("dicts", TypeError, "correlate: ", lambda: nc.correlate([{}], [{}])),
    ("timedelta", TypeError, "correlate: in1 must hold numbers", lambda: nc.correlate(np.array([1], "m8[s]"), np.array([1], "m8[s]"))),
    ("timedeltas as objects", TypeError, "convolve: ", lambda: nc.convolve([timedelta(1)], [timedelta(1)])),
    ("nested odd sequence", TypeError, "conv2d: stride must be an integer; got [2]", lambda: nc.conv2d(X, W, stride=deque([1, [2]]))),
    ("empty stride", ValueError, "conv2d: stride must be an integer or one for each", lambda: nc.conv2d(X, W, stride=[])),
    ("endless padding", ValueError, "conv2d: padding must have one entry", lambda: nc.conv2d(X, W, padding=np.broadcast_to(0, (2**40, 2)))),
    ("no arguments, cost", TypeError, "cost: missing a required argument: 'x'", lambda: nc.cost(nc.conv2d)),
    ("no arguments, layer", TypeError, "Conv2d: ", lambda: nc.Conv2d()),  # type: ignore[call-arg]
    ("no arguments, call of a layer", TypeError, "Conv2d.__call__() missing", lambda: nc.Conv2d(W)()),  # type: ignore[call-arg]
    ("no operator", TypeError, "explain: function must be an operator of numconv", lambda: nc.explain(print, 1)),
    ("exporter of a buffer", ValueError, "grad.conv1d_input: input_size", lambda: nc.grad.conv1d_input(memoryview(b"ab"), W[0], W[0])),
    ("bias of another form", ValueError, "conv2d: bias must have the shape (1,)", lambda: nc.conv2d(X, W, np.ones((1, 1, 1)))),
    ("keyword of another library", TypeError, "conv2d() got an unexpected keyword", lambda: nc.conv2d(X, W, kernel_size=3)),  # type: ignore[call-arg]
    ("list in itself", TypeError, "conv2d: stride must be", lambda: nc.conv2d(X, W, stride=[1, _circle()])),
    ("too many sizes", ValueError, "input_sizes: ", lambda: A.input_sizes(3, 3, stride=2**31 - 1)),
    (
        "too many phases",
        ValueError,
        "receptive_field: ",
        lambda: A.receptive_field([{"kernel": 4, "stride": 10**9, "transposed": True}, {"kernel": 5, "stride": 10**9 + 1}]),
    ),
    ("masked array", TypeError, "conv2d: x is a masked array, whose mask would be lost", lambda: nc.conv2d(np.ma.masked_array(X), W)),
    ("masked array, score", TypeError, "score: image is a masked array", lambda: nc.checkerboard.score(np.ma.masked_array(X), 2)),
    ("masked out", TypeError, "conv2d: out is a masked array", lambda: nc.conv2d(X, W, out=np.ma.zeros((1, 1, 2, 2), "f4"))),
    ("memory, overlap_map", MemoryError, "overlap_map: ", lambda: nc.checkerboard.overlap_map(2**20, 2**21)),
    ("memory, conv_matrix", MemoryError, "conv_matrix: ", lambda: nc.matrix.conv_matrix(np.ones((3, 3)), (2**20, 2**20))),
    ("picture within a picture", ValueError, "operation: no output", lambda: nc.plot.operation(2, 3)),
]


def _circle() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


@pytest.mark.parametrize(("kind", "text", "call"), [k[1:] for k in KINDS], ids=[k[0] for k in KINDS])
def test_kinds(kind: type[Exception], text: str, call: Callable[[], Any]) -> None:
    with pytest.raises(kind) as caught:
        call()
    assert caught.type is kind
    assert str(caught.value).startswith(text)
    assert not hasattr(caught.value, "__notes__")


def test_torch_tensors_that_have_no_data_or_would_lose_their_graph() -> None:
    torch = pytest.importorskip("torch")
    x, w = torch.ones(1, 1, 4, 4), torch.ones(1, 1, 3, 3)
    for odd, text in (
        (torch.empty(1, 1, 4, 4, device="meta"), "conv2d: x has no data"),
        (x.to_sparse(), "conv2d: x is of layout torch.sparse_coo: give its to_dense()"),
        (x.clone().requires_grad_(), "conv2d: x requires grad, and its graph would be lost"),
    ):
        for call in (nc.conv2d, partial(nc.vjp, nc.conv2d), partial(nc.cost, nc.conv2d)):
            with pytest.raises(TypeError) as caught:
                call(odd, w)
            assert str(caught.value).startswith(text)
    with pytest.raises(TypeError, match="score: image requires grad"):
        nc.checkerboard.score(x.clone().requires_grad_(), 2)
    with torch.no_grad():  # no graph is wanted
        assert nc.conv2d(x.clone().requires_grad_(), w).shape == (1, 1, 2, 2)
    assert nc.separability.rank(torch.ones(3, 3, dtype=torch.bfloat16)) == 1
    assert A.conv_output_shape(torch.tensor([5, 6]), 3) == (3, 4)
    assert A.conv_output_shape(torch.tensor(5), 3) == 3


def test_sizes_may_be_any_sequence_or_array() -> None:
    assert A.conv_output_shape(np.array(5), 3) == 3
    assert nc.conv2d(X, W, stride=deque([1, 2])).shape == (1, 1, 2, 1)
    assert nc.conv2d(X, W, padding=range(2)).shape == (1, 1, 2, 4)


def test_the_edge_hides_nothing() -> None:
    def fails(error: BaseException) -> Any:
        @edge("outer")
        def function() -> None:
            raise error

        with pytest.raises(type(error) if isinstance(error, (KeyboardInterrupt, AssertionError, UserWarning)) else Exception) as caught:
            function()
        return caught.value

    for passing in (KeyboardInterrupt(), AssertionError("ours"), UserWarning("ours"), ValueError("outer: no")):
        assert fails(passing) is passing
    first = KeyError("bug")
    named = fails(first)
    assert (type(named), str(named), named.__cause__, named.__notes__) == (TypeError, "outer: KeyError: 'bug'", first, [NOTE])
    first = np.linalg.LinAlgError("singular")
    named = fails(first)
    assert (type(named), str(named), named.__cause__) == (ValueError, "outer: singular", first)
    inner = ValueError("inner: no")
    setattr(inner, MARK, "inner")
    assert str(fails(inner)) == "outer: no"


@pytest.mark.parametrize("variant", [v for v in nc.catalog.VARIANTS if v.composite], ids=lambda v: v.name)
def test_explain_lists_of_a_composite_what_it_takes(variant: Any) -> None:
    for case in variant.cases:
        arrays = case.arrays(np.random.default_rng(0))
        for found in nc.explain(variant.function, *arrays, **case.options).candidates:
            if found.reason is None:  # else the reason stands in the table
                nc.explain(variant.function, *arrays, **case.options, algorithm=found.kernel.name)


def test_random_odd_arguments() -> None:
    broken = [f"example {number}: {name}: {how}\n    {given}" for number, name, how, given in fuzz_arguments.faults(500, 0)]
    assert not broken, "\n".join(broken)


def test_every_public_function_is_tried() -> None:
    tried = {name for call in fuzz_arguments.calls() for name in call.names}
    modules = (nc.arithmetic, nc.separability, nc.checkerboard, nc.matrix)
    wanted = {n for n in nc.__all__ if callable(getattr(nc, n))} | {
        n for m in modules for n in m.__all__ if not isinstance(getattr(m, n), type)
    }
    assert wanted - tried - {"relationships"} == set()
    assert Path(fuzz_arguments.__file__).name in (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text()
