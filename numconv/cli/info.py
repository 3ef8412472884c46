"""What this machine and this installation are, for a bug report or a choice of settings."""

from __future__ import annotations

import argparse
import json
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numconv

from .. import memory
from .terminal import Column, Table

EXAMPLES = """examples:
  python -m numconv info --kernels
  python -m numconv info --json"""
PACKAGES = ("numpy", "numba", "llvmlite", "scipy", "numba-cuda", "torch", "onnx", "dask", "cupy-cuda13x", "cupy-cuda12x", "matplotlib")
FEATURES = ("avx512f", "avx512bw", "avx512vnni", "avx512bf16", "avx2", "fma", "f16c", "neon", "sve")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object, for programs")
    parser.add_argument("--kernels", action="store_true", help="list the kernels of both devices too")


def run(options: argparse.Namespace) -> int:
    if options.json:
        found: dict[str, Any] = {**facts()}
        if options.kernels:
            found["kernels"] = {device: kernels(device).splitlines()[1:] for device in ("cpu", "cuda")}
        print(json.dumps(found, ensure_ascii=False, indent=1))
        return 0
    with Table([Column("", 12), Column("")]) as table:
        for label, text in facts().items():
            table.row([label, text])
    if options.kernels:
        print()
        for device in ("cpu", "cuda"):
            print(kernels(device))
    return 0


def facts() -> dict[str, str]:
    """Label → text, in the order shown."""
    import numba

    from ..cpu.machine import detect
    from ..cpu.runtime import workspace
    from ..cpu.runtime.cache import folder, why_not

    machine = detect()
    found = [name for name in FEATURES if name in machine.features]
    return {
        "numconv": f"{numconv.__version__} ({Path(numconv.__file__).parent})",
        "python": f"{platform.python_version()} on {platform.platform()}",
        "packages": ", ".join(f"{name} {v}" for name in PACKAGES if (v := _version(name))),
        "processor": f"{os.cpu_count()} cores, {machine.registers} registers of {8 * machine.vector_bytes} bits, "
        f"L1 {machine.l1 >> 10} KiB, L2 {machine.l2 >> 10} KiB",
        "features": ", ".join(found) or "none of " + ", ".join(FEATURES),
        "threads": f"{numba.get_num_threads()} of {numba.config.NUMBA_NUM_THREADS} (numba.set_num_threads)",
        "gpu": gpu(),
        "cache": cache(folder(), why_not()),
        "kept": f"plans {_mib(memory.held())} of {_mib(memory.LIMIT)} MiB, scratch {_mib(workspace.held())} of {_mib(workspace.LIMIT)} MiB",
    }


def _mib(size: int) -> str:
    return f"{size / 2**20:.3g}"


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def gpu() -> str:
    """The first card, or why there is none."""
    if _version("numba-cuda") is None:
        return "none: the extra is not installed (pip install 'numconv-kernels[cuda]')"
    try:
        from numba import cuda

        if not cuda.is_available():
            return "none: no CUDA driver or no card found"
        card = cuda.get_current_device()
        name = card.name.decode() if isinstance(card.name, bytes) else str(card.name)
        return f"{name}, compute capability {'.'.join(map(str, card.compute_capability))}"
    except Exception as error:  # any fault of a driver is a line of this report, not its end
        return f"none: {type(error).__name__}: {error}"


def cache(path: Path | None, why_not: str) -> str:
    """Where compiled kernels are kept, how many there are and what they take."""
    if path is None:
        return f"none: {why_not}"
    files = [f for f in path.rglob("*.kernel") if f.is_file()]
    return f"{path}: {len(files)} compiled kernels, {sum(f.stat().st_size for f in files) / 2**20:.1f} MiB"


def kernels(device: str) -> str:
    """The rows of a device's table."""
    from .. import devices

    try:
        rows = devices.device(device).table()
    except ImportError as error:
        return f"{device}: {error}"
    width = max(len(row.name) for row in rows)
    return "\n".join([f"{device}:", *(f"  {row.name:<{width}}  {'/'.join(sorted(row.directions)):<10}  {row.summary}" for row in rows)])
