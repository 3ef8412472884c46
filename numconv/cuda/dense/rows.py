"""The rows of this family, as the table sees them."""

from __future__ import annotations

from .cuda_cores import rows as cuda_cores
from .direct import rows as direct
from .tensor_cores import rows as tensor_cores

ROWS = (*cuda_cores.ROWS, *tensor_cores.ROWS, *direct.ROWS)
