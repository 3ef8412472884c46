"""User arguments → problems: SciPy's convolution and correlation of two arrays, an image of one sample and one channel each."""

from __future__ import annotations

from math import prod
from typing import Any

from ..problem import ConvProblem, Ints
from .request import Request, View, check_size, required
from .types import promote, types
from .values import Spec, Subject, choice, shown

MODES = ("full", "valid", "same")
METHODS = ("auto", "direct", "fft")
WORDS = {"convolve": "volume and kernel", "correlate": "in1 and in2"}


def check(subject: Subject, one: Ints, two: Ints, mode: Any, method: Any) -> None:
    """What SciPy refuses too, in its words."""
    what = WORDS[subject.name]
    if len(one) != len(two):
        raise subject.value(f"{what} should have the same dimensionality; got {len(one)} and {len(two)}")
    try:
        choice(subject, "mode", mode, MODES)
    except (TypeError, ValueError):
        raise subject.value(f"Acceptable mode flags are 'valid', 'same', or 'full'; got {shown(mode)}") from None
    if not isinstance(method, str) or method not in METHODS:
        raise subject.value(f"Acceptable method flags are 'auto', 'direct', or 'fft'; got {shown(method)}")
    if 0 in one or 0 in two:
        raise subject.value(f"{what} must not be empty; got shapes {one} and {two}")
    if mode == "valid" and not (covers(one, two) or covers(two, one)):
        raise subject.value("For 'valid' mode, one must be at least as large as the other in every dimension")


def covers(one: Ints, two: Ints) -> bool:
    return all(a >= b for a, b in zip(one, two, strict=True))


def swaps(mode: str, one: Ints, two: Ints) -> bool:
    """Whether the second array is the image, the first the kernel: of the larger "valid" takes a part, and its loop is the longer one."""
    return (mode == "valid" and not covers(one, two)) or (mode == "full" and prod(two) > prod(one))


def correlation(mode: str, one: Ints, two: Ints, dtype: str, out_dtype: str) -> ConvProblem:
    """Over zeros around the image; "same" is the middle of "full", the odd element where SciPy has it."""
    image, kernel = (two, one) if swaps(mode, one, two) else (one, two)
    each, grown = (1,) * len(one), {"full": 1, "same": 0, "valid": -1}[mode]
    return ConvProblem(
        direction="forward", batch=1, in_channels=1, out_channels=1, groups=1, spatial=image, kernel=kernel, stride=each,
        pad_low=tuple({"full": k - 1, "same": k // 2, "valid": 0}[mode] for k in kernel), dilation=each,
        outputs=tuple(i + grown * (k - 1) for i, k in zip(image, kernel, strict=True)), dtype=dtype, out_dtype=out_dtype,
    )  # fmt: skip


def signal(subject: Subject, specs: tuple[Spec | None, ...], options: tuple[Any, ...]) -> Request:
    """in1, in2; options: mode, method.  The cross-correlation over zeros around the image, in `np.result_type` of both."""
    mode, method = options
    one, two = required(subject, "in1", specs[0]), required(subject, "in2", specs[1])
    check(subject, one.shape, two.shape, mode, method)
    rank = len(one.shape)
    if not 1 <= rank <= 3:
        raise subject.value(f"kernels serve arrays of 1 to 3 axes; got {rank}")
    kinds = types(subject, (one.dtype, two.dtype), None, promote(subject, one.dtype, two.dtype))
    problem = correlation(mode, one.shape, two.shape, kinds.operand, kinds.result)
    check_size(subject, problem.outputs, kinds.result)
    views = tuple(View((1, 1, *spec.shape), kinds.operand) for spec in (one, two))
    return Request((problem,), views, problem.outputs)
