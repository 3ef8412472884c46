"""The sections of the demo: each shows one section of the survey on the photograph x (3, H, W)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import numconv as nc

Array = np.ndarray[Any, Any]

SOBEL = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], "float32")
LAPLACE = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]], "float32")
EMBOSS = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]], "float32")
LUMA = np.array([[0.299, 0.587, 0.114]], "float32")


def grey(x: Array) -> Array:
    return np.ascontiguousarray(np.tensordot(LUMA, x, 1).astype("float32"))


def correlation(stage: Any, x: Array) -> None:
    g = grey(x)[0]
    slid, flipped = (stage.call(f, g, EMBOSS, mode="same") for f in (nc.correlate, nc.convolve))
    same = nc.correlate(g, LAPLACE) - nc.convolve(g, LAPLACE)
    stage.say(
        f"flipping changes the emboss filter's result by up to {np.abs(slid - flipped).max():.2f}, "
        f"the symmetric Laplacian's by {np.abs(same).max():.0f}"
    )
    stage.save("01-correlation-convolution", photograph=x, cross_correlation=slid, convolution_flipped=flipped)


def multichannel(stage: Any, x: Array) -> None:
    w = np.zeros((4, 3, 3, 3), "float32")
    w[0], w[1], w[2] = SOBEL / 3, SOBEL.T / 3, LAPLACE / 3
    w[3, 0], w[3, 1] = 1 / 9, -1 / 9  # red against green
    y = stage.call(nc.conv2d, x, w, padding=1)
    stage.save("02-conv2d", photograph=x, Sobel_x=y[0], Sobel_y=y[1], Laplacian=y[2], red_against_green=y[3])


def volume(stage: Any, x: Array) -> None:
    """A clip of 16 frames: the photograph panned by two pixels a frame; the filters smooth in time and differentiate in time."""
    g = grey(x)[:, ::2, ::2]
    frames = np.stack([np.roll(g[0], 2 * t, axis=1) for t in range(16)])[None]
    w = np.zeros((2, 1, 3, 3, 3), "float32")
    w[0] = 1 / 27
    w[1, 0, 0], w[1, 0, 2] = -1 / 9, 1 / 9
    y = stage.call(nc.conv3d, frames, w, padding=1)
    stage.save("03-conv3d", frame=frames[0, 8], smoothed_in_space_and_time=y[0, 8], change_in_time=y[1, 8])


def pointwise(stage: Any, x: Array) -> None:
    luma = stage.call(nc.pointwise_conv2d, x, LUMA)
    sepia = np.array([[0.39, 0.77, 0.19], [0.35, 0.69, 0.17], [0.27, 0.53, 0.13]], "float32")
    brown = stage.call(nc.pointwise_conv2d, x, sepia, activation="relu")
    stage.save("04-pointwise", photograph=x, three_channels_to_one=luma, three_to_three=brown)


def arithmetic(stage: Any, x: Array) -> None:
    held = sum(r.holds() for r in nc.arithmetic.relationships())
    stage.say(f"{held} of {len(nc.arithmetic.relationships())} relationships of Dumoulin & Visin hold for all sizes up to 9")
    size = nc.arithmetic.conv_output_shape(x.shape[1:], 3, 2, 1)
    y = stage.call(nc.conv2d, x, np.full((3, 1, 3, 3), 1 / 9, "float32"), stride=2, padding=1, groups=3)
    stage.say(f"stride 2, padding 1: {x.shape[1:]} → {size} by the formula, {y.shape[1:]} by the call; {size} comes from "
              f"{' or '.join(map(str, nc.arithmetic.input_sizes(size[0], 3, 2, 1)))} rows")  # fmt: skip
    stage.figure("05-arithmetic", stage.plot.operation(5, 3, 2, 1, step=4))


def transposed(stage: Any, x: Array) -> None:
    small = np.ascontiguousarray(x[:, ::2, ::2])
    eye = np.eye(3, dtype="float32")[:, :, None, None]
    box = lambda k: np.ascontiguousarray(eye * np.full((k, k), 4 / k**2, "float32"))  # noqa: E731
    uneven = stage.call(nc.conv_transpose2d, small, box(3), None, 2, 1, 1)
    even = stage.call(nc.conv_transpose2d, small, box(4), None, 2, 1)
    resized = stage.call(nc.resize_conv2d, small, box(3) / 4, scale=2)
    scores = [nc.checkerboard.score(a[1], 2) for a in (uneven, even, resized)]
    stage.say("share of the variance with period 2: kernel 3 {:.4f}, kernel 4 {:.6f}, resize + convolution {:.6f}".format(*scores))
    top, left = (max(0, n // 2 - 32) for n in x.shape[1:])
    crop = (slice(None), slice(top, top + 64), slice(left, left + 64))
    stage.save(
        "06-transposed", small=small, kernel_3_stride_2=uneven[crop], kernel_4_stride_2=even[crop], resize_then_convolve=resized[crop]
    )
    stage.figure("06-overlap", stage.plot.overlap_map((6, 6), 3, 2))
    stage.figure("06-grid", stage.plot.operation(3, 3, 2, transposed=True, step=4))


def dilated(stage: Any, x: Array) -> None:
    g = grey(x)
    shown: dict[str, Array] = {}
    for gap in (1, 2, 4):
        shown[f"dilation_{gap}"] = stage.call(nc.dilated_conv2d, g, LAPLACE[None, None], dilation=gap)
    sees = nc.arithmetic.receptive_field([{"kernel": 3, "dilation": d} for d in (1, 2, 4)])
    stage.say(f"stacked, these see {', '.join(f'{f.size}×{f.size}' for f in sees.layers)} pixels with 9 parameters each")
    stage.save("07-dilated", photograph=g, **shown)
    stage.figure("07-receptive-field", stage.plot.receptive_field([{"kernel": 3, "dilation": d} for d in (1, 2, 4)]))


def separable(stage: Any, x: Array) -> None:
    column, row, error = nc.separability.separate(SOBEL)
    two = stage.call(nc.spatially_separable_conv2d, grey(x), column[0].astype("float32"), row[0].astype("float32"), padding=1)
    one = nc.conv2d(grey(x), SOBEL[None, None], padding=1)
    stage.say(f"Sobel as column × row (error {error:.0e}) differs from the 3×3 filter by {np.abs(two - one).max():.1e} at most")
    blur = np.full((3, 1, 7, 7), 1 / 49, "float32")
    mixed = stage.call(nc.depthwise_separable_conv2d, x, blur, np.array([[1, 0, 0], [0.5, 0.5, 0], [0, 0, 1]], "float32"), padding=3)
    alone = stage.call(nc.depthwise_conv2d, x, blur, padding=3)
    full, split = nc.cost(nc.conv2d, (3, 7, 7), (128, 3, 3, 3)), nc.cost(nc.depthwise_separable_conv2d, (3, 7, 7), (3, 1, 3, 3), (128, 3))
    stage.say(f"7×7×3 → 5×5×128: {full.multiplications:,} multiplications, depthwise separable {split.multiplications:,}")
    stage.save("08-separable", photograph=x, Sobel_column_then_row=two, depthwise_blur=alone, depthwise_then_1x1=mixed)


def flattened(stage: Any, x: Array) -> None:
    smooth, slope = np.array([[1, 2, 1]], "float32") / 4, np.array([[1, 0, -1]], "float32")
    y = stage.call(nc.flattened_conv2d, x, LUMA, smooth, slope, padding=1)
    whole = np.einsum("fc,fa,fb->fcab", LUMA, smooth, slope)
    stage.say(
        f"3 + 3 + 3 parameters for 27, differs from the whole filter by {np.abs(y - nc.conv2d(x, whole, padding=1)).max():.1e} at most"
    )
    stage.save("09-flattened", photograph=x, three_1D_filters=y)


def six(x: Array) -> Array:
    """Six channels: the photograph and its blur."""
    return np.concatenate([x, nc.depthwise_conv2d(x, np.full((3, 1, 9, 9), 1 / 81, "float32"), padding=4)])


def grouped(stage: Any, x: Array) -> None:
    w = np.zeros((6, 3, 3, 3), "float32")
    w[[0, 1, 2], [0, 1, 2], 1, 1] = 1  # first group: the photograph as it is
    w[[3, 4, 5], [0, 1, 2]] = SOBEL  # second: edges of its blur
    y = stage.call(nc.grouped_conv2d, six(x), w, padding=1)
    stage.save("10-grouped", first_group=y[:3], second_group=y[3:] + 0.5)
    stage.figure("10-channels", stage.plot.channels(6, 6, 2))


def shuffled(stage: Any, x: Array) -> None:
    w = np.zeros((6, 2, 3, 3), "float32")
    w[:, 0, 1, 1] = 1
    y = stage.call(nc.shuffled_grouped_conv2d, six(x), w, None, 3, padding=1)
    again = stage.call(nc.channel_shuffle, nc.grouped_conv2d(six(x)[None], w, None, 3, padding=1), 3)[0]
    stage.say(f"one kernel equals two steps: {np.array_equal(y, again)}")
    stage.save("11-shuffled", first_three=y[:3], last_three=y[3:])
    stage.figure("11-channels", stage.plot.channels(6, 6, 3, shuffle=True))


def pointwise_grouped(stage: Any, x: Array) -> None:
    mix = np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0]] * 2, "float32")
    y = stage.call(nc.pointwise_grouped_conv2d, six(x), mix)
    stage.save("12-pointwise-grouped", photograph=x, colours_turned=y[:3], and_of_the_blur=y[3:])


def dynamic(stage: Any, x: Array) -> None:
    rng = np.random.default_rng(0)
    batch = np.stack([x, x[:, ::-1] * 0.3, 1 - x])
    fc1, fc2 = rng.standard_normal((8, 3)).astype("float32"), rng.standard_normal((3, 8)).astype("float32")
    attention = stage.call(nc.dynamic_attention, batch, fc1, fc2)
    eye = np.eye(3, dtype="float32")[:, :, None, None]
    kernels = np.stack([eye * k for k in (np.eye(3)[1][:, None] * np.eye(3)[1], np.full((3, 3), 1 / 9), LAPLACE)]).astype("float32")
    y = stage.call(nc.dynamic_conv2d, batch, kernels, attention, padding=1)
    stage.say("attention over (identity, blur, Laplacian): " + "; ".join(" ".join(f"{a:.2f}" for a in row) for row in attention))
    height, width = x.shape[1:]
    rows, columns = np.mgrid[:height, :width].astype("float32")
    wave = np.stack([6 * np.sin(columns / 20), 6 * np.sin(rows / 20)])[None]
    bent = stage.call(nc.deform_conv2d, x[None], wave, eye)
    stage.save("13-dynamic", plain=y[0], dark_and_upside_down=y[1], negative=y[2], deformable=bent[0])


SECTIONS: tuple[tuple[int, str, Callable[[Any, Array], None]], ...] = (
    (1, "convolution and cross-correlation", correlation),
    (2, "2-D convolution, many channels", multichannel),
    (3, "3-D convolution", volume),
    (4, "1×1 convolution", pointwise),
    (5, "convolution arithmetic", arithmetic),
    (6, "transposed convolution, checkerboards, resize", transposed),
    (7, "dilated convolution", dilated),
    (8, "separable convolutions", separable),
    (9, "flattened convolution", flattened),
    (10, "grouped convolution", grouped),
    (11, "shuffled grouped convolution", shuffled),
    (12, "pointwise grouped convolution", pointwise_grouped),
    (13, "dynamic and deformable convolution", dynamic),
)
