"""Parts of a SIMD register, with mask registers and without, whichever this machine has: exactly the lanes that are meant, nothing beside them."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from numconv.cpu.simd import masks
from numconv.cpu.simd.emit import array_pointer
from numconv.cpu.simd.vector import load, pointer, store_alternate, store_n

DTYPES = ("float32", "float64", "int32", "int64")


@intrinsic(prefer_literal=True)
def copy_lanes(typingctx: Any, source: Any, target: Any, bits: Any, lanes: Any) -> Any:
    """target[i] = source[i] of the lanes whose bits are set, zero in the others; then the lowest `bits` of them once more behind."""
    n = lanes.literal_value

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        x, y = (array_pointer(context, builder, sig.args[i], args[i], ir.Constant(ir.IntType(64), 0)) for i in (0, 1))
        vector, align = ir.VectorType(x.type.pointee, n), sig.args[0].dtype.bitwidth // 8
        mask = masks.lanes_of_bits(builder, args[2], vector)
        arguments = [builder.bitcast(x, vector.as_pointer()), ir.Constant(ir.IntType(32), align), mask, ir.Constant(vector, None)]
        value = builder.call(masks.masked_load(builder, vector), arguments)
        builder.store(value, builder.bitcast(y, vector.as_pointer()), align=align)
        behind = builder.bitcast(builder.gep(y, [ir.Constant(ir.IntType(64), n)]), vector.as_pointer())
        masks.store_low(builder, value, behind, align, builder.trunc(args[2], ir.IntType(n)))
        return context.get_dummy_value()

    return types.void(source, target, types.intp, lanes), codegen


@pytest.fixture(params=[True, False], ids=["registers", "none"])
def registers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(masks, "_mask_registers", lambda: request.param)
    return bool(request.param)


@pytest.mark.parametrize("lanes", [2, 4, 8, 16])
@pytest.mark.parametrize("dtype", DTYPES)
def test_first_lanes(registers: bool, lanes: int, dtype: str) -> None:
    @numba.njit
    def put(x, y, z, count):  # type: ignore[no-untyped-def]
        store_n(pointer(y), 1, load(pointer(x), 0, lanes), count)
        store_alternate(pointer(z), 1, load(pointer(x), 0, lanes), count)

    x = np.arange(1, lanes + 1).astype(dtype)
    for count in range(-1, lanes + 2):
        y, z = np.full(lanes + 2, -7, dtype), np.full(2 * lanes + 2, -7, dtype)
        put(x, y, z, count)
        kept = min(max(count, 0), lanes)
        assert y.tolist() == [-7, *x[:kept], *[-7] * (lanes + 1 - kept)]
        assert z.tolist() == [-7, *(v for i in range(kept) for v in (x[i], -7)), *[-7] * (2 * (lanes - kept) + 1)]


@pytest.mark.parametrize("lanes", [4, 8, 16])
@pytest.mark.parametrize("dtype", DTYPES)
def test_lanes_of_bits(registers: bool, lanes: int, dtype: str) -> None:
    @numba.njit
    def copy(x, y, bits):  # type: ignore[no-untyped-def]
        copy_lanes(pointer(x), pointer(y), bits, lanes)

    x = np.arange(1, lanes + 1).astype(dtype)
    for count in range(lanes):  # the lowest ones, as strips ask for; then any
        y = np.full(2 * lanes + 1, -7, dtype)
        copy(x, y, (1 << count) - 1)
        assert y.tolist() == [*x[:count], *[0] * (lanes - count), *x[:count], *[-7] * (lanes + 1 - count)]
    for bits in np.random.default_rng(3).integers(0, 1 << lanes, 20).tolist():
        y = np.zeros(2 * lanes, dtype)
        copy(x, y, bits)
        assert y[:lanes].tolist() == [v if bits >> i & 1 else 0 for i, v in enumerate(x.tolist())]
