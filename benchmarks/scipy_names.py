"""SciPy's filters, a row each: whether the name is here, by comparing signatures, and what differs.  Tables of docs/coming-from-scipy.md."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

#: in `__all__` of SciPy's modules, but no filters
NO_FILTERS = frozenset({"BadCoefficients", "LinAlgError", "test"})
#: where SciPy keeps the functions of the tables
MODULES = {"signal": ("_signaltools",), "ndimage": ("_filters",)}
ALSO = {"signal": ("sepfir2d",), "ndimage": ()}  # kept elsewhere there

TRANSFORMS = "blocks by one cost model, both names alike; a NaN reaches its blocks only; float32 and float64 mixed in float64"
INTEGERS = (
    "integers by weights that are no integers go by SciPy's own function, the last bit of its sums decides; float32 is summed in float32"
)
SUMS = '`method="auto"` decides by a model of our kernels; integers are transformed only where that is exact; a NaN reaches the sums that it takes part in, no others; float32 is summed in float32'
SCIPYS = "SciPy's own answer"
#: beyond the signature; each name must exist
DIFFERS = {
    "signal": {
        "convolve": SUMS,
        "correlate": SUMS,
        "fftconvolve": TRANSFORMS,
        "oaconvolve": TRANSFORMS,
        "choose_conv_method": "SciPy's own answer: ours mostly transforms later",
        "correlation_lags": SCIPYS,
        "convolve2d": "float32 is summed in float32",
        "correlate2d": "float32 is summed in float32",
        "sepfir2d": "kernels longer than the plane, even ones and complex ones go by SciPy's own function",
    },
    "ndimage": {
        **dict.fromkeys(("convolve", "correlate", "convolve1d", "correlate1d"), INTEGERS),
        **dict.fromkeys(("gaussian_filter", "gaussian_filter1d", "gaussian_laplace", "gaussian_gradient_magnitude"), INTEGERS),
        **dict.fromkeys(("laplace", "sobel", "prewitt", "uniform_filter", "uniform_filter1d"), "float32 is summed in float32"),
        "generic_laplace": "the function that it is given sums",
    },
}


def public(package: str) -> list[str]:
    theirs = import_module(f"scipy.{package}")
    names = {name for module in MODULES[package] for name in import_module(f"scipy.{package}.{module}").__all__} | set(ALSO[package])
    return sorted(name for name in names - NO_FILTERS if hasattr(theirs, name))


def parameters(function: Callable[..., Any]) -> list[tuple[str, Any, Any]]:
    return [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]


def signature_of(ours: ModuleType, theirs: ModuleType, name: str) -> str:
    """ "same", or what ours has otherwise."""
    try:
        a, b = parameters(getattr(ours, name)), parameters(getattr(theirs, name))
    except ValueError:
        return "SciPy's is C and has none"
    if [str(p) for p in a] == [str(p) for p in b]:
        return "same"
    odd = [p[0] for p in b if str(p) not in {str(q) for q in a}] + [p[0] for p in a if str(p) not in {str(q) for q in b}]
    return "differs: " + ", ".join(f"`{p}`" for p in dict.fromkeys(odd))


def table(package: str) -> str:
    """One row a function of SciPy's; those that are not here in one line each."""
    import numconv as nc

    ours, theirs = import_module(f"numconv.{package}"), import_module(f"scipy.{package}")
    linear = {v.function.__name__: v for v in nc.catalog.variants() if v.function.__module__.startswith(f"numconv.{package}")}
    unknown = [name for name in [*DIFFERS[package], *ours.__all__] if name not in public(package)]
    assert not unknown, f"scipy_names: SciPy has no {unknown}"
    lines = [f"| `scipy.{package}` | here | signature | gradient | differs |", "|---|---|---|---|---|"]
    for name in public(package):
        if name in ours.__all__:
            gradient = "yes" if name in linear else ""
            lines.append(
                f"| `{name}` | `nc.{package}.{name}` | {signature_of(ours, theirs, name)} | {gradient} | {DIFFERS[package].get(name, '')} |"
            )
        else:
            lines.append(f"| `{name}` | not here | | | |")
    return "\n".join(lines)
