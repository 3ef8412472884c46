"""Records in tables, in the simulator: what the host writes under a name, a kernel reads under it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from numba import cuda
from numba.cuda.types import int32

from numconv.cuda.geometry.decode import element, position, split
from numconv.cuda.geometry.image import Image, image
from numconv.cuda.runtime.launch import Table, launch
from numconv.cuda.runtime.record import quad_reader, reader, slots, table


class Axis(NamedTuple):
    taps: int
    stride: int


class Term(NamedTuple):
    source: int
    weight: int
    h: int
    w: int


class Plan(NamedTuple):
    groups: int
    h: Axis
    w: Axis
    image: Image
    terms_at: int


plan_at, term_at, quad_term_at = reader(Plan), reader(Term), quad_reader(Term)
TERM = slots(Term)
TERMS_AT = -(-slots(Plan) // 4) * 4
PLAN = Plan(2, Axis(3, 1), Axis(5, 2), image(4, (6, 7), "channels_last"), TERMS_AT)


@cuda.jit
def read(tab, out):
    plan = plan_at(tab, 0)
    out[0], out[1], out[2] = plan.groups, plan.h.taps, plan.w.stride
    term = term_at(tab, int32(plan.terms_at + int32(TERM)))
    out[3], out[4] = term.weight, term.w
    term = quad_term_at(tab, plan.terms_at)
    out[5], out[6] = term.source, term.h
    t, h, w = position(int32(45), plan.image.h, plan.image.w)
    out[7] = element(plan.image, int32(1), int32(3), t, h, w)
    out[8], out[9] = split(int32(23), plan.w.taps)


def test_kernel_reads_what_the_host_wrote() -> None:
    values = table(PLAN, [0] * (TERMS_AT - slots(Plan)), [Term(11, 12, 13, 14), Term(21, 22, 23, 24)])
    out = cuda.to_device(np.zeros(10, np.int32))
    launch(read, 1, 1, 0, Table(values), out)
    place = 168 * 1 + 1 * 3 + 168 * 1 + 28 * 0 + 4 * 3  # position 45 of rows of 7 in planes of 6 is (1, 0, 3)
    assert out.copy_to_host().tolist() == [2, 3, 2, 22, 24, 11, 13, place, 4, 3]


def test_refusals() -> None:
    with pytest.raises(ValueError, match="32-bit"):
        table(Axis(2**31, 0))
    with pytest.raises(ValueError, match="32-bit"):
        table([1, -(2**31) - 1])
    with pytest.raises(TypeError, match="Axis"):
        table(Axis((1, 2), 3))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="four"):
        quad_reader(Axis)
    assert table(Axis(2**31 - 1, -(2**31)), [Axis(1, 2)], np.arange(2)).tolist() == [2**31 - 1, -(2**31), 1, 2, 0, 1]
    assert table().size == 0
