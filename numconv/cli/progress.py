"""A progress bar on standard error: one line, rewritten on a terminal (by rich if it is installed), else one for each step."""

from __future__ import annotations

import sys
import time
from typing import Any, TextIO

from .terminal import is_rich


class Bar:
    """`with Bar(total) as bar: bar.step("what")` before each of `total` pieces of work."""

    def __init__(self, total: int, stream: TextIO | None = None) -> None:
        self.total, self.done = total, -1
        self.stream = stream or sys.stderr
        self.start = time.perf_counter()
        self._rich: Any = None

    def __enter__(self) -> Bar:
        if is_rich(self.stream):
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

            console = Console(file=self.stream)
            columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
            self._rich = Progress(*columns, console=console)
            self._rich.add_task("", total=self.total)
            self._rich.start()
        return self

    def __exit__(self, *fault: object) -> None:
        if fault[0] is None:
            self.done = self.total - 1
            self.step("done")
        if self._rich is not None:
            self._rich.stop()
        elif self.stream.isatty():
            self.stream.write("\n")

    def step(self, what: str) -> None:
        self.done += 1
        if self._rich is not None:
            self._rich.update(self._rich.task_ids[0], completed=self.done, description=what)
            return
        seconds = time.perf_counter() - self.start
        filled = 30 * self.done // max(1, self.total)
        text = f"[{'#' * filled}{'.' * (30 - filled)}] {self.done:>3}/{self.total} {seconds:5.0f} s  {what}"
        self.stream.write(f"\r{text[:110]:<110}" if self.stream.isatty() else text + "\n")
        self.stream.flush()
