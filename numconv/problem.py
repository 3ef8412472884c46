"""What is to be computed, as plain frozen values: no arrays, no user errors, standard library only.

One dataclass for each kind of defining sum.  A field is here only if the sum (or the form of its result) uses it.
Dilated, grouped, depthwise, pointwise and 1-D convolutions are not kinds: they are predicates on `ConvProblem`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Any, get_args

from .memory import add, counted_elsewhere, kept

Ints = tuple[int, ...]
BYTES = 1600  # of a problem with what it has worked out of itself


def effective_kernel(kernel: int, dilation: int) -> int:
    """Extent of a dilated filter: d·(k−1) + 1."""
    return dilation * (kernel - 1) + 1


class Hashed:
    """A frozen dataclass whose hash, which every look-up asks for, is worked out once; each names `__hash__`, or dataclass makes one."""

    @cached_property
    def _hash(self) -> int:
        return hash(tuple(self.__getstate__().values()))

    def __hash__(self) -> int:
        return self._hash

    def __getstate__(self) -> dict[str, object]:
        """The fields alone: strings hash otherwise in another process."""
        return {name: self.__dict__[name] for name in self.__dataclass_fields__}  # type: ignore[attr-defined]


@kept
def one_of(problem: Any) -> Any:
    """The first of all equal problems: a look-up compares the same object by address, two equal ones field by field."""
    add(BYTES)
    return problem


@dataclass(frozen=True)
class ConvProblem(Hashed):
    """One geometry, three maps over it.

    The geometry is that of a cross-correlation from `spatial` to `outputs`, with weights
    w (out_channels, in_channels/groups, *kernel)::

        forward       y[n, k, p] = Σ_{c, r} x[n, c, p·stride − pad_low + r·dilation] · w[k, c, r]      (then bias, activation)
        input_grad    x[n, c, q] = Σ_{k, r} y[n, k, p] · w[k, c, r],  over p·stride − pad_low + r·dilation = q
        weight_grad   w[k, c, r] = Σ_{n, p} y[n, k, p] · x[n, c, p·stride − pad_low + r·dilation]

    A transposed convolution *is* `input_grad`: its input is (batch, out_channels, *outputs) and its output
    (batch, in_channels, *spatial).  `outputs` is stored, not derived, so that output_padding and cropping need no
    fields of their own; the padding above is whatever the outputs reach.
    """

    direction: str  # "forward" | "input_grad" | "weight_grad"
    batch: int
    in_channels: int
    out_channels: int
    groups: int
    spatial: Ints
    kernel: Ints
    stride: Ints
    pad_low: Ints  # may be negative only in input_grad (cropping beyond the kernel)
    dilation: Ints
    outputs: Ints
    dtype: str  # of x and w after promotion, a NumPy name ("bfloat16" too)
    out_dtype: str
    padding_mode: str = "zeros"
    layout: str = "channels_first"
    bias: bool = False
    activation: str | None = None
    shuffle: int = 1  # groups of a channel shuffle folded into the store: out[j·g + i] = y[i·n + j]
    precision: str = "highest"

    __hash__ = Hashed.__hash__

    @property
    def rank(self) -> int:
        return len(self.spatial)

    @cached_property
    def pad_high(self) -> Ints:
        """What the last output reaches beyond the input's end; negative where the end of the input is not reached."""
        return tuple(
            (o - 1) * s + effective_kernel(k, d) - lo - i
            for o, s, k, d, lo, i in zip(self.outputs, self.stride, self.kernel, self.dilation, self.pad_low, self.spatial, strict=True)
        )

    @property
    def group_in(self) -> int:
        return self.in_channels // self.groups

    @property
    def group_out(self) -> int:
        return self.out_channels // self.groups

    @property
    def taps(self) -> int:
        return prod(self.kernel)

    @property
    def is_depthwise(self) -> bool:
        return self.groups > 1 and self.group_in == 1

    @property
    def is_pointwise(self) -> bool:
        return self.taps == 1

    @property
    def source(self) -> tuple[int, Ints]:
        """(channels, spatial) of the array that is read beside the weights."""
        return (self.out_channels, self.outputs) if self.direction == "input_grad" else (self.in_channels, self.spatial)

    @property
    def target(self) -> tuple[int, Ints]:
        """(channels, spatial) of the result (forward and input_grad)."""
        return (self.in_channels, self.spatial) if self.direction == "input_grad" else (self.out_channels, self.outputs)

    @property
    def weight_shape(self) -> Ints:
        return (self.out_channels, self.group_in, *self.kernel)

    @cached_property
    def result_shape(self) -> Ints:
        if self.direction == "weight_grad":
            return self.weight_shape
        return image_shape(self.batch, *self.target, self.layout)

    @cached_property
    def multiplications(self) -> int:
        """Of the whole sum, border taps counted."""
        return self.batch * self.out_channels * self.group_in * self.taps * prod(self.outputs)

    def with_(self, **changes: object) -> ConvProblem:
        return replace(self, **changes)  # type: ignore[arg-type]


def image_shape(batch: int, channels: int, spatial: Ints, layout: str) -> Ints:
    return (batch, *spatial, channels) if layout == "channels_last" else (batch, channels, *spatial)


@dataclass(frozen=True)
class ImageProblem:
    """Common to the operators below: an image (batch, channels, *spatial) in a layout and dtype."""

    batch: int
    channels: int
    spatial: Ints
    dtype: str
    layout: str


@dataclass(frozen=True)
class ShuffleProblem(ImageProblem):
    """out[:, j·groups + i] = x[:, i·n + j], n = channels/groups."""

    groups: int = 1

    @property
    def result_shape(self) -> Ints:
        return image_shape(self.batch, self.channels, self.spatial, self.layout)

    out_dtype = property(lambda self: self.dtype)


@dataclass(frozen=True)
class ResizeProblem(ImageProblem):
    """Nearest: out[p] = x[floor(p·in/out)]; bilinear: half-pixel centres, or corners aligned.  `scale` None: in/out of the sizes."""

    size: Ints = ()
    mode: str = "nearest"
    align_corners: bool = False
    scale: tuple[float, ...] | None = None  # output/input per axis, where the user gave one; else size/spatial
    part: tuple[tuple[Ints, Ints], ...] | None = None  # per axis (from, to) of the outputs, and of the samples that are given; else all

    @property
    def result_shape(self) -> Ints:
        size = self.size if self.part is None else tuple(end - first for (first, end), _ in self.part)
        return image_shape(self.batch, self.channels, size, self.layout)

    out_dtype = property(lambda self: self.dtype)


@dataclass(frozen=True)
class AttentionProblem(ImageProblem):
    """softmax(fc2 · relu(fc1 · mean(x) + b1) + b2 / temperature) → (batch, kernels).  Inputs: x, fc1, fc2, bias1 | None, bias2 | None."""

    hidden: int = 1
    kernels: int = 1
    temperature: float = 1.0

    @property
    def result_shape(self) -> Ints:
        return (self.batch, self.kernels)

    out_dtype = property(lambda self: self.dtype)


@dataclass(frozen=True)
class MixProblem:
    """out[n, j] = Σ_k attention[n, k] · values[k, j], k ascending: kernels of a dynamic convolution.  Inputs: attention, values (2-D)."""

    batch: int
    kernels: int
    length: int
    dtype: str

    @property
    def result_shape(self) -> Ints:
        return (self.batch, self.length)

    out_dtype = property(lambda self: self.dtype)


@dataclass(frozen=True)
class DeformProblem:
    """Deformable convolution, torchvision's meaning.  Inputs: x, offset, w, bias | None, mask | None (channels first).

    offset (N, 2·offset_groups·kh·kw, oh, ow), (Δy, Δx) per tap; mask (N, offset_groups·kh·kw, oh, ow); bilinear, zero outside.
    """

    conv: ConvProblem
    offset_groups: int
    masked: bool

    @property
    def dtype(self) -> str:
        return self.conv.dtype

    @property
    def out_dtype(self) -> str:
        return self.conv.out_dtype

    @property
    def result_shape(self) -> Ints:
        return self.conv.result_shape


@dataclass(frozen=True)
class SeparableProblem:
    """Two steps that one kernel may do: a depthwise column pass, then a row pass that sums the maps of each filter.

    Inputs: x, column (C_out, C_in/groups, kh), row (C_out, C_in/groups, kw), bias | None: in the order of the filters, whatever the order
    in which the steps would leave their maps.
    """

    column: ConvProblem
    row: ConvProblem

    @cached_property
    def conv(self) -> ConvProblem:
        """The same sum as one convolution, whose filters are the outer products."""
        a, b = self.column, self.row
        return b.with_(
            in_channels=a.in_channels, groups=a.in_channels // b.group_in, spatial=a.spatial, kernel=(a.kernel[0], b.kernel[1]),
            stride=(a.stride[0], b.stride[1]), pad_low=(a.pad_low[0], b.pad_low[1]), dilation=(a.dilation[0], b.dilation[1]),
            dtype=a.dtype, shuffle=1,
        )  # fmt: skip

    @property
    def batch(self) -> int:
        return self.row.batch

    @property
    def dtype(self) -> str:
        return self.column.dtype

    @property
    def out_dtype(self) -> str:
        return self.row.out_dtype

    @property
    def result_shape(self) -> Ints:
        return self.row.result_shape


@dataclass(frozen=True)
class PatchProblem:
    """im2col ("unfold": image → (N, C·taps, L)) and its adjoint col2im ("fold": overlapping patches are summed).  Channels first."""

    direction: str  # "unfold" | "fold"
    conv: ConvProblem  # geometry: in_channels == groups == out_channels == C

    @property
    def dtype(self) -> str:
        return self.conv.dtype

    @property
    def out_dtype(self) -> str:
        return self.conv.dtype

    @property
    def result_shape(self) -> Ints:
        c = self.conv
        if self.direction == "fold":
            return (c.batch, c.in_channels, *c.spatial)
        return (c.batch, c.in_channels * c.taps, prod(c.outputs))


@dataclass(frozen=True)
class FilterProblem(Hashed):
    """Sums over neighbours in each of some volumes, whatever lies around them by `modes`; one sum, or two along two axes in turn.

    One:  y[n, p] = Σ_r w[r] · x[n, e(p + steps·r − pad_low)], over all three axes.
    Two:  along the second axis with the first weights, what comes of it along the third with the others.
    e is the sample that stands there by the axis's mode, or for "zeros" none: `beyond` stands there, of the first sum's results too.

    Inputs: x (batch, *spatial), None, weights (the kernel; of two sums both, flat) in float64.
    """

    batch: int
    spatial: Ints  # three axes
    outputs: Ints
    kernel: Ints  # taps
    step: int  # elements of the last axis from one tap to the next: what it has that no sum runs along
    pad_low: Ints  # in taps
    modes: tuple[str, str, str]  # as ConvProblem's
    beyond: float
    orders: tuple[str, ...]  # of each sum, how its taps are taken: see cpu/filters/plan.py
    terms: int  # products of a target
    dtype: str
    out_dtype: str
    compute: str  # "float32" or "float64": what sums are made in
    rounded: bool = False  # two sums: the first ones are rounded to the type of the result
    narrow: bool = False  # no sum leaves int32
    divisor: int = 1  # of each sum

    __hash__ = Hashed.__hash__

    @property
    def result_shape(self) -> Ints:
        return (self.batch, *self.outputs)


Problem = (
    ConvProblem
    | ShuffleProblem
    | ResizeProblem
    | AttentionProblem
    | MixProblem
    | DeformProblem
    | SeparableProblem
    | PatchProblem
    | FilterProblem
)
for _kind in get_args(Problem):
    counted_elsewhere(_kind)
