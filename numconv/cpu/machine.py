"""This machine, as the plans see it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from ..kernel import Machine
from .runtime.cores import usable_cores

#: cores that start one multiply-add of their widest vectors in a cycle, not two
HALF_RATE = frozenset({"znver4", "cannonlake", "icelake-client", "tigerlake", "rocketlake"})


def _cache_bytes(index: int, fallback: int) -> int:
    """Of cpu0, from Linux's /sys: index 0 is the L1 data cache, 2 the L2."""
    try:
        text = Path(f"/sys/devices/system/cpu/cpu0/cache/index{index}/size").read_text().strip()
        return int(text[:-1]) << {"K": 10, "M": 20}[text[-1]]
    except (OSError, ValueError, KeyError):
        return fallback


@cache
def detect() -> Machine:
    """Vector width and registers from what LLVM says of the host, caches from the system."""
    import llvmlite.binding as llvm

    features, name = dict(llvm.get_host_cpu_features()), llvm.get_host_cpu_name()
    triple = llvm.get_default_triple()
    if features.get("avx512f"):
        width, registers = 64, 32
    elif features.get("avx2") and features.get("fma"):
        width, registers = 32, 16
    elif triple.startswith(("aarch64", "arm64")):
        width, registers = 16, 32
    else:
        width, registers = 16, 16
    rate = 1 if name in HALF_RATE or not (features.get("fma") or registers == 32) else 2
    return Machine(
        name="cpu",
        vector_bytes=width,
        registers=registers,
        multiply_adds=rate,
        cores=usable_cores(),
        l1=_cache_bytes(0, 32 << 10),
        l2=_cache_bytes(2, 512 << 10),
        flops=3e9 * 2 * width / 4 * rate,
        bandwidth=1e10,
        features=frozenset(k for k, v in features.items() if v),
    )
