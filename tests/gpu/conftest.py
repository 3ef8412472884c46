"""Two runs, for a process is either the simulator or real:

NUMBA_ENABLE_CUDASIM=1 python -m pytest tests/gpu -n auto     results, in the simulator
python -m pytest tests/gpu -n auto                            every kernel through the compiler and linker (extra `cuda`), no GPU needed
"""

from __future__ import annotations

import importlib.util
import os

import pytest

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM", "0") == "1"
COMPILER = importlib.util.find_spec("numba_cuda") is not None and importlib.util.find_spec("cuda.core") is not None


def reason(name: str) -> str | None:
    """Why a test file cannot run in this process."""
    if name.startswith("test_simulator"):
        return None if SIMULATED else "needs the simulator: NUMBA_ENABLE_CUDASIM=1"
    if SIMULATED:
        return "needs the CUDA compiler, not the simulator"
    return None if COMPILER else "needs the extra `cuda`"


class _NotHere(pytest.File):
    """Stands for a file that cannot even be imported here, so that it is reported and not passed over."""

    def collect(self):
        yield _Skipped.from_parent(self, name="not run")


class _Skipped(pytest.Item):
    def runtest(self) -> None:
        pytest.skip(reason(self.path.name) or "")


def pytest_collect_file(file_path, parent):
    if file_path.name.startswith("test_") and reason(file_path.name):
        return _NotHere.from_parent(parent, path=file_path)
    return None


def pytest_ignore_collect(collection_path, config):
    return None


@pytest.hookimpl(wrapper=True)
def pytest_pycollect_makemodule(module_path, parent):
    module = yield
    if module_path.parent.name == "gpu" and reason(module_path.name):
        return None
    return module
