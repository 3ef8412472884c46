"""Where compiled kernels are kept between processes: one file for each kernel, signature and machine.

Numba's own `cache=True` looks at the time stamp of the file that a kernel stands in, and so returns stale code when a callee in another
file has changed; and it keeps an index beside numbered files, which two processes that save at once leave pointing at each other's code.
Here a file is named by the hash of its whole key: this package's sources, the kernel's name and the values compiled into it, the types of
its arguments, Numba, llvmlite, Python and the processor.  Key and checksum stand in the file and are looked at before anything in it is
used; it is written whole, then renamed.  There is no index.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite
import llvmlite.binding as llvm
import numba
from numba.core.caching import _Cache
from numba.core.compiler import CompileResult
from numba.core.runtime import rtsys
from numba.core.serialize import dumps

from ...version import __version__

#: beside numconv/cpu: kernels are compiled with constants from these
COMPILED_IN = ("activations.py", "winograd.py")
DIGEST_BYTES = 32  # of the checksum that begins a file


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


def identity(value: Any) -> str:
    """What a kernel is, beside the package's sources: its name and what its closure holds, functions in there likewise."""
    if hasattr(value, "py_func"):
        value = value.py_func
    if hasattr(value, "__code__"):
        held = [identity(cell.cell_contents) for cell in value.__closure__ or ()]
        return f"{value.__module__}.{value.__qualname__}:{value.__name__}({', '.join(held)})"
    if isinstance(value, tuple):
        return f"({', '.join(map(identity, value))})"
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value)
    raise TypeError(f"a kernel's closure holds {value!r}, which has no name that lasts")


def _reduced(compiled: Any) -> Any:
    """With the names of its functions in place of its bitcode, which Numba keeps for inlining into callers: half of the file."""
    (name, kind, (code, _)), *rest = compiled._reduce()
    empty = "\n".join(f'define void @"{f.name}"() {{ ret void }}' for f in compiled.library.get_defined_functions())
    return ((name, kind, (code, llvm.parse_assembly(empty).as_bitcode())), *rest)


class KernelCache(_Cache):
    """What one dispatcher compiles, kept in `place`."""

    def __init__(self, place: Path, kernel: str) -> None:
        self.place, self.kernel = place, kernel

    @property
    def cache_path(self) -> str:
        return str(self.place)

    def enable(self) -> None: ...

    def disable(self) -> None: ...

    def flush(self) -> None: ...

    def _key(self, signature: Any, codegen: Any) -> bytes:
        parts = (__version__, digest(), self.kernel, signature, codegen.magic_tuple(), numba.__version__, llvmlite.__version__, sys.version)
        return "\n".join(map(str, parts)).encode()

    def _file(self, key: bytes) -> Path:
        return self.place / f"{hashlib.blake2b(key, digest_size=20).hexdigest()}.kernel"

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Without `target_context.refresh()`, which imports all that Numba can compile: 0.15 s that finished code has no use for."""
        rtsys.initialize(target_context)
        key = self._key(sig, target_context.codegen())
        try:
            content = self._file(key).read_bytes()
        except OSError:
            return None
        checksum, rest = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
        if checksum != hashlib.blake2b(rest, digest_size=DIGEST_BYTES).digest() or not rest.startswith(key):
            return None
        return CompileResult._rebuild(target_context, *pickle.loads(rest[len(key) :]))

    def save_overload(self, sig: Any, data: Any) -> None:
        key = self._key(sig, data.codegen)
        rest = key + dumps(_reduced(data))
        try:
            with tempfile.NamedTemporaryFile(dir=self.place, suffix=".part", delete=False) as file:
                file.write(hashlib.blake2b(rest, digest_size=DIGEST_BYTES).digest() + rest)
            os.replace(file.name, self._file(key))
        except OSError:  # nothing is kept, and nothing breaks
            return


def keep(dispatcher: Any) -> Any:
    """Keep what this dispatcher compiles; without a place to write, leave it as it is."""
    place = folder()
    if place is not None:
        dispatcher._cache = KernelCache(place, identity(dispatcher))
    return dispatcher
