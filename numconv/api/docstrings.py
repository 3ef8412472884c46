"""One source for what the docstrings of the public functions share."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])

PARAMETERS = {
    "bias": """
bias : (C_out,) array, optional
    Added to each output channel.""",
    "stride": """
stride : int or one per axis, default 1
    Steps between outputs, in input elements.""",
    "padding": """
padding : int, one per axis, one (low, high) pair per axis, "valid", "same" or "same_lower"
    Elements added at the borders.  "same" gives ⌈size/stride⌉ outputs by the rule of TensorFlow and JAX, an odd element
    at the high end ("same_lower": at the low end); "valid" adds none.""",
    "dilation": """
dilation : int or one per axis, default 1
    Distance between the taps of the kernel, in input elements.""",
    "groups": """
groups : int, default 1
    Independent groups of channels; must divide both C_in and C_out.""",
    "keywords": """
padding_mode : {"zeros", "reflect", "replicate", "circular", "symmetric"}
    What the padding holds.  "reflect" does not repeat the border element, "symmetric" does.
{tail}""",
    "tail": """
layout : {"channels_first", "channels_last"}
    Whether images are (N, C, *spatial) or (N, *spatial, C), in and out.  Weights do not depend on it.
activation : {None, "relu", "relu6", "silu", "hardswish", "sigmoid", "tanh"}
    Applied after the bias, before the result is stored.
out : array, optional
    Of exactly the result's shape, type and kind; must not overlap an input.  It is returned.
out_dtype : dtype, optional
    Type of the result.  Default: that of the operands; int32 for 8- and 16-bit integers, int64 for wider ones.
algorithm : str, default "auto"
    A kernel by name, see `algorithms`; "auto" takes the one with the least predicted time.
precision : {"highest", "tf32"}
    "tf32" lets the tensor cores of a GPU round float32 operands to 10 bits; the CPU ignores it.
accuracy : {"any", "elementwise"}
    "elementwise" keeps to kernels whose error goes with each element's own sum, here and in the gradients; "any" lets
    float32 go by Winograd's transforms too, whose error goes with the largest values near an element.""",
    "raises": """
ValueError
    For shapes and values that do not fit together, and for an algorithm that does not apply.
TypeError
    For arrays of types that are not numbers or on different devices, and for arguments of a wrong type.""",
    "numerics": """
Half types are summed in float32, all others in themselves; integers are exact and wrap.  Error of an element of n
products, by kernels of plain sums: at most γ(n + 1)·Σ|x||w|, where γ(n) = n·u/(1 − n·u), u the unit roundoff (on random
data about √n·u).  By "winograd", which "auto" may take for float32: at most a multiple of the largest |x||w| that its tile
reads, which beside far larger values is more than the element.  `explain` states the bound of a call;
docs/accuracy.md has all.  Zeros of the padding are multiplied as any number: 0·∞ is NaN.
The order of summation depends on the shapes alone, not on the number of threads or on the batch.""",
}


def documented(function: Function) -> Function:
    """Put the shared texts where the docstring has their `{name}`; one line each, indented as that line."""
    text = inspect.cleandoc(function.__doc__ or "")
    while found := re.search(r"^( *)\{(\w+)\}$", text, re.MULTILINE):
        lines = PARAMETERS[found[2]].strip().split("\n")
        text = text[: found.start()] + "\n".join(found[1] + line if line else "" for line in lines) + text[found.end() :]
    function.__doc__ = text
    return function
