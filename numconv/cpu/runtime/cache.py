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
import stat
import sys
import tempfile
from contextlib import suppress
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


def user_cache() -> Path | None:
    """The user's cache folder, by the platform's custom; None where there is no home."""
    try:
        if sys.platform == "win32":
            return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
        if sys.platform == "darwin":
            return Path.home() / "Library" / "Caches"
        named = Path(os.environ.get("XDG_CACHE_HOME", ""))
        return named if named.is_absolute() else Path.home() / ".cache"  # the XDG specification: relative ones are ignored
    except RuntimeError:
        return None


def distrust(path: Path) -> str:
    """Why code may not be loaded from below this folder, or "": some part of it could be changed by another user."""
    if not hasattr(os, "geteuid"):
        return ""
    owners = (0, os.geteuid())
    for part in (*reversed(path.parents), path, *reversed(path.resolve().parents), path.resolve()):
        try:
            found = part.lstat()
        except OSError:
            return ""  # not there yet: made below by this user
        if found.st_uid not in owners:
            return f"{part} belongs to user {found.st_uid}"
        shared = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        # in a sticky folder like /tmp others may add, but neither rename nor remove what is another's
        if shared and not stat.S_ISLNK(found.st_mode) and (not found.st_mode & stat.S_ISVTX or part == path.resolve()):
            return f"others may write to {part}"
    return ""


def _make(path: Path) -> None:
    """With all that is missing above it, for this user alone, whatever the umask."""
    for part in (*reversed(path.parents), path):
        if not part.is_dir():
            part.mkdir(mode=0o700, exist_ok=True)


@cache
def _place() -> tuple[Path | None, str]:
    """`<base>/numconv/<version>-<digest>` and "", or None and why kernels are not kept: then nothing breaks."""
    named = os.environ.get("NUMCONV_CACHE_DIR")
    if named == "off":
        return None, "NUMCONV_CACHE_DIR is off"
    base = user_cache() if not named else Path(named)
    if base is None:
        return None, "there is no home folder"
    if not base.is_absolute():
        return None, f"NUMCONV_CACHE_DIR must be an absolute path; got {named!r}"
    path = base / "numconv" / f"{__version__}-{digest()}"
    try:
        why = distrust(base)
        if why:
            return None, why
        _make(path)
        why = distrust(path)
    except OSError as error:
        why = "" if path.is_dir() else str(error)  # a read-only medium with kernels compiled before
    return (None, why) if why else (path, "")


def folder() -> Path | None:
    """Where kernels are kept; None: nowhere."""
    return _place()[0]


def why_not() -> str:
    """Why nowhere, or ""."""
    return _place()[1]


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
        ours, tools = f"{__version__} {digest()}", f"{numba.__version__} {llvmlite.__version__} {sys.version}"
        return f"{ours}\n{self.kernel}\n{signature}\n{codegen.magic_tuple()}\n{tools}".encode()

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
        try:
            return CompileResult._rebuild(target_context, *pickle.loads(rest[len(key) :]))
        except Exception:  # whole and meant for this key, and still of no use: compiled again, and written over
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Whole, then renamed; where that fails nothing is kept, and nothing breaks."""
        key = self._key(sig, data.codegen)
        rest = key + dumps(_reduced(data))
        part = ""
        try:
            _make(self.place)  # it may have vanished
            with tempfile.NamedTemporaryFile(dir=self.place, suffix=".part", delete=False) as file:
                part = file.name
                file.write(hashlib.blake2b(rest, digest_size=DIGEST_BYTES).digest() + rest)
            os.replace(part, self._file(key))
        except OSError:
            with suppress(OSError):
                os.unlink(part)


def keep(dispatcher: Any) -> Any:
    """Keep what this dispatcher compiles; without a place to write, leave it as it is."""
    place = folder()
    if place is not None:
        dispatcher._cache = KernelCache(place, identity(dispatcher))
    return dispatcher
