"""What is kept between calls, bounded in bytes: plans, bound calls, and all that was worked out for a shape.

Whoever keeps such things does so in a `Store`, which is a dict, or by `kept`, in place of `lru_cache`.  What they add is weighed; where the
sum passes LIMIT everything is forgotten, and what is in use still is worked out anew: a millisecond a shape, once in some thousands of new
ones.  An order of what was used last would cost every call that finds what it needs; so such a call costs what a dict costs.

What does not follow from shapes (compiled kernels, a device's table of rows) is kept elsewhere, for good.  Scratch has a limit of its own
(`cpu/runtime/workspace.py`), and the packed weights of a layer belong to the layer.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from functools import cache, lru_cache, update_wrapper
from types import FunctionType
from typing import Any, TypeVar, cast, get_type_hints

LIMIT = 32 << 20  # bytes
ENTRY = 200  # bytes of a place in a dict
BOUND = 1000  # bytes of a function with what it encloses
Function = TypeVar("Function", bound=Callable[..., Any])

_lock = threading.RLock()
_stores: list[Callable[[], None]] = []  # how each is emptied
_held = 0  # bytes


def _fresh_lock_in_child() -> None:
    """Another thread may have held it."""
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_fresh_lock_in_child)


def held() -> int:
    """Bytes of all stores."""
    return _held


def add(size: int) -> None:
    """So many bytes more."""
    global _held
    with _lock:
        _held += size
        if _held > LIMIT:
            forget()


def forget() -> None:
    """Everything that was worked out for shapes."""
    global _held
    with _lock:
        _held = 0
        for empty in list(_stores):
            empty()


class Store(dict[Any, Any]):
    """A dict that may be emptied between two look-ups; `put` adds to it."""

    def __init__(self) -> None:
        super().__init__()
        here = weakref.ref(self, lambda dead: _stores.remove(empty))

        def empty() -> None:
            store = here()
            if store is not None:
                store.clear()

        _stores.append(empty)

    def put(self, key: Any, value: Any, size: int | None = None) -> None:
        """`size`: bytes of the value, where some of it is somebody else's."""
        add(ENTRY + weight(key) + (weight(value) if size is None else size))
        self[key] = value


def kept(function: Function) -> Function:
    """The decorator of a function of hashable arguments that is worked out once for equal ones."""

    def first(*arguments: Any, **named: Any) -> Any:
        value = function(*arguments, **named)
        add(ENTRY + weight(arguments) + weight(value))
        return value

    found = lru_cache(maxsize=None)(update_wrapper(first, function))
    _stores.append(found.cache_clear)
    return cast(Function, found)


#: half of all integers are small ones, which Python has once
_own: dict[type, int] = {int: 16, float: 24, bool: 0, type(None): 0, type: 0, FunctionType: BOUND}


def counted_elsewhere(kind: type) -> type:
    """The decorator of a class whose objects are referred to by many: those who refer to them do not count them."""
    _own[kind] = 0
    return kind


@cache
def _weight_of_class(kind: type) -> int | None:
    """Bytes of its objects where they follow from the class alone, as of a record; else None."""
    if kind in _own or not hasattr(kind, "_fields"):
        return _own.get(kind)
    fields = [_weight_of_class(of) if isinstance(of, type) and of is not FunctionType else None for of in get_type_hints(kind).values()]
    return None if None in fields else 56 + sum(8 + size for size in fields if size is not None)


#: of classes whose objects hold others: bytes of the first that came, its arrays apart, and which fields are arrays
_first_of_class: dict[type, tuple[int, tuple[str, ...]]] = {}


def _weigh_first(value: Any) -> tuple[int, tuple[str, ...]]:
    """To walk through each of them would take a tenth of what a new shape may cost."""
    parts = value._asdict() if hasattr(value, "_asdict") else vars(value)
    arrays = tuple(name for name, part in parts.items() if hasattr(part, "nbytes"))
    rest = 100 + sum(10 + (112 if name in arrays else weight(part)) for name, part in parts.items())
    found = _first_of_class[type(value)] = rest, arrays
    return found


def weight(value: Any) -> int:
    """Bytes, by rough rules, rather too many: `tests/test_memory.py` holds them against what is allocated."""
    kind = type(value)
    known = _weight_of_class(kind)  # type: ignore[arg-type]
    if known is not None:
        return known
    if kind is str or kind is bytes:
        return 56 + len(value)
    if hasattr(kind, "_fields") or hasattr(kind, "__dataclass_fields__"):
        rest, arrays = _first_of_class.get(kind) or _weigh_first(value)
        return rest + sum([getattr(getattr(value, name), "nbytes", 0) for name in arrays])
    if issubclass(kind, tuple):
        return 56 + sum([8 + weight(v) for v in value])
    if issubclass(kind, (list, dict)):
        return 64 + sum([16 + weight(v) for v in (value.values() if issubclass(kind, dict) else value)])
    return 112 + int(getattr(value, "nbytes", 0))
