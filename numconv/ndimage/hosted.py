"""Filters of arrays on the host, found once for arrays of one form and weights that are known: what repeated calls do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import devices, hosts
from ..arguments.values import Subject
from ..dropin import Repeated
from ..kernel import Machine
from ..planning import plan_for
from .passes import Pass

Array = np.ndarray[Any, Any]
LARGE = 1 << 15  # elements of an array that begins with a cache line


class Stage(NamedTuple):
    """A pass whose weights are packed."""

    problem: Any
    run: Any  # of its row
    packed: Any
    machine: Machine
    source: np.dtype[Any]  # of the kernel …
    target: np.dtype[Any]  # … and what its results are rounded to
    shape: tuple[int, ...]  # of these

    def plain(self, dtype: np.dtype[Any]) -> bool:
        """Whether the kernel takes such arrays and gives what is wanted."""
        return dtype == self.source and self.target.name == self.problem.out_dtype


def towards_zero(array: Array, dtype: np.dtype[Any]) -> Array:
    """As C rounds: towards zero, integers modulo their range."""
    with np.errstate(invalid="ignore", over="ignore"):
        if dtype.kind in "iu":
            array = array.astype(np.uint64 if dtype == np.uint64 else np.int64)
        return array.astype(dtype, copy=False)


class Filtering(Repeated):
    """The sum of what some chains of stages make of an array of this shape and type."""

    __slots__ = ("chains", "dtype", "last", "parts", "sideways")

    def __init__(self, chains: Sequence[Sequence[Stage]], dtype: np.dtype[Any], sideways: bool, parts: Sequence[Any]) -> None:
        """`sideways`: the chains are for its transpose; `parts`: what each of them sees, if not all."""
        self.chains, self.dtype, self.sideways, self.parts = chains, dtype, sideways, parts
        one = chains[0][0]
        alone = len(chains) == len(chains[0]) == 1 and np.prod(one.shape) < LARGE and one.plain(dtype)
        self.last = one if alone and not sideways and not parts else None

    def __call__(self, array: Any, out: Array | None) -> Any:
        """Into an array of the user's, which may be the source, or a fresh one of the kind that `array` is."""
        x = array if type(array) is np.ndarray else hosts.adopt(array)
        if not (x.flags.c_contiguous and x.flags.aligned):
            x = np.require(x, self.dtype, ["C", "A"])
        if out is not None:
            direct = out.flags.carray and out.dtype == self.chains[-1][-1].target and not np.may_share_memory(x, out)
            y = self.into(x, out if direct else None)
            if y is not out:
                out[...] = y
            return out
        if self.last is not None:  # a small array: each microsecond counts
            problem, run, packed, machine, _, target, shape = self.last
            small = np.empty(shape, target)
            run(problem, (x, None, packed), small, machine)
            return small if x is array else hosts.release(small, array)
        y = self.into(x, None)
        return y if x is array else hosts.release(y, array)

    def into(self, x: Array, out: Array | None) -> Array:
        """`x` and `out` row after row."""
        if not self.sideways:
            return self._summed(x, out)
        found = self._summed(np.ascontiguousarray(x.T), None).T
        return np.ascontiguousarray(found) if out is None else found

    def _summed(self, x: Array, out: Array | None) -> Array:
        """The chains' sum, of `x` as they see it."""
        device, total = devices.device("cpu"), None
        for number, chain in enumerate(self.chains):
            y = np.ascontiguousarray(x[self.parts[number]]) if self.parts else x
            for i, (problem, run, packed, machine, source, target, shape) in enumerate(chain):
                last = out is not None and i + 1 == len(chain) and total is None and out.dtype.name == problem.out_dtype
                result: Array = out if last else device.empty(shape, problem.out_dtype, x)  # type: ignore[assignment]
                run(problem, (y.astype(source, copy=False), None, packed), result, machine)
                y = result if result.dtype == target else towards_zero(result, target)
            total = y if total is None else np.add(total, y, out=total)
        assert total is not None
        return total


def planned(
    name: str, chains: Sequence[Sequence[Pass]], dtype: np.dtype[Any], result: np.dtype[Any], sideways: bool, parts: Sequence[Any] = ()
) -> Filtering:
    """Planned and packed."""
    device, subject = devices.device("cpu"), Subject(name)

    def stage(one: Pass) -> Stage:
        plan = plan_for(subject, device, one.problem)
        packed = plan.kernel.pack(one.problem, one.weights, plan.machine)
        return Stage(one.problem, plan.kernel.run, packed, plan.machine, hosts.dtype_of(one.problem.dtype), result, one.shape)

    return Filtering([[stage(one) for one in chain] for chain in chains], dtype, sideways, parts)


def adopted(name: str, array: Any) -> Array:
    try:
        return hosts.adopt(array)
    except hosts.Refusal as error:
        raise Subject(name).type(f"input {error}") from None
