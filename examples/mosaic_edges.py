"""The edges of a mosaic that need not fit into memory, made of a photograph, and a picture of its whole at a small size.

    pip install 'numconv-kernels[dask,plot]'
    python examples/mosaic_edges.py [--out DIR] [--side 20000]

A lazy mosaic of `side`² pixels; Sobel's filter along both axes, the length of the gradient, and its mean over blocks, chunk by chunk: no
more than some chunks are in memory at any time.  The photograph is matplotlib's sample picture of Grace Hopper (public domain).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import dask.array as da
import matplotlib.cbook
import matplotlib.image
import numpy as np

import numconv as nc

CHUNK = 2000  # pixels of a side: 16 MB


def photograph() -> Any:
    """Grey, 0 … 1."""
    pixels = matplotlib.image.imread(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))
    return (pixels.astype("f4").mean(2) / 255)[:500, :500]


def mosaic(side: int) -> Any:
    """Mirrored copies of the photograph, as lazy as the rest."""
    tile = photograph()
    tile = np.block([[tile, tile[:, ::-1]], [tile[::-1], tile[::-1, ::-1]]])
    chunk = min(CHUNK, side)

    def piece(block_info: Any = None) -> Any:
        (top, bottom), (left, right) = block_info[None]["array-location"]
        return tile[np.arange(top, bottom)[:, None] % tile.shape[0], np.arange(left, right) % tile.shape[1]]

    chunks = [(chunk,) * (side // chunk) + ((side % chunk,) if side % chunk else ())] * 2
    return da.map_blocks(piece, chunks=chunks, dtype="f4", meta=np.empty((0, 0), "f4"))


def edges(image: Any) -> Any:
    across, along = nc.ndimage.sobel(image, axis=0), nc.ndimage.sobel(image, axis=1)
    return np.sqrt(across**2 + along**2)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("numconv-mosaic"))
    parser.add_argument("--side", type=int, default=20_000)
    options = parser.parse_args(argv)
    options.out.mkdir(exist_ok=True)
    image = mosaic(options.side)
    block = max(1, options.side // 500)
    found = edges(image)
    small = da.coarsen(np.mean, found, {0: block, 1: block}, trim_excess=True)
    print(f"mosaic {image.shape}, {image.nbytes / 1e9:.2f} GB in {image.npartitions} chunks, {len(small.__dask_graph__())} tasks")
    overview, corner = da.compute(small, found[:500, :500])
    pictures = {
        "a corner of the mosaic": np.asarray(image[:500, :500]),
        "its edges": corner,
        f"all edges, means of {block}×{block}": overview,
    }
    nc.plot.images(pictures, columns=3).savefig(options.out / "edges.png", dpi=90)
    print(options.out / "edges.png")


if __name__ == "__main__":
    main()
