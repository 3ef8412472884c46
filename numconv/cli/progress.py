"""A progress bar on standard error: one line that is rewritten on a terminal, one line per step elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TextIO


class Bar:
    """`with Bar(total) as bar: bar.step("what")` before each of `total` pieces of work."""

    def __init__(self, total: int, stream: TextIO | None = None) -> None:
        self.total, self.done = total, -1
        self.stream = stream or sys.stderr
        self.start = time.perf_counter()

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *fault: object) -> None:
        if fault[0] is None:
            self.done = self.total - 1
            self.step("done")
        if self.stream.isatty():
            self.stream.write("\n")

    def step(self, what: str) -> None:
        self.done += 1
        seconds = time.perf_counter() - self.start
        filled = 30 * self.done // max(1, self.total)
        text = f"[{'#' * filled}{'.' * (30 - filled)}] {self.done:>3}/{self.total} {seconds:5.0f} s  {what}"
        self.stream.write(f"\r{text[:110]:<110}" if self.stream.isatty() else text + "\n")
        self.stream.flush()
