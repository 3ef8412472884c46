"""Channel shuffle."""

from __future__ import annotations

from typing import Any

from ..arguments.operators import shuffle
from ..call import call
from .docstrings import documented


@documented
def channel_shuffle(x: Any, groups: int, *, layout: str = "channels_first", out: Any = None) -> Any:
    """Mix the channels between groups: out[:, j·groups + i] = x[:, i·n + j], n = C/groups.

    Parameters
    ----------
    x : (N, C, *spatial) array
        Images of any rank; the batch axis is not optional, as nothing tells the rank.
    groups : int
        Must divide C.
    layout : {"channels_first", "channels_last"}
        Whether images are (N, C, *spatial) or (N, *spatial, C), in and out.
    out : array, optional
        Of exactly the result's shape, type and kind; must not overlap x.

    Returns
    -------
    array of the shape and type of x

    Raises
    ------
    {raises}

    Notes
    -----
    The paper's permutation and torch's.  Its inverse is the shuffle with C/groups groups.

    References
    ----------
    X. Zhang et al.: ShuffleNet, CVPR 2018, arXiv 1707.01083, section 3.1.

    Examples
    --------
    >>> nc.channel_shuffle(np.arange(6).reshape(1, 6, 1), 3).ravel()
    array([0, 2, 4, 1, 3, 5])
    """
    return call("channel_shuffle", shuffle, ("x",), (x,), (groups, layout), out)
