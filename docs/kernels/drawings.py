"""The drawings of the kernels' pages: what lies in memory, caches and registers, and how packed panels look.

    python docs/kernels/drawings.py            writes docs/kernels/*.svg
    python docs/kernels/drawings.py --check    changes nothing; exit status 1 if something would change

A drawing is a row of columns (memory, a worker's room, registers, memory), each with grids of cells; arrows carry the names that the kernels use.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

HERE = Path(__file__).parent
CELL = 13  # pixels
INK, PAPER, LINE = "#1b1f24", "#ffffff", "#8b949e"
TINTS = {"source": "#cfe3ff", "weights": "#ffe2b8", "sums": "#d3f0d0", "target": "#e5d8fb", "zero": "#eef0f2", "": "#f6f8fa"}
STYLE = f"text {{ font: 11px sans-serif; fill: {INK} }} .head {{ font-weight: bold; font-size: 12px }} .small {{ font-size: 10px }}"


@dataclass
class Sheet:
    """An SVG under way; lengths in pixels."""

    width: int
    height: int
    title: str
    parts: list[str] = field(default_factory=list)

    def text(self, x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> None:
        self.parts.append(f'<text x="{x:g}" y="{y:g}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>')

    def column(self, x: float, width: float, head: str) -> None:
        """A place in the machine."""
        self.parts.append(f'<rect x="{x:g}" y="8" width="{width:g}" height="{self.height - 16}" rx="6" fill="none" stroke="{LINE}"/>')
        self.text(x + width / 2, 26, head, "head", "middle")

    def grid(self, x: float, y: float, columns: int, rows: int, role: str, words: str = "", bold: tuple[int, ...] = ()) -> None:
        """columns × rows cells of a role, `words` below; the numbered rows of it stand out."""
        for row in range(rows):
            for column in range(columns):
                edge = INK if row in bold else LINE
                self.parts.append(
                    f'<rect x="{x + column * CELL:g}" y="{y + row * CELL:g}" width="{CELL}" height="{CELL}" fill="{TINTS[role]}" stroke="{edge}"/>'
                )
        for number, line in enumerate(words.split("\n") if words else ()):
            self.text(x, y + rows * CELL + 13 + 13 * number, line, "small")

    def arrow(self, x1: float, y1: float, x2: float, y2: float, words: str = "") -> None:
        self.parts.append(
            f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" stroke="{INK}" stroke-width="1.3" marker-end="url(#tip)"/>'
        )
        if words:
            self.text((x1 + x2) / 2, min(y1, y2) - 5 if y1 == y2 else (y1 + y2) / 2 - 5, words, "small", "middle")

    def svg(self) -> str:
        shape = 'viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"'
        tip = f'<marker id="tip" {shape}><path d="M0 0L8 4L0 8z" fill="{INK}"/></marker>'
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" width="{self.width}" role="img">'
            f"<title>{escape(self.title)}</title><style>{STYLE}</style><defs>{tip}</defs>"
            f'<rect width="{self.width}" height="{self.height}" fill="{PAPER}"/>\n' + "\n".join(self.parts) + "\n</svg>\n"
        )


def positions() -> Sheet:
    """`direct` and `gather`: positions in the lanes."""
    s = Sheet(940, 330, "direct: a box copied into phases, one block of weights, a tile of rows by vectors of positions")
    s.column(8, 190, "memory")
    s.grid(30, 50, 11, 6, "source", "x: rows of one channel,\nread at stride 2")
    s.grid(30, 190, 6, 6, "weights", "w as given, or packed:\n(term, rows of the tile)")
    s.column(214, 250, "room of a worker (second cache)")
    s.grid(236, 50, 6, 3, "source", "phase 0")
    s.grid(336, 50, 6, 3, "source", "phase 1")
    s.grid(314, 50, 1, 3, "zero")
    s.grid(414, 50, 1, 3, "zero")
    s.text(236, 125, "the copy of a box: channel_pitch from", "small")
    s.text(236, 138, "one channel to the next, zeros in the gap", "small")
    s.grid(236, 230, 14, 4, "sums", "sums of a block: (row, position)")
    s.arrow(178, 80, 230, 70, "fill_box")
    s.column(480, 250, "registers: one tile")
    s.grid(502, 60, 8, 1, "source", "a vector of positions:\nx[offsets[k] + j]")
    s.grid(650, 60, 1, 4, "weights", "w[k, r],\nin all lanes")
    s.grid(502, 165, 8, 4, "sums", "sums[r][j] += w[k, r] · x[offsets[k] + j]\nfor each term k, in order")
    s.arrow(412, 70, 498, 68, "offsets[k]")
    s.arrow(110, 200, 646, 108, "")
    s.arrow(498, 190, 420, 232, "gemm_tile")
    s.column(746, 186, "memory")
    s.grid(766, 230, 11, 4, "target", "y: bias, activation, rows\nstored at target_step")
    s.arrow(420, 272, 762, 272, "store_row")
    return s


def channels() -> Sheet:
    """`spread`: output channels in the lanes."""
    s = Sheet(940, 330, "spread: output channels in the lanes, every input value in all of them")
    s.column(8, 190, "memory")
    s.grid(30, 50, 9, 6, "source", "x where it stands, or a copy of\na box's rows between zeros")
    s.grid(30, 190, 10, 5, "weights", "a block: (term, columns),\nfilters side by side")
    s.column(214, 330, "registers: one tile")
    s.grid(236, 60, 1, 5, "source", "positions p,\nw.step apart")
    s.grid(330, 60, 10, 1, "weights", "w[k, ·]: vectors of output channels")
    s.grid(330, 130, 10, 5, "sums", "sums[p][c] +=\nx[offsets[k] + p·step] · w[k, c]")
    s.arrow(148, 90, 232, 84, "offsets[k]")
    s.arrow(162, 215, 326, 70, "")
    s.arrow(252, 110, 326, 150, "in all lanes")
    s.column(560, 160, "room of a worker")
    s.grid(580, 60, 8, 5, "sums", "sums_at: (position, channel)")
    s.grid(580, 175, 5, 8, "sums", "turned_at: (channel,\nposition)")
    s.arrow(462, 160, 576, 100, "spread_tile")
    s.arrow(700, 130, 660, 176, "squares")
    s.column(736, 196, "memory")
    s.grid(756, 60, 8, 5, "target", "channels last: sums are\npixels (store_pixels)")
    s.grid(756, 180, 5, 8, "target", "channels first:\nrows of each channel")
    s.arrow(686, 90, 752, 90, "")
    s.arrow(648, 230, 752, 230, "")
    return s


def winograd() -> Sheet:
    """`winograd`: transform, products by frequency, transform back."""
    s = Sheet(940, 300, "winograd: rows become frequencies, a product for each, and back")
    s.column(8, 180, "memory")
    s.grid(30, 50, 10, 6, "source", "x: a box of tiles,\nm + r − 1 samples each")
    s.grid(30, 190, 6, 4, "weights", "filters, transformed\nonce: G g Gᵀ")
    s.column(204, 250, "room: V")
    for f in range(3):
        s.grid(226, 50 + 66 * f, 12, 3, "source", f"frequency {f}: (channel, positions)")
    s.arrow(162, 80, 222, 75, "Bᵀ d B")
    s.column(470, 220, "registers: gemm_tile")
    s.grid(492, 60, 8, 1, "source", "positions of a\nfrequency")
    s.grid(620, 60, 1, 4, "weights", "U: output\nchannels")
    s.grid(492, 150, 8, 4, "sums", "M: one sum a frequency;\npieces of the filter are terms")
    s.arrow(386, 70, 488, 68, "")
    s.arrow(110, 215, 616, 100, "")
    s.column(706, 226, "memory")
    s.grid(730, 130, 12, 4, "target", "y: Aᵀ M A, bias, activation,\nmerged back into rows")
    s.arrow(600, 175, 726, 165, "Aᵀ M A")
    return s


def depthwise() -> Sheet:
    """`depthwise`: strips of a plane, read in place."""
    s = Sheet(940, 290, "depthwise: a strip of output rows, each input vector read once for all taps that need it")
    s.column(8, 230, "memory")
    s.grid(30, 50, 14, 8, "source", "one plane of x, read where it lies;\nlanes beside it are masked")
    s.column(254, 400, "registers: one strip")
    s.grid(276, 50, 8, 1, "source", "a row of x: loaded once …")
    s.grid(276, 110, 8, 5, "sums", "… for every output row that a tap reaches\nfrom it: sums[i] += w[tap] · x[row]")
    s.grid(420, 60, 3, 3, "weights", "w: taps of this channel,\neach in all lanes")
    s.arrow(214, 70, 272, 57, "masks")
    s.arrow(330, 66, 330, 106, "")
    s.column(670, 262, "memory")
    s.grid(692, 110, 14, 5, "target", "y: activation in place;\nthe last vector overlaps the one before")
    s.arrow(382, 140, 688, 140, "strip_tile")
    return s


def weight_grad() -> Sheet:
    """`outer` and `dots`: sums over positions."""
    s = Sheet(940, 300, "weight gradients: outer products over positions, or dot products along rows")
    s.column(8, 300, "outer: output channels in the lanes")
    s.grid(30, 60, 1, 6, "source", "x at 6 taps")
    s.grid(110, 60, 10, 1, "weights", "dy[p, ·], a vector of channels")
    s.grid(110, 120, 10, 6, "sums", "sums[tap][k] += x[p + tap] · dy[p, k]\nfor each position p")
    s.arrow(46, 100, 106, 140, "in all lanes")
    s.arrow(170, 92, 170, 116, "")
    s.column(324, 300, "dots: positions in the lanes")
    s.grid(346, 60, 10, 1, "source", "x[p + tap]: neighbouring positions")
    s.grid(346, 110, 10, 1, "weights", "dy[p]: the same positions")
    s.grid(346, 160, 10, 3, "sums", "one register a (channel, tap) pair,\nits lanes added up at the end")
    s.column(640, 292, "memory")
    s.grid(662, 120, 12, 4, "target", "dw[k, c, r]: parts of the positions are\nadded in a fixed order")
    s.arrow(244, 160, 658, 140, "")
    s.arrow(480, 180, 658, 160, "")
    return s


def implicit_gemm() -> Sheet:
    """CUDA: positions by channels, through shared memory."""
    s = Sheet(940, 300, "implicit GEMM on a GPU: a block's tile of positions by channels")
    s.column(8, 200, "global memory")
    s.grid(30, 50, 10, 5, "source", "x, through the table of terms:\nno columns are ever stored")
    s.grid(30, 170, 6, 5, "weights", "w: (channel, term)")
    s.column(224, 240, "shared memory, two buffers")
    s.grid(246, 50, 12, 3, "source", "BK terms × BM positions")
    s.grid(246, 150, 8, 3, "weights", "BK terms × BN channels")
    s.arrow(164, 75, 242, 70, "")
    s.arrow(112, 195, 242, 170, "")
    s.column(480, 240, "registers of one thread")
    s.grid(502, 60, 1, 4, "source", "TM positions")
    s.grid(600, 60, 4, 1, "weights", "TN channels")
    s.grid(600, 110, 4, 4, "sums", "sums of all terms")
    s.arrow(404, 70, 498, 80, "")
    s.arrow(352, 170, 596, 70, "")
    s.column(736, 196, "global memory")
    s.grid(756, 110, 10, 4, "target", "y: bias, activation,\nshuffle on the way out")
    s.arrow(656, 135, 752, 135, "")
    return s


DRAWINGS = {f.__name__: f for f in (positions, channels, winograd, depthwise, weight_grad, implicit_gemm)}


def stale() -> list[Path]:
    """Drawings that are not what this file draws."""
    files = {HERE / f"{name}.svg": draw().svg() for name, draw in DRAWINGS.items()}
    return [path for path, text in files.items() if not path.exists() or path.read_text() != text]


def main() -> int:
    found = stale()
    check = "--check" in sys.argv[1:]
    for path in found:
        if not check:
            path.write_text(DRAWINGS[path.stem]().svg())
        print(f"{'stale' if check else 'written'}: {path}")
    return 1 if found and check else 0


if __name__ == "__main__":
    sys.exit(main())
