"""Tables for people: by rich on a terminal if it is installed (the extra `rich`), else plain columns, line by line as they come."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any, NamedTuple, TextIO


def is_rich(stream: TextIO) -> bool:
    """Whether what is written there is looked at, and rich is there to write it."""
    return stream.isatty() and find_spec("rich") is not None


class Column(NamedTuple):
    heading: str
    width: int = 0  # characters, of plain columns
    right: bool = False  # numbers


class Table:
    """`with Table(columns) as table: table.row(cells)`; `marked` rows stand out, by more than weight: their cells say why."""

    def __init__(self, columns: Iterable[Column], title: str = "", stream: TextIO | None = None) -> None:
        self.columns, self.title = tuple(columns), title
        self.stream = stream or sys.stdout
        self._live: Any = None
        self._table: Any = None

    def __enter__(self) -> Table:
        if is_rich(self.stream):
            self._begin()
            return self
        if self.title:
            print(self.title, file=self.stream)
        if any(c.heading for c in self.columns):
            self._plain([c.heading for c in self.columns])
        return self

    def _begin(self) -> None:
        from rich import box
        from rich.console import Console
        from rich.live import Live
        from rich.table import Table as RichTable

        headed = any(c.heading for c in self.columns)
        self._table = RichTable(title=self.title or None, title_justify="left", box=box.SIMPLE_HEAD, show_header=headed)
        for column in self.columns:
            self._table.add_column(column.heading, justify="right" if column.right else "left", overflow="fold")
        self._live = Live(
            self._table, console=Console(file=self.stream, highlight=False), refresh_per_second=4, vertical_overflow="visible"
        )
        self._live.__enter__()

    def __exit__(self, *fault: Any) -> None:
        if self._live is not None:
            self._live.__exit__(*fault)

    def row(self, cells: Iterable[str], marked: bool = False) -> None:
        if self._live is None:
            self._plain(list(cells))
            return
        from rich.text import Text

        self._table.add_row(*map(Text, cells), style="bold" if marked else None)

    def _plain(self, cells: list[str]) -> None:
        shown = (f"{t:>{c.width}}" if c.right else f"{t:<{c.width}}" for t, c in zip(cells, self.columns, strict=True))
        print(" ".join(shown).rstrip(), file=self.stream, flush=True)
