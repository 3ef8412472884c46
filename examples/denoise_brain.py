"""A brain volume denoised chunk by chunk, and from file to file under a limit of memory; a picture of a slice.

    pip install 'numconv-kernels[dask,plot]' nilearn
    python examples/denoise_brain.py [--out DIR] [--smaller 1]

The volume is MNI152 (ICBM 2009a, 197×233×189 voxels at 1 mm), which nilearn's wheel carries; noise is added to it.
"""

from __future__ import annotations

import argparse
from importlib.resources import files
from pathlib import Path
from typing import Any

import dask.array as da
import nibabel
import numpy as np

import numconv as nc

SIGMA = 1.2  # voxels
NAME = "mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"


def brain(smaller: int) -> Any:
    """float32 in 0 … 1, every so many voxels."""
    found = np.asarray(nibabel.load(str(files("nilearn.datasets") / "data" / NAME)).dataobj, "f4")  # type: ignore[attr-defined]
    return np.ascontiguousarray(found[::smaller, ::smaller, ::smaller] / found.max())


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("numconv-brain"))
    parser.add_argument("--smaller", type=int, default=1, help="take every so many voxels only")
    options = parser.parse_args(argv)
    options.out.mkdir(exist_ok=True)
    clean = brain(options.smaller)
    noisy = clean + np.random.default_rng(0).normal(0, 0.1, clean.shape).astype("f4")

    chunked = da.from_array(noisy, chunks=64)
    denoised = nc.ndimage.gaussian_filter(chunked, SIGMA)
    print(f"volume {clean.shape} in {chunked.npartitions} chunks, {len(denoised.__dask_graph__())} tasks")
    smooth = denoised.compute()

    np.save(options.out / "noisy.npy", noisy)
    limit = max(noisy.nbytes * 2 // 3, 4_000_000)
    stored = nc.out_of_core(
        nc.ndimage.gaussian_filter, np.load(options.out / "noisy.npy", mmap_mode="r"), SIGMA,
        target=options.out / "smooth.npy", memory_limit=limit, progress=False,
    )  # fmt: skip
    assert np.array_equal(stored, smooth), "by chunks and from file to file: the same bits"

    inside = clean > 0.1
    for name, volume in (("noisy", noisy), ("denoised", smooth)):
        print(f"{name}: root mean square error {np.sqrt(np.mean((volume - clean)[inside] ** 2)):.4f}")
    middle = clean.shape[2] // 2
    pictures = {"as it was": clean, "with noise": noisy, f"Gaussian, sigma {SIGMA}": smooth}
    figure = nc.plot.images({name: np.rot90(volume[:, :, middle]) for name, volume in pictures.items()}, columns=3)
    figure.savefig(options.out / "brain.png", dpi=90)
    print(options.out / "brain.png")


if __name__ == "__main__":
    main()
