"""All rows of the CUDA device.  A new kernel is one file with its ROWS, and one name here."""

from __future__ import annotations

from ..kernel import Kernel
from . import direct

ROWS: tuple[Kernel, ...] = (*direct.ROWS,)
