"""The benchmarks' own modules are imported by name; threads as asked with --threads."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))


def pytest_addoption(parser: Any) -> None:
    parser.addoption("--threads", type=int, default=0, help="threads of every library (default: all)")
    parser.addoption("--every", type=int, default=6, help="every n-th named layer")


@pytest.fixture(autouse=True, scope="session")
def threads(request: Any) -> int:
    import numba

    count = request.config.getoption("--threads") or numba.config.NUMBA_NUM_THREADS
    numba.set_num_threads(min(count, numba.config.NUMBA_NUM_THREADS))
    return int(count)


def pytest_generate_tests(metafunc: Any) -> None:
    if "layer" in metafunc.fixturenames:
        import layers

        found = layers.load()[:: metafunc.config.getoption("--every")]
        metafunc.parametrize("layer", found, ids=[f"{row.kind}: {row.shape}" for row in found])


def pytest_benchmark_update_machine_info(config: Any, machine_info: dict[str, Any]) -> None:
    import machine

    machine_info["numconv"] = machine.describe(config.getoption("--threads") or machine.os.cpu_count() or 1)


def pytest_benchmark_update_json(output_json: dict[str, Any]) -> None:
    """What report.py reads: a committed result is small, and says nothing of whose machine it was."""
    output_json["machine_info"] = {"numconv": output_json["machine_info"]["numconv"]}
    output_json.pop("commit_info")
    output_json["benchmarks"] = [
        {"name": b["name"], "extra_info": b["extra_info"], "stats": {k: b["stats"][k] for k in ("min", "median", "iqr", "rounds")}}
        for b in output_json["benchmarks"]
    ]
