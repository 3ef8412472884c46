"""SciPy's own tests with numconv's functions in place of SciPy's: python tests/scipy_suite.py [--all] [pytest's arguments]

Needs pytest < 9, which collects SciPy's tests by package.  Names are replaced after collection: in the test modules, in SciPy's public
packages and in parameters of tests; before the import of the tests SciPy's own decorators would stumble over them.  Printed for each function:
tests in which the replacement was called, those that passed (expected failures, SciPy's own, included).  Exit status 1 if one failed.

`--all`: every test of fftconvolve and oaconvolve, 22,000; else every fortieth.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections import Counter, defaultdict
from functools import wraps
from importlib import import_module
from typing import Any

import pytest

FUNCTIONS = {
    "signal": (
        "convolve", "correlate", "convolve2d", "correlate2d", "fftconvolve", "oaconvolve", "sepfir2d", "choose_conv_method", "correlation_lags",
    ),
    "ndimage": (
        "convolve", "correlate", "convolve1d", "correlate1d", "gaussian_filter", "gaussian_filter1d", "gaussian_laplace",
        "gaussian_gradient_magnitude", "laplace", "generic_laplace", "sobel", "prewitt", "uniform_filter", "uniform_filter1d",
    ),
}  # fmt: skip
MODULES = (
    "scipy.ndimage.tests.test_filters",
    "scipy.ndimage.tests.test_datatypes",
    "scipy.signal.tests.test_signaltools",
    "scipy.signal.tests.test_bsplines",
    "scipy.signal.tests.test_result_type",
)
SAMPLED = ("TestFFTConvolve", "TestOAConvolve")
EVERY = 40


class Replacement:
    """The plugin."""

    def __init__(self, every: int) -> None:
        self.every = every
        self.now = ""
        self.reached: dict[str, set[str]] = defaultdict(set)
        self.outcomes: dict[str, str] = {}

    def _replacements(self) -> dict[int, Any]:
        """By the identity of SciPy's function."""
        found = {}
        for package, names in FUNCTIONS.items():
            theirs, ours = import_module(f"scipy.{package}"), import_module(f"numconv.{package}")
            for name in names:
                if hasattr(ours, name):
                    found[id(getattr(theirs, name))] = self._counted(f"{package}.{name}", getattr(ours, name))
        return found

    def _counted(self, name: str, function: Any) -> Any:
        @wraps(function)
        def called(*arguments: Any, **options: Any) -> Any:
            self.reached[name].add(self.now)
            return function(*arguments, **options)

        return called

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        numbers: Counter[str] = Counter()
        kept = []
        for item in items:
            name = item.cls.__name__ if item.cls else ""
            numbers[name] += 1
            if name not in SAMPLED or numbers[name] % self.every == 0:
                kept.append(item)
        items[:] = kept
        ours = self._replacements()
        places = [sys.modules[name].__dict__ for name in MODULES if name in sys.modules]
        places += [import_module(f"scipy.{package}").__dict__ for package in FUNCTIONS]
        for place in places:
            for name, value in list(place.items()):
                if id(value) in ours:
                    place[name] = ours[id(value)]
        for item in items:
            for name, value in getattr(getattr(item, "callspec", None), "params", {}).items():
                if id(value) in ours:
                    item.callspec.params[name] = ours[id(value)]

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.now = nodeid

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.when == "call" or report.outcome == "failed":
            expected = hasattr(report, "wasxfail")
            self.outcomes[report.nodeid] = "passed" if expected or report.passed else report.outcome

    def table(self) -> tuple[str, int]:
        lines, failures = [f"{'function':<36}{'reached':>8}{'passed':>8}"], 0
        for package, names in FUNCTIONS.items():
            for name in names:
                tests = self.reached.get(f"{package}.{name}", set())
                passed = sum(self.outcomes.get(t) == "passed" for t in tests)
                failures += sum(self.outcomes.get(t) == "failed" for t in tests)
                lines.append(f"{package}.{name:<{35 - len(package)}}{len(tests):>8}{passed:>8}")
        return "\n".join(lines), failures


def main(arguments: list[str]) -> int:
    if int(pytest.__version__.split(".")[0]) >= 9:
        print("scipy_suite: needs pytest < 9, which collects tests by --pyargs", file=sys.stderr)
        return 2
    plugin = Replacement(1 if "--all" in arguments else EVERY)
    rest = [a for a in arguments if a != "--all"]
    given = [a for a in rest if a.startswith("scipy.")] or list(MODULES)
    options = ["-q", "-p", "no:cacheprovider", "--no-header", "--tb=short", *[a for a in rest if a not in given]]
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # not in the project, whose pytest is stricter
        pytest.main([*options, "--pyargs", *given], [plugin])
        os.chdir(os.sep)
    table, failures = plugin.table()
    print(table)
    missed = [f"{package}.{name}" for package, names in FUNCTIONS.items() for name in names if not plugin.reached[f"{package}.{name}"]]
    if missed and not rest:
        print(f"scipy_suite: no test reached {', '.join(missed)}")
    return int(failures > 0 or (bool(missed) and not rest))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
