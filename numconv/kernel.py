"""The row of a device's table: one kernel, what it can do, what it costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .bounds import ELEMENT, SIGNAL, STORED, Bound, of_sums, roundoff
from .memory import counted_elsewhere
from .problem import ConvProblem, Hashed, Problem


@counted_elsewhere
@dataclass(frozen=True)
class Machine(Hashed):
    """A device as the cost models and the choice of tiles see it.  A value, never read inside a kernel; tests force others."""

    name: str
    vector_bytes: int = 16  # width of a SIMD register
    registers: int = 16  # number of SIMD registers
    cores: int = 1
    l1: int = 32 << 10  # bytes, per core
    l2: int = 1 << 20
    multiply_adds: int = 1  # vectors of them that a core starts in a cycle
    flops: float = 5e10  # float32 multiply-adds count two; per core (CPU) or in all (GPU)
    bandwidth: float = 1e10  # bytes per second, in all
    launch: float = 5e-6  # seconds to start a parallel loop or a CUDA kernel
    features: frozenset[str] = frozenset()

    __hash__ = Hashed.__hash__

    @property
    def cycle(self) -> float:
        """Seconds, of a core."""
        return 2 * self.vector_bytes / 4 * self.multiply_adds / self.flops


#: fields of a ConvProblem that a row must name in `honours` to see at another value than this
DEFAULTS: dict[str, object] = {
    "groups": 1,
    "padding_mode": "zeros",
    "layout": "channels_first",
    "activation": None,
    "shuffle": 1,
    "precision": "highest",
}


FEW = 3e6  # multiply-adds, of which a transform saves a few microseconds


def worth_its_error(problem: ConvProblem) -> bool:
    """Whether a transform that mixes a tile's samples may be automatic, for one sample: not with wide margins, nor for microseconds."""
    return problem.multiplications >= FEW and not wide_margins(problem)


def wide_margins(problem: ConvProblem) -> bool:
    """More padding than keeps the size: outputs that few taps see carry the error of their whole tile."""
    margins = zip(problem.pad_low, problem.pad_high, problem.kernel, problem.dilation, strict=True)
    return any(max(low, high) > d * (k // 2) for low, high, k, d in margins)


def _accepts(problem: Any) -> str | None:
    return None


def _no_floor(problem: Any, machine: Machine) -> float:
    return 0.0


def _no_workspace(problem: Any, machine: Machine) -> int:
    return 0


def _as_given(problem: Any, w: Any, machine: Machine) -> Any:
    return w


@counted_elsewhere
@dataclass(frozen=True, eq=False)
class Kernel:
    """`run(problem, arrays, out, machine)` computes `problem` from `arrays` into `out`, both C-contiguous.

    `arrays` for a ConvProblem: (x, packed, bias) forward, (y, packed, bias) input_grad, (x, y) weight_grad; where packed is what
    `pack(problem, w, machine)` made of the weights (the weights themselves by default).  For the others: as the problem says.
    Fields that a row does not honour are either adapted by the device before (`adapted`, set by its table) or
    refused.
    """

    name: str
    problem: type
    run: Callable[[Any, tuple[Any, ...], Any, Machine], None]
    cost: Callable[[Any, Machine], float]  # predicted seconds
    floor: Callable[[Any, Machine], float] = (
        _no_floor  # seconds that the cost is never below: where another row is cheaper, nothing is searched
    )
    directions: frozenset[str] = frozenset({"forward"})
    dtypes: frozenset[str] = frozenset({"float32", "float64"})
    honours: frozenset[str] = frozenset()
    ranks: frozenset[int] = frozenset({1, 2, 3})
    refuse: Callable[[Any], str | None] = _accepts  # a reason of its own
    workspace: Callable[[Any, Machine], int] = _no_workspace  # bytes beyond inputs and output
    scratch: Callable[[Any, Machine], int] = _no_workspace  # … of these what is kept for the next kernel: set by the device's table
    keeps_scratch: bool = True  # False: its workspace is NumPy's, and gone when it has run
    pack: Callable[[Any, Any, Machine], Any] = _as_given
    own_types: bool = False  # `run` takes arrays of whatever types they have
    takes_plain: bool = False  # `run` may be given the weights themselves, and packs them as it goes along or before, whichever is faster
    error_factor: float = 1.0  # times (4 + √n)·u·conv(|x|, |w|), which results keep to on random data; what holds on any data is `bound`
    error_of: str = ELEMENT  # what the error of an element goes with: see `bounds`
    error_size: Callable[[Any], float] = of_sums  # times that, at most
    one_order: bool = True  # the taps of a sum are met in an order that follows from no extent
    automatic: bool = True  # False: only when named
    summary: str = ""
    adapted: frozenset[str] = frozenset()  # fields and dtypes that the device handles around the row: set by its table
    adapted_dtypes: frozenset[str] = frozenset()

    def bound(self, problem: Any) -> Bound:
        """How far a result may be from the exact one.  A whole signal's transforms are made in float64."""
        stored = roundoff(problem.out_dtype) if self.error_of == SIGNAL else 0.0
        return Bound(self.error_of, self.error_size(problem), STORED.get(problem.out_dtype, stored))

    def refuses(self, problem: Problem) -> str | None:
        """Why this row cannot serve the problem, or None."""
        if type(problem) is not self.problem:
            return f"is not a kernel for {type(problem).__name__}"
        direction = getattr(problem, "direction", "forward")
        if direction not in self.directions:
            return f"does not compute the {direction} map"
        if problem.dtype not in self.dtypes and problem.dtype not in self.adapted_dtypes:
            return f"does not compute in {problem.dtype}"
        if isinstance(problem, ConvProblem):
            if problem.rank not in self.ranks:
                return f"does not serve {problem.rank} spatial dimensions"
            for name, default in DEFAULTS.items():
                value = getattr(problem, name)
                if value != default and name not in self.honours and name not in self.adapted:
                    return f"does not honour {name}={value!r}"
        return self.refuse(problem)
