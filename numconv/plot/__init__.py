"""Pictures of convolutions: any call at work on its grids, channels, kernels, overlaps, receptive fields, plans.  Needs matplotlib.

Every function returns a `matplotlib.figure.Figure` (or an animation) of its own: nothing is shown, no global state is touched.  All are
legible without colour (hatches, lines, labels); `dark=True` draws on a dark ground.

    nc.plot.operation(5, kernel=3, stride=2, padding=1).savefig("stride.svg")
    nc.plot.animate(5, kernel=3, dilation=2, padding=2).save("dilated.gif", writer="pillow")
    nc.plot.at_work(nc.conv2d, x, w, padding=1).save("mine.gif", writer="pillow")
    nc.plot.plan(nc.explain(nc.conv2d, x, w)).savefig("plan.png")
"""

from __future__ import annotations

try:
    import matplotlib  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("numconv.plot needs matplotlib: pip install 'numconv-kernels[plot]'", name=error.name) from None

from .channels import channels
from .filters import factors, images, kernels
from .maps import overlap_map, phase_gain, receptive_field
from .plans import plan
from .work import animate, at_work, operation

__all__ = [
    "animate", "at_work", "channels", "factors", "images", "kernels", "operation", "overlap_map", "phase_gain", "plan", "receptive_field",
]  # fmt: skip
