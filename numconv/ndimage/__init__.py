"""SciPy's names for filters of images and volumes, on the convolution kernels of the arrays' device: `import numconv.ndimage as ndi`.

Signatures, modes, rules of types and exceptions are SciPy's.  What no kernel serves (complex numbers, booleans, halves, Python objects,
more than three filtered axes, means of more than 64 neighbours; on a GPU, for gradients and beside SciPy's of ARM integers by weights that
are none, too) goes by SciPy's own function of that name.

Sums of float32 are made in float32, where SciPy makes them in float64 and rounds: within γ_n·Σ|w|·|x|, n the number of weights.  All others
are as SciPy's: exact for small integers, in float64 and in SciPy's order else, so that integers are rounded as SciPy rounds them.
"""

from .edges import generic_laplace, laplace, prewitt, sobel
from .gaussian import gaussian_filter, gaussian_filter1d, gaussian_gradient_magnitude, gaussian_laplace
from .neighbours import convolve, convolve1d, correlate, correlate1d
from .uniform import uniform_filter, uniform_filter1d

__all__ = [
    "convolve",
    "convolve1d",
    "correlate",
    "correlate1d",
    "gaussian_filter",
    "gaussian_filter1d",
    "gaussian_gradient_magnitude",
    "gaussian_laplace",
    "generic_laplace",
    "laplace",
    "prewitt",
    "sobel",
    "uniform_filter",
    "uniform_filter1d",
]
