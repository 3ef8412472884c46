"""Arrays that live in host memory: NumPy's own, what `np.asarray` takes, and CPU torch tensors, all without a copy."""

from __future__ import annotations

import importlib
import sys
from functools import cache
from typing import Any

import numpy as np

PAIRS = "int16x2"  # two small integers, side by side as kernels multiply them: held in an int32


@cache
def dtype_of(name: str) -> np.dtype[Any]:
    """The NumPy dtype of that name; "bfloat16" is ml_dtypes', imported only when somebody has such an array."""
    if name == PAIRS:
        return np.dtype("int32")
    if name == "bfloat16":
        found: np.dtype[Any] = np.dtype(importlib.import_module("ml_dtypes").bfloat16)
        return found
    return np.dtype(name)


def is_torch(array: Any) -> bool:
    """Whether it is a torch tensor, without importing torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(array, torch.Tensor)


DLPACK_CPU = 1  # kDLCPU of dlpack.h


class Refusal(TypeError):
    """Why an array is not taken, to be read after its name."""


class UnsizedError(ValueError):
    """A lazy array whose chunks have lengths that nobody knows, to be read after its name."""


def is_dense(tensor: Any) -> bool:
    """Whether a torch tensor has elements that can be taken one by one."""
    return tensor.layout is sys.modules["torch"].strided and not tensor.is_meta


def adopt(array: Any) -> np.ndarray[Any, Any]:
    """The user's host array as an ndarray: a view wherever there is memory to view."""
    if type(array) is np.ndarray:
        return array
    if is_torch(array):
        return _from_torch(array)
    masked = sys.modules.get("numpy.ma")
    if masked is not None and isinstance(array, masked.MaskedArray):
        raise Refusal("is a masked array, whose mask would be lost: give its filled(0), another filling, or its data")
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(array, pandas.DataFrame | pandas.Series | pandas.Index):
        raise Refusal("is of pandas, whose labels would be lost: give its to_numpy()")
    if hasattr(type(array), "__dlpack__") and not isinstance(array, np.ndarray | np.generic):
        return _from_dlpack(array)
    return np.asarray(array)


def _from_dlpack(array: Any) -> np.ndarray[Any, Any]:
    """An array of another library over the same memory; by its `__array__` where NumPy has no name for its type, as of bfloat16."""
    device = int(array.__dlpack_device__()[0])
    if device != DLPACK_CPU:
        raise Refusal(f"is on DLPack's device {device}, which is not the host: give an array with __cuda_array_interface__, or a copy")
    try:
        return np.from_dlpack(array)
    except (BufferError, RuntimeError, TypeError):
        if not hasattr(type(array), "__array__"):
            raise
        return np.asarray(array)


def keep_graph(tensor: Any) -> None:
    """Refuse a torch tensor whose graph would end here: the result knows nothing of it."""
    if tensor.requires_grad and sys.modules["torch"].is_grad_enabled():
        raise Refusal(
            "requires grad, and its graph would be lost: call the function of this name in numconv.torch, or give its detach(), or call "
            "within torch.no_grad()"
        )


def _from_torch(tensor: Any) -> np.ndarray[Any, Any]:
    torch = sys.modules["torch"]
    keep_graph(tensor)
    if not is_dense(tensor):
        raise Refusal("has no data (torch's device meta)" if tensor.is_meta else f"is of layout {tensor.layout}: give its to_dense()")
    try:
        if tensor.requires_grad or tensor.is_conj() or tensor.is_neg():
            tensor = tensor.detach().resolve_conj().resolve_neg()
        if tensor.dtype == torch.bfloat16:  # torch's bfloat16 has no NumPy dtype: the same bits under ml_dtypes' name
            return np.asarray(tensor.view(torch.int16).numpy()).view(dtype_of("bfloat16"))
        return np.asarray(tensor.numpy())
    except RuntimeError:
        raise Refusal("has no memory of its own, under torch.vmap or torch.func: call the function of this name in numconv.torch") from None


def release(array: np.ndarray[Any, Any], like: Any) -> Any:
    """A result as the kind of array that `like` is: a torch tensor over the same memory, or the ndarray itself."""
    if type(like) is np.ndarray or not is_torch(like):
        return array
    torch = sys.modules["torch"]
    if min(array.strides, default=0) < 0:  # a result reversed, which no tensor can view
        array = array.copy()
    if array.dtype.kind == "V" and array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)
