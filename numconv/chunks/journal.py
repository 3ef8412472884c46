"""Which tiles of a target are done: a file beside it, which survives a kill at any moment.

The first line says what is computed; after it each line is the number of a tile that lies in the target for good: the line is written when
the tile has reached the disk.  A line that was cut off by a kill does not count, nor does a file whose first line says something else.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

SUFFIX = ".numconv-journal"


def beside(target: Any) -> Path | None:
    """Where the journal of a target lies that is a file or a folder, or lies in one; None where nobody knows."""
    name = getattr(target, "filename", None)  # NumPy's memmap
    if name is not None:
        return Path(f"{os.fspath(name)}{SUFFIX}")
    file = getattr(target, "file", None)  # h5py's dataset
    if file is not None and hasattr(file, "filename"):
        return Path(f"{file.filename}{str(target.name).replace('/', '.')}{SUFFIX}")
    root = getattr(getattr(target, "store", None), "root", None)  # zarr's array in a folder
    if root is not None:
        inside = str(getattr(target, "path", "")).strip("/").replace("/", ".")
        return Path(f"{os.fspath(root)}{'.' + inside if inside else ''}{SUFFIX}")
    return None


class Journal:
    """Of one target and what is computed into it; without a path nothing is kept."""

    def __init__(self, path: Path | None, what: str) -> None:
        self.path, self.what = path, what
        self.done: set[int] = set()
        if path is not None:
            self.done = self._read(path)
            self._file = open(path, "wb" if not self.done else "r+b")  # noqa: SIM115  (closed by `close`)
            if self.done:
                self._file.truncate(self._end)
                self._file.seek(self._end)
            else:
                self._put(what)

    def _read(self, path: Path) -> set[int]:
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return set()
        lines = data[: data.rfind(b"\n") + 1].split(b"\n")[:-1]
        self._end = data.rfind(b"\n") + 1
        if not lines or lines[0].decode(errors="replace") != self.what:
            return set()
        return {int(line) for line in lines[1:] if line.isdigit()}

    def _put(self, line: str) -> None:
        self._file.write(f"{line}\n".encode())
        self._file.flush()
        os.fsync(self._file.fileno())

    def add(self, tile: int) -> None:
        """The tile has reached the disk."""
        if self.path is not None:
            self._put(str(tile))

    def close(self, finished: bool) -> None:
        """`finished`: all is done, and the next call begins anew."""
        if self.path is not None:
            self._file.close()
            if finished:
                self.path.unlink(missing_ok=True)
