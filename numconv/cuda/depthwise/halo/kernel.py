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

from typing import Any

from numba import cuda
from numba.cuda.types import int32, uint32

from ...geometry.decode import shuffled, split
from ...ptx import idiv, imul
from ...runtime.launch import ceil_div, jit, kernel_factory
from ...runtime.record import reader
from ...scalars import activation, bias_loader, quad_loader, quad_storer, scalars
from .plan import HaloForm, HaloPlan, sizes

plan_at = reader(HaloPlan)


@kernel_factory
def make_halo(dtype: str, out_dtype: str, bias_dtype: str | None, act: str | None, form: HaloForm) -> Any:
    """The kernel for these types and form."""
    number = scalars(dtype, out_dtype)
    kind, load, store, four = number.kind, number.load, number.store, number.four
    load_bias, apply = bias_loader(bias_dtype, number.name), activation(act, number.name)
    quads, quad_stores = form.quad_loads, form.quad_stores
    quad, put_shared = quad_loader(dtype, number.name, quads), quad_storer(number.name, quads or form.separable)
    put = quad_storer(number.name, quad_stores, out_dtype)

    last, separable, SHIFT, size = form.channels_last, form.separable, form.shift, sizes(form)
    KH, KW, SH, SW, DH, DW = *form.kernel, *form.stride, *form.dilation
    BC, STRIPS, ACROSS, TH = form.tile
    BH, BW, ROWS, COLUMNS = *size.outputs, size.rows, size.columns
    S_C, S_R = size.pitches.channel_pitch, size.pitches.row_pitch
    NT, TILE, MIDDLE, ALL = size.threads, size.tile, size.middle, size.tile + size.middle
    WEIGHTS, COLUMN_WEIGHTS = size.weights, size.column_weights
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

    def halo(x, w, column_w, bias, y, tab):
        tile = cuda.shared.array(ALL, kind, alignment=16)
        taps = cuda.shared.array(WEIGHTS, kind, alignment=16)
        column_taps = cuda.shared.array(COLUMN_WEIGHTS, kind, alignment=16)
        acc = cuda.local.array((TH, 4), kind)
        window = cuda.local.array(WINDOW, kind)
        factors = cuda.local.array(TAPS, kind)
        beta = cuda.local.array(4, kind)
        place = cuda.local.array(4, int32)
        tid = int32(cuda.threadIdx.x)
        plan = plan_at(tab, 0)
        rest, tile_w = split(int32(cuda.blockIdx.x), plan.tiles.w)
        rest, tile_h = split(rest, plan.tiles.h)
        rest, p = split(rest, plan.y.t)
        n, tile_c = split(rest, plan.channel_tiles)
        c_first, r_first, q_first = int32(tile_c * int32(BC)), int32(tile_h * int32(BH)), int32(tile_w * int32(BW))
        channels = plan.channels
        ih, iw = uint32(plan.x.h), uint32(plan.x.w)
        row_first = int32(r_first * int32(SH) - plan.pad_low.h)
        column_first = int32(q_first * int32(SW) - plan.pad_low.w - int32(SHIFT))
        # what this thread owns
        if last:
            mine, four_c = split(tid, int32(BC // 4))
            own_c = int32(four_c * int32(4))
            strip, own_q = split(mine, int32(ACROSS))
            start = int32(strip * int32(TH * ROW_STEP) + own_q * int32(SW * BC) + own_c + int32(FROM))
            first_tap = own_c
        else:
            mine, four_q = split(tid, int32(ACROSS))
            own_q = int32(four_q * int32(4))
            own_c, strip = split(mine, int32(STRIPS))
            start = int32(own_c * int32(S_C) + strip * int32(TH * ROW_STEP) + own_q * int32(SW) + int32(FROM))
            first_tap = int32(own_c * int32(TAP_ROWS * TAP_ROW))
        for j in range(TH):
            for i in range(4):
                acc[j, i] = kind(0)

        layer = int32(0)
        while layer < plan.layers:
            ci, kt = split(layer, plan.taps_t)
            d = int32(p * plan.stride_t + kt * plan.dilation_t - plan.pad_low.t)
            if uint32(d) < uint32(plan.x.t):
                cuda.syncthreads()
                base = int32(n * plan.x.sample_pitch + d * plan.x.plane_pitch)
                u = tid
                while u < int32(UNITS):
                    q, unit = split(u, int32(E2))
                    e2 = int32(unit * int32(UNIT))
                    e0, e1 = split(q, int32(E1))
                    c, row, col = (e2, e0, e1) if last else (e0, e1, e2)
                    c, row, col = int32(c_first + c), int32(row_first + row), int32(column_first + col)
                    inside = c < channels and uint32(row) < ih and uint32(col) < iw
                    at = int32(base + row * plan.x.row_pitch + col * plan.x.pixel_pitch)
                    at = int32(at + imul(int32(imul(idiv(c, plan.group_out), plan.group_in) + ci), plan.x.channel_pitch))
                    if quads:
                        v = (kind(0), kind(0), kind(0), kind(0))
                        if inside:
                            v = quad(x, at)
                        put_shared(tile, int32(u * int32(4)), *v)
                    else:
                        v = kind(0)
                        if inside:
                            v = load(x, at)
                        tile[uint32(u)] = v
                    u = int32(u + int32(NT))
                e = tid
                while e < int32(BC * ROW_TAPS):
                    c, t = split(e, int32(ROW_TAPS))
                    slot = int32(t * int32(BC) + c)
                    if not last:
                        tap_row, tap_column = split(t, int32(KW))
                        slot = int32(int32(c * int32(TAP_ROWS) + tap_row) * int32(TAP_ROW) + tap_column)
                    if int32(c_first + c) < channels:
                        of = int32(imul(int32(c_first + c), plan.group_in) + ci)
                        tap = int32(int32(kt * int32(ROW_TAPS) + t) * plan.tap_pitch)
                        of = int32(imul(of, int32(plan.taps_t * int32(ROW_TAPS))) + tap + plan.first_tap)
                        taps[uint32(slot)] = load(w, of)
                    e = int32(e + int32(NT))
                if separable:
                    e = tid
                    while e < int32(BC * KH):
                        c, t = split(e, int32(KH))
                        if int32(c_first + c) < channels:
                            of = int32(imul(int32(c_first + c), plan.group_in) + ci)
                            column_taps[uint32(int32(t * int32(BC) + c))] = load(column_w, int32(of * int32(KH) + t))
                        e = int32(e + int32(NT))
                cuda.syncthreads()
                if separable:  # the column pass, a quad at a time
                    u = tid
                    while u < int32(MIDDLE_QUADS):
                        q, quad_of = split(u, int32(M2))
                        e2 = int32(quad_of * int32(4))
                        e0, e1 = split(q, int32(M1))
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
            if c < channels and q < plan.y.w:
                beta[i] = load_bias(bias, c)
                place[i] = int32(
                    n * plan.y.sample_pitch
                    + shuffled(c, channels, plan.shuffle) * plan.y.channel_pitch
                    + p * plan.y.plane_pitch
                    + q * plan.y.pixel_pitch
                )
        for j in range(TH):
            row = int32(r_first + strip * int32(TH) + int32(j))
            if row < plan.y.h:
                if quad_stores:
                    if place[0] >= int32(0):
                        put(
                            y,
                            int32(place[0] + row * plan.y.row_pitch),
                            apply(kind(acc[j, 0] + beta[0])),
                            apply(kind(acc[j, 1] + beta[1])),
                            apply(kind(acc[j, 2] + beta[2])),
                            apply(kind(acc[j, 3] + beta[3])),
                        )
                else:
                    for i in range(4):
                        if place[i] >= int32(0):
                            store(y, int32(place[i] + row * plan.y.row_pitch), apply(kind(acc[j, i] + beta[i])))

    return jit(halo)  # bounds on its threads make ptxas spill two loop constants to fit a fourth block
