"""Correlation by Fourier transforms of overlapping blocks: `plan` chooses them, `blocks` transforms them, `rows` sums over channels."""

from .rows import ROWS

__all__ = ["ROWS"]
