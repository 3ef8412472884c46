"""The outer edge of every public function: what it raises is a `ValueError`, `TypeError` or `MemoryError` that begins with its name.

What the builders refuse does so already.  What an odd argument makes NumPy, torch or Python raise on the way is given the name here,
with the first error as its cause; so is a fault of our own, with a note that says so.  An interrupt, a warning made an error, a missing
module and a failed assertion are not about arguments and pass as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

Function = TypeVar("Function", bound=Callable[..., Any])

KINDS = (ValueError, TypeError, MemoryError)
PASS = (Warning, ImportError, AssertionError, SystemError)
VALUES = (ArithmeticError, RecursionError)  # of a value that is out of all bounds: the type was right
NOTE = "numconv did not expect this error: if the arguments are in order, please report it with its cause above"
MARK = "_numconv_function"  # on an error that has passed an edge: whose name it begins with


def at_edge(name: str, error: Exception, operators: bool = False) -> None:
    """Raise `error` under the function's name; return where it may pass as it is.

    `operators`: the function was handed an operator, whose name is as good.
    """
    if isinstance(error, PASS):
        return
    text, inner = str(error), getattr(error, MARK, None)
    if type(error) in KINDS and (text.startswith((f"{name}:", f"{name}(", f"{name}.")) or (operators and inner is not None)):
        if inner is None:
            setattr(error, MARK, name)
        return
    kind = next((kind for kind in KINDS if isinstance(error, kind)), None)
    if inner is not None:  # one public function within another
        text = text.removeprefix(f"{inner}: ")
    elif kind is None:
        text = f"{type(error).__name__}: {text}"
    elif kind is MemoryError:
        text = text or "not enough memory"
    named = (kind or (ValueError if isinstance(error, VALUES) else TypeError))(f"{name}: {text}")
    setattr(named, MARK, name)
    if kind is None:
        named.add_note(NOTE)
    raise named from error if inner is None else error.__cause__


def edge(name: str, operators: bool = False) -> Callable[[Function], Function]:
    """The decorator of a public function whose calls do not all go by way of `call.call`, which is an edge itself."""

    def decorate(function: Function) -> Function:
        @wraps(function)
        def public(*arguments: Any, **options: Any) -> Any:
            try:
                return function(*arguments, **options)
            except Exception as error:
                at_edge(name, error, operators)
                raise

        return cast(Function, public)

    return decorate


def public(function: Function) -> Function:
    """`edge` under the function's own name."""
    return edge(function.__name__)(function)
