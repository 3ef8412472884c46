"""Records compile to what positions compile to: a field is one 32-bit load, a quad one 128-bit load."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from numba.cuda.types import int32

from numconv.cuda.proof.resources import ptx
from numconv.cuda.proof.specimens.specimen import Specimen
from numconv.cuda.runtime.launch import jit
from numconv.cuda.runtime.record import quad_reader, reader


class Axis(NamedTuple):
    taps: int
    stride: int


class Plan(NamedTuple):
    groups: int
    h: Axis
    w: Axis
    terms_at: int


class Term(NamedTuple):
    source: int
    weight: int
    h: int
    w: int


plan_at, term_at, quad_term_at = reader(Plan), reader(Term), quad_reader(Term)


def by_names() -> Any:
    def kernel(tab, out):
        plan = plan_at(tab, 0)
        term = term_at(tab, plan.terms_at)
        out[0] = int32(plan.groups * plan.h.stride + plan.w.taps)
        out[1] = int32(term.weight + term.w)

    return jit(kernel)


def by_positions() -> Any:
    def kernel(tab, out):
        terms_at = tab[5]
        out[0] = int32(tab[0] * tab[2] + tab[3])
        out[1] = int32(tab[int32(terms_at + 1)] + tab[int32(terms_at + 3)])

    return jit(kernel)


def by_quads() -> Any:
    def kernel(tab, out):
        term = quad_term_at(tab, 8)
        out[0] = int32(int32(term.source + term.weight) + int32(term.h + term.w))

    return jit(kernel)


def instructions(make: Callable[[], Any]) -> list[str]:
    text = ptx(Specimen("", "record", make, ("int32[]", "int32[]")), (9, 0))
    return re.findall(r"^\s+(?:@!?%p\d+ )?([a-z][\w.]+)\s.*;", text, re.M)


def test_names_are_positions() -> None:
    names, positions = instructions(by_names), instructions(by_positions)
    assert len(names) <= len(positions)
    loads = [i for i in names if i.startswith("ld.global")]
    assert len(loads) == sum(i.startswith("ld.global") for i in positions) == 6
    assert all(re.search(r"\.[bsu]32$", i) for i in loads)


def test_four_fields_by_one_load() -> None:
    assert [i for i in instructions(by_quads) if i.startswith("ld.global")] in (["ld.global.v4.u32"], ["ld.global.v4.b32"])
