"""What the table sees of the operators."""

from __future__ import annotations

from . import dynamic, patches, resize, shuffle
from .deformable import forward as deformable

ROWS = tuple(row for operator in (shuffle, resize, dynamic, deformable, patches) for row in operator.ROWS)
