"""Odd arguments into every public function: what is refused is refused by name.

    python tests/fuzz_arguments.py [EXAMPLES [SEED]]        20,000 by default; test_fuzz_arguments.py runs 500

An example takes a good call, puts odd values in the place of one or two of its arguments, and asserts: a result, or a `ValueError`,
`TypeError` or `MemoryError` whose text begins with the function's name (with an operator's, where one is handed in).  Prints what breaks the
rule, one line for each function and kind, and exits with 1 if anything does.
"""

from __future__ import annotations

import array
import collections
import datetime
import decimal
import fractions
import importlib.util
import random
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

import numconv as nc

HUGE = 10**5000  # beyond the digits that Python writes
BEYOND = (2**31, 2**32, 2**63 - 1, 2**63, 2**64, -1, -(2**31), HUGE, -HUGE)


class Silent:
    """Says nothing of itself, not even its name."""

    def __repr__(self) -> str:
        raise RuntimeError("no")


class Faulty:
    """Looks like a number, a sequence and an array, and is none of them."""

    def __index__(self) -> int:
        raise KeyError("index")

    def __float__(self) -> float:
        raise ArithmeticError("float")

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise LookupError("array")

    def __len__(self) -> int:
        raise OSError("len")


class Call(NamedTuple):
    """A good call: the name that its errors begin with, and arguments that serve."""

    names: tuple[str, ...]
    function: Callable[..., Any]
    args: tuple[Any, ...]
    options: dict[str, Any]


def _f(*shape: int) -> Any:
    return np.ones(shape, "float32")


def _itself() -> list[Any]:
    circle: list[Any] = [1]
    circle.append(circle)
    return circle


def _deep() -> Any:
    found: Any = 1
    for _ in range(3000):
        found = [found]
    return found


def _tensors(rng: random.Random) -> Any:
    if importlib.util.find_spec("torch") is None:
        return None
    import torch

    shape = rng.choice([(), (1,), (2,), (1, 1, 4, 4), (1, 1, 3, 3), (0,), (1, 0, 3, 3)])
    return rng.choice(
        [
            lambda: torch.ones(shape, requires_grad=True),
            lambda: torch.empty(shape, device="meta"),
            lambda: torch.ones(shape).to_sparse(),
            lambda: torch.ones(shape, dtype=torch.bfloat16),
            lambda: torch.ones(shape, dtype=torch.bool),
            lambda: torch.ones(shape, dtype=torch.int64),
            lambda: torch.ones(shape, dtype=torch.complex64).conj(),
            lambda: torch.nn.Parameter(torch.ones(shape)),
            lambda: torch.float32,
            lambda: torch.device("cpu"),
        ]
    )()


def _bfloat16(shape: tuple[int, ...]) -> Any:
    return np.ones(shape, importlib.import_module("ml_dtypes").bfloat16) if importlib.util.find_spec("ml_dtypes") else None


def odd(rng: random.Random, depth: int = 0) -> Any:
    """One odd value of any kind."""
    shape = rng.choice([(), (1,), (2,), (3,), (0,), (2, 2), (1, 1, 4, 4), (1, 1, 3, 3), (2, 0, 3)])
    makers: list[Callable[[], Any]] = [
        lambda: rng.choice(BEYOND),
        lambda: rng.choice([0, 1, 2, 3, True, False, None, ..., NotImplemented]),
        lambda: rng.choice([float("nan"), float("inf"), -0.0, 1.5, 1e308, 1j, decimal.Decimal("NaN"), fractions.Fraction(1, 3)]),
        lambda: rng.choice(["", "a", "same", "valid", "zeros", "relu", "direct", "fft", "bilinear", "cuda", "float32", "é" * 500, "\0"]),
        lambda: rng.choice([b"ab", bytearray(b"ab"), memoryview(b"ab"), memoryview(b""), array.array("d", [1, 2])]),
        lambda: rng.choice([{}, {"a": 1}, {1, 2}, frozenset(), object(), Silent(), Faulty(), int, float, np.float32, print, nc.conv2d, nc]),
        lambda: rng.choice([datetime.timedelta(1), datetime.date(2020, 1, 1), np.timedelta64(1, "s"), np.datetime64("2020")]),
        lambda: rng.choice([[], (), [[]], [[1], [1, 2]], [1, [2]], _itself(), _deep(), range(2), range(0), iter([1, 2]), slice(2)]),
        lambda: rng.choice(
            [collections.deque([1, [2]]), collections.deque([1, 2]), collections.UserList([1]), collections.UserString("a")]
        ),
        lambda: np.ones(shape, rng.choice(["f4", "f8", "i4", "u8", "c16", "?", "f2", "g"])),
        lambda: np.full(shape, rng.choice([float("nan"), float("inf"), 1e38]), "f4"),
        lambda: np.empty(shape, rng.choice(["U3", "S2", "O", "m8[s]", "M8[D]", "V4", [("a", "i4")]])),
        lambda: np.array([{}, "a", None, object()], object)[: rng.randrange(5)],
        lambda: rng.choice(
            [np.float64(2.5), np.int8(2), np.uint64(2**64 - 1), np.bool_(True), np.str_("same"), np.array(5), np.array(5.5)]
        ),
        lambda: np.ma.masked_array(np.ones(shape), np.zeros(shape, bool)),
        lambda: np.broadcast_to(np.float32(1), (2**20, 2**20)),
        lambda: np.asarray(np.ones(shape), ">f4").view(np.recarray) if shape else np.matrix([[1.0]]),
        lambda: _bfloat16(shape),
        lambda: _tensors(rng),
        lambda: np.dtype(rng.choice(["f4", "U3", "O", "m8"])),
    ]
    if depth < 2:
        makers += [lambda: [odd(rng, depth + 1) for _ in range(rng.randint(0, 3))]] * 2
        makers += [lambda: tuple(odd(rng, depth + 1) for _ in range(rng.randint(1, 3)))] * 2
        makers += [lambda: {rng.choice(["kernel", "stride", "padding", "dilation", "transposed"]): odd(rng, depth + 1) for _ in range(2)}]
    return rng.choice(makers)()


def calls() -> list[Call]:
    """One good call or more for every public function."""
    rng, found = np.random.default_rng(0), []
    operators = [variant.name for variant in nc.catalog.VARIANTS]
    for variant in nc.catalog.VARIANTS:
        case = variant.cases[0]
        options = dict(case.options)
        if isinstance(options.get("mask"), tuple):
            options["mask"] = _f(*options["mask"])
        arrays = case.arrays(rng)
        found.append(Call((variant.name,), variant.function, arrays, options))
        found.append(Call(("vjp", *operators), nc.vjp, (variant.function, *arrays), options))
        found.append(Call(("explain", *operators), nc.explain, (variant.function, *arrays), options))
        found.append(Call(("cost", *operators), nc.cost, (variant.function, *arrays), options))
    x, w = {1: _f(1, 2, 6), 2: _f(1, 2, 5, 6), 3: _f(1, 2, 4, 4, 4)}, {}
    for rank in (1, 2, 3):
        w[rank] = _f(3, 2, *(3,) * rank)
        dy = _f(1, 3, *(n - 2 for n in x[rank].shape[2:]))
        for name, args in (("input", (x[rank].shape, w[rank], dy)), ("weight", (x[rank], w[rank].shape, dy))):
            function = getattr(nc.grad, f"conv{rank}d_{name}")
            found.append(Call((f"grad.{function.__name__}",), function, args, {}))
        for kind, weights in ((f"Conv{rank}d", w[rank]), (f"ConvTranspose{rank}d", _f(2, 3, *(3,) * rank))):
            layer = getattr(nc, kind)
            found.append(Call((kind,), layer, (weights,), {"padding": 1}))
            found.append(Call((kind,), layer(weights), (x[rank],), {}))
    a, s, c, m = nc.arithmetic, nc.separability, nc.checkerboard, nc.matrix
    found += [
        Call(
            ("out_of_core", "conv2d"),
            nc.out_of_core,
            (nc.conv2d, x[2], w[2]),
            {"target": _f(1, 3, 3, 4), "memory_limit": "1MB", "progress": False},
        ),
        Call(("algorithms",), nc.algorithms, (nc.conv2d, "cpu"), {}),
        Call(("conv_output_shape",), a.conv_output_shape, (7, 3, 2, 1, 1), {}),
        Call(("conv_output_shape",), a.conv_output_shape, ((7, 8), 3, 2, (1, 1)), {}),
        Call(("conv_transpose_output_shape",), a.conv_transpose_output_shape, ((7, 7), 3, 2, 1, 1, 1), {}),
        Call(("input_sizes",), a.input_sizes, (3, 3, 2, 0, 1), {}),
        Call(("output_padding_for",), a.output_padding_for, (14, 7, 3, 2, 1), {}),
        Call(("same_padding",), a.same_padding, (8, 3, 2, 1, True), {}),
        Call(("receptive_field",), a.receptive_field, ([{"kernel": 3, "stride": 2}, {"kernel": (3, 3), "padding": 1}],), {}),
        Call(("separate",), s.separate, (np.ones((3, 3)), 1, 1e-6), {}),
        Call(("rank",), s.rank, (np.ones((3, 3)), 1e-6), {}),
        Call(("flatten",), s.flatten, (np.ones((2, 3, 3)), 20), {}),
        Call(("overlap_map",), c.overlap_map, ((3, 4), 3, 2, 0, 1), {}),
        Call(("is_even",), c.is_even, (4, 2, 1), {}),
        Call(("phase_gain",), c.phase_gain, (np.ones((4, 4)), 2), {}),
        Call(("score",), c.score, (np.ones((4, 4)), 2), {}),
        Call(("conv_matrix",), m.conv_matrix, (np.ones((3, 3)), (4, 4), 1, 0, 1, 1), {}),
        Call(("conv_operator",), m.conv_operator, (_f(2, 2, 3), (2, 6), 1, 0, 1, 1, "zeros"), {}),
    ]
    if importlib.util.find_spec("matplotlib") is not None:
        p = importlib.import_module("numconv.plot")
        found += [
            Call(("operation",), p.operation, (3, 2, 1, 0, 1), {"transposed": False, "step": 1}),
            Call(("phase_gain",), p.phase_gain, (np.ones((4, 4)), 2), {"repeats": 2, "dark": False}),
            Call(("factors",), p.factors, (np.eye(3), 2), {}),
            Call(("channels",), p.channels, (4, 4, 2), {"shuffle": True}),
            Call(("images",), p.images, ({"a": np.ones((2, 2))}, 4), {}),
            Call(("kernels",), p.kernels, (np.ones((2, 2)), 8), {}),
            Call(("overlap_map",), p.overlap_map, (3, 3, 2, 0, 1), {}),
            Call(("receptive_field",), p.receptive_field, ([{"kernel": 3}],), {}),
        ]
    return found


OPTIONS = (
    "stride", "padding", "dilation", "groups", "padding_mode", "layout", "activation", "out", "out_dtype", "algorithm", "precision", "bias",
    "output_padding", "output_size", "mode", "method", "temperature", "scale", "size", "align_corners", "mid_bias", "mid_activation", "mask",
    "border", "dtype", "kernel_size",
)  # fmt: skip


def example(rng: random.Random, known: list[Call]) -> tuple[Call, tuple[Any, ...], dict[str, Any]]:
    call = rng.choice(known)
    args, options = list(call.args), dict(call.options)
    for _ in range(rng.choice([1, 1, 1, 2])):
        if args and rng.random() < 0.6:
            args[rng.randrange(len(args))] = odd(rng)
        elif rng.random() < 0.1:
            args = args[: rng.randrange(len(args) + 1)]
        else:
            options[rng.choice(OPTIONS)] = odd(rng)
    return call, tuple(args), options


def broken(call: Call, args: tuple[Any, ...], options: dict[str, Any]) -> str | None:
    """How the rule is broken, or None."""
    try:
        call.function(*args, **options)
    except (ValueError, TypeError, MemoryError) as error:
        text = str(error)
        if type(error) in (ValueError, TypeError, MemoryError) and text.startswith(tuple(f"{n}{c}" for n in call.names for c in ":(.")):
            if hasattr(error, "__notes__"):  # an error of another kind, named by the edge
                return f"not foreseen: {text[:150]} ← {error.__cause__!r}"[:400]
            return None
        return f"{type(error).__name__}: {text[:150]!r}"
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:150]!r}"
    return None


def faults(count: int, seed: int) -> Iterator[tuple[int, str, str, str]]:
    """(number of the example, name, how the rule is broken, the arguments)."""
    known = calls()
    for number in range(count):
        rng = random.Random(f"{seed}:{number}")  # each example by itself: a failure is run again by its number
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            call, args, options = example(rng, known)
            how = broken(call, args, options)
        if how is not None:
            yield number, call.names[0], how, _shown(args, options)


def _shown(args: Any, options: Any) -> str:
    from numconv.arguments.values import shown

    return f"{', '.join(map(shown, args))} {', '.join(f'{k}={shown(v)}' for k, v in options.items())}".replace("\n", " ")[:400]


def main() -> int:
    count, seed = (int(v) for v in (*sys.argv[1:], *("20000", "0")[len(sys.argv) - 1 :]))
    kinds: dict[tuple[str, str], int] = collections.Counter()
    for number, name, how, given in faults(count, seed):
        kind = (name, how[:60])
        kinds[kind] += 1
        if kinds[kind] == 1:
            print(f"{number} {name}: {how}\n    {given}", flush=True)
    print(f"{count} examples, {sum(kinds.values())} faults of {len(kinds)} kinds")
    return 1 if kinds else 0


if __name__ == "__main__":
    sys.exit(main())
