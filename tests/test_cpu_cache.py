"""Where compiled kernels are kept: one file a key, nothing of another user's, right after any damage."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from numconv.cpu.runtime import cache, launch

ROOT = Path(__file__).resolve().parents[1]
CALL = """
import numpy as np, numconv as nc
from numconv.cpu.runtime import cache, launch
y = nc.channel_shuffle(np.arange(8, dtype="f4").reshape(1, 4, 2), 2)
assert y[0, :, 0].tolist() == [0, 4, 2, 6]
print(cache.folder())
"""
unix = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="owners and modes are of POSIX systems")


def run(folder: str, code: str = CALL, **environment: str) -> str:
    """What a process prints that keeps its kernels there."""
    env = {**os.environ, "NUMCONV_CACHE_DIR": folder, "PYTHONPATH": str(ROOT), **environment}
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert found.returncode == 0, found.stderr
    return found.stdout.strip()


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one compiled kernel."""
    folder = tmp_path_factory.mktemp("cache") / "good"
    run(str(folder))
    assert len(list(folder.rglob("*.kernel"))) == 1
    assert not list(folder.rglob("*.part"))
    return folder


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) * 2 // 3] ^= 4
    path.write_bytes(content)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "empty": lambda p: p.write_bytes(b""),
    "half": lambda p: p.write_bytes(p.read_bytes()[: p.stat().st_size // 2]),
    "noise": lambda p: p.write_bytes(os.urandom(p.stat().st_size)),
    "one bit": _flip,
    "a folder in its place": lambda p: (p.unlink(), p.mkdir()),
    "folder vanished": lambda p: shutil.rmtree(p.parent),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_right_and_healed_after_damage(damage: str, filled: Path, tmp_path: Path) -> None:
    shutil.copytree(filled, tmp_path / "try")
    (file,) = (tmp_path / "try").rglob("*.kernel")
    whole = file.stat().st_size
    DAMAGE[damage](file)
    run(str(tmp_path / "try"))
    assert damage == "a folder in its place" or file.stat().st_size == whole


def test_a_file_of_another_key_is_not_used(filled: Path, tmp_path: Path) -> None:
    """Two kernels whose files were swapped: neither is taken for the other."""
    code = CALL + "nc.channel_shuffle(np.arange(8, dtype='f8').reshape(1, 4, 2), 2)"
    run(str(tmp_path / "two"), code)
    a, b = (tmp_path / "two").rglob("*.kernel")
    content = a.read_bytes(), b.read_bytes()
    a.write_bytes(content[1])
    b.write_bytes(content[0])
    run(str(tmp_path / "two"), code)
    assert (a.read_bytes(), b.read_bytes()) != (content[1], content[0])


def test_off_and_relative_folders_keep_nothing(tmp_path: Path) -> None:
    assert run("off") == "None"
    assert run("some/where") == "None"
    assert run("", XDG_CACHE_HOME="relative", HOME=str(tmp_path)).startswith(str(tmp_path / ".cache"))


@unix
def test_folders_that_others_may_change_are_not_used(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    assert run(str(shared)) == "None"
    assert run(str(shared / "below")) == "None"
    shared.chmod(0o1777)  # as /tmp: others may add, and change nothing that is ours
    assert run(str(shared / "mine")).startswith(str(shared))
    assert stat.S_IMODE((shared / "mine").stat().st_mode) == 0o700


@unix
def test_folders_of_another_user_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    if os.getuid() == 0:  # root's own folders are trusted by everybody
        os.chown(tmp_path, 12345, 12345)
    assert "belongs to user" in cache.distrust(tmp_path)


@unix
def test_new_folders_are_the_users_alone_whatever_the_umask(tmp_path: Path) -> None:
    folder = run(str(tmp_path / "new"), "import os; os.umask(0)\n" + CALL)
    assert stat.S_IMODE(Path(folder).stat().st_mode) == 0o700
    (file,) = Path(folder).glob("*.kernel")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_identity_tells_kernels_apart_and_lasts() -> None:
    def make(value: object) -> Callable[[], object]:
        return lambda: value

    assert cache.identity(make(1)) != cache.identity(make(2))
    assert cache.identity(make((1, None, "a"))) == cache.identity(make((1, None, "a")))
    with pytest.raises(TypeError, match="has no name that lasts"):
        cache.identity(make(object()))


def test_closures_of_one_factory_are_told_apart_by_name() -> None:
    """Machine code knows a function by qualified name, types and a number that each process counts anew: kept kernels ran each other's closures."""

    def make(value: int) -> Callable[[], int]:
        return lambda: value

    names = [launch.distinct(make(value)).__qualname__ for value in (1, 2, 1)]
    assert names[0] != names[1]
    assert names[0] == names[2]
    assert launch.device_function(make(3)).py_func.__qualname__ != launch.device_function(make(4)).py_func.__qualname__
    assert launch.kernel(make(3)).serial.py_func.__qualname__ != launch.kernel(make(4)).serial.py_func.__qualname__
