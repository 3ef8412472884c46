"""What a figure was measured on: machine, versions, commit.  Every committed result carries it."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("numpy", "numba", "llvmlite", "scipy", "torch", "onnxruntime", "openvino", "opencv-python-headless")


def git(*arguments: str) -> str:
    try:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def describe(threads: int) -> dict[str, Any]:
    """The header of a result file."""
    import numconv
    from numconv.cpu.machine import detect

    m = detect()
    return {
        "date": time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime()),
        "commit": git("rev-parse", "--short=12", "HEAD"),
        "modified": bool(git("status", "--porcelain", "--untracked-files=no", "--", "numconv")),
        "numconv": numconv.__version__,
        "versions": versions(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": threads,
        "vector_bytes": m.vector_bytes,
        "plans_see": {"registers": m.registers, "multiply_adds": m.multiply_adds, "l1": m.l1, "l2": m.l2},
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }


def line(header: dict[str, Any]) -> str:
    """One line of the above, for the tables."""
    v = header["versions"]
    peers = ", ".join(f"{name} {v[name]}" for name in ("torch", "onnxruntime", "openvino") if name in v)
    changed = " with changes" if header.get("modified") else ""
    return (
        f"{header['processor']}, {header['threads']} threads, {8 * header['vector_bytes']}-bit vectors; numconv {header['numconv']} at "
        f"{header['commit']}{changed}, numba {v['numba']}, NumPy {v['numpy']}{', ' + peers if peers else ''}; {header['date'][:10]}"
    )
