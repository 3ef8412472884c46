"""Every array that a CPU kernel sees, between pages that may not be touched: inputs, weights packed or plain, bias, result, scratch, tables.

    python tests/fences.py [--seconds 600] [--seed N] [--count N] [--rows spread,direct] [--kernels N] [--alike] [--wide]

Random calls, forward and back, each with its arrays at the end of their pages and once more at the start.  What a kernel reads is read-only
meanwhile; what alignment leaves between an array and its fence holds canaries; scratch is full of NaN.  Results are held against the oracle,
and the two against each other bit for bit.  Calls run in child processes: a child that dies names the call that it died of, and the next one
goes on behind it.  `--kernels`: how many kernels a run may compile, calls of others are left out; `--alike`: calls that need few;
`--wide`: plans of other machines too.
Exits with 1 if anything was found.
"""

from __future__ import annotations

import argparse
import ctypes
import inspect
import mmap
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
CANARY = 0x5A
LINE = 64  # bytes: where scratch begins, by contract; all else lies as its type wants it
#: what loops over tasks read and never write (`bias` stands for nothing, and is the result, where there is none)
READ = frozenset({"x", "weights", "bias", "offsets", "tables"})
PAGE = mmap.PAGESIZE
libc = ctypes.CDLL(None, use_errno=True)


class Enough(BaseException):
    """A kernel beyond those that a run may compile."""


class Region:
    """So many bytes between two pages that any access to ends the process."""

    _free: dict[int, list[Region]] = {}

    def __init__(self, size: int) -> None:
        self.size = size
        self.map = mmap.mmap(-1, size + 2 * PAGE)
        self.first = ctypes.addressof(ctypes.c_char.from_buffer(self.map)) + PAGE
        self._protect(self.first - PAGE, PAGE, 0)
        self._protect(self.first + size, PAGE, 0)

    @classmethod
    def of(cls, size: int) -> Region:
        size = max(PAGE, -(-size // PAGE) * PAGE)
        free = cls._free.setdefault(size, [])
        return free.pop() if free else cls(size)

    def free(self) -> None:
        self._free[self.size].append(self)

    @staticmethod
    def _protect(at: int, size: int, mode: int) -> None:
        assert libc.mprotect(ctypes.c_void_p(at), ctypes.c_size_t(size), mode) == 0

    def writable(self, yes: bool) -> None:
        self._protect(self.first, self.size, mmap.PROT_READ | (mmap.PROT_WRITE if yes else 0))

    def bytes(self) -> np.ndarray:
        return np.frombuffer(self.map, np.uint8, self.size, PAGE)


def span(array: np.ndarray) -> tuple[int, int]:
    """The first byte of an array, and the first behind it."""
    low, high = np.lib.array_utils.byte_bounds(array)
    return (low, high) if array.size else (low, low)


@dataclass
class Fence:
    """The copy of an array that a kernel is given in its place."""

    array: np.ndarray
    low: int
    high: int
    aligned: bool
    reads: bool
    region: Region | None = None
    at: int = 0

    def put_up(self, at_end: bool) -> None:
        size = self.high - self.low
        self.region = region = Region.of(size)
        slack = region.size - size
        self.at = (slack // LINE * LINE if self.aligned else slack) if at_end else 0
        content = region.bytes()
        content[:] = CANARY
        content[self.at : self.at + size] = np.frombuffer((ctypes.c_char * size).from_address(self.low), np.uint8)
        if self.reads:
            region.writable(False)

    def view_of(self, array: np.ndarray) -> np.ndarray:
        """A part of this one, or all of it, in the copy: of the same type, shape, strides and flags."""
        assert self.region is not None
        if span(array)[1] > self.high:
            array = array[: (self.high - self.low) // array.itemsize]
        offset = PAGE + self.at + array.ctypes.data - self.low
        view = np.ndarray(array.shape, array.dtype, self.region.map, offset, array.strides)
        view.flags.writeable = array.flags.writeable
        return view

    def take_down(self) -> None:
        """The canaries live, what was written goes to the array."""
        assert self.region is not None
        region, size = self.region, self.high - self.low
        if self.reads:
            region.writable(True)
        content = region.bytes()
        before, after = content[: self.at], content[self.at + size :]
        assert (before == CANARY).all(), f"{(before != CANARY).sum()} bytes before an array {self.array.shape} were written"
        assert (after == CANARY).all(), f"{(after != CANARY).sum()} bytes behind an array {self.array.shape} were written"
        if not self.reads:
            ctypes.memmove(self.low, region.first + self.at, size)
        region.free()


def put_around(named: list[tuple[str, np.ndarray]]) -> tuple[list[Fence], list[int]]:
    """One for each piece of memory, and which of them each array lies in."""
    order = sorted(range(len(named)), key=lambda i: (span(named[i][1])[0], -span(named[i][1])[1]))
    found: list[Fence] = []
    tasks = any(name == "scratch" for name, _ in named)
    owner = [0] * len(named)
    for i in order:
        name, array = named[i]
        low, high = span(array)
        last = found[-1] if found else None
        if last is not None and low < last.high and high > low:
            assert high <= last.high, f"{name} lies across another array's end"
            if not (last.aligned and low > last.low and high >= last.high - LINE):
                last.reads &= name in READ
                owner[i] = len(found) - 1
                continue
            last.high = low  # weights packed behind the workers' rooms have a fence of their own
        found.append(Fence(array, low, high, name == "scratch", tasks and name in READ))
        owner[i] = len(found) - 1
    return found, owner


class Fenced:
    """A compiled kernel, each of whose arrays lies between fences while it runs."""

    at_end = True
    most: float = float("inf")  # kernels
    seen: set[Any] = set()
    calls = arrays = 0

    def __init__(self, compiled: Any, names: list[str]) -> None:
        self.compiled, self.names = compiled, names

    def __call__(self, *args: Any) -> None:
        named = [(name, a) for name, arg in zip(self.names, args, strict=True) for a in (arg if isinstance(arg, tuple) else (arg,))]
        arrays = [(name, a) for name, a in named if isinstance(a, np.ndarray)]
        kernel = (id(self.compiled), tuple((a.dtype, a.flags.num) if isinstance(a, np.ndarray) else type(a) for _, a in named))
        if kernel not in Fenced.seen:
            if len(Fenced.seen) >= Fenced.most:
                raise Enough
            Fenced.seen.add(kernel)
        found, owner = put_around(arrays)
        for fence in found:
            fence.put_up(Fenced.at_end)
        copies = iter([found[o].view_of(a) for o, (_, a) in zip(owner, arrays, strict=True)])
        given = [
            tuple(next(copies) if isinstance(a, np.ndarray) else a for a in arg)
            if isinstance(arg, tuple)
            else (next(copies) if isinstance(arg, np.ndarray) else arg)
            for arg in args
        ]
        self.compiled(*given)
        del given, copies
        for fence in found:
            fence.take_down()
        Fenced.calls, Fenced.arrays = Fenced.calls + 1, Fenced.arrays + len(arrays)


def install() -> None:
    """All kernels of this process from now on, and scratch without gaps and full of NaN."""
    from numconv.cpu.runtime import workspace

    workspace.spaced = lambda elements, size: elements  # type: ignore[assignment]  # before the plans import it: a gap would hide a step too far
    from numconv.cpu.runtime.launch import ParallelKernel

    for way in ("parallel", "serial"):
        compiled = ParallelKernel.__dict__[way].func

        def fenced(self: Any, way: str = way, compiled: Callable[[Any], Any] = compiled) -> Fenced:
            key = f"fenced {way}"
            if key not in self.__dict__:
                self.__dict__[key] = Fenced(compiled(self), list(inspect.signature(self.function).parameters))
            return self.__dict__[key]  # type: ignore[no-any-return]

        setattr(ParallelKernel, way, property(fenced))
    enter = workspace.Scratch.__enter__

    def filled(scratch: Any) -> Any:
        memory = enter(scratch)
        memory.view(np.uint8)[:] = 0xFF
        return memory

    workspace.Scratch.__enter__ = filled  # type: ignore[method-assign]


# the calls of a child


@dataclass
class Drawn:
    """A call to be made twice, and what it should give."""

    name: str
    call: Callable[[], tuple[Any, ...]]
    expected: Callable[[], tuple[Any, ...]]  # None: nothing to hold that result against
    tolerance: float = 0.0  # the sums are of small integers; a transform rounds, by far less than a wrong term is off


def compared(drawn: Drawn, got: Any) -> str:
    """What is wrong, or ""."""
    for number, (a, b) in enumerate(zip(got, drawn.expected(), strict=True)):
        if b is None:
            continue
        a, b = np.asarray(a), np.asarray(b)
        if a.shape != b.shape:
            return f"result {number} has the shape {a.shape}, not {b.shape}"
        wide = np.complex128 if "c" in (a.dtype.kind, b.dtype.kind) else np.float64
        off = a != b.astype(a.dtype) if a.dtype.kind in "iub" else np.abs(a.astype(wide) - b.astype(wide))
        wrong = ~(off <= drawn.tolerance)
        if wrong.any():
            return f"{int(wrong.sum())} of {wrong.size} numbers of result {number} are wrong, the first at {np.argwhere(wrong)[0].tolist()}"
    return ""


def attempt(drawn: Drawn) -> str:
    """The call at both ends: what is wrong, or "".  Raises `Enough` where it takes one kernel too many."""
    results = []
    for Fenced.at_end in (True, False):
        try:
            got = drawn.call()
        except Exception as error:
            return f"{type(error).__name__}: {error} at {traceback.extract_tb(error.__traceback__)[-2:]}"
        wrong = compared(drawn, got)
        if wrong:
            return f"arrays at the {'end' if Fenced.at_end else 'start'} of their pages: {wrong}"
        results.append([np.asarray(a).tobytes() for a in got])
    return "" if results[0] == results[1] else "other bits where arrays lie elsewhere"


def child(options: argparse.Namespace) -> int:
    install()
    import fence_calls

    Fenced.most, fence_calls.Geometry.ALIKE = options.kernels or float("inf"), options.alike
    end = time.monotonic() + options.seconds
    run, left_out = 0, 0
    for number in count(options.first):
        if time.monotonic() > end or number >= options.count:
            break
        drawn = fence_calls.draw(options.seed, number, options.rows, options.wide)
        if drawn is None:
            continue
        print(f"> {number} {drawn.name}", flush=True)  # whoever dies below is known by this line
        try:
            wrong = attempt(drawn)
        except Enough:
            left_out += 1
            continue
        run += 1
        if wrong:
            print(f"! {number} {drawn.name}: {wrong}", flush=True)
            if options.fatal:
                return 1
    print(f"= {run} {left_out} {Fenced.calls} {Fenced.arrays} {len(Fenced.seen)}", flush=True)
    return 0


# the parent


@dataclass
class Found:
    """What a run came to."""

    faults: list[str]
    calls: int = 0
    left_out: int = 0
    kernels: int = 0
    arrays: int = 0


def environment() -> dict[str, str]:
    """Of a child."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join((str(HERE.parent), str(HERE))), "PYTHONFAULTHANDLER": "1"}


def hunt(arguments: list[str], more: dict[str, str] | None = None, seconds: float = 20.0) -> Found:
    """Runs children until the time is over: one that dies is a fault, and the next begins behind the call that it died of."""
    found, first, end = Found([]), 0, time.monotonic() + seconds
    env = {**environment(), **(more or {})}
    while True:
        left = max(1.0, end - time.monotonic())
        command = [sys.executable, str(HERE / "fences.py"), "--child", "--first", str(first), "--seconds", str(left), *arguments]
        with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None and process.stderr is not None
            last = "before any call"
            for line in process.stdout:
                kind, text = line[:1], line[2:].strip()
                if kind == ">":
                    last = text
                elif kind == "!":
                    found.faults.append(text)
                elif kind == "=":
                    run, left_out, kernels, arrays, _ = map(int, text.split())
                    found.calls, found.left_out = found.calls + run, found.left_out + left_out
                    found.kernels, found.arrays = found.kernels + kernels, found.arrays + arrays
            said = process.stderr.read()
        if process.returncode == 0 or (process.returncode == 1 and found.faults and "--fatal" in arguments):
            return found
        found.faults.append(f"{last}: the process ended with {process.returncode}\n{said[-1500:]}")
        if last == "before any call" or "--fatal" in arguments or time.monotonic() > end:
            return found
        first = int(last.split()[0]) + 1


def options_of(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=1 << 60, help="calls at most")
    parser.add_argument("--rows", type=lambda text: tuple(text.split(",")), default=(), help="kernels by name, or functions; all")
    parser.add_argument("--kernels", type=int, default=0, help="compiled at most; 0: any number")
    parser.add_argument("--alike", action="store_true", help="few extents, hence few kernels for many calls")
    parser.add_argument("--wide", action="store_true", help="plans of other machines too: AVX2, NEON")
    parser.add_argument("--fatal", action="store_true", help="end at the first fault")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--first", type=int, default=0, help="the number of the first call")
    return parser.parse_args(argv)


def main() -> int:
    options = options_of(sys.argv[1:])
    if options.child:
        return child(options)
    found = hunt(sys.argv[1:], seconds=options.seconds)
    print(*found.faults, sep="\n")
    print(
        f"seed {options.seed}: {found.calls} calls at both ends ({found.left_out} left out), "
        f"{found.kernels} kernels started between fences, {found.arrays} arrays; {len(found.faults)} faults"
    )
    return 1 if found.faults else 0


if __name__ == "__main__":
    import fences  # what `fence_calls` imports, and not a second time

    sys.exit(fences.main())
