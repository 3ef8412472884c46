"""What is compiled to prove the kernels without a GPU: every family at its production tiles, with the types of its arguments.

`tests/gpu/test_compile.py` links each for every architecture; `benchmarks/cuda_resources.py` writes their registers and shared memory
into the docs.  Not imported at run time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, get_type_hints

from ..adapt import elementwise, gather, layout, transpose
from ..dense.direct import kernel as direct
from ..dense.tensor_cores import kernel as tensor_core
from ..depthwise.halo.kernel import make_halo
from ..depthwise.halo.plan import HaloForm, HaloTile, sizes
from ..depthwise.strips.kernel import make_strips
from ..depthwise.strips.plan import StripForm
from ..geometry.image import Two
from ..named import matrix, scatter
from ..operators import axis_gather, dynamic, patches, resize, shuffle
from ..operators.deformable import backward as deformable_grad
from ..operators.deformable import forward as deformable
from ..stages import split_k
from ..stages.implicit_gemm import plan as implicit_gemm
from ..stages.implicit_gemm.kernel import make_implicit_gemm
from ..stages.warp_tiles import WARP_TILES, fitting, shared_bytes
from ..weight_grad.cuda_cores import plan as weight_grad
from ..weight_grad.cuda_cores.kernel import make_weight_grad
from ..weight_grad.depthwise.kernel import make_depthwise_grad
from ..weight_grad.depthwise.plan import FORM
from ..weight_grad.parts import Cut, make_sum_parts
from ..weight_grad.tensor_cores.kernel import make_tensor_core_weights
from ..winograd import kernel as winograd_kernel


@dataclass(frozen=True)
class Specimen:
    """A kernel to be made, and its argument types as words: "float32[]" for a flat array, "int32" for a scalar; {class: words} for a NamedTuple."""

    label: str
    family: str
    make: Callable[[], Any]
    arguments: tuple[str | dict[type, tuple[str, ...]], ...]
    threads: int = 256
    least: tuple[int, int] = (7, 5)  # compute capability
    wanted: tuple[str, ...] = ()  # instructions that its PTX must hold
    doubles: bool = False  # whether float64 arithmetic is meant
    registers: int = 255  # budget for each thread
    dynamic: int = 0  # bytes of shared memory asked for at launch


def _storage(dtype: str) -> str:
    return "uint16" if dtype == "bfloat16" else dtype


def _arrays(*dtypes: str) -> tuple[str, ...]:
    return tuple(f"{_storage(d)}[]" for d in dtypes)


def _fields(kind: type, real: str = "float32") -> dict[type, tuple[str, ...]]:
    """A NamedTuple of whole numbers and of `real` ones."""
    return {kind: tuple(real if of is float else "int32" for of in get_type_hints(kind).values())}


def _conv(dtype: str, out: str | None = None) -> tuple[str, ...]:
    out = out or dtype
    return (*_arrays(dtype, dtype, out, out), "int32[]")


def _has_doubles(*dtypes: str) -> bool:
    return any(d in ("float64", "complex128") for d in dtypes)


def _implicit_gemm() -> Iterator[Specimen]:
    def one(dtype: str, out: str, act: str | None, outer: bool, tile: Any) -> Specimen:
        return Specimen(
            f"{dtype} {tile.positions}×{tile.targets}×{tile.terms}" + (f" {act}" if act else "") + (" 3-D" if outer else ""),
            "implicit_gemm",
            lambda: make_implicit_gemm(dtype, out, out, act, implicit_gemm.GemmForm(outer), tile),
            (*_conv(dtype, out), "int32", "int32"),
            tile.threads,
            wanted=("fma.rn.f32", "ld.shared.v4.f32") if dtype == "float32" and tile.thread_positions == 8 and act is None else (),
            doubles=_has_doubles(dtype),
            registers=168,
        )

    for tile in implicit_gemm.GEMM_TILES:
        yield one("float32", "float32", None, False, tile)
    yield one("float32", "float32", "silu", True, implicit_gemm.GEMM_TILES[1])
    for words, form in (
        ("quad stores", implicit_gemm.GemmForm(quad_stores=True)),
        ("pointwise quads", implicit_gemm.GemmForm(reads="quads", quad_stores=True)),
        ("channels last", implicit_gemm.GemmForm(reads="channels")),
        ("channels last, split-K", implicit_gemm.GemmForm(reads="channels", parted=True)),
        ("split-K", implicit_gemm.GemmForm(quad_stores=True, parted=True)),
    ):
        for tile in implicit_gemm.GEMM_TILES[:6] if words == "pointwise quads" else implicit_gemm.GEMM_TILES[:3:2]:
            yield Specimen(
                f"float32 {tile.positions}×{tile.targets}×{tile.terms} {words}", "implicit_gemm",
                lambda tile=tile, form=form: make_implicit_gemm(
                    "float32", "float32", None if form.parted else "float32", None, form, tile
                ),
                (*_conv("float32"), "int32", "int32"), tile.threads, registers=168,
                wanted=("st.global.v4.f32",) if form.quad_stores else (),
            )  # fmt: skip
    yield Specimen(
        "finish of split-K", "implicit_gemm", lambda: split_k.make_finish("float32", "float16", "float16", "silu"),
        (*_arrays("float32", "float16", "float16"), *["int32"] * 5),
    )  # fmt: skip
    yield one("float16", "float16", None, False, implicit_gemm.GEMM_TILES[0])
    yield one("bfloat16", "bfloat16", None, False, implicit_gemm.GEMM_TILES[0])
    yield one("int8", "int32", None, False, implicit_gemm.GEMM_TILES[0])
    yield one("float64", "float64", "tanh", True, implicit_gemm.WIDE_GEMM_TILES[0])
    yield one("complex64", "complex64", None, False, implicit_gemm.WIDE_GEMM_TILES[0])
    yield one("complex128", "complex128", None, True, implicit_gemm.WIDE_GEMM_TILES[1])
    yield one("int64", "int64", None, False, implicit_gemm.WIDE_GEMM_TILES[0])


MMA = {
    "float16": "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32",
    "bfloat16": "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32",
    "float32": "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32",
}


def _tensor_core() -> Iterator[Specimen]:
    every = [(d, t, None, False, False) for d in ("float16", "bfloat16", "float32") for t in WARP_TILES]
    every += [("float16", WARP_TILES[2], "silu", True, False), ("float32", WARP_TILES[3], "tanh", True, False)]
    every += [("float16", fitting(WARP_TILES[0], 100 << 10), None, False, False)]  # what a card with less shared memory takes
    every += [(d, WARP_TILES[3], None, False, True) for d in ("float16", "float32")]
    for dtype, tile, act, outer, split in every:
        out, bias = ("float32", None) if split else (dtype, dtype)
        yield Specimen(
            f"{'tf32' if dtype == 'float32' else dtype} {tile.rows}×{tile.columns}×{tile.words} words by {tile.warp_rows}×{tile.warp_columns}, {tile.stages} stages"
            + (f" {act} 3-D" if act else " split-K" if split else ""),
            "tensor_core",
            lambda dtype=dtype, tile=tile, act=act, outer=outer, split=split, out=out, bias=bias: tensor_core.make_tensor_core(
                dtype, out, bias, act, outer, tile, split
            ),
            ("uint32[]", "uint32[]", *(_arrays(dtype) if bias else ("uint32[]",)), *_arrays(out), "int32[]", "int32", "int32"),
            tile.threads,
            least=(8, 0),
            wanted=(
                MMA[dtype],
                "ldmatrix.sync.aligned.m8n8.x4.shared.b16",
                "cp.async.cg.shared.global",
                f"cp.async.wait_group {tile.stages - 2}",
            ),
            registers=255 if tile.warp_columns == 64 else 168 if tile.warp_rows == 64 else 128,
            dynamic=shared_bytes(tile),
        )
    for dtype in ("float32", "float16", "int8"):
        yield Specimen(
            dtype, "transpose", lambda dtype=dtype: transpose.make_transpose(dtype, transpose.TILE_SIDE, transpose.THREAD_ROWS),
            (*_arrays(dtype, dtype), _fields(transpose.Sizes)), transpose.TILE_SIDE * transpose.THREAD_ROWS,
        )  # fmt: skip


def _tensor_core_weights() -> Iterator[Specimen]:
    every = [(d, t, False) for d in ("float16", "float32") for t in WARP_TILES]
    for dtype, tile, outer in [*every, ("bfloat16", WARP_TILES[3], True), ("float32", WARP_TILES[3], True)]:
        yield Specimen(
            f"{'tf32' if dtype == 'float32' else dtype} {tile.rows}×{tile.columns}×{tile.words} words by {tile.warp_rows}×{tile.warp_columns}, {tile.stages} stages"
            + (" 3-D" if outer else ""),
            "tensor_core_weights",
            lambda dtype=dtype, tile=tile, outer=outer: make_tensor_core_weights(dtype, outer, tile),
            ("uint32[]", "uint32[]", "float32[]", "int32[]", _fields(Cut)),
            tile.threads,
            least=(8, 0),
            wanted=(
                MMA[dtype],
                *(("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16",) if dtype != "float32" else ()),
                "cp.async.cg.shared.global",
                f"cp.async.wait_group {tile.stages - 2}",
            ),
            registers=255 if tile.warp_columns == 64 else 168 if tile.warp_rows == 64 else 128,
            dynamic=shared_bytes(tile),
        )


def _weight_grad() -> Iterator[Specimen]:
    tiles = (weight_grad.MANY, weight_grad.FEW, weight_grad.FEWEST)
    for dtype, tile in (*(("float32", t) for t in tiles), ("float16", weight_grad.MANY), ("float64", weight_grad.MANY)):
        acc = "float64" if dtype == "float64" else "float32"
        yield Specimen(
            f"{dtype} {tile.targets}×{tile.terms}×{tile.positions}",
            "weight_grad",
            lambda dtype=dtype, tile=tile: make_weight_grad(dtype, dtype, True, tile),
            (*_arrays(dtype, dtype, acc), "int32[]", _fields(Cut)),
            tile.threads,
            doubles=_has_doubles(dtype),
        )
    yield Specimen(
        "sum of parts",
        "weight_grad",
        lambda: make_sum_parts("float32", "bfloat16"),
        (*_arrays("float32", "bfloat16"), "int32", "int32"),
    )


def _halo_form(kernel: tuple[int, int], tile: tuple[int, int, int, int], step: int = 1, dilation: int = 1, **options: Any) -> HaloForm:
    """By four neighbours; `step` is the stride, the same along both axes, as the dilation."""
    forms = {"channels_last": False, "quad_loads": True, "quad_stores": True, **options}
    return HaloForm(Two(*kernel), Two(step, step), Two(dilation, dilation), HaloTile(*tile), **forms)


#: label → form of the halo kernel
HALO = {
    "3×3": _halo_form((3, 3), (4, 8, 8, 4), shift=3),
    "3×3, stride 2": _halo_form((3, 3), (1, 8, 8, 4), step=2, shift=3),
    "3×3, dilation 9": _halo_form((3, 3), (1, 8, 8, 4), dilation=9, shift=3),
    "5×5": _halo_form((5, 5), (1, 16, 16, 4), shift=2),
    "7×7": _halo_form((7, 7), (1, 16, 16, 4), shift=1),
    "7×7, by elements": _halo_form((7, 7), (16, 2, 2, 4), quad_loads=False, quad_stores=False),
    "11×11": _halo_form((11, 11), (1, 16, 16, 4), shift=3),
    "31×31": _halo_form((31, 31), (1, 16, 16, 4), shift=1),
    "1×65": _halo_form((1, 65), (4, 1, 64, 1)),
    "1×9": _halo_form((1, 9), (4, 1, 64, 1)),
    "3×3, channels last": _halo_form((3, 3), (32, 4, 8, 4), channels_last=True),
    "7×7, channels last": _halo_form((7, 7), (16, 4, 8, 4), channels_last=True),
    "separable 5×5": _halo_form((5, 5), (4, 8, 8, 4), separable=True, shift=2),
    "separable 5×5, channels last": _halo_form((5, 5), (16, 4, 8, 4), channels_last=True, separable=True),
}


def _halo() -> Iterator[Specimen]:
    cases = [("float32", label) for label in HALO]
    cases += [(dtype, "3×3") for dtype in ("float16", "bfloat16", "int8")] + [
        ("float16", "3×3, channels last"),
        ("float64", "separable 5×5"),
    ]
    for dtype, label in cases:
        out, form = "int32" if dtype == "int8" else dtype, HALO[label]
        if dtype == "float64":
            form = form._replace(tile=HaloTile(1, 8, 8, 4), window=6)
        yield Specimen(
            f"{dtype} {label}", "halo", lambda dtype=dtype, out=out, form=form: make_halo(dtype, out, out, None, form),
            (*_arrays(dtype, dtype, dtype, out, out), "int32[]"), sizes(form).threads, doubles=_has_doubles(dtype),
            wanted=("ld.global.v4", "st.global.v4") if form.quad_loads and dtype != "float64" else (), registers=128,
        )  # fmt: skip


def _channelwise() -> Iterator[Specimen]:
    for dtype, form in (
        ("float32", StripForm(taps=3, stride=1, dilation=1, rows=4)),
        ("float32", StripForm(taps=7, stride=1, dilation=96, rows=1)),
        ("bfloat16", StripForm(taps=3, stride=2, dilation=1, rows=4)),
        ("complex128", StripForm(taps=5, stride=1, dilation=1, rows=4)),
    ):
        yield Specimen(
            f"{dtype} strips, {form.taps} taps, stride {form.stride}, dilation {form.dilation}, strip {form.rows}",
            "depthwise",
            lambda dtype=dtype, form=form: make_strips(dtype, dtype, dtype, None, form),
            (*_conv(dtype), "int32"),
            doubles=_has_doubles(dtype),
        )

    for dtype in ("float32", "bfloat16", "float64"):
        acc = "float64" if dtype == "float64" else "float32"
        yield Specimen(
            f"{dtype} weight gradient", "depthwise",
            lambda dtype=dtype: make_depthwise_grad(dtype, dtype, FORM),
            (*_arrays(dtype, dtype, acc), "int32[]"), FORM.threads, doubles=_has_doubles(dtype),
        )  # fmt: skip


def _winograd() -> Iterator[Specimen]:
    for m in (2, 4):
        words = f"F({m}×{m})"
        yield Specimen(
            f"{words} image", "winograd", lambda m=m: winograd_kernel.make_image(m), (*_arrays("float32", "float32"), "int32[]", "int32")
        )
        yield Specimen(
            f"{words} filters", "winograd", lambda m=m: winograd_kernel.make_filters(m), (*_arrays("float32", "float32"), "int32")
        )
        for act in (None, "silu"):
            yield Specimen(
                f"{words} outputs" + (f" {act}" if act else ""), "winograd",
                lambda m=m, act=act: winograd_kernel.make_outputs(m, "float32", "float32", act, m == 4 and not act),
                (*_arrays("float32", "float32", "float32"), "int32[]", "int32"), wanted=("st.global.v4",) if m == 4 and not act else (),
            )  # fmt: skip


def _direct() -> Iterator[Specimen]:
    for dtype, out, act in (
        ("float32", "float32", "silu"), ("float16", "float16", "tanh"), ("bfloat16", "bfloat16", "sigmoid"), ("int8", "int32", None),
        ("int64", "int64", "relu"), ("complex64", "complex64", None), ("float64", "float64", "hardswish"),
    ):  # fmt: skip
        doubles = _has_doubles(dtype)
        types = _conv(dtype, out)
        yield Specimen(
            f"{dtype} {act or ''}".strip(), "direct",
            lambda dtype=dtype, out=out, act=act: direct.make_direct(dtype, out, out, act, True), (*types, "int32"), doubles=doubles,
        )  # fmt: skip


def _transposed() -> Iterator[Specimen]:
    for dtype in ("float32", "bfloat16", "float64", "complex128"):
        yield Specimen(
            dtype, "scatter", lambda dtype=dtype: scatter.make_scatter(dtype, dtype, dtype, None, scatter.tile_for(dtype, dtype), scatter.THREADS),
            _conv(dtype), scatter.THREADS, doubles=_has_doubles(dtype),
        )  # fmt: skip
    yield Specimen("float32", "matrix", lambda: matrix.make_matrix("float32", "float32", "float32", "relu"), (*_conv("float32"), "int32"))


def _operators() -> Iterator[Specimen]:
    yield Specimen(
        "any type", "shuffle", shuffle.make_permute, ("uint32[]", "uint32[]", _fields(shuffle.ShuffledPlanes), "int32"),
        wanted=("ld.global.v4", "st.global.v4"),
    )  # fmt: skip
    for source, target in (
        ("float32", "float32"),
        ("float16", "float32"),
        ("bfloat16", "bfloat16"),
        ("int8", "int8"),
        ("int64", "float32"),
    ):
        for scattered in (False, True) if source == "float32" else (False,):
            yield Specimen(
                f"{source} to {target}" + (", scattered" if scattered else ""), "gather copy",
                lambda source=source, target=target, scattered=scattered: gather.make_gather(source, target, scattered),
                (*_arrays(source, target), "int32[]", "int32"),
            )  # fmt: skip
    for dtype in ("float32", "bfloat16", "complex128", "int8"):
        yield Specimen(
            dtype, "reverse", lambda dtype=dtype: layout.make_reverse(dtype), (*_arrays(dtype, dtype), "int32"), doubles=_has_doubles(dtype)
        )
    for dtype in ("float32", "bfloat16", "float64"):
        acc = "float64" if dtype == "float64" else "float32"
        doubles = _has_doubles(dtype)
        yield Specimen(
            dtype, "resize", lambda dtype=dtype: resize.make_linear(dtype),
            (*_arrays(dtype, dtype), "int32[]", *_arrays(acc), "int32"), doubles=doubles,
        )  # fmt: skip
        yield Specimen(
            f"{dtype} mean", "attention", lambda dtype=dtype: dynamic.make_mean(dtype, dynamic.BLOCK_THREADS),
            (*_arrays(dtype, acc), _fields(dynamic.PooledPlanes)), dynamic.BLOCK_THREADS, doubles=doubles,
        )  # fmt: skip
        yield Specimen(
            f"{dtype} dense", "attention", lambda dtype=dtype: dynamic.make_attention(dtype, dtype, None, dynamic.BLOCK_THREADS),
            (*_arrays(acc, dtype, dtype, dtype, dtype, acc, dtype), _fields(dynamic.Dense, acc)), dynamic.BLOCK_THREADS, doubles=doubles,
        )  # fmt: skip
        yield Specimen(
            dtype, "mix", lambda dtype=dtype: dynamic.make_mix(dtype), (*_arrays(dtype, dtype, dtype), *["int32"] * 3), doubles=doubles
        )
        yield Specimen(
            dtype, "unfold", lambda dtype=dtype: patches.make_unfold(dtype), (*_arrays(dtype, dtype), "int32[]", "int32"), doubles=doubles
        )
        yield Specimen(
            dtype, "fold", lambda dtype=dtype: patches.make_fold(dtype), (*_arrays(dtype, dtype), "int32[]", "int32"), doubles=doubles
        )
        yield Specimen(
            dtype, "deformable", lambda dtype=dtype, acc=acc: deformable.make_columns(dtype, acc, True),
            (*_arrays(dtype, dtype, dtype, acc), "int32[]", "int32", "int32"), doubles=doubles,
        )  # fmt: skip


def _gradients() -> Iterator[Specimen]:
    names = ("add", "relu", "relu6", "sigmoid", "tanh", "silu", "hardswish")
    each = [(name, "float32", "float32") for name in names]
    each += [
        ("conjugate", "complex64", "complex64"),
        ("real", "complex128", "float64"),
        ("add", "bfloat16", "bfloat16"),
        ("silu", "float64", "float64"),
    ]
    for name, dtype, out in each:
        yield Specimen(
            f"{name} {dtype}", "elementwise", lambda name=name, dtype=dtype, out=out: elementwise.make_elementwise(name, dtype, out),
            (*_arrays(dtype, dtype, out), "int32"), doubles=_has_doubles(dtype),
        )  # fmt: skip
    for dtype in ("float32", "bfloat16", "float64", "complex64"):
        doubles = _has_doubles(dtype)
        real = "float64" if doubles else "float32"
        yield Specimen(
            dtype, "adjoint along an axis", lambda dtype=dtype: axis_gather.make_gather_rows(dtype),
            (*_arrays(dtype, dtype), "int32[]", "int32[]", f"{real}[]", _fields(axis_gather.Reading)), doubles=doubles,
        )  # fmt: skip
        if dtype == "complex64":
            continue
        yield Specimen(
            dtype, "attention gradient", lambda dtype=dtype: dynamic.make_attention_back(dtype, dtype, dtype),
            (*_arrays(real, *[dtype] * 5, *[real] * 4), _fields(dynamic.Back, real)), doubles=doubles,
        )  # fmt: skip
        yield Specimen(
            f"{dtype} spread", "deformable gradient", lambda dtype=dtype, real=real: deformable_grad.make_spread(dtype, real, True),
            (*_arrays(real, dtype, dtype, real), "int32[]", "int32", "int32"), doubles=doubles,
        )  # fmt: skip
        yield Specimen(
            f"{dtype} offsets, mask", "deformable gradient", lambda dtype=dtype, real=real: deformable_grad.make_shifts(dtype, real, True),
            (*_arrays(dtype, real, dtype, dtype, real, real), "int32[]", "int32", "int32"), doubles=doubles,
        )  # fmt: skip
    yield Specimen(
        "float32 sum of taps", "deformable gradient", lambda: deformable_grad.make_add_taps("float32"), (*_arrays("float32", "float32"), *["int32"] * 3),
    )  # fmt: skip


def specimens() -> list[Specimen]:
    families = (
        _implicit_gemm, _tensor_core, _tensor_core_weights, _weight_grad, _winograd, _halo, _channelwise, _direct, _transposed, _operators,
        _gradients,
    )  # fmt: skip
    return [specimen for family in families for specimen in family()]
