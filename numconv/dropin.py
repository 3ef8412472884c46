"""Functions under SciPy's names, rules and exceptions: what no kernel of ours serves goes by SciPy's own function."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import Any, TypeVar, cast

import numpy as np

from . import devices
from .arguments.edge import at_edge
from .arguments.values import Subject
from .call import key_of
from .memory import BOUND, Store
from .watching import watched

Function = TypeVar("Function", bound=Callable[..., Any])


class NotServedError(Exception):
    """No kernel of ours does this, or something is wrong with it: SciPy's own function does it, or says what."""


class Repeated:
    """What a function amounts to for arrays like the one it was given; called with that, or another one like it.

    `out`: the array that the call names as `output`, or another one like it.
    """

    __slots__ = ()

    def __call__(self, array: Any, out: Any) -> Any: ...


_known = Store()  # what calls amount to, by `_key`
MOST_WEIGHTS = 1 << 16  # bytes: of larger ones a look-up costs as much as to begin anew


def _key(name: str, arguments: tuple[Any, ...], options: dict[str, Any], out: Any) -> tuple[Any, ...] | None:
    """Of a call with a NumPy array first: its form and that of `out`, the numbers in all other arrays, all else as it is.

    None: it has no key.
    """
    if not arguments or type(arguments[0]) is not np.ndarray:
        return None
    first, *rest = arguments
    names, values = tuple(options), (*rest, *options.values())
    numbers = []
    for i, value in enumerate(values):
        if value is out is not None:
            numbers.append((i, out.shape, out.dtype, out.flags.num))
        elif type(value) is np.ndarray:
            if value.nbytes > MOST_WEIGHTS or value.dtype.hasobject:
                return None
            numbers.append((i, value.shape, value.dtype, value.tobytes()))
    if numbers:
        values = tuple([None if isinstance(value, np.ndarray) else value for value in values])
    key = key_of(name, (first,), (names, values), "", "")
    return None if key is None else (key, *numbers) if numbers else key


def drop_in(theirs: Callable[..., Any]) -> Callable[[Function], Function]:
    """Decorator of the function that takes the place of SciPy's; that is given here, since someone may put ours under its name."""

    def decorate(function: Function) -> Function:
        name, place = function.__name__, list(signature(function).parameters)
        at = place.index("output") if "output" in place else None

        @wraps(function)
        def public(*arguments: Any, **options: Any) -> Any:
            try:
                out = None if at is None else arguments[at] if len(arguments) > at else options.get("output")
                out = out if isinstance(out, np.ndarray) else None
                key = _key(name, arguments, options, out)
                known = None if key is None else _known.get(key)
                if known is not None and not watched():
                    return known(arguments[0], out)
                try:
                    found = function(*arguments, **options)
                except NotServedError as why:
                    if watched():
                        raise Subject(name).value(f"no kernel of numconv serves this, so there is no plan and no gradient: {why}") from None
                    if any(devices.kind(a) != "cpu" for a in (*arguments, *options.values()) if hasattr(a, "dtype")):
                        raise Subject(name).value(f"no GPU kernel serves this: {why}") from None
                    return theirs(*arguments, **options)
                if not isinstance(found, Repeated):
                    return found
                if key is not None:
                    _known.put(key, found, BOUND)
                return found(arguments[0] if arguments else options["input"], out)
            except Exception as error:
                _named(name, error)
                raise

        return cast(Function, public)

    return decorate


def _named(name: str, error: Exception) -> None:
    """SciPy's errors stay of its own types, and begin with the function's name."""
    if str(error).startswith(f"{name}:") or isinstance(error, Warning):
        return
    try:
        named = type(error)(f"{name}: {error}")
    except Exception:  # one that takes other arguments
        at_edge(name, error)
        return
    raise named from error
