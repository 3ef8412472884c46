"""The tile of a product on CUDA cores, whose sums lie in the registers of a block's threads."""

from __future__ import annotations

from typing import NamedTuple


class RegisterTile(NamedTuple):
    """The results of a block and of each of its threads, and the terms that are added from one barrier to the next."""

    rows: int  # of the result
    columns: int
    depth: int  # terms in shared memory at once
    thread_rows: int  # a multiple of four: rows are read by quads
    thread_columns: int

    @property
    def threads(self) -> int:
        return (self.rows // self.thread_rows) * (self.columns // self.thread_columns)
