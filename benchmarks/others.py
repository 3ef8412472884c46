"""Against the image and signal libraries: SciPy, and OpenCV where it is installed.

    python benchmarks/others.py --out benchmarks/results/others.json

One channel, float32, `mode="same"` with zeros around (OpenCV: BORDER_CONSTANT).  Every result is compared before its time is reported;
calls alternate as in peers.py.  Each library uses the threads that it takes by itself; SciPy uses one.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import layers  # noqa: F401  (puts the checkout on the path)
import machine
import numpy as np
from peers import contest

Case = tuple[str, str, Callable[[], Any], Callable[[], Any]]


def cases() -> Iterator[Case]:
    """(what, peer, theirs, ours)."""
    import scipy.ndimage
    import scipy.signal

    import numconv as nc

    rng = np.random.default_rng(0)
    try:
        import cv2
    except ImportError:
        cv2 = None  # type: ignore[assignment]
    image = rng.standard_normal((1024, 1024)).astype(np.float32)
    for size in (3, 5, 9, 15, 31):
        kernel = rng.standard_normal((size, size)).astype(np.float32)
        ours = _correlate(nc, image, kernel)
        what = f"image 1024×1024, {size}×{size}"
        yield what, "scipy.signal.correlate", _bound(scipy.signal.correlate, image, kernel, mode="same"), ours
        yield what, "scipy.ndimage.correlate", _bound(scipy.ndimage.correlate, image, kernel, mode="constant"), ours
        if cv2 is not None:
            yield what, "cv2.filter2D", _bound(cv2.filter2D, image, -1, kernel, borderType=cv2.BORDER_CONSTANT), ours
    signal = rng.standard_normal(1 << 20).astype(np.float32)
    for size in (5, 33, 257, 2049):
        kernel = rng.standard_normal(size).astype(np.float32)
        ours = _correlate(nc, signal, kernel)
        yield f"signal 2^20, {size}", "scipy.signal.correlate", _bound(scipy.signal.correlate, signal, kernel, mode="same"), ours
    volume = rng.standard_normal((96, 96, 96)).astype(np.float32)
    for size in (3, 7):
        kernel = rng.standard_normal((size,) * 3).astype(np.float32)
        ours = _correlate(nc, volume, kernel)
        yield f"volume 96³, {size}³", "scipy.signal.correlate", _bound(scipy.signal.correlate, volume, kernel, mode="same"), ours


def _bound(function: Any, *arrays: Any, **options: Any) -> Callable[[], Any]:
    return lambda: function(*arrays, **options)


def _correlate(nc: Any, array: Any, kernel: Any) -> Callable[[], Any]:
    return lambda: nc.correlate(array, kernel, mode="same")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=0.6)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    header = machine.describe(2)
    rows = []
    for what, peer, theirs, ours in cases():
        a, b = theirs(), ours()
        assert np.abs(a - b).max() <= 1e-4 * np.abs(a).max(), (what, peer)
        times = contest(theirs, ours, options.seconds)
        row = {
            "what": what,
            "peer": peer,
            "peer_ms": 1e3 * min(times[0]),
            "ours_ms": 1e3 * min(times[1]),
            "ratio": min(times[0]) / min(times[1]),
        }
        rows.append(row)
        print(f"{what:<28} {peer:<26} {row['peer_ms']:>10.3f} ours {row['ours_ms']:>9.3f} ratio {row['ratio']:>7.2f}", flush=True)
    if options.out:
        options.out.write_text(json.dumps({"what": "others", **header, "rows": rows}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
