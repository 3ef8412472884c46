"""The catalog's rows of SciPy's filters: all that are linear in the array."""

from __future__ import annotations

from typing import Any

from .catalog import Case, Variant
from .ndimage import edges, gaussian, neighbours, uniform
from .problem import ConvProblem, FilterProblem
from .signal import planes, transforms

SHAPES: tuple[tuple[int, ...], ...] = ((11,), (7, 8), (5, 6, 7))
MODES = ("reflect", "mirror", "nearest", "wrap", "constant")


def _everywhere(**options: Any) -> tuple[Case, ...]:
    """Of one to three axes, and in every mode."""
    cases = [Case(f"{len(shape)} axes", (shape,), options) for shape in SHAPES]
    return (*cases, *(Case(mode, ((6, 9),), {**options, "mode": mode}) for mode in MODES))


def _weighted(*extents: tuple[tuple[int, ...], tuple[int, ...]], **options: Any) -> tuple[Case, ...]:
    return tuple(Case(f"{shape} by {w}", (shape, w), {**options, "mode": mode}) for (shape, w), mode in zip(extents, MODES, strict=False))


_DENSE = _weighted(((11,), (4,)), ((7, 8), (3, 2)), ((5, 6, 7), (2, 3, 3)), ((4, 9), (5, 1)), ((3, 4), (7, 9)))
_LINES = _weighted(((11,), (4,)), ((7, 8), (3,)), ((5, 6, 7), (2,)), ((4, 9), (5,)), ((2, 3, 4, 5), (3,)), axis=0, origin=0)
_PLANES = (
    Case("full", ((7, 8), (3, 2))),
    Case("same", ((7, 8), (4, 3)), {"mode": "same"}),
    Case("valid", ((7, 8), (4, 3)), {"mode": "valid"}),
)

FILTERS: tuple[Variant, ...] = (
    Variant(neighbours.correlate, 1, "correlation of an array", ConvProblem, _DENSE, fused=FilterProblem),
    Variant(neighbours.convolve, 1, "convolution of an array", ConvProblem, _DENSE, fused=FilterProblem),
    Variant(neighbours.correlate1d, 1, "correlation along an axis", ConvProblem, _LINES, fused=FilterProblem),
    Variant(neighbours.convolve1d, 1, "convolution along an axis", ConvProblem, _LINES, fused=FilterProblem),
    Variant(gaussian.gaussian_filter, 8, "Gaussian", ConvProblem, _everywhere(sigma=1.2), fused=FilterProblem),
    Variant(gaussian.gaussian_filter1d, 8, "Gaussian along an axis", ConvProblem, _everywhere(sigma=0.8, order=1), fused=FilterProblem),
    Variant(gaussian.gaussian_laplace, 8, "Laplacian of a Gaussian", ConvProblem, _everywhere(sigma=0.9), fused=FilterProblem),
    Variant(edges.laplace, 8, "Laplacian", ConvProblem, _everywhere(), fused=FilterProblem),
    Variant(edges.sobel, 8, "Sobel's filter", ConvProblem, _everywhere(axis=0), fused=FilterProblem),
    Variant(edges.prewitt, 8, "Prewitt's filter", ConvProblem, _everywhere(), fused=FilterProblem),
    Variant(uniform.uniform_filter, 8, "mean of a box", ConvProblem, _everywhere(size=3), fused=FilterProblem),
    Variant(uniform.uniform_filter1d, 8, "mean along an axis", ConvProblem, _everywhere(size=4, origin=-1), fused=FilterProblem),
    Variant(planes.convolve2d, 1, "convolution of planes", ConvProblem, _PLANES),
    Variant(planes.correlate2d, 1, "cross-correlation of planes", ConvProblem, (_PLANES[0], _PLANES[2])),
)

_WHOLE = (
    Case("full", ((40,), (9,))),
    Case("same", ((9, 8), (4, 3)), {"mode": "same"}),
    Case("valid", ((5, 6, 7), (2, 3, 3)), {"mode": "valid"}),
)
TRANSFORMS: tuple[Variant, ...] = (
    Variant(transforms.fftconvolve, 1, "convolution by transforms", ConvProblem, _WHOLE),
    Variant(transforms.oaconvolve, 1, "convolution by transforms of blocks", ConvProblem, _WHOLE),
)
