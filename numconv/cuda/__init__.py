"""The CUDA device: its table of kernels, how they are launched, and nothing that `import numconv` would load."""

from . import environment  # noqa: F401  (before anything below imports numba.cuda)
