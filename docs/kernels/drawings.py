"""The drawings of the kernels' pages: what lies in memory, caches and registers, and how weights are packed.

    python docs/kernels/drawings.py            writes docs/kernels/*.svg
    python docs/kernels/drawings.py --check    changes nothing; exit status 1 if something would change

A drawing is a row of columns (memory, a worker's room, registers, memory), each with grids of cells; arrows carry the names that the kernels use.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise
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
            self.label((x1 + x2) / 2, min(y1, y2) - 5 if y1 == y2 else (y1 + y2) / 2 - 5, words)

    def path(self, corners: tuple[tuple[float, float], ...], words: str) -> None:
        """An arrow round corners, named on its longest stretch."""
        points = " ".join(f"{x:g},{y:g}" for x, y in corners)
        self.parts.append(f'<polyline points="{points}" fill="none" stroke="{INK}" stroke-width="1.3" marker-end="url(#tip)"/>')
        (x1, y1), (x2, _) = max(pairwise(corners), key=lambda c: abs(c[0][0] - c[1][0]))
        if words:
            self.label((x1 + x2) / 2, y1 - 4, words)

    def label(self, x: float, y: float, words: str) -> None:
        """On paper of its own, so that no line runs through it."""
        wide = 5.4 * len(words) + 6
        self.parts.append(f'<rect x="{x - wide / 2:g}" y="{y - 10:g}" width="{wide:g}" height="13" fill="{PAPER}" opacity="0.9"/>')
        self.text(x, y, words, "small", "middle")

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
    s = Sheet(1040, 430, "direct: a box copied into phases, one block of weights, a tile of rows by vectors of positions")
    s.column(8, 190, "memory")
    s.grid(30, 60, 11, 6, "source", "x: rows of a channel,\nhere read at stride 2")
    s.grid(30, 210, 6, 6, "weights", "w as given")
    s.column(212, 330, "room of a worker: second cache")
    s.grid(234, 60, 6, 3, "source")
    s.grid(312, 60, 1, 3, "zero")
    s.grid(234, 99, 6, 3, "source", "the copy of a box: phase 0, phase 1; row_pitch,\nphase_pitch, channel_pitch; zeros in the gaps")
    s.grid(312, 99, 1, 3, "zero")
    s.grid(354, 60, 6, 3, "source")
    s.grid(432, 60, 1, 3, "zero")
    s.text(354, 114, "… the next channel", "small")
    s.grid(234, 200, 4, 8, "weights")
    s.text(296, 275, "a block of weights, block_at or packed ahead:", "small")
    s.text(296, 288, "(term, channel of the block)", "small")
    s.grid(234, 330, 14, 4, "sums", "sums_at: of a block, (channel, position), sums_pitch")
    s.column(556, 270, "registers: one tile")
    s.grid(630, 60, 12, 1, "source", "vectors of neighbouring positions:\nx[offsets[k] + j]")
    s.grid(578, 190, 1, 4, "weights")
    s.grid(630, 190, 12, 4, "sums", "sums[r][j] += weights[k, r] ·\nx[offsets[k] + j], each term k in order")
    s.column(840, 192, "memory")
    s.grid(862, 330, 11, 4, "target", "y: bias, activation, rows\nstored at target_step")
    s.arrow(176, 90, 230, 90, "fill_box")
    s.arrow(448, 72, 626, 67, "offsets[k]")
    s.arrow(110, 225, 230, 225, "interleave")
    s.arrow(290, 216, 574, 216, "weights[k, r], in all lanes")
    s.arrow(594, 216, 626, 216)
    s.arrow(700, 105, 700, 186)
    s.arrow(626, 236, 420, 335, "gemm_tile")
    s.arrow(420, 356, 858, 356, "store_row, after the last term")
    return s


def channels() -> Sheet:
    """`spread`: output channels in the lanes."""
    s = Sheet(1040, 510, "spread: output channels in the lanes, every input value in all of them")
    s.column(8, 190, "memory")
    s.grid(30, 60, 11, 6, "source", "x: read where it stands,\nunless its last axis is padded")
    s.grid(30, 200, 6, 6, "weights", "w as given")
    s.column(212, 330, "room of a worker: second cache")
    s.grid(234, 60, 1, 4, "zero")
    s.grid(247, 60, 11, 4, "source")
    s.text(234, 125, "copied: rows of a box, zeros at their ends;", "small")
    s.text(234, 138, "row_pitch, plane_pitch, pixel_pitch", "small")
    s.grid(390, 60, 1, 4, "zero")
    s.grid(234, 200, 10, 6, "weights", "a block of weights, block_at or packed ahead:\n(term, column of the block), filters side by side")
    s.grid(234, 330, 10, 5, "sums", "sums_at: of a block, (position, channel)")
    s.grid(234, 430, 5, 4, "sums", "turned_at: (channel, position)")
    s.column(556, 270, "registers: one tile")
    s.grid(578, 60, 1, 5, "source")
    s.text(600, 78, "positions p, step apart:", "small")
    s.text(600, 91, "x[offsets[k] + p · step]", "small")
    s.text(640, 190, "weights[k, ·]: a term of the block", "small")
    s.grid(640, 196, 10, 1, "weights")
    s.grid(640, 240, 10, 5, "sums", "sums[p][c] += x[…] · weights[k, c],\neach term k in order")
    s.column(840, 192, "memory")
    s.grid(862, 310, 10, 5, "target", "y, channels last: a row of\nsums is a pixel")
    s.grid(862, 415, 6, 5, "target", "y, channels first")
    s.arrow(176, 85, 230, 85, "copy_box")
    s.arrow(408, 85, 574, 85, "offsets[k]")
    s.arrow(110, 225, 230, 225, "pack_block")
    s.arrow(368, 203, 636, 203, "a term at a time")
    s.path(((584, 128), (584, 262), (636, 262)), "")
    s.label(584, 160, "in all lanes")
    s.arrow(705, 212, 705, 236)
    s.arrow(636, 290, 370, 338, "spread_tile")
    s.arrow(368, 352, 858, 345, "store_pixels")
    s.arrow(368, 385, 858, 440, "store_rows: squares transposed")
    s.arrow(270, 412, 270, 427)
    s.arrow(302, 455, 858, 470, "store_rows, where the target takes rows apart")
    return s


def winograd() -> Sheet:
    """`winograd`: transform, products by frequency, transform back."""
    s = Sheet(1040, 440, "winograd: rows become frequencies, a product for each, and back")
    s.column(8, 190, "memory")
    s.grid(30, 60, 12, 6, "source", "x: a box of tiles, m + r − 1\nsamples each, the next m on")
    s.grid(30, 250, 3, 3, "weights", "g: a piece of the taps,\nr × r")
    s.column(212, 330, "room of a worker: second cache")
    for f in range(3):
        s.grid(234, 50 + 58 * f, 12, 3, "source", f"V of frequency {f}: (channel and plane, position)")
    s.grid(234, 240, 8, 4, "weights", "U, a chunk or all of it ahead:\n(frequency, block, term, channel)")
    s.grid(234, 340, 12, 4, "sums", "M of a superblock of channels: (frequency,\nchannel, position)")
    s.column(556, 270, "registers: one tile of one frequency")
    s.grid(630, 60, 12, 1, "source", "V: vectors of positions (channels last:\none sample of each of some positions)")
    s.grid(578, 240, 1, 4, "weights")
    s.grid(630, 240, 12, 4, "sums", "M += U[k] · V[k], each term k in order:\n(channel, plane, piece)")
    s.column(840, 192, "memory")
    s.grid(862, 340, 12, 4, "target", "y = Aᵀ M A: bias, activation,\nmerged into rows, or pixels")
    s.arrow(190, 85, 230, 80, "Bᵀ d B")
    s.arrow(72, 266, 230, 266, "G g Gᵀ")
    s.arrow(394, 70, 626, 67, "a frequency at a time")
    s.arrow(342, 266, 574, 266, "one term")
    s.arrow(594, 266, 626, 266)
    s.arrow(700, 105, 700, 236)
    s.arrow(626, 288, 394, 350, "gemm_tile")
    s.arrow(394, 366, 858, 366, "Aᵀ M A")
    return s


def depthwise() -> Sheet:
    """`depthwise`: strips of a plane, read in place."""
    s = Sheet(1040, 340, "depthwise: a strip of output rows, each input vector read once for all taps that need it")
    s.column(8, 230, "memory")
    s.grid(
        30,
        60,
        14,
        9,
        "source",
        "a plane of x, read where it lies:\nsource_at, then read_pitch from\nvector to vector of a group of taps",
        bold=(1, 2, 3, 4, 5, 6),
    )
    s.column(252, 200, "plan: first cache")
    s.grid(274, 100, 3, 3, "", "kinds of strips: vectors,\noutputs, span")
    s.grid(274, 180, 3, 2, "", "taps: where each group reads")
    s.grid(274, 240, 8, 3, "zero", "which reads of a strip see the\nimage: words, for all planes")
    s.column(466, 310, "registers: one strip")
    s.text(488, 58, "one vector of a row of x …", "small")
    s.grid(488, 64, 8, 1, "source")
    s.grid(488, 130, 8, 5, "sums", "… for every row of sums that a tap reaches from it:\nsums[i] += w[tap] · x[i + tap]")
    s.grid(700, 50, 3, 3, "weights", "w: taps, each\nin all lanes")
    s.column(790, 242, "memory")
    s.grid(812, 130, 14, 5, "target", "y: stored whole, the last vector of\na row overlapping the one before;\nactivation in place")
    s.arrow(216, 70, 484, 70, "under a mask, or none")
    s.arrow(382, 255, 490, 82)
    s.arrow(540, 80, 540, 126)
    s.arrow(696, 90, 600, 140)
    s.arrow(596, 170, 808, 170, "strip_tile")
    return s


def weight_grad() -> Sheet:
    """`outer` and `dots`: sums over positions."""
    s = Sheet(1040, 400, "weight gradients: outer products over positions, or dot products along rows")
    s.column(8, 396, "outer: output channels in the lanes")
    s.grid(30, 70, 10, 1, "weights", "y[p, ·]: a term is a position; a chunk of\nthem turned at gradient_at, (position, channel)")
    s.grid(30, 160, 1, 6, "source", "x at places: rows\n(channel, tap)")
    s.grid(160, 160, 10, 6, "sums", "sums[row][k] += x[p + row] · y[p, k], for each\np whose input lies inside; then to sums_at")
    s.arrow(46, 190, 156, 190, "in all lanes")
    s.arrow(200, 120, 220, 156)
    s.column(416, 340, "dots: positions in the lanes")
    s.grid(438, 70, 10, 1, "weights", "y[p]: neighbouring positions, of some filters")
    s.grid(438, 120, 10, 1, "source", "x[p + row]: the same positions, masked where\nthey see none; row: (channel, tap)")
    s.grid(438, 200, 10, 4, "sums", "sums[row, filter]: one register a pair, over\nall vectors of positions; lanes added last")
    s.column(768, 264, "memory")
    s.grid(790, 180, 16, 5, "target", "w[k, c, r]: each sum is one chain over\n(sample, position) (dots: of a lane),\nstored once")
    s.arrow(576, 220, 786, 215, "lane_sums")
    s.path(((250, 280), (250, 330), (740, 330), (740, 235), (786, 235)), "squares transposed")
    return s


def implicit_gemm() -> Sheet:
    """CUDA: positions by channels, through shared memory."""
    s = Sheet(1040, 330, "implicit GEMM on a GPU: a block's tile of positions by channels")
    s.column(8, 200, "global memory")
    s.grid(30, 50, 12, 5, "source", "x, through the table of terms:\nno columns are ever stored")
    s.grid(30, 190, 6, 5, "weights", "w: (channel, term)")
    s.column(222, 300, "shared memory, two buffers of each")
    s.grid(244, 60, 12, 3, "source", "x_tiles: BK terms × BM positions (+ 4)")
    s.grid(244, 190, 8, 3, "weights", "w_tiles: BK terms × BN channels (+ 4)")
    s.column(536, 280, "registers of one thread")
    s.grid(558, 110, 1, 4, "source", "TM positions")
    s.grid(660, 60, 4, 1, "weights", "TN channels")
    s.grid(660, 130, 4, 4, "sums", "sums[TM][TN]: all terms,\nin ascending order")
    s.column(830, 202, "global memory")
    s.grid(852, 110, 12, 4, "target", "y: bias, activation, shuffle on\nthe way out; with split-K, a part\nof the sums")
    s.arrow(190, 80, 240, 80)
    s.arrow(112, 215, 240, 210)
    s.arrow(404, 85, 554, 130, "128-bit reads")
    s.arrow(352, 205, 656, 75)
    s.arrow(576, 135, 656, 150)
    s.arrow(716, 155, 848, 140)
    s.text(244, 280, "while tile t − 1 is multiplied, tile t is on its way", "small")
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
