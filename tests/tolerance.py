"""How far a result may be from the oracle, element by element (MATH.md C10), and the asserts that say so."""

from __future__ import annotations

from typing import Any

import numpy as np

# Unit roundoff of the arithmetic: the accumulator's, and of what is stored.
ROUNDOFF = {
    "float16": 2.0**-24,
    "bfloat16": 2.0**-24,
    "float32": 2.0**-24,
    "complex64": 2.0**-23,
    "float64": 2.0**-53,
    "complex128": 2.0**-52,
}
STORED = {"float16": 2.0**-11, "bfloat16": 2.0**-8}


def name(dtype: Any) -> str:
    return getattr(dtype, "name", None) or np.dtype(dtype).name


def bound(magnitude: Any, terms: int, dtype: Any, factor: float = 1.0, expected: Any = 0.0) -> np.ndarray[Any, Any]:
    """factor · (4 + √terms) · u · magnitude, magnitude = the oracle on absolute values; plus the rounding of a narrow result."""
    kind = name(dtype)
    if kind not in ROUNDOFF:
        return np.zeros_like(np.asarray(magnitude), np.float64)
    accumulated = factor * (4 + np.sqrt(terms)) * ROUNDOFF[kind] * np.abs(np.asarray(magnitude)).astype(np.float64)
    narrow = 2 * STORED.get(kind, 0.0) * np.nan_to_num(np.abs(np.asarray(expected)).astype(np.float64), posinf=0)
    # Below the smallest normal number rounding is absolute.
    least = {"float16": 2.0**-24, "float32": 2.0**-149, "complex64": 2.0**-148}.get(
        kind, 2.0**-1074 if kind in ("float64", "complex128") else 2.0**-133
    )
    return accumulated + narrow + least


def assert_within(actual: Any, expected: Any, magnitude: Any, terms: int, dtype: Any = None, factor: float = 1.0) -> None:
    """|actual − expected| ≤ bound at every element; NaN and infinity must be where they are expected.  `dtype` None: of `actual`."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    dtype = actual.dtype if dtype is None else dtype
    assert actual.shape == expected.shape, f"shape {actual.shape}, expected {expected.shape}"
    if name(dtype) not in ROUNDOFF:
        np.testing.assert_array_equal(actual, expected)
        return
    wide = np.complex128 if "c" in (expected.dtype.kind, actual.dtype.kind) else np.float64
    actual, expected = actual.astype(wide), expected.astype(wide)
    limit = np.broadcast_to(bound(magnitude, terms, dtype, factor, expected), expected.shape)
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(actual[~finite], expected[~finite])
    error = np.where(finite, np.abs(np.where(finite, actual, 0) - np.where(finite, expected, 0)), 0)
    worst = error > limit
    if not worst.any() and not np.isnan(error).any():
        return
    at = np.unravel_index(np.argmax(np.nan_to_num(error / np.maximum(limit, 1e-300), nan=np.inf)), error.shape)
    raise AssertionError(
        f"{int(worst.sum() + np.isnan(error).sum())} of {error.size} beyond the bound; worst at {tuple(int(i) for i in at)}: "
        f"{actual[at]} for {expected[at]}, off by {error[at]:.3g}, allowed {limit[at]:.3g} ({name(dtype)}, {terms} terms)"
    )


def assert_same(actual: Any, expected: Any) -> None:
    """Equality, shape and NaN included: for small integers in any type, where every partial sum is exact."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, f"shape {actual.shape}, expected {expected.shape}"
    np.testing.assert_array_equal(actual.astype(expected.dtype), expected)
