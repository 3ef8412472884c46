"""What both rows' plans come to, for the host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Prepared:
    """A plan, and what the host knows besides."""

    plan: Any  # the record
    tile: tuple[int, int, int]  # what its loop is compiled for
    tasks: int
    room: int  # elements of scratch a worker
    offsets: np.ndarray | None = None  # `outer`: of each position of a chunk in what is read
