"""All rows of the CUDA device.  A new family is one folder with its rows.py, and one name here."""

from __future__ import annotations

from dataclasses import replace

from ..kernel import Kernel
from ..problem import ConvProblem
from .dense import rows as dense
from .depthwise import rows as depthwise
from .named import rows as named
from .operators import rows as operators
from .weight_grad import rows as weight_grad
from .winograd import rows as winograd

#: what `device.execute` brings about by a copy where a convolution's row does not honour it
ADAPTED = frozenset({"layout", "padding_mode"})

ROWS: tuple[Kernel, ...] = tuple(
    replace(row, adapted=ADAPTED) if row.problem is ConvProblem else row
    for family in (dense, winograd, depthwise, named, weight_grad, operators)
    for row in family.ROWS
)
