"""Forks.  A child has one thread: locks that others held stay locked for ever, and GNU OpenMP ends it at its first parallel loop.

So Numba's compiler lock is held around a fork, and a child of a process in which Numba's threads run, ours or the user's own, runs serial
kernels.  Registered at `import numconv`, since the fork may come before our first call; nothing is imported for it.
"""

from __future__ import annotations

import os
import sys
from typing import Any


class _State:
    """Of this process."""

    threads_lost = False  # Numba's threads ran in the parent
    held: list[Any] = []


def threads_lost() -> bool:
    """Whether parallel loops must not be started here."""
    return _State.threads_lost


def _before() -> None:
    lock = getattr(sys.modules.get("numba.core.compiler_lock"), "global_compiler_lock", None)
    if lock is not None:
        lock.acquire()
        _State.held.append(lock)


def _after() -> None:
    while _State.held:
        _State.held.pop().release()


def _after_in_child() -> None:
    if getattr(sys.modules.get("numba.np.ufunc.parallel"), "_is_initialized", False):
        _State.threads_lost = True
    _after()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_after_in_child)
