"""A convolution as the matrix that it is: C, sparse, or an operator that never writes it down.

C has a row for each output (k, p) and a column for each input (c, q), both in C order, and
C[(k, p), (c, q)] = w[k, c, r] where q = p·s − lo + r·d.  Its transpose is the transposed convolution: the adjoint,
⟨Cx, y⟩ = ⟨x, Cᵀy⟩, and not the inverse.

Weights on the host give SciPy's sparse arrays and operators, weights on a GPU CuPy's (which must be installed): indices are made on the
host, entries on the device.

References
----------
Dumoulin & Visin, arXiv 1603.07285, section 4.1 ("Convolution as a matrix operation").
"""

from __future__ import annotations

from functools import partial, reduce
from importlib import import_module
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import devices
from .arguments.convolution import ConvOptions, forward
from .arguments.edge import public
from .arguments.request import Image
from .arguments.types import HALVES, check_dtype, types
from .arguments.values import Spec, Subject, choice, host_array, integer, sequence
from .planning import ACCURACIES, ANY
from .problem import ConvProblem, Ints

if TYPE_CHECKING:
    from scipy.sparse import csr_array
    from scipy.sparse.linalg import LinearOperator

__all__ = ["conv_matrix", "conv_operator"]

Array = np.ndarray[Any, Any]


class Setting(NamedTuple):
    """The weights in full form, the geometry of one image, how many images the matrix spans, and the call's `accuracy`."""

    w: Array
    problem: ConvProblem
    batch: int
    accuracy: str = ANY

    @property
    def library(self) -> Any:
        """Whose the arrays are: NumPy, or CuPy."""
        return np if isinstance(self.w, np.ndarray) else import_module("cupy")

    def sparse(self, name: str = "") -> Any:
        """SciPy's module of sparse arrays, or CuPy's of the same names."""
        return import_module(("scipy.sparse" if self.library is np else "cupyx.scipy.sparse") + name)


def library_of(subject: Subject, w: Any) -> Any:
    """NumPy, or for any array on a GPU CuPy."""
    if devices.kind(w) == "cpu":
        return np
    try:
        return import_module("cupy")
    except ImportError:
        raise subject.type("w is on a GPU, where sparse matrices are CuPy's, which is not installed") from None


def read(function: str, w: Any, input_shape: Any, options: ConvOptions) -> Setting:
    library = library_of(Subject(function), w)
    w = host_array(Subject(function), "w", w) if library is np else library.asarray(w)
    given = sequence(input_shape)
    shape = (input_shape,) if given is None else tuple(given)
    shape = tuple(integer(Subject(function), "input_shape", v, 1) for v in shape)
    subject = Subject(function, (("w", Spec(tuple(w.shape), w.dtype)), ("input_shape", Spec(shape, w.dtype))))
    check_dtype(subject, "w", Spec(tuple(w.shape), w.dtype))
    batch = 1
    images = w.ndim == 3 == len(shape) and (options.groups != 1 or shape[1] == w.shape[1])  # as weights are elsewhere
    if len(shape) == w.ndim and w.ndim <= 3 and not images:  # a plain kernel over a plain array
        w, shape = w[None, None], (1, *shape)
    elif len(shape) == w.ndim and w.ndim <= 5:  # the batch axis given
        batch, shape = shape[0], shape[1:]
    elif len(shape) == w.ndim - 2 and shape:
        shape = (1, *shape)
    if not 3 <= w.ndim <= 5 or len(shape) != w.ndim - 1:
        raise subject.value("input_shape must be (C, *spatial) for w (C_out, C_in/groups, *kernel), or of the kernel's own rank, 1 to 3")
    if 0 in w.shape:
        raise subject.value("w is empty")
    kinds = types(subject, (w.dtype,), None, None)
    if kinds.result in HALVES:
        kinds = kinds._replace(result="float32")  # SciPy's sparse arrays know no half types
    problem = forward(subject, Image(1, shape[0], shape[1:], True), tuple(w.shape), kinds, False, options)
    return Setting(w.astype(kinds.result), problem, batch)


def axis_taps(problem: ConvProblem, axis: int) -> tuple[Array, Array]:
    """(outputs, taps): the input index under each tap, and whether it lies inside."""
    outputs, taps = np.arange(problem.outputs[axis])[:, None], np.arange(problem.kernel[axis])[None, :]
    q = outputs * problem.stride[axis] - problem.pad_low[axis] + taps * problem.dilation[axis]
    return q, (q >= 0) & (q < problem.spatial[axis])


@public
def conv_matrix(w: Any, input_shape: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1) -> csr_array:
    """The convolution with weights `w` of an input of shape `input_shape` as a sparse matrix.

    Parameters
    ----------
    w : (C_out, C_in/groups, *kernel), or a plain kernel (*kernel) for one channel
    input_shape : (C_in, *spatial); (N, C_in, *spatial); (*spatial) for one channel.  Three numbers for w of three axes are
        (N, C_in, length) where the channels fit, else a volume.
    stride, padding, dilation, groups : as of `conv2d`

    Returns
    -------
    scipy.sparse.csr_array, or cupyx.scipy.sparse.csr_matrix for weights on a GPU
        C with ``C @ x.ravel() == conv(x, w).ravel()`` and ``C.T @ y.ravel() == conv_transpose(y, w).ravel()``.  One stored
        entry for each tap on real data; integers widened as the convolution widens them.

    Raises
    ------
    ValueError
        As of `conv2d`: for shapes that do not fit, or no output.
    TypeError
        On a GPU: without CuPy, or for integers, which its sparse matrices cannot hold.

    Examples
    --------
    >>> conv_matrix(np.ones((3, 3)), (4, 4)).shape
    (4, 16)
    """
    setting = read("conv_matrix", w, input_shape, ConvOptions(stride, padding, dilation, groups))
    problem, rank = setting.problem, setting.problem.rank
    axes = [axis_taps(problem, axis) for axis in range(rank)]

    def spread(parts: list[Array], join: Any) -> Array:
        """(outputs, taps) per axis, joined to (*outputs, *taps)."""
        shaped = [
            p.reshape(
                [n if a in (axis, rank + axis) else 1 for a, n in zip(range(2 * rank), (*problem.outputs, *problem.kernel), strict=True)]
            )
            for axis, p in enumerate(parts)
        ]
        return np.asarray(reduce(join, shaped)).reshape(prod(problem.outputs), problem.taps)

    inside = spread([valid for _, valid in axes], np.logical_and)  # (P, T)
    below = [prod(problem.spatial[axis + 1 :]) for axis in range(rank)]
    pixel = spread([q * step for (q, _), step in zip(axes, below, strict=True)], np.add)
    # Row (k, p) holds its entries in the order (c, tap), which is the order of columns: CSR as it stands.
    channels, group_out = problem.group_in, problem.group_out
    full = (problem.out_channels, len(pixel), channels, problem.taps)
    first = (np.arange(problem.out_channels) // group_out * channels)[:, None] + np.arange(channels)  # (K, C): input channel
    columns = first[:, None, :, None] * prod(problem.spatial) + pixel[None, :, None, :]
    chosen = np.broadcast_to(inside[None, :, None, :], full)
    source = np.broadcast_to(np.arange(setting.w.size).reshape(problem.out_channels, 1, channels, problem.taps), full)[chosen]
    counts = np.tile(inside.sum(axis=1) * channels, problem.out_channels * setting.batch)
    shape = (prod(full[:2]), problem.in_channels * prod(problem.spatial))
    return _assembled(setting, source, columns[chosen], np.concatenate([[0], np.cumsum(counts)]), shape)


def _assembled(setting: Setting, source: Array, columns: Array, indptr: Array, shape: Ints) -> Any:
    """The matrix of all images from the entries of one: which weight, which column."""
    xp, batch, sparse = setting.library, setting.batch, setting.sparse()
    size = tuple(batch * n for n in shape)
    kind = np.int32 if max(len(source) * batch, *size) < 2**31 else np.int64
    indices = (np.arange(batch)[:, None] * shape[1] + columns).ravel()
    data = setting.w.reshape(-1)[xp.asarray(np.tile(source, batch))]
    if xp is np:
        return sparse.csr_array((data, indices.astype(kind), indptr.astype(kind)), shape=size)
    if data.dtype.kind not in "fc":
        raise Subject("conv_matrix").type(f"CuPy's sparse matrices hold floating-point and complex numbers; these would be {data.dtype}")
    return sparse.csr_matrix((data, xp.asarray(indices.astype(kind)), xp.asarray(indptr.astype(kind))), shape=size)


@public
def conv_operator(
    w: Any, input_shape: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1, padding_mode: str = "zeros", *,
    accuracy: str = "any",
) -> LinearOperator:  # fmt: skip
    """The same map as `conv_matrix`, matrix-free: products by `conv`, products with the adjoint by `conv_transpose`.

    Parameters
    ----------
    w, input_shape, stride, padding, dilation, groups : as of `conv_matrix`
    padding_mode : "zeros", "reflect", "replicate", "circular" or "symmetric"
    accuracy : as of `conv2d`

    Returns
    -------
    scipy.sparse.linalg.LinearOperator, or that of cupyx for weights on a GPU
        With `matvec`, `rmatvec`, `matmat` and `rmatmat`; several columns are one batch.

    Examples
    --------
    >>> operator = conv_operator(np.ones((3, 3)), (4, 4))
    >>> operator @ np.ones(16)
    array([9., 9., 9., 9.])
    """
    setting = read("conv_operator", w, input_shape, ConvOptions(stride, padding, dilation, groups, padding_mode))
    choice(Subject("conv_operator"), "accuracy", accuracy, ACCURACIES)
    setting = setting._replace(accuracy=accuracy)
    source, target = _images(setting)
    forward, back = partial(_product, setting), partial(_adjoint, setting)  # of module-level functions: they can be pickled
    return setting.sparse(".linalg").LinearOperator(
        (setting.batch * prod(target), setting.batch * prod(source)),
        dtype=setting.w.dtype,
        matvec=forward,
        rmatvec=back,
        matmat=forward,
        rmatmat=back,
    )


def _images(setting: Setting) -> tuple[Ints, Ints]:
    p = setting.problem
    return (p.in_channels, *p.spatial), (p.out_channels, *p.outputs)


def _product(setting: Setting, columns: Array) -> Array:
    """C · columns, or C · a vector."""
    return _columns(apply(setting, _rows(setting, columns, _images(setting)[0])), columns)


def _adjoint(setting: Setting, columns: Array) -> Array:
    return _columns(apply_adjoint(setting, _rows(setting, columns, _images(setting)[1])), columns)


def _rows(setting: Setting, columns: Array, shape: Ints) -> Array:
    """Each column as the images that it is."""
    return setting.library.ascontiguousarray(columns.T).reshape(-1, *shape)  # type: ignore[no-any-return]


def _columns(images: Array, like: Array) -> Array:
    return images.ravel() if like.ndim == 1 else images.reshape(like.shape[1], -1).T


def pads_of(problem: ConvProblem) -> list[tuple[int, int]]:
    """The padding that the windows reach; what an uneven stride leaves out at the end weighs nothing."""
    return [(low, max(high, 0)) for low, high in zip(problem.pad_low, problem.pad_high, strict=True)]


def apply(setting: Setting, x: Array) -> Array:
    import numconv

    problem = setting.problem
    conv = getattr(numconv, f"conv{problem.rank}d")
    y: Array = conv(
        x,
        setting.w,
        None,
        problem.stride,
        pads_of(problem),
        problem.dilation,
        problem.groups,
        padding_mode=problem.padding_mode,
        accuracy=setting.accuracy,
    )
    return y


def apply_adjoint(setting: Setting, y: Array) -> Array:
    import numconv

    problem, xp = setting.problem, setting.library
    transpose = getattr(numconv, f"conv_transpose{problem.rank}d")
    w = setting.w.conj()
    pads = pads_of(problem)
    direct = problem.padding_mode == "zeros"
    size = problem.spatial if direct else tuple(i + lo + hi for i, (lo, hi) in zip(problem.spatial, pads, strict=True))
    cut = pads if direct else 0
    x: Array = transpose(y, w, None, problem.stride, cut, 0, problem.groups, problem.dilation, output_size=size, accuracy=setting.accuracy)
    if not direct:
        for axis, (low, high) in enumerate(pads, start=2):
            x = xp.moveaxis(fold_padding(xp.moveaxis(x, axis, 0), low, high, problem.padding_mode), 0, axis)
    return x


def fold_padding(g: Array, low: int, high: int, mode: str) -> Array:
    """Adjoint of padding the first axis: each copy in the padding is added to the element that it copies."""
    size = len(g) - low - high
    core, left, right = g[low : low + size].copy(), g[:low], g[low + size :]
    if mode == "replicate":
        core[0] += left.sum(axis=0)
        core[-1] += right.sum(axis=0)
    elif mode == "circular":
        core[size - low :] += left
        core[:high] += right
    else:
        edge = 1 if mode == "reflect" else 0  # reflect leaves the border itself out
        core[edge : edge + low] += left[::-1]
        core[size - edge - high : size - edge] += right[::-1]
    return core
