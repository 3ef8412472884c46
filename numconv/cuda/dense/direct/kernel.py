"""Direct convolution: one thread for each output, summing over the table of taps.  Correct for everything; chosen where little is to be done.

Loop: y[n, o, p] = Σ_k x[n, base(p) + xoff[k]] · w[o, woff[k]] + bias[o], then the activation.  Writes are disjoint: each output has one
thread.  k ascends over (channel, tap), so the sum's order depends on the problem alone.
"""

from __future__ import annotations

from typing import Any

from numba import cuda
from numba.cuda.types import int32, uint32

from ....kernel import Kernel, Machine
from ....problem import ConvProblem
from ... import costs
from ...geometry import axes as at
from ...geometry.axes import lower, shuffled
from ...ptx import idiv, imul, load4
from ...runtime.launch import flat, flat_grid, jit, kernel_factory, launch, stream_of
from ...scalars import ALL, activation, bias_loader, scalars
from .. import cost as model


@kernel_factory
def make_direct(dtype: str, out_dtype: str, bias_dtype: str | None, act: str | None, outer: bool) -> Any:
    """The kernel for these types; `outer`: the third axis takes part."""
    number = scalars(dtype, out_dtype)
    kind, load, store = number.kind, number.load, number.store
    load_bias, apply = bias_loader(bias_dtype, number.name), activation(act, number.name)

    def direct(x, w, bias, y, tab, total):
        i = int32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
        step = int32(cuda.blockDim.x * cuda.gridDim.x)
        positions, batch = tab[at.POSITIONS], tab[at.BATCH]
        while i < total:
            rest = idiv(i, positions)
            p = int32(i - imul(rest, positions))
            nz = idiv(rest, tab[at.TARGETS])
            o = int32(rest - imul(nz, tab[at.TARGETS]))
            z = idiv(nz, batch)
            n = int32(nz - imul(z, batch))
            phase = idiv(z, tab[at.GROUPS])
            g = int32(z - imul(phase, tab[at.GROUPS]))
            f = int32(tab[at.FIRST_PHASE] + phase * int32(at.PHASE))
            if p < tab[uint32(f + int32(6))]:
                nh, nw = tab[uint32(f + int32(3))], tab[uint32(f + int32(4))]
                q = idiv(p, nw)
                jw = int32(p - imul(q, nw))
                jt = idiv(q, nh)
                jh = int32(q - imul(jt, nh))
                base = int32(n * tab[at.XN] + g * tab[at.XG] + jt * tab[at.XT] + jh * tab[at.XH] + jw * tab[at.XW])
                wbase = int32(g * tab[at.WG] + o * tab[at.WO])
                t0, h0, w0 = int32(jt * tab[at.ST]), int32(jh * tab[at.SH]), int32(jw * tab[at.SW])
                kstart = tab[uint32(f)]
                end = int32(kstart + tab[uint32(f + int32(1))])
                acc = kind(0)
                k = kstart
                while k < end:
                    e = load4(tab, int32(tab[at.FIRST_TAP] + k * int32(4)))
                    ok = uint32(int32(h0 + e[2])) < uint32(tab[at.IH]) and uint32(int32(w0 + e[3])) < uint32(tab[at.IW])
                    if outer:
                        ok = ok and uint32(int32(t0 + tab[uint32(int32(tab[at.FIRST_OUTER] + k))])) < uint32(tab[at.IT])
                    if ok:
                        acc = kind(acc + load(x, int32(base + e[0])) * load(w, int32(wbase + e[1])))
                    k = int32(k + int32(1))
                c = int32(g * tab[at.TARGETS] + o)
                acc = apply(kind(acc + load_bias(bias, c)))
                c = shuffled(c, tab[at.CHANNELS], tab[at.SHUFFLE])
                store(
                    y,
                    int32(
                        tab[uint32(f + int32(5))] + n * tab[at.YN] + c * tab[at.YC] + jt * tab[at.YT] + jh * tab[at.YH] + jw * tab[at.YW]
                    ),
                    acc,
                )
            i = int32(i + step)

    return jit(direct)


def run(problem: ConvProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    x, w, bias = arrays
    low = lower(problem)
    kernel = make_direct(problem.dtype, problem.out_dtype, None if bias is None else bias.dtype.name, problem.activation, problem.rank == 3)
    total = low.positions * low.targets * problem.batch * problem.groups * low.phases
    w_flat = flat(w)
    arguments = flat(x), w_flat, w_flat if bias is None else flat(bias), flat(out), low.device, costs.int32(total)
    launch(kernel, *flat_grid(total), stream_of(out), *arguments)


assert at.HEAD % 4 == 0 and at.PHASE % 4 == 0, "taps are read four words at a time"

_COMMON: dict[str, Any] = {
    "problem": ConvProblem,
    "run": run,
    "directions": frozenset({"forward", "input_grad"}),
    "dtypes": ALL,
    "honours": frozenset({"groups", "layout", "activation", "shuffle", "precision"}),
}
ROWS = (Kernel(name="direct", cost=model.direct, summary="One thread for each output; taps from a table.", **_COMMON),)
