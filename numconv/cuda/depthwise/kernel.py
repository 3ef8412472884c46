"""Channel by channel through shared memory: a block loads a tile of the image with its halo once, and all its outputs read it from there.

Depthwise:  y[n, c, q] = Σ_{kt, kh, kw} x[n, c, …, q·s + k·d − p] · w[c, kt, kh, kw], taps ascending.
Separable:  a column pass from the tile to a second one, then a row pass from there; what lies between never goes to global memory.  Summed
over the input channels of an output's group, one tile after the other.

Shared memory: the tile, in the order of the image: (channel, row, column), or channels last (row, column, channel); behind it the second
tile (separable) in the same order; the taps.  A thread owns TH rows of four neighbours in memory: columns, or channels last channels.  The
tile begins at a multiple of four columns (`shift`), so that global and shared memory are read by four where the image allows.  Writes are
disjoint: each output belongs to one thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numba import cuda
from numba.cuda.types import int32, uint32

from ..geometry.axes import shuffled
from ..ptx import idiv, imul
from ..runtime.launch import ceil_div, jit, kernel_factory
from ..scalars import activation, bias_loader, quad_loader, quad_storer, scalars

# table: 0 channels out, 1 channels in per group, 2 channels out per group, 3-5 outputs, 6-8 extents, 9 layers: channels in per group times
# taps along t, 10 taps along t, 11 stride, 12 dilation, 13-15 pads, 16-20 x strides (n, c, t, h, w), 21-25 y strides, 26 shuffle,
# 27-28 tiles along h, w, 29 blocks of channels, 30 last tap if reversed, 31 ±1
SIZE = 32


@dataclass(frozen=True)
class Form:
    """What of the problem's form is compiled into a kernel."""

    kernel: tuple[int, int]  # along h, w
    stride: tuple[int, int]
    dilation: tuple[int, int]
    tile: tuple[int, int, int, int]  # channels, strips of rows, groups of threads along w, rows of a strip
    channels_last: bool
    separable: bool = False
    shift: int = 0  # columns between the tile's first and the first that is read
    quad_loads: bool = False
    quad_stores: bool = False
    window: int = 12  # quads of a row that a thread may hold


@dataclass(frozen=True)
class Sizes:
    """What follows from a form: extents and strides of the tiles in shared memory."""

    outputs: tuple[int, int]  # rows, columns of a block
    rows: int  # of the tile
    columns: int
    taps: int  # along w in one piece
    pieces: int
    strides: tuple[int, int, int]  # of channel, row and column in the tile
    tile: int  # elements
    middle: int
    weights: int
    column_weights: int
    threads: int

    @property
    def elements(self) -> int:
        return self.tile + self.middle + self.weights + self.column_weights


def sizes(form: Form) -> Sizes:
    channels, strips, across, th = form.tile
    (kh, kw), (sh, sw), (dh, dw) = form.kernel, form.stride, form.dilation
    height, width = strips * th, across * (1 if form.channels_last else 4)
    rows = (height - 1) * sh + (kh - 1) * dh + 1
    taps = kw if form.channels_last or held(form, kw) <= form.window else 8 if held(form, 8) <= form.window else 4
    pieces = ceil_div(kw, taps)
    span = (width - 1) * sw + (taps * pieces - 1) * dw + 1 + form.shift
    if form.channels_last:
        strides, columns, row_taps = (1, span * channels, channels), span, kw
    else:
        span = ceil_div(span, 4) * 4
        step = th * (1 if form.separable else sh)  # shared rows between neighbouring strips: on banks of their own
        columns = min(range(span, span + 32, 4), key=lambda p: (across < 8 and p * step % 32 != 4 * across, p))
        strides, row_taps = ((height if form.separable else rows) * columns, columns, 1), ceil_div(taps * pieces, 4) * 4
    middle, column_weights = (channels * height * columns, channels * kh) if form.separable else (0, 4)
    weights = channels * row_taps * (1 if form.separable else kh)
    threads = strips * across * (channels // 4 if form.channels_last else channels)
    return Sizes((height, width), rows, columns, taps, pieces, strides, channels * rows * columns, middle, weights, column_weights, threads)


def held(form: Form, taps: int) -> int:
    """Quads of a row that so many taps read for four neighbours: all between the first and the last, or two for each tap."""
    return min(ceil_div(3 * form.stride[1] + (taps - 1) * form.dilation[1] + 1 + form.shift, 4), 2 * taps)


@kernel_factory
def make_halo(dtype: str, out_dtype: str, bias_dtype: str | None, act: str | None, form: Form) -> Any:
    """The kernel for these types and form."""
    number = scalars(dtype, out_dtype)
    kind, load, store, four = number.kind, number.load, number.store, number.four
    load_bias, apply = bias_loader(bias_dtype, number.name), activation(act, number.name)
    quads, quad_stores = form.quad_loads, form.quad_stores
    quad, put_shared = quad_loader(dtype, number.name, quads), quad_storer(number.name, quads or form.separable)
    put = quad_storer(number.name, quad_stores, out_dtype)

    last, separable, SHIFT = form.channels_last, form.separable, form.shift
    (KH, KW), (SH, SW), (DH, DW), (BC, STRIPS, ACROSS, TH), size = form.kernel, form.stride, form.dilation, form.tile, sizes(form)
    (BH, BW), ROWS, COLUMNS, (S_C, S_R, _) = size.outputs, size.rows, size.columns, size.strides
    NT, TILE, MIDDLE, ALL, WEIGHTS, COLUMN_WEIGHTS = (
        size.threads, size.tile, size.middle, size.tile + size.middle, size.weights, size.column_weights
    )  # fmt: skip
    UNIT = 4 if quads else 1
    # the tile in units, slowest first: the order of the image
    E1, E2 = (COLUMNS, BC // UNIT) if last else (ROWS, COLUMNS // UNIT)
    UNITS = TILE // UNIT
    # the second tile in quads
    M1, M2 = (COLUMNS, BC // 4) if last else (BH, COLUMNS // 4)
    MIDDLE_QUADS, COLUMN_STEP = MIDDLE // 4, DH * S_R
    FROM, TAP_ROWS, ROW_STEP, TAP_STEP = (TILE, 1, S_R, 0) if separable else (0, KH, SH * S_R, DH * S_R)
    # the sum of one thread: `OUTER` pieces of `INNER` taps, of which four neighbours read `QUADS` quads and `TAP_QUADS` quads of taps
    OUTER, INNER = (KW, 1) if last else (size.pieces, size.taps)
    QUADS = 1 if last else ceil_div(3 * SW + (INNER - 1) * DW + 1 + SHIFT, 4)
    TAP_QUADS = 1 if last else ceil_div(INNER, 4)
    PIECE, PIECE_TAPS = (DW * BC, BC) if last else (INNER * DW, INNER)
    TAP_ROW = KW * BC if last else ceil_div(INNER * OUTER, 4) * 4
    A, C = (1, 1) if last else (SW, 0)  # a neighbour's distance in the window, and in the taps
    CHECKED = not last and INNER * OUTER > KW
    WINDOW, TAPS = 4 * QUADS, 4 * TAP_QUADS
    ROW_TAPS = TAP_ROWS * KW

    def halo(x, w, column, bias, y, tab):
        tile = cuda.shared.array(ALL, kind, alignment=16)
        taps = cuda.shared.array(WEIGHTS, kind, alignment=16)
        column_taps = cuda.shared.array(COLUMN_WEIGHTS, kind, alignment=16)
        acc = cuda.local.array((TH, 4), kind)
        window = cuda.local.array(WINDOW, kind)
        factors = cuda.local.array(TAPS, kind)
        beta = cuda.local.array(4, kind)
        place = cuda.local.array(4, int32)
        tid = int32(cuda.threadIdx.x)
        rest = int32(cuda.blockIdx.x)
        b = idiv(rest, tab[28])
        q_first = int32(int32(rest - imul(b, tab[28])) * int32(BW))
        rest = idiv(b, tab[27])
        r_first = int32(int32(b - imul(rest, tab[27])) * int32(BH))
        b = idiv(rest, tab[3])
        p = int32(rest - imul(b, tab[3]))
        n = idiv(b, tab[29])
        c_first = int32(int32(b - imul(n, tab[29])) * int32(BC))
        channels = tab[0]
        ih, iw = uint32(tab[7]), uint32(tab[8])
        row_first = int32(r_first * int32(SH) - tab[14])
        column_first = int32(q_first * int32(SW) - tab[15] - int32(SHIFT))
        # what this thread owns
        if last:
            mine = int32(idiv(tid, int32(BC // 4)))
            own_c = int32(int32(tid - mine * int32(BC // 4)) * int32(4))
            strip = idiv(mine, int32(ACROSS))
            own_q = int32(mine - strip * int32(ACROSS))
            start = int32(strip * int32(TH * ROW_STEP) + own_q * int32(SW * BC) + own_c + int32(FROM))
            first_tap = own_c
        else:
            mine = idiv(tid, int32(ACROSS))
            own_q = int32(int32(tid - mine * int32(ACROSS)) * int32(4))
            own_c = idiv(mine, int32(STRIPS))
            strip = int32(mine - own_c * int32(STRIPS))
            start = int32(own_c * int32(S_C) + strip * int32(TH * ROW_STEP) + own_q * int32(SW) + int32(FROM))
            first_tap = int32(own_c * int32(TAP_ROWS * TAP_ROW))
        for j in range(TH):
            for i in range(4):
                acc[j, i] = kind(0)

        layer = int32(0)
        while layer < tab[9]:
            ci = idiv(layer, tab[10])
            kt = int32(layer - imul(ci, tab[10]))
            d = int32(p * tab[11] + kt * tab[12] - tab[13])
            if uint32(d) < uint32(tab[6]):
                cuda.syncthreads()
                base = int32(n * tab[16] + d * tab[18])
                u = tid
                while u < int32(UNITS):
                    q = idiv(u, int32(E2))
                    e2 = int32(int32(u - q * int32(E2)) * int32(UNIT))
                    e0 = idiv(q, int32(E1))
                    e1 = int32(q - e0 * int32(E1))
                    c, row, col = (e2, e0, e1) if last else (e0, e1, e2)
                    c, row, col = int32(c_first + c), int32(row_first + row), int32(column_first + col)
                    inside = c < channels and uint32(row) < ih and uint32(col) < iw
                    at = int32(base + row * tab[19] + col * tab[20])
                    at = int32(at + imul(int32(imul(idiv(c, tab[2]), tab[1]) + ci), tab[17]))
                    if quads:
                        v = (kind(0), kind(0), kind(0), kind(0))
                        if inside:
                            v = quad(x, at)
                        put_shared(tile, int32(u * int32(4)), v[0], v[1], v[2], v[3])
                    else:
                        v = kind(0)
                        if inside:
                            v = load(x, at)
                        tile[uint32(u)] = v
                    u = int32(u + int32(NT))
                e = tid
                while e < int32(BC * ROW_TAPS):
                    c = idiv(e, int32(ROW_TAPS))
                    t = int32(e - c * int32(ROW_TAPS))
                    slot = int32(t * int32(BC) + c)
                    if not last:
                        q = idiv(t, int32(KW))
                        slot = int32(int32(c * int32(TAP_ROWS) + q) * int32(TAP_ROW) + int32(t - q * int32(KW)))
                    if int32(c_first + c) < channels:
                        of = int32(imul(int32(c_first + c), tab[1]) + ci)
                        of = int32(imul(of, int32(tab[10] * int32(ROW_TAPS))) + int32(kt * int32(ROW_TAPS) + t) * tab[31] + tab[30])
                        taps[uint32(slot)] = load(w, of)
                    e = int32(e + int32(NT))
                if separable:
                    e = tid
                    while e < int32(BC * KH):
                        c = idiv(e, int32(KH))
                        t = int32(e - c * int32(KH))
                        if int32(c_first + c) < channels:
                            of = int32(imul(int32(c_first + c), tab[1]) + ci)
                            column_taps[uint32(int32(t * int32(BC) + c))] = load(column, int32(of * int32(KH) + t))
                        e = int32(e + int32(NT))
                cuda.syncthreads()
                if separable:  # the column pass, a quad at a time
                    u = tid
                    while u < int32(MIDDLE_QUADS):
                        q = idiv(u, int32(M2))
                        e2 = int32(int32(u - q * int32(M2)) * int32(4))
                        e0 = idiv(q, int32(M1))
                        e1 = int32(q - e0 * int32(M1))
                        c, at = e0, int32(int32(e0 * int32(ROWS) + e1 * int32(SH)) * int32(S_R) + e2)
                        if last:
                            c, at = e2, int32(e0 * int32(SH * S_R) + e1 * int32(BC) + e2)
                        for i in range(4):
                            beta[i] = kind(0)
                        for kh in range(KH):
                            four(tile, int32(at + int32(kh) * int32(COLUMN_STEP)), window, 0)
                            for i in range(4):
                                v = column_taps[uint32(int32(int32(kh) * int32(BC) + c + int32(i * C)))]
                                beta[i] = kind(beta[i] + window[i] * v)
                        put_shared(tile, int32(u * int32(4) + int32(TILE)), beta[0], beta[1], beta[2], beta[3])
                        u = int32(u + int32(NT))
                    cuda.syncthreads()
                for kh in range(TAP_ROWS):
                    for o in range(OUTER):
                        for q in range(TAP_QUADS):
                            where = int32(first_tap + int32(kh) * int32(TAP_ROW) + int32(o) * int32(PIECE_TAPS) + int32(4 * q))
                            four(taps, where, factors, 4 * q)
                        for j in range(TH):
                            at = int32(start + int32(kh) * int32(TAP_STEP) + int32(o) * int32(PIECE) + int32(j * ROW_STEP))
                            for q in range(QUADS):
                                four(tile, int32(at + int32(4 * q)), window, 4 * q)
                            for k in range(INNER):
                                if not CHECKED or int32(int32(o) * int32(INNER) + int32(k)) < int32(KW):
                                    for i in range(4):
                                        acc[j, i] = kind(acc[j, i] + window[i * A + k * DW + SHIFT] * factors[k + i * C])
            layer = int32(layer + int32(1))

        for i in range(4):
            c = int32(c_first + own_c + int32(i * C))
            q = int32(q_first + own_q + int32(i * (1 - C)))
            place[i] = int32(-1)
            beta[i] = kind(0)
            if c < channels and q < tab[5]:
                beta[i] = load_bias(bias, c)
                place[i] = int32(n * tab[21] + shuffled(c, channels, tab[26]) * tab[22] + p * tab[23] + q * tab[25])
        for j in range(TH):
            row = int32(r_first + strip * int32(TH) + int32(j))
            if row < tab[4]:
                if quad_stores:
                    if place[0] >= int32(0):
                        put(
                            y, int32(place[0] + row * tab[24]), apply(kind(acc[j, 0] + beta[0])), apply(kind(acc[j, 1] + beta[1])),
                            apply(kind(acc[j, 2] + beta[2])), apply(kind(acc[j, 3] + beta[3])),
                        )  # fmt: skip
                else:
                    for i in range(4):
                        if place[i] >= int32(0):
                            store(y, int32(place[i] + row * tab[24]), apply(kind(acc[j, i] + beta[i])))

    return jit(halo)  # bounds on its threads make ptxas spill two loop constants to fit a fourth block
