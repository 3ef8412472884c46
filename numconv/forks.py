"""Forks.  A child has one thread: locks that others held stay locked for ever, and GNU OpenMP ends it at its first parallel loop.

So Numba's compiler lock, llvmlite's and our imports are waited for, and a child of a process in which Numba's threads run, ours or the
user's own, runs our parallel loops in its one thread: the same code, so that it need not compile what its parent has.  Registered at
`import numconv`, since the fork may come before our first call; nothing is imported for it.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from typing import Any

#: held while kernels are imported: a module that another thread was importing can never be imported in a child
importing = threading.RLock()


class _State:
    """Of this process."""

    threads_lost = False  # Numba's threads ran in the parent
    held: list[Any] = []


def threads_lost() -> bool:
    """Whether no loop may be shared out over threads here."""
    return _State.threads_lost


def _locks() -> Iterator[Any]:
    """In the order in which a compilation takes them."""
    yield importing
    yield getattr(sys.modules.get("numba.core.compiler_lock"), "global_compiler_lock", None)
    yield getattr(getattr(sys.modules.get("llvmlite.binding.ffi"), "lib", None), "_lock", None)


def _before() -> None:
    for lock in _locks():
        if lock is not None:
            lock.__enter__()
            _State.held.append(lock)


def _after() -> None:
    while _State.held:
        _State.held.pop().__exit__(None, None, None)


def _after_in_child() -> None:
    if getattr(sys.modules.get("numba.np.ufunc.parallel"), "_is_initialized", False):
        _State.threads_lost = True
    _after()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_after_in_child)
