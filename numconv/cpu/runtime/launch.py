"""How a kernel is compiled and started: parallel or serial, safe under threads and forks, kept between processes."""

from __future__ import annotations

import ctypes
import hashlib
import os
import sys
import threading
import types
from contextlib import suppress
from functools import cache, cached_property
from typing import Any

import llvmlite.binding as llvm
import numba
from numba.extending import overload, register_jitable

from ...forks import threads_lost
from .cache import identity, keep
from .compiling import CallCompiler, PartCompiler, WholeCompiler, shared_out
from .cores import usable_cores
from .pace import busy

if numba.config.DISABLE_JIT:
    raise RuntimeError("numconv's CPU kernels are compiled by Numba, which NUMBA_DISABLE_JIT=1 switches off: unset it")

#: No flags.  Even `contract` is one too many: LLVM then fuses a·b + c in one variant of a loop and not in another, and threads change bits.
FAST: set[str] = set()

KERNEL: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": FAST, "pipeline_class": WholeCompiler}
#: what only kernels call needs no entry points for Python or C, nor machine code of its own
INNER = KERNEL | {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "pipeline_class": PartCompiler}


def _counts_of_others() -> list[tuple[Any, Any]]:
    """How to read and to set this thread's number of threads in torch, and in the OpenMP library that whoever came first has loaded."""
    found = []
    torch = sys.modules.get("torch")
    if torch is not None:
        found.append((torch.get_num_threads, torch.set_num_threads))
    with suppress(AttributeError, OSError, TypeError):  # there is none
        openmp = ctypes.CDLL(None)
        found.append((openmp.omp_get_max_threads, openmp.omp_set_num_threads))
    return found


def _launch() -> None:
    """Numba's OpenMP layer sets the calling thread's number as it starts, which torch's is too: put back as the user had it."""
    from numba.np.ufunc import parallel

    before = [(set_count, get_count, get_count()) for get_count, set_count in _counts_of_others()]
    parallel._launch_threads()
    for set_count, get_count, count in before:
        if get_count() != count:
            set_count(count)


def _first_count() -> int:
    """Leaves the count itself to later calls: `numba.get_num_threads` takes two locks to see that the layer is there, 0.8 µs a time."""
    from numba.np.ufunc import parallel

    _launch()
    count = numba.get_num_threads()
    _state["count"], _state["set_count"] = parallel._get_num_threads, parallel._set_num_threads
    return count


_lock = threading.Lock()
_state: dict[str, Any] = {"layer": "", "count": _first_count, "set_count": None}


def _in_child() -> None:
    """Another thread may have held the lock; what the parent compiled for threads runs in this one."""
    global _lock
    _lock = threading.Lock()
    if threads_lost():
        shared_out.value = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


def _start_layer() -> str:
    _launch()
    if not threads_lost():
        shared_out.value = llvm.address_of_symbol("numba_parallel_for")
    layer = _state["layer"] = str(numba.threading_layer())
    return layer


@cache
def _limit() -> int:
    """The most threads where the user has not chosen how many: Numba counts cores, and knows nothing of a container's share of them."""
    return usable_cores() if "NUMBA_NUM_THREADS" not in os.environ else int(numba.config.NUMBA_NUM_THREADS)


def threads() -> int:
    """How many a parallel kernel started from here uses: Numba's own setting, `numba.set_num_threads`; by default `usable_cores`."""
    count = int(_state["count"]())
    return count if count < numba.config.NUMBA_NUM_THREADS else min(count, _limit())


def distinct(function: Any) -> Any:
    """With what its closure holds in its name, where it has one.

    Machine code knows a function by its name, its types and a number that each process counts anew: of two kernels kept by different
    processes one would run the other's closure, of the same name and types.
    """
    if function.__closure__ and "$" not in function.__qualname__:
        function.__qualname__ += "$" + hashlib.blake2b(identity(function).encode(), digest_size=6).hexdigest()
    return function


def _renamed(function: Any, suffix: str) -> Any:
    """A copy under another name: Numba's cache knows a function by name and bytecode, not by its compile options."""
    copy = types.FunctionType(
        function.__code__, function.__globals__, function.__name__ + suffix, function.__defaults__, function.__closure__
    )
    copy.__qualname__ = distinct(function).__qualname__ + suffix
    copy.__module__ = function.__module__
    return copy


class ParallelKernel:
    """One Python function over `prange`, compiled on first use: `kernel(*args)` in parallel, `kernel.serial(*args)` in this thread."""

    def __init__(self, function: Any) -> None:
        self.function = function
        self.__doc__ = function.__doc__
        self.__name__ = function.__name__

    @cached_property
    def parallel(self) -> Any:
        return keep(numba.njit(parallel=True, **KERNEL)(_renamed(self.function, "_parallel")))

    @cached_property
    def serial(self) -> Any:
        # prange without parallel=True is range, on purpose
        return keep(numba.njit(**KERNEL)(_renamed(self.function, "_serial")))

    def among(self, number: int, *args: Any) -> None:
        """By so many threads; 1: in the calling one, by the parallel loop's own code, so that no other is compiled for it."""
        count, set_count = _state["count"](), _state["set_count"]
        if count == number:
            self.together(*args)
            return
        set_count(number)
        try:
            self.together(*args)
        finally:
            set_count(count)

    def together(self, *args: Any) -> None:
        layer = _state["layer"] or _start_layer()
        if layer != "workqueue":
            self.parallel(*args)
        elif _lock.acquire(blocking=False):
            try:
                self.parallel(*args)
            finally:
                _lock.release()
        else:  # the workqueue layer aborts the process when two threads use it at once
            self.serial(*args)

    def __call__(self, *args: Any) -> None:
        number = threads()
        if number == 1:
            self.serial(*args)
        else:
            self.among(1 if busy() else number, *args)


def kernel(function: Any) -> ParallelKernel:
    """Decorator for a function at module level (or from a bounded factory) whose outer loop is `numba.prange`."""
    return ParallelKernel(function)


def device_function(function: Any) -> Any:
    """Decorator for what kernels call: compiled into its callers, never started from Python."""
    return numba.njit(**INNER)(distinct(function))


def inlined(function: Any) -> Any:
    """Like `device_function`, for small ones: always inlined by LLVM.  An array is seven arguments; a call costs as much as a short row."""
    return numba.njit(forceinline=True, **INNER)(distinct(function))


def anywhere(function: Any) -> Any:
    """Decorator for arithmetic on integers that plans ask for on the host and kernels as they go: the function itself, `inlined` there."""
    return register_jitable(forceinline=True, **INNER)(function)


def rarely(function: Any) -> Any:
    """The same for what is long and seldom comes to pass: in kernels a call."""
    return register_jitable(forceinline=False, **INNER | {"pipeline_class": CallCompiler})(function)


def by_type(choose: Any, inline: bool = False) -> Any:
    """Decorator for a stub, compiled as the function that `choose` gives for the type of its first argument, and no other."""

    def decorate(stub: Any) -> Any:
        options = INNER | ({"forceinline": True} if inline else {})
        overload(stub, jit_options=options, strict=False)(lambda first, *others: choose(first))
        return stub

    return decorate
