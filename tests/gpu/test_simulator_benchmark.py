"""benchmarks/gpu.py from end to end in the simulator: the code that is to run on the first GPU, on shapes that take seconds here."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))
import gpu  # noqa: E402
import gpu_checks  # noqa: E402
import layers as named  # noqa: E402


def layer(
    kind: str, channels: int, filters: int, inputs: list[int], kernel: list[int], groups: int = 1, transposed: bool = False
) -> dict[str, Any]:
    ones, rank = [1] * len(kernel), len(kernel)
    outputs = [i + k - 1 if transposed else i - k + 1 for i, k in zip(inputs, kernel, strict=True)]
    macs = channels // groups * filters * int(np.prod(kernel)) * int(np.prod(inputs if transposed else outputs))
    return {
        "name": kind, "kind": kind, "n": 1, "ic": channels, "oc": filters, "groups": groups, "in": inputs, "k": kernel, "stride": ones,
        "pad": [[0, 0]] * rank, "dilation": ones, "output_padding": [0] * rank, "out": outputs, "transposed": transposed, "macs_per_image": macs,
    }  # fmt: skip


LAYERS = [
    layer("3x3 s1", 2, 3, [4, 5], [3, 3]), layer("depthwise", 2, 2, [4, 4], [3, 3], 2), layer("transposed", 2, 2, [2, 3], [2, 2], transposed=True),
]  # fmt: skip


def test_it_runs_and_finds_everything_right(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "layers.json").write_text(json.dumps(LAYERS))
    out = tmp_path / "gpu.json"
    assert gpu.main(["--small", "--layers", str(tmp_path / "layers.json"), "--out", str(out)]) == 0, capsys.readouterr().out
    found = json.loads(out.read_text())
    assert found["card"]["simulated"] is True
    assert {"float32", "tf32", "float16"} <= set(found["card"]["flops"])
    rows = {check["row"] for check in found["checks"]}
    assert {"implicit_gemm", "tensor_core", "tensor_core_tf32", "direct", "gather", "variant"} <= rows
    assert all(check["ok"] for check in found["checks"])
    assert found["checks_missed"] == found["layers_missed"] == 0
    for row in found["layers"]:
        for kind in ("float32", "tf32", "float16"):
            assert row[kind]["right"] is True
            assert row[kind]["seconds"] > 0
            assert row[kind]["roof_seconds"] > 0
    assert len(found["signals"]) == 2
    assert all(row["right"] for row in found["signals"])


def test_what_there_is_no_time_for_is_counted(tmp_path: Path) -> None:
    (tmp_path / "layers.json").write_text(json.dumps(LAYERS))
    out = tmp_path / "gpu.json"
    gpu.main(["--small", "--minutes", "0", "--layers", str(tmp_path / "layers.json"), "--out", str(out)])
    found = json.loads(out.read_text())
    assert (found["checks"], found["layers"], found["signals"]) == ([], [], [])
    assert found["checks_missed"] > 5
    assert (found["layers_missed"], found["signals_missed"]) == (3, 2)


def test_a_wrong_channel_is_seen() -> None:
    one = named.Layer(0, "", "", 1, 4, 6, 2, (5, 5), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), (0, 0), (5, 5), False, 1)
    arrays = one.arrays()
    x, w, bias = (a.astype(np.float64) for a in arrays)
    result = gpu_checks.reference.conv(x, w, bias, 1, 1, 1, 2)
    error, bound = gpu_checks.channel_error(one, arrays, result, 5)
    assert error <= 1e-12 * bound
    result[0, 5, 2, 2] += 1e-3
    error, bound = gpu_checks.channel_error(one, arrays, result, 5)
    assert error > 2.0**-22 * bound


def test_a_run_that_is_cut_off_has_some_of_every_kind() -> None:
    first = gpu.in_turn(named.load())
    assert len({one.kind for one in first[:11]}) == 11
    assert len(first) == len(named.load())
