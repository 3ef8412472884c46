"""The rows of this room, as the table sees them."""

from __future__ import annotations

from . import matrix, scatter, zero_insertion

ROWS = (*zero_insertion.ROWS, *scatter.ROWS, *matrix.ROWS)
