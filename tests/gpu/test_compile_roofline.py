"""The committed roofline is the model's of today, and the plan takes what it says is quickest."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))
import cuda_roofline  # noqa: E402

FOUND = cuda_roofline.model()


def test_the_committed_table_is_current() -> None:
    assert json.loads(cuda_roofline.RESULT.read_text()) == json.loads(json.dumps(FOUND)), (
        "python benchmarks/cuda_roofline.py, then report.py"
    )


@pytest.mark.parametrize("column", cuda_roofline.COLUMNS)
def test_the_plan_picks_the_least_predicted_time(column: str) -> None:
    for row in FOUND["layers"]:
        one = row[column]
        assert one["kernel"] == next(iter(one["microseconds"]))
        assert one["microseconds"][one["kernel"]] == min(one["microseconds"].values())
        assert 0 < one["share_of_roof"] <= 1, f"{row['shape']}: quicker than the card"


def test_no_prediction_makes_fewer_products_or_moves_fewer_bytes_than_the_layer() -> None:
    for row in FOUND["layers"]:
        for column in cuda_roofline.COLUMNS:
            one: dict[str, Any] = row[column]
            if "tile" in one:
                assert one["mflop"] >= 0.999 * row["mflop"]
                assert one["megabytes"] >= 0.999 * row["bytes_float32"] / (2e6 if column.endswith("float16") else 1e6)


def test_tensor_cores_are_taken_where_they_are_meant_for_only() -> None:
    """Large layers, and float32 only as tf32."""
    for row in FOUND["layers"]:
        for column in ("float32", "weights float32"):
            assert not row[column]["kernel"].startswith("tensor_core")
        if row["mflop"] > 1000 and row["kind"] != "depthwise":
            assert row["float16"]["kernel"] == "tensor_core"
