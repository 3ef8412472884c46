"""Array type → device, decided once per call by looking at types only; and what the rest may ask of a device."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from functools import cache
from typing import Any, Protocol

import numpy as np

from . import forks, hosts
from .kernel import Kernel, Machine
from .plan import Plan


class Device(Protocol):
    """What `numconv.cpu.device` and `numconv.cuda.device` (modules) provide."""

    name: str

    def machine(self) -> Machine:
        """The machine as planned for (cached)."""

    def table(self) -> tuple[Kernel, ...]:
        """All rows; importing the kernels happens here, compiling does not."""

    def adopt(self, array: Any) -> Any:
        """The user's array as this device's own kind, without a copy."""

    def release(self, array: Any, like: Any) -> Any:
        """A result as the user's kind of array (that of `like`)."""

    def empty(self, shape: tuple[int, ...], dtype: str, like: Any) -> Any:
        """A fresh C-contiguous native array on the device of `like` (a native array)."""

    def reshape(self, array: Any, shape: tuple[int, ...]) -> Any:
        """A native array of another shape; a view where possible."""

    def transpose(self, array: Any, axes: tuple[int, ...]) -> Any:
        """A view with its axes permuted."""

    def broadcast(self, array: Any, shape: tuple[int, ...]) -> Any:
        """A small array (weights) repeated along its unit axes; a view with zero strides, or a copy."""

    def flip(self, array: Any) -> Any:
        """Reversed along all its axes; a view, or a copy."""

    def upload(self, array: np.ndarray[Any, Any]) -> Any:
        """An array of the host's as a native one."""

    def add(self, one: Any, other: Any) -> Any:
        """The sums of two arrays of one shape and type."""

    def conjugate(self, array: Any) -> Any:
        """The conjugates of a complex array."""

    def copy(self, array: Any) -> Any:
        """A C-contiguous copy that shares no memory."""

    def cast(self, array: Any, dtype: str) -> Any:
        """A native array of another dtype; the array itself where nothing changes."""

    def overlaps(self, a: Any, b: Any) -> bool:
        """Whether two native arrays may share memory."""

    def execute(self, plan: Plan, arrays: tuple[Any, ...], out: Any, packed: bool = False) -> None:
        """Run a plan on native arrays of any strides, into `out` of the problem's result shape and out_dtype (any strides).

        For a ConvProblem `arrays` is (x, w, bias | None), or (x, dy) for weight_grad.  Adapts what the chosen row does not honour
        (strides, layout, padding_mode, storage types), calls `kernel.pack` unless `packed`, then `kernel.run`.
        """

    def lazily(self, name: str, plan: Plan, arrays: tuple[Any, ...]) -> Any:
        """The result of one kernel, to be computed later.  Of lazy arrays only."""

    def bind(self, plan: Plan, arrays: tuple[Any, ...], packed: bool = False) -> Callable[[tuple[Any, ...]], Any]:
        """`execute` into a fresh array for arrays like these: what repeated calls need not find out again.  Of the CPU only."""

    def pack(self, plan: Plan, w: Any) -> Any:
        """The weights as the plan's kernel wants them, to be passed to `execute(..., packed=True)`."""


def _is_cuda(array: Any) -> bool:
    if getattr(array, "__cuda_ndarray__", False):
        return True  # numba's, and the simulator's, which have no __cuda_array_interface__
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(array, torch.Tensor):
        return bool(array.is_cuda)
    kind = type(array)
    if not hasattr(kind, "__cuda_array_interface__"):
        return False
    if hasattr(kind, "__dlpack_device__"):  # JAX's arrays have both names, wherever they lie
        return int(array.__dlpack_device__()[0]) != hosts.DLPACK_CPU
    return True


def _is_lazy(array: Any) -> bool:
    """Whether its chunks come later: an array of dask's, or of `numconv.chunks`."""
    dask, ours = sys.modules.get("dask.array"), sys.modules.get(f"{__package__}.chunks.array")
    return (dask is not None and isinstance(array, dask.Array)) or (ours is not None and isinstance(array, ours.Lazy))


def kind(array: Any) -> str:
    """ "cpu", "cuda" or "chunks".  Reads the type only: no library is imported, no data touched."""
    if isinstance(array, np.ndarray):
        return "cpu"
    return "chunks" if _is_lazy(array) else "cuda" if _is_cuda(array) else "cpu"


@cache
def device(name: str) -> Device:
    """The device module of that name; the first call imports its kernels' table, not CUDA's driver."""
    with forks.importing:
        return importlib.import_module(f"numconv.{name}.device")
