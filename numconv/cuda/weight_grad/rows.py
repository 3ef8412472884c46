"""The rows of weight gradients, as the table sees them."""

from __future__ import annotations

from .cuda_cores import rows as cuda_cores
from .depthwise import rows as depthwise
from .tensor_cores import rows as tensor_cores

ROWS = (*depthwise.ROWS, *cuda_cores.ROWS, *tensor_cores.ROWS)
