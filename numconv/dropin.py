"""Functions under SciPy's names, rules and exceptions: what no kernel of ours serves goes by SciPy's own function."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from . import devices
from .arguments.edge import at_edge
from .arguments.values import Subject
from .watching import watched

Function = TypeVar("Function", bound=Callable[..., Any])


class NotServedError(Exception):
    """No kernel of ours does this, or something is wrong with it: SciPy's own function does it, or says what."""


def drop_in(theirs: Callable[..., Any]) -> Callable[[Function], Function]:
    """Decorator of the function that takes the place of SciPy's; that is given here, since someone may put ours under its name."""

    def decorate(function: Function) -> Function:
        name = function.__name__

        @wraps(function)
        def public(*arguments: Any, **options: Any) -> Any:
            try:
                try:
                    return function(*arguments, **options)
                except NotServedError as why:
                    if watched():
                        raise Subject(name).value(f"no kernel of numconv serves this, so there is no plan and no gradient: {why}") from None
                    if any(devices.kind(a) != "cpu" for a in (*arguments, *options.values()) if hasattr(a, "dtype")):
                        raise Subject(name).value(f"no GPU kernel serves this: {why}") from None
                return theirs(*arguments, **options)
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
