"""Arrays as the device has them: views, allocation, streams; on a card, or under the same names in the simulator."""

from typing import TYPE_CHECKING

from ...environment import SIMULATED

if TYPE_CHECKING or not SIMULATED:
    from .card import *  # noqa: F403
else:
    from .simulated import *  # noqa: F403
