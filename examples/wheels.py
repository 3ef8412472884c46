"""Networks that come in other people's wheels."""

from __future__ import annotations

import importlib.util
from pathlib import Path


def folder(wheel: str) -> Path:
    """Where a wheel is installed; it is not imported, since that may need more than the files in it."""
    found = importlib.util.find_spec(wheel)
    if found is None or found.origin is None:
        raise SystemExit(f"needs the model of a wheel: pip install --no-deps {wheel.replace('_', '-')}")
    return Path(found.origin).parent
