"""Channel shuffle."""

from __future__ import annotations

from typing import Any

from ..arguments_operators import shuffle
from ..dispatch import call


def channel_shuffle(x: Any, groups: int, *, layout: str = "channels_first", out: Any = None) -> Any:
    """Mix the channels between groups: out[:, j·groups + i] = x[:, i·n + j], n = C/groups."""
    return call("channel_shuffle", shuffle, ("x",), (x,), (groups, layout), out)
