"""Receptive fields of stacks of convolutions, pools and transposed convolutions, in exact rationals.

For convolutions (Araujo, Norris & Sim, Distill 2019, doi 10.23915/distill.00021)::

    size  r = 1 + Σ_l (k_e,l − 1)·Π_{i<l} s_i      jump  j = Π s_l      start  u = −Σ_l p_l·Π_{i<l} s_i

A transposed layer divides the jump by its stride, and its outputs see different numbers of inputs in turn: `size` is
the largest of them, found by following the ends of the windows back through the layers; `start` is then the centre of
the first output's window less (size − 1)/2, a fraction where the windows lie between input positions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import gcd
from typing import Any

from .arguments.edge import public
from .arguments.values import Subject, flag, integer, sequence, shown
from .problem import effective_kernel

MOST = 3 * 10**5  # windows of different places that are followed, in all
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
    """One layer on one axis, or convolutions in turn, which are one."""

    extent: int
    stride: int
    low: int
    transposed: bool

    def then(self, step: Step) -> Step:
        """A convolution and the next."""
        return Step((step.extent - 1) * self.stride + self.extent, self.stride * step.stride, step.low * self.stride + self.low, False)


class Windows:
    """The windows of all outputs, followed back through the layers: how long they are, by where they begin modulo `modulus`.

    What begins at one place and is shorter sees less of every layer before, so the longest of each place will do.  There are as many
    places as the strides of convolutions have in which those of transposed layers do not cancel.
    """

    def __init__(self, followed: int) -> None:
        self.modulus = 1
        self.lasts = {0: 0}  # place of the first position → the last, from the first on; what has come to nothing is not there
        self.followed = followed  # so many before

    def back(self, step: Step) -> None:
        if step.transposed:
            self._transposed(step)
            return
        self.modulus *= step.stride
        self.lasts = {(a * step.stride - step.low) % self.modulus: n * step.stride + step.extent - 1 for a, n in self.lasts.items()}

    def _transposed(self, step: Step) -> None:
        """y[q] needs (q + lo − r·d)/s, so what begins at b = q + lo − k_e + 1 meets the first input j = ⌈b/s⌉, j·s − b later."""
        s, common = step.stride, gcd(self.modulus, step.stride)
        found: dict[int, int] = {}
        places, later = self.modulus // common, s // common
        self.followed += len(self.lasts) * min(places, later)
        if self.followed > MOST:
            raise OverflowError
        inverse = pow(later, -1, places)
        for a, n in self.lasts.items():
            b, length = a + step.low - step.extent + 1, n + step.extent - 1
            if places <= later:  # of each place, the least later
                met = ((j, (j * s - b) % self.modulus) for j in range(places))
            else:
                met = (((b + late) // common * inverse % places, late) for late in range(-b % common, s, common))
            for j, late in met:
                if late < s and late <= length:
                    found[j] = max(found.get(j, 0), (length - late) // s)
        self.modulus, self.lasts = places, found


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
    try:
        fields = [list(fields_of(steps)) for steps in axes]
    except OverflowError:
        raise subject.value(f"the layers' strides leave more than {MOST} places for windows to begin, each of which sees its own") from None
    parts = tuple(assemble(list(p), rank) for p in zip(*fields, strict=True))
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


def fields_of(steps: list[Step]) -> Iterator[tuple[int, Fraction | int, Fraction | int]]:
    """(size, jump, start) on one axis, of the stack up to each layer."""
    jump, center = Fraction(1), Fraction(0)
    stack: list[Step] = []
    followed = 0
    for step in steps:
        middle = Fraction(step.extent - 1, 2) - step.low
        if step.transposed:
            jump /= step.stride
            center -= jump * middle
        else:
            center += jump * middle
            jump *= step.stride
        if stack and not (step.transposed or stack[-1].transposed):
            stack[-1] = stack[-1].then(step)
        else:
            stack.append(step)
        windows = Windows(followed)
        for layer in reversed(stack):
            windows.back(layer)
        followed = windows.followed
        size = 1 + max(windows.lasts.values(), default=-1)
        yield size, plain(jump), plain(center - Fraction(size - 1, 2))
