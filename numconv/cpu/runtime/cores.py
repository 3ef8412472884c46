"""How many cores this process may use: its affinity, and its share of them where a container has one."""

from __future__ import annotations

import os
from math import ceil, inf
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


def _share(folder: Path) -> float:
    """Cores that Linux's scheduler grants the processes of a control group, by version 2 (cpu.max) or 1; inf: all."""
    try:
        quota, period = (folder / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota, period = ((folder / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period"))
        except OSError:
            return inf
    return int(quota) / int(period) if quota.isdecimal() and int(period) else inf


def _granted(root: Path, memberships: Path) -> float:
    """The least share of the groups that this process is in, those above them included."""
    try:
        lines = memberships.read_text().splitlines()
    except OSError:
        return inf
    least = inf
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = root / "cpu" if controllers else root
        below = top / path.lstrip("/")  # in a container it may be named as the host names it, and lie at the top
        least = min(least, *(_share(folder) for folder in (below, *below.parents) if folder == top or top in folder.parents))
    return least


def usable_cores(root: Path = CGROUPS, memberships: Path = Path("/proc/self/cgroup")) -> int:
    """At least one."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    granted = _granted(root, memberships)
    return max(1, min(allowed, ceil(granted))) if granted < inf else allowed
