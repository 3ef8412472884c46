"""Filters of images and volumes → problems: sums over neighbours, one after the other, over an array of any number of axes.

The kernels see up to three spatial axes, so an array is looked at anew for each sum: neighbouring axes that it leaves alone are one, those
in front of all others may be samples of a batch.  What does not fit in three is not served.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..problem import ConvProblem, Ints
from .request import Request, View
from .values import Spec, Subject

#: SciPy's names of what lies beyond an edge, and ours
MODES = {
    "reflect": "symmetric",
    "grid-mirror": "symmetric",
    "mirror": "reflect",
    "nearest": "replicate",
    "wrap": "circular",
    "grid-wrap": "circular",
    "constant": "zeros",
    "grid-constant": "zeros",
}
MOST_AXES = 3  # spatial ones, of a kernel


class Wanted(NamedTuple):
    """Of an axis of a block: which of its samples a filter is to give."""

    first: int
    number: int


class Sum(NamedTuple):
    """One sum over neighbours: y[p] = Σ_r weights[r] · x[p + r − extent // 2 − origin], on these axes."""

    axes: Ints  # increasing
    extents: Ints  # of the weights
    origins: Ints
    mode: str  # SciPy's name


Chains = tuple[tuple[Sum, ...], ...]  # sums in turn; the results of all chains are added


class Span(NamedTuple):
    """An axis of the array as a sum sees it: one that it filters, or neighbouring ones that it leaves alone, as one."""

    extent: int
    which: int  # of the sum's axes; LEFT_ALONE: none


LEFT_ALONE = -1


def spans(shape: Ints, axes: Ints) -> list[Span]:
    found: list[Span] = []
    for i, extent in enumerate(shape):
        which = axes.index(i) if i in axes else LEFT_ALONE
        if which == LEFT_ALONE and found and found[-1].which == LEFT_ALONE:
            found[-1] = Span(found[-1].extent * extent, LEFT_ALONE)
        else:
            found.append(Span(extent, which))
    return [span for span in found if span.which != LEFT_ALONE or span.extent > 1]


def fits(shape: Ints, axes: Ints) -> bool:
    """Whether a kernel's axes are enough, the first ones aside that may be a batch."""
    seen = spans(shape, axes)
    return len(seen) - (seen[0].which == LEFT_ALONE) <= MOST_AXES


def problem_of(shape: Ints, one: Sum, dtype: str) -> ConvProblem:
    seen = spans(shape, one.axes)
    batch = seen.pop(0).extent if len(seen) > MOST_AXES else 1
    extents = tuple(one.extents[which] if which >= 0 else 1 for _, which in seen)
    low = tuple(one.extents[which] // 2 + one.origins[which] if which >= 0 else 0 for _, which in seen)
    outputs, each = tuple(extent for extent, _ in seen), (1,) * len(seen)
    return ConvProblem(
        direction="forward",
        batch=batch,
        in_channels=1,
        out_channels=1,
        groups=1,
        spatial=outputs,
        kernel=extents,
        stride=each,
        pad_low=low,
        dilation=each,
        outputs=outputs,
        dtype=dtype,
        out_dtype=dtype,
        padding_mode=MODES[one.mode],
    )


def filters(subject: Subject, specs: tuple[Spec | None, ...], options: tuple[Any, ...]) -> Request:
    """input, then the weights of each sum; options: chains, the type of the sums."""
    chains, dtype = options
    source = specs[0]
    assert source is not None  # the functions of `ndimage` have looked
    problems, views = [], [View()]
    for one in (Sum(*one) for chain in chains for one in chain):
        problem = problem_of(source.shape, one, dtype)
        problems.append(problem)
        views.append(View(problem.weight_shape, dtype))
    return Request(tuple(problems), tuple(views), source.shape)


def requested(subject: Subject, specs: tuple[Spec | None, ...], options: tuple[Any, ...]) -> Request:
    """input, then the weights of each pass; options: the passes' problems, as they were found with weights known; the shape."""
    problems, shape = options
    return Request(problems, (View(problems[0].result_shape), *[View()] * len(problems)), shape)
