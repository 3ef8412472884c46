"""Small integers two by two: exact at the ends of their ranges, in every direction, layout and row that multiplies pairs."""

from __future__ import annotations

import numpy as np
import pytest
import reference

import numconv as nc
from numconv.cpu.adapt.pairs import paired
from numconv.hosts import PAIRS

#: channels of a group in and out, groups, spatial, kernel, stride, padding, dilation
CASES = (
    (2, 3, 1, (5, 9), (3, 3), 1, 1, 1),
    (5, 18, 1, (6, 7), (3, 2), 2, 1, 1),  # an odd number of channels
    (7, 4, 3, (40,), (3,), 1, 2, 2),
    (33, 40, 1, (7, 7), (1, 1), 1, 0, 1),
    (64, 33, 2, (1, 1), (1, 1), 1, 0, 1),  # one pixel
    (3, 17, 1, (4, 5, 6), (3, 2, 3), (2, 1, 1), 1, 1),
    (1, 4, 2, (9, 9), (3, 3), 1, 1, 1),  # one channel: no pairs
)
KINDS = (("int8", "int8"), ("uint8", "uint8"), ("uint8", "int8"), ("int16", "int16"), ("uint16", "int8"), ("int8", "int32"))
LAYOUTS = ("channels_first", "channels_last")


def _extremes(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Half of them the least or the greatest number of the type."""
    info = np.iinfo(dtype)
    numbers = rng.integers(info.min, info.max, shape, endpoint=True)
    return np.where(rng.random(shape) < 0.5, rng.choice([info.min, info.max], shape), numbers).astype(dtype)


@pytest.mark.parametrize("kinds", KINDS, ids="-".join)
@pytest.mark.parametrize("case", CASES, ids=lambda c: "-".join(map(str, c[:4])))
def test_exact(case: tuple, kinds: tuple[str, str]) -> None:
    channels, produced, groups, spatial, kernel, stride, padding, dilation = case
    rank, rng = len(spatial), np.random.default_rng(3)
    x = _extremes(rng, (2, channels * groups, *spatial), kinds[0])
    w = _extremes(rng, (produced * groups, channels, *kernel), kinds[1])
    bias = rng.integers(-1000, 1000, produced * groups).astype("int16" if kinds[1] != "int32" else "int32")
    geometry = {"stride": stride, "dilation": dilation, "groups": groups}
    function, layer = getattr(nc, f"conv{rank}d"), getattr(nc, f"Conv{rank}d")
    back = getattr(nc, f"conv_transpose{rank}d")
    wanted = reference.conv(x, w, bias, pads=padding, **geometry)
    adjoint = reference.conv_transpose(wanted.astype(kinds[0]), w, None, pads=padding, **geometry)
    for layout in LAYOUTS:
        options = {"padding": padding, "layout": layout, "out_dtype": "int32", **geometry}
        turn = (lambda a: np.ascontiguousarray(np.moveaxis(a, 1, -1))) if layout == "channels_last" else (lambda a: a)
        for algorithm in ("auto", "direct", "spread"):
            y = function(turn(x), w, bias, algorithm=algorithm, **options)
            assert y.dtype == np.int32
            np.testing.assert_array_equal(y, turn(wanted.astype(np.int32)))
        np.testing.assert_array_equal(layer(w, bias, **options)(turn(x)), turn(wanted.astype(np.int32)))
        for algorithm in ("gather", "spread"):
            found = back(turn(wanted.astype(kinds[0])), w, algorithm=algorithm, **options)
            np.testing.assert_array_equal(found, turn(adjoint.astype(np.int32)))


@pytest.mark.parametrize("kinds", KINDS, ids="-".join)
def test_who_takes_pairs(kinds: tuple[str, str]) -> None:
    """What an int16 holds, for sums of 32 bits; others are computed as they were."""
    from numconv.cpu.table import asked_of

    x, w = np.ones((1, 4, 9, 9), kinds[0]), np.ones((8, 4, 3, 3), kinds[1])
    plan = nc.explain(nc.conv2d, x, w, out_dtype="int32").plan
    seen = asked_of(plan.kernel, plan.problem)
    small = np.result_type(*kinds) in ("int8", "uint8", "int16")
    assert (seen.dtype, seen.in_channels) == ((PAIRS, 2) if small else ("int32", 4))
    wide = nc.explain(nc.conv2d, x, w, out_dtype="int64").plan
    assert asked_of(wide.kernel, wide.problem).dtype == "int64"


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16"])
@pytest.mark.parametrize("channels", [4, 5])
@pytest.mark.parametrize("axis", [1, -1])
def test_pairs_of_any_array(axis: int, channels: int, dtype: str) -> None:
    """Reversed, with a step, unaligned, of the other byte order: the low half is the first of two channels, the high one the next or zero."""
    rng, groups = np.random.default_rng(0), 3
    x = _extremes(rng, (2, groups * channels, 37) if axis == 1 else (2, 37, groups * channels), dtype)
    apart = np.moveaxis(x, axis, 1).reshape(2, groups, channels, 37).astype(np.int64)
    low, high = apart[:, :, ::2], np.zeros_like(apart[:, :, ::2])
    high[:, :, : channels // 2] = apart[:, :, 1::2]
    wanted = ((high << 16) + (low & 0xFFFF)).astype(np.int32).reshape(2, -1, 37)
    stepped = np.repeat(x, 2, 1)[:, ::2]
    raw = np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(dtype).reshape(x.shape)
    for given in (x, x[:, ::-1, ::-1][:, ::-1, ::-1], stepped, raw, x.astype(np.dtype(dtype).newbyteorder(">"))):
        found = paired(given, groups, axis)
        np.testing.assert_array_equal(np.moveaxis(found, axis, 1), wanted)
