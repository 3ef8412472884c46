"""The filters of benchmarks/filters.py: what is filtered, by what, and how each library says it.

Every library gets the same arrays and does the same sum, with the same values beyond the edges; `check` says how near results must be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]
Call = Callable[[], Any]
LIBRARIES = ("numconv", "scipy", "scipy_fft", "opencv", "torch", "numpy")
SCIPY_SUMS = 1e9  # products of a call beyond which SciPy's direct sums take seconds, and its transforms stand for it
TORCH_SUMS = 3e8  # the same of torch, which packs a single channel as if there were many
SIGMA, SEPARABLE = 2.0, 15
CUT_OFF = 2.0  # SciPy cuts off the mean of each axis, OpenCV rounds that of both


class Case(NamedTuple):
    kind: str  # "image", "signal", "volume": dense kernels; else a filter's name
    size: int  # samples along each axis
    taps: int  # along each axis
    dtype: str

    @property
    def rank(self) -> int:
        return {"signal": 1, "volume": 3}.get(self.kind, 2)

    @property
    def products(self) -> float:
        return float(self.size**self.rank) * float(self.taps**self.rank)

    def __str__(self) -> str:
        sizes = "×".join([str(self.size)] * self.rank) if self.rank > 1 else f"{self.size:,}"
        taps = "×".join([str(self.taps)] * self.rank) if self.rank > 1 else f"{self.taps:,}"
        return f"{self.kind} {sizes}, {taps}, {self.dtype}"


def cases(quick: bool) -> Iterator[Case]:
    images = (256, 1024) if quick else (256, 512, 1024, 2048, 4096)
    for dtype in ("float32", "uint8"):
        for n in images:
            for k in (3, 9, 31) if quick else (3, 5, 9, 15, 31, 63):
                if (dtype == "float32" or k < 31) and n * k < 4096 * 63:
                    yield Case("image", n, k, dtype)
            for name, k in ((("gaussian", 17),) if dtype == "float32" else ()) + (("separable", SEPARABLE), ("sobel", 3), ("uniform", 5)):
                yield Case(name, n, k, dtype)
    for n in (1000, 100_000) if quick else (1000, 10_000, 100_000, 1_000_000, 10_000_000):
        for k in (3, 33, 129, 1025, 9999):
            if k <= n:
                yield Case("signal", n, k, "float32")
    for n in (64,) if quick else (64, 128, 256):
        for k in (3, 7) if quick else (3, 5, 7, 11):
            yield Case("volume", n, k, "float32")


def arrays(case: Case) -> tuple[Array, Array]:
    """Of floats: normal ones; of bytes: bytes, by taps of −1, 0 and 1, whose sums fit in 16 bits."""
    rng = np.random.default_rng(case.size + case.taps)
    shape, kernel = (case.size,) * case.rank, (case.taps,) * (1 if case.kind == "separable" else case.rank)
    if case.dtype == "uint8":
        w = rng.integers(-1, 2, kernel).astype(np.float32)
        return rng.integers(0, 256, shape, dtype=np.uint8), w if case.kind != "separable" else np.abs(w)
    return rng.standard_normal(shape, dtype=np.float32), rng.standard_normal(kernel, dtype=np.float32)


def call(library: str, case: Case, threads: int) -> Call | None:
    """None: the library does not do it, or in seconds."""
    x, w = arrays(case)
    return globals()[f"_{library}"](case, x, w, threads)  # type: ignore[no-any-return]


def _of_package(package: Any, signal: Any, case: Case, x: Array, w: Array) -> Call | None:
    """SciPy's names, which are ours."""
    whole = case.dtype == "uint8"
    if case.kind == "gaussian":
        return lambda: package.gaussian_filter(x, SIGMA)
    if case.kind == "uniform":
        return lambda: package.uniform_filter(x, case.taps)
    if case.kind == "sobel":
        return lambda: package.sobel(x, output=np.int16 if whole else None)
    if case.kind == "separable":
        first, last = (np.int16, np.int32) if whole else (None, None)
        return lambda: package.correlate1d(package.correlate1d(x, w, 1, first, "mirror"), w, 0, last, "mirror")
    if whole:
        return lambda: package.correlate(x, w, np.int16, "constant")
    return lambda: signal.correlate(x, w, "same")


def _numconv(case: Case, x: Array, w: Array, threads: int) -> Call | None:
    import numba

    import numconv as nc

    numba.set_num_threads(threads)
    if case.kind == "signal":
        return lambda: nc.convolve(x, w, "same")
    return _of_package(nc.ndimage, nc.signal, case, x, w)


def _scipy(case: Case, x: Array, w: Array, threads: int) -> Call | None:
    from scipy import ndimage

    class Sums:
        """`ndimage`, where `signal` would sum in the same time or more."""

        @staticmethod
        def correlate(x: Array, w: Array, mode: str) -> Array:
            found: Array = ndimage.correlate(x, w, mode="constant")
            return found

    if case.products > SCIPY_SUMS or case.kind == "signal":  # NumPy's are the better ones of lines
        return None
    return _of_package(ndimage, Sums, case, x, w)


def _scipy_fft(case: Case, x: Array, w: Array, threads: int) -> Call | None:
    from scipy import fft, signal

    if case.kind not in ("image", "signal", "volume") or case.dtype == "uint8":
        return None
    flipped = w if case.kind == "signal" else np.ascontiguousarray(np.flip(w))
    blocks = case.taps * 8 < case.size

    def way() -> Any:
        with fft.set_workers(threads):
            return (signal.oaconvolve if blocks else signal.fftconvolve)(x, flipped, "same")

    return way


def _opencv(case: Case, x: Array, w: Array, threads: int) -> Call | None:
    import cv2

    cv2.setNumThreads(threads)
    whole = case.dtype == "uint8"
    if case.kind == "volume":
        return None
    if case.kind == "gaussian":
        return lambda: cv2.GaussianBlur(x, (case.taps, case.taps), SIGMA, borderType=cv2.BORDER_REFLECT)
    if case.kind == "uniform":
        return lambda: cv2.blur(x, (case.taps, case.taps), borderType=cv2.BORDER_REFLECT)
    if case.kind == "sobel":  # SciPy's default is the last axis but its border the symmetric one
        return lambda: cv2.Sobel(x, cv2.CV_16S if whole else -1, 1, 0, borderType=cv2.BORDER_REFLECT)
    if case.kind == "separable":
        return lambda: cv2.sepFilter2D(x, cv2.CV_32F if whole else -1, w, w, borderType=cv2.BORDER_REFLECT_101)
    if case.kind == "signal":
        line, flipped = x[None], np.ascontiguousarray(w[::-1])[None]
        return lambda: cv2.filter2D(line, -1, flipped, borderType=cv2.BORDER_CONSTANT)[0]
    return lambda: cv2.filter2D(x, cv2.CV_16S if whole else -1, w, borderType=cv2.BORDER_CONSTANT)


def _torch(case: Case, x: Array, w: Array, threads: int) -> Call | None:
    import torch

    torch.set_num_threads(threads)
    if case.kind not in ("image", "signal", "volume") or case.dtype == "uint8" or case.products > TORCH_SUMS:
        return None
    function = {1: torch.conv1d, 2: torch.conv2d, 3: torch.conv3d}[case.rank]
    a, b = torch.from_numpy(x)[None, None], torch.from_numpy(np.flip(w).copy() if case.kind == "signal" else w)[None, None]
    return lambda: function(a, b, padding=case.taps // 2)[0, 0].numpy()


def _numpy(case: Case, x: Array, w: Array, threads: int) -> Call | None:
    if case.kind != "signal" or case.products > SCIPY_SUMS:
        return None
    return lambda: np.convolve(x, w, "same")


def check(case: Case, found: Array, wanted: Array) -> None:
    """Floats to a share of the largest; integers exactly, but where OpenCV rounds a mean that SciPy cuts off."""
    assert found.shape == wanted.shape, (str(case), found.shape, wanted.shape)
    a, b = found.astype(np.float64), wanted.astype(np.float64)
    near = 1e-4 * abs(b).max() if case.dtype == "float32" else CUT_OFF if case.kind == "uniform" else 0.0
    assert abs(a - b).max() <= near, (str(case), float(abs(a - b).max()), near)
