"""Receptive fields of stacks of convolutions, pools and transposed convolutions, in exact rationals.

For convolutions (Araujo, Norris & Sim, Distill 2019, doi 10.23915/distill.00021)::

    size  r = 1 + Σ_l (k_e,l − 1)·Π_{i<l} s_i      jump  j = Π s_l      start  u = −Σ_l p_l·Π_{i<l} s_i

A transposed layer divides the jump by its stride, and its outputs see different numbers of inputs in turn: `size` is
the largest of them, found by following the ends of the window back through the layers for every phase; `start` is then
the centre of the first output's window less (size − 1)/2, a fraction where the windows lie between input positions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import Any

from .arguments.edge import public
from .arguments.values import Subject, flag, integer, sequence, shown
from .problem import effective_kernel

PHASES = 10**5  # of transposed layers' strides: each is followed through the stack
KEYS = ("kernel", "stride", "padding", "dilation", "transposed")


@dataclass(frozen=True)
class ReceptiveField:
    """What one output sees of the input, in input positions; per axis where the layers have axes.

    `size`: positions from first to last; `jump`: the distance between neighbouring outputs' windows; `start`: the first
    position that output 0 sees (negative: in the padding); `layers`: the same of the stack up to and with each layer.
    """

    size: Any
    jump: Any
    start: Any
    layers: tuple[ReceptiveField, ...] = ()

    @property
    def center(self) -> Any:
        """start + (size − 1)/2, of output 0."""
        if isinstance(self.size, tuple):
            return tuple(plain(u + Fraction(r - 1, 2)) for r, u in zip(self.size, self.start, strict=True))
        return plain(self.start + Fraction(self.size - 1, 2))


@dataclass(frozen=True)
class Step:
    """One layer on one axis."""

    extent: int
    stride: int
    low: int
    transposed: bool

    def back(self, first: int, last: int) -> tuple[int, int]:
        """The inputs behind outputs first … last; empty (first > last) where a transposed layer leaves a hole."""
        if self.transposed:  # y[q] needs (q + lo − r·d)/s
            return -(-(first + self.low - self.extent + 1) // self.stride), (last + self.low) // self.stride
        return first * self.stride - self.low, last * self.stride - self.low + self.extent - 1


def plain(value: Fraction | int) -> Fraction | int:
    return int(value) if value == int(value) else value


@public
def receptive_field(layers: Sequence[Mapping[str, Any]]) -> ReceptiveField:
    """Receptive field of a stack of layers, from the input on.

    Parameters
    ----------
    layers : sequence of dict
        Each with `kernel` and, where they differ from 1, 0, 1, False: `stride`, `padding` (int or (low, high), or "valid";
        "same" at stride 1), `dilation`, `transposed`.  Pools are layers like any other.  Values per axis make the result so.

    Returns
    -------
    ReceptiveField
        `.size`, `.jump`, `.start` of the whole, and `.layers` for each prefix of the stack.

    Examples
    --------
    >>> vgg = [{"kernel": 3, "padding": 1}, {"kernel": 3, "padding": 1}, {"kernel": 2, "stride": 2}]
    >>> field = receptive_field(vgg)
    >>> field.size, field.jump, field.start
    (6, 2, -2)
    """
    subject = Subject("receptive_field")
    if isinstance(layers, (Mapping, str, bytes)) or not hasattr(layers, "__iter__"):
        raise subject.type(f"layers must be a sequence of dicts; got {shown(layers)}")
    stack: list[Mapping[str, Any]] = []
    for number, layer in enumerate(layers):
        if not isinstance(layer, Mapping):
            raise subject.type(f"layers must be dicts with the keys {', '.join(KEYS)}; got {shown(layer)} as layer {number}")
        unknown = [k for k in layer if k not in KEYS]
        if unknown or "kernel" not in layer:
            raise subject.value(f"a layer needs a kernel and may have {', '.join(KEYS[1:])}; got {shown(dict(layer))} as layer {number}")
        stack.append(layer)
    layers = stack
    given = [sequence(v) for layer in layers for k, v in layer.items() if k in ("kernel", "stride", "dilation")]
    ranks = {len(v) for v in given if v is not None}
    if len(ranks) > 1 or 0 in ranks:
        raise subject.value(f"layers must have one number of axes; got {sorted(ranks)}")
    rank = max(ranks, default=0)
    axes = [[read_step(subject, layer, axis, rank) for layer in layers] for axis in range(max(rank, 1))]
    phases = max(prod(step.stride for step in steps if step.transposed) for steps in axes)
    if phases > PHASES:
        raise subject.value(f"the transposed layers' strides multiply to {shown(phases)} phases; at most {PHASES} are followed")
    prefixes = [[field_of(steps[:count]) for steps in axes] for count in range(1, len(layers) + 1)]
    parts = tuple(assemble(p, rank) for p in prefixes)
    whole = parts[-1] if parts else assemble([(1, 1, 0)] * max(rank, 1), rank)
    return ReceptiveField(whole.size, whole.jump, whole.start, parts)


def assemble(parts: list[tuple[Any, Any, Any]], rank: int) -> ReceptiveField:
    return ReceptiveField(*zip(*parts, strict=True)) if rank else ReceptiveField(*parts[0])


def read_step(subject: Subject, layer: Mapping[str, Any], axis: int, rank: int) -> Step:
    """The layer's values on `axis`; rank 0 is one axis without tuples."""

    def value(key: str, default: int, least: int) -> int:
        given = layer.get(key, default)
        items = sequence(given)
        return integer(subject, key, given if items is None else items[axis], least)

    extent, stride = effective_kernel(value("kernel", 1, 1), value("dilation", 1, 1)), value("stride", 1, 1)
    transposed = flag(subject, "transposed", layer.get("transposed", False))
    padding = layer.get("padding", 0)
    entries = sequence(padding)
    if isinstance(padding, str) and padding in ("same", "same_lower"):
        if stride != 1 or transposed:
            raise subject.value(
                f"padding {shown(padding)} depends on the input's size unless stride is 1; got stride {stride}: give the numbers"
            )
        low = (extent - (padding == "same")) // 2
    elif isinstance(padding, str) and padding == "valid":
        low = 0
    elif entries is not None:
        if len(entries) not in ((1, 2) if rank == 0 else (rank,)):
            raise subject.value(f"padding must be an integer, or one entry or (low, high) pair for each axis; got {shown(padding)}")
        entry = entries if rank == 0 and len(entries) == 2 else entries[axis]
        pair = sequence(entry)
        if pair is not None and len(pair) != 2:
            raise subject.value(f"padding of an axis must be an integer or a (low, high) pair; got {shown(entry)}")
        low = integer(subject, "padding", entry if pair is None else pair[0], 0)
    else:
        low = integer(subject, "padding", padding, 0)
    return Step(extent, stride, low, transposed)


def field_of(steps: list[Step]) -> tuple[int, Fraction | int, Fraction | int]:
    """(size, jump, start) of a stack on one axis."""
    jump, center = Fraction(1), Fraction(0)
    for step in steps:
        middle = Fraction(step.extent - 1, 2) - step.low
        if step.transposed:
            jump /= step.stride
            center -= jump * middle
        else:
            center += jump * middle
            jump *= step.stride
    # What an output sees repeats with the transposed layers' strides: every phase once.
    size = 0
    for phase in range(prod(s.stride for s in steps if s.transposed)):
        first = last = phase
        for step in reversed(steps):
            first, last = step.back(first, last)
            if first > last:
                break
        size = max(size, last - first + 1)
    return size, plain(jump), plain(center - Fraction(size - 1, 2))
