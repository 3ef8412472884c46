"""What both lane orders hand to `rows`: a plan with its tables, and what the host knows besides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

SMALL_WORK = 2e5  # multiply-adds; fewer are done in the calling thread


@dataclass(frozen=True, eq=False)
class PreparedDense:
    """For a problem, a machine, a number of workers, and weights packed before or given plain."""

    plan: Any  # the record of `positions` or of `channels`
    numbers: np.ndarray  # int64: the record, then its tables
    tile: tuple[Any, ...]  # what is compiled in: the arguments of the order's `driver`
    tasks: int  # a sample
    room: int  # elements of scratch a worker
    filters: np.ndarray  # for the packer: how the weights lie as given
    packed: int  # elements of the packed weights
    places: int  # integers that packing them ahead of all tasks notes down
    cycles: float  # predicted, of all workers
