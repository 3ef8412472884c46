"""The rows `depthwise` and `depthwise_last`, and how they are packed and run."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...kernel import Kernel, Machine
from ...memory import kept
from ...problem import ConvProblem
from ..adapt.mirror import mirrored
from ..runtime.launch import ParallelKernel, threads
from ..runtime.record import table
from ..runtime.tasks import Work, perform
from ..stages.filters import Filters, packer
from . import pixels, planes
from .cut import MOST, axes_of, tap_pitch
from .plan import PreparedStrips, cut_for, prepared

LONGEST = 1 << 31  # elements of the last axis: which lanes are inside is worked out in 32 bits
SMALL_WORK = 2e5  # multiply-adds; fewer are done in the calling thread


def _workers(problem: ConvProblem) -> int:
    return threads() if problem.multiplications > SMALL_WORK else 1


def _work(p: PreparedStrips, loop: ParallelKernel, workers: int) -> Work:
    return Work(
        loop=loop,
        tables=p.numbers,
        offsets=p.numbers,
        tasks=p.tasks,
        workers=min(workers, p.tasks),
        room_pitch=0,
    )


@kept
def _of_planes(problem: ConvProblem, machine: Machine, workers: int) -> Work:
    p = prepared(problem, machine)
    return _work(p, planes.driver(p.shape, p.lanes, p.narrow_lanes), workers)


@kept
def _of_pixels(problem: ConvProblem, machine: Machine, workers: int) -> Work:
    p = prepared(problem, machine)
    return _work(p, pixels.driver(p.shape, p.lanes), workers)


def _run_planes(problem: ConvProblem, arrays: tuple[Any, ...], out: np.ndarray, machine: Machine) -> None:
    x, w, bias = arrays
    perform(_of_planes(problem, machine, _workers(problem)), x, w, bias, out)


def _run_pixels(problem: ConvProblem, arrays: tuple[Any, ...], out: np.ndarray, machine: Machine) -> None:
    x, w, bias = arrays
    perform(_of_pixels(problem, machine, _workers(problem)), x, w, bias, out)


def _pack_pixels(problem: ConvProblem, w: np.ndarray, machine: Machine) -> np.ndarray:
    """(Tap, channel)."""
    n = machine.vector_bytes // w.itemsize
    channels, taps = problem.in_channels, problem.taps
    blocks, pitch = -(-channels // n), tap_pitch(channels, n)
    packed = np.zeros(taps * pitch, w.dtype)
    filters = Filters(
        produced=channels, stretches=1, length=taps, stretch_pitch=0, filter_pitch=taps, group_pitch=0, blocks=blocks, block_size=n
    )
    packer(1, n).serial(w.reshape(-1), packed, table(filters), np.arange(taps) * (pitch // n), 1, blocks)
    return packed


def _refuse(problem: ConvProblem) -> str | None:
    if problem.group_in != 1:
        return "serves one input channel per group"
    if problem.padding_mode != "zeros":
        return "reads nothing but zeros beside the image"
    return f"serves at most {MOST} taps" if problem.taps > MOST else None


def _refuse_planes(problem: ConvProblem) -> str | None:
    refused = _refuse(problem)
    if refused is None:
        last = axes_of(problem)[2]
        if last.stride > 2:
            return "serves strides of 1 and 2 on the last axis of more than one pixel"
        if last.spatial >= LONGEST:
            return f"serves last axes shorter than {LONGEST}"
    return refused


def _refuse_pixels(problem: ConvProblem) -> str | None:
    if problem.layout != "channels_last":
        return "serves channels last"
    if problem.group_in != 1 or problem.group_out != 1:
        return "serves one input and one output channel per group"
    return _refuse(problem)


def _cost_of_planes(problem: ConvProblem, machine: Machine) -> float:
    """Of one sample on one core."""
    _, cycles = cut_for(problem.with_(batch=1), machine)
    return cycles * problem.out_channels * machine.cycle


def _registers(problem: ConvProblem, machine: Machine) -> int:
    return -(-problem.in_channels * np.dtype(problem.dtype).itemsize // machine.vector_bytes)


def _cost_of_pixels(problem: ConvProblem, machine: Machine) -> float:
    """Likewise."""
    cut, cycles = cut_for(problem.with_(batch=1), machine)
    return cycles / cut.columns.number * _registers(problem, machine) * machine.cycle


def _workspace_of_pixels(problem: ConvProblem, machine: Machine) -> int:
    return (_registers(problem, machine) | 1) * machine.vector_bytes * problem.taps


_COMMON: dict[str, Any] = {"problem": ConvProblem, "dtypes": frozenset({"float32", "float64", "int32", "int64"}), "one_order": False}

ROWS = (
    mirrored(
        Kernel(
            name="depthwise",
            run=_run_planes,
            cost=_cost_of_planes,
            refuse=_refuse_planes,
            honours=frozenset({"groups", "activation", "precision"}),
            summary="strips of a plane in registers, read where the input lies, masks at the border",
            **_COMMON,
        )
    ),
    mirrored(
        Kernel(
            name="depthwise_last",
            run=_run_pixels,
            pack=_pack_pixels,
            cost=_cost_of_pixels,
            workspace=_workspace_of_pixels,
            refuse=_refuse_pixels,
            honours=frozenset({"groups", "layout", "activation", "precision"}),
            summary="channels last: a register of channels at a time, pixels read where the input lies",
            **_COMMON,
        )
    ),
)
