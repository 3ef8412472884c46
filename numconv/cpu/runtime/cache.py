"""Where compiled kernels are kept between processes.

Numba's own `cache=True` looks at the time stamp of the file that a kernel stands in, and so returns stale code when a callee in
another file has changed.  Here the folder carries a digest of all of this package's sources, so that any edit starts a new one.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
from numba.core.caching import CompileResultCacheImpl, FunctionCache, _CacheLocator
from numba.core.runtime import rtsys

from ...version import __version__

#: beside numconv/cpu: kernels are compiled with constants from these
COMPILED_IN = ("activations.py", "winograd.py")


@cache
def digest() -> str:
    """Of every source file below numconv/cpu, and of those beside it that kernels take constants from, in a fixed order."""
    root = Path(__file__).parents[2]
    state = hashlib.blake2b(digest_size=10)
    for path in [*sorted((root / "cpu").rglob("*.py")), *(root / name for name in COMPILED_IN)]:
        state.update(path.relative_to(root).as_posix().encode())
        state.update(path.read_bytes())
    return state.hexdigest()


def user_cache() -> Path:
    """The user's cache folder, by the platform's custom."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


@cache
def folder() -> Path | None:
    """`<user cache>/numconv/<version>-<digest>`, or None where nothing can be written: then nothing is kept, and nothing breaks."""
    for base in (user_cache(), Path(tempfile.gettempdir()) / f"numconv-{os.getuid() if hasattr(os, 'getuid') else 'user'}"):
        path = base / "numconv" / f"{__version__}-{digest()}"
        try:
            path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=path):
                return path
        except OSError:
            continue
    return None


class _Locator(_CacheLocator):
    def __init__(self, py_func: Any, py_file: str) -> None:
        self._py_func = py_func

    def ensure_cache_path(self) -> None:
        Path(self.get_cache_path()).mkdir(parents=True, exist_ok=True)

    def get_cache_path(self) -> str:
        return str(folder())

    def get_source_stamp(self) -> str:
        return digest()

    def get_disambiguator(self) -> str:
        return str(self._py_func.__module__).replace(".", "-")

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> _Locator | None:
        return cls(py_func, py_file) if folder() is not None else None


class _Implementation(CompileResultCacheImpl):
    _locator_classes = [_Locator]

    def reduce(self, cres: Any) -> Any:
        """With the names of its functions in place of its bitcode, which Numba keeps for inlining into callers: half of the file."""
        (name, kind, (code, _)), *rest = super().reduce(cres)
        empty = "\n".join(f'define void @"{f.name}"() {{ ret void }}' for f in cres.library.get_defined_functions())
        return ((name, kind, (code, llvm.parse_assembly(empty).as_bitcode())), *rest)


class KernelCache(FunctionCache):
    """Numba's function cache at the place above."""

    _impl_class = _Implementation

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Without `target_context.refresh()`, which imports all that Numba can compile: 0.15 s that finished code has no use for."""
        rtsys.initialize(target_context)
        with self._guard_against_spurious_io_errors():
            return self._load_overload(sig, target_context)


def keep(dispatcher: Any) -> Any:
    """Keep what this dispatcher compiles; without a place to write, leave it as it is."""
    if folder() is not None:
        dispatcher._cache = KernelCache(dispatcher.py_func)
    return dispatcher
