"""nc.plot: what the pictures say is what happens, in both sets of colours, in every format."""

from __future__ import annotations

import io
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference

import numconv as nc
from numconv.cpu.boxes import boxes_of
from numconv.watching import trace

pytest.importorskip("matplotlib", reason="needs the extra `plot`")
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from numconv.plot.scene import Scene
from numconv.plot.style import DARK, LIGHT, Palette
from numconv.plot.work import MOST_FRAMES

Array = np.ndarray[Any, Any]


def integers(*shape: int) -> Array:
    return np.random.default_rng(0).integers(-4, 5, shape).astype("float32")


def scene_of(function: Callable[..., Any], *arguments: Any, inserted: bool = False, **options: Any) -> Scene:
    with trace() as steps:
        function(*arguments, **options)
    return Scene(steps[0].problem, inserted)  # type: ignore[arg-type]


#: function, x, w, options; all without padding modes, since the sums below take what is outside for zero
CALLS = [
    (nc.conv2d, (1, 5, 6), (1, 1, 3, 2), {"stride": (2, 1), "padding": ((1, 0), (2, 1)), "dilation": (1, 2)}),
    (nc.conv1d, (4, 9), (6, 2, 3), {"groups": 2, "dilation": 2, "padding": 2}),
    (nc.conv3d, (2, 3, 4, 5), (2, 2, 2, 3, 3), {"padding": (0, 1, 1), "stride": (1, 2, 1)}),
    (nc.shuffled_grouped_conv2d, (6, 4, 4), (9, 2, 3, 3), {"groups": 3, "padding": 1}),
    (nc.depthwise_conv2d, (3, 4, 4), (6, 1, 2, 2), {}),
    (nc.conv_transpose2d, (1, 3, 4), (1, 1, 3, 2), {"stride": 2, "padding": 1, "output_padding": 1}),
    (nc.conv_transpose1d, (4, 5), (4, 3, 4), {"stride": 3, "groups": 2, "dilation": 2, "padding": 1}),
    (nc.conv_transpose3d, (2, 2, 3, 2), (2, 1, 2, 2, 3), {"stride": (1, 2, 2)}),
]


def summed(scene: Scene, x: Array, w: Array) -> Array:
    """The result by following the scene: each cell that is read, times the weight of its tap, into the cell that is written."""
    y = np.zeros((scene.target_channels, *scene.target))
    per_source, per_target = (c // scene.problem.groups for c in (scene.source_channels, scene.target_channels))
    for step in range(scene.steps):
        moment = scene.moment(step)
        if scene.stamps:
            ((channel, position),) = moment.read
            taps = len(list(product(*map(range, scene.problem.kernel))))
            for i, (target, place) in enumerate(moment.written):
                if all(0 <= p < n for p, n in zip(place, scene.target, strict=True)):
                    tap = np.unravel_index(i % taps, scene.problem.kernel)
                    y[(target, *place)] += x[(channel, *position)] * w[(channel, target % per_target, *tap)]
            continue
        ((target, place),) = moment.written
        for (channel, position), tap in moment.read.items():
            element = scene.element(position)
            if element is not None:
                made = scene.unshuffled(target)
                index = (channel, made % per_target) if scene.transposed else (made, channel % per_source)
                y[(target, *place)] += x[(channel, *element)] * w[(*index, *tap)]
    return y


@pytest.mark.parametrize("inserted", [False, True])
@pytest.mark.parametrize(("function", "x_shape", "w_shape", "options"), CALLS, ids=lambda v: getattr(v, "__name__", None))
def test_what_is_shown_is_what_is_computed(function: Any, x_shape: Any, w_shape: Any, options: dict[str, Any], inserted: bool) -> None:
    x, w = integers(*x_shape), integers(*w_shape)
    scene = scene_of(function, x, w, inserted=inserted, **options)
    np.testing.assert_array_equal(summed(scene, x, w), function(x, w, **options))
    if not scene.stamps:  # every cell that is read is drawn
        for step in range(scene.steps):
            for _, position in scene.moment(step).read:
                assert all(-low <= p < n + high for p, n, (low, high) in zip(position, scene.spread, scene.margins, strict=True))


def test_numbers_in_the_cells() -> None:
    from numconv.plot.numbers import Numbers

    x, w = integers(1, 4, 5), integers(1, 1, 3, 3)
    for mode in ("zeros", "reflect", "replicate", "circular", "symmetric"):
        options = {"padding": ((2, 1), (1, 2)), "padding_mode": mode}
        numbers = Numbers(scene_of(nc.conv2d, x, w, **options), lambda a, o=options: nc.conv2d(a, w, **o), x, w)
        padded = reference.pad_spatial(x[None], ((2, 1), (1, 2)), mode)[0, 0]
        assert [[float(numbers.source((0, (i - 2, j - 1)))) for j in range(8)] for i in range(7)] == padded.tolist()
        assert float(numbers.target((0, (1, 2)))) == float(f"{nc.conv2d(x, w, **options)[0, 1, 2]:.2g}")
    stamped = Numbers(scene_of(nc.conv_transpose2d, x, w, stride=2), lambda a: nc.conv_transpose2d(a, w, stride=2), x, w)
    np.testing.assert_array_equal(stamped.so_far(19), nc.conv_transpose2d(x, w, stride=2))
    np.testing.assert_array_equal(stamped.so_far(0)[0, :3, :3], x[0, 0, 0] * w[0, 0])


def figures(dark: bool) -> list[Figure]:
    layers = [{"kernel": 3, "dilation": d} for d in (1, 2, 4)]
    x, w = integers(1, 4, 4), integers(1, 1, 3, 3)
    return [
        nc.plot.operation(5, 3, 2, 1, step=4, dark=dark),
        nc.plot.operation((3, 4), (3, 2), 2, transposed=True, dark=dark),
        nc.plot.operation(3, 3, 2, 1, transposed=True, inserted=True, dark=dark),
        nc.plot.operation((7,), 3, dilation=2, dark=dark),
        nc.plot.at_work(nc.conv2d, x, w, padding=1, step=3, dark=dark),
        nc.plot.at_work(nc.conv_transpose2d, x, w, stride=2, step=3, dark=dark),
        nc.plot.at_work(nc.shuffled_grouped_conv2d, (6, 3, 3), (6, 2, 3, 3), groups=3, step=3, dark=dark),
        nc.plot.channels(6, 6, 3, shuffle=True, dark=dark),
        nc.plot.kernels(np.eye(3), dark=dark),
        nc.plot.kernels(integers(2, 1, 11, 11), titles=["one", "two"], dark=dark),
        nc.plot.factors([[1, 0, -1], [2, 0, -2], [1, 0, -1]], dark=dark),
        nc.plot.overlap_map((4, 5), 3, 2, dark=dark),
        nc.plot.overlap_map(6, 3, 2, dark=dark),
        nc.plot.phase_gain(np.outer([1, 3, 1, 3], [1, 1]), 2, dark=dark),
        nc.plot.receptive_field(layers, dark=dark),
        nc.plot.receptive_field(layers, np.zeros((30, 40)), (10, 12), dark=dark),
        nc.plot.images({"grey": np.zeros((4, 5)), "colour": np.ones((3, 4, 5))}, dark=dark),
        nc.plot.plan(nc.explain(nc.depthwise_separable_conv2d, x, w, integers(2, 1)), dark=dark),
        nc.plot.plan(nc.explain(nc.resize2d, x, scale=2), dark=dark),
    ]


@pytest.mark.parametrize(("dark", "colors"), [(False, LIGHT), (True, DARK)])
def test_pictures(dark: bool, colors: Palette) -> None:
    ground = tuple(round(255 * v) for v in to_rgb(colors.ground))
    for figure in figures(dark):
        drawn, lines = io.BytesIO(), io.StringIO()
        figure.savefig(drawn, dpi=40)
        assert Image.open(drawn).convert("RGB").getpixel((0, 0)) == ground
        figure.savefig(lines, format="svg")
        assert "</svg>" in lines.getvalue()


def luminance(color: str) -> float:
    """Relative, as the Web Content Accessibility Guidelines define it."""
    r, g, b = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in to_rgb(color))
    return float(0.2126 * r + 0.7152 * g + 0.0722 * b)


@pytest.mark.parametrize("colors", [LIGHT, DARK])
def test_text_is_legible_on_every_ground(colors: Palette) -> None:
    grounds = (colors.ground, colors.source, colors.target, colors.waiting, colors.active, *colors.groups)
    for ground in grounds:
        low, high = sorted(luminance(c) for c in (ground, colors.text))
        assert (high + 0.05) / (low + 0.05) >= 4.5, ground
    low, high = sorted(luminance(c) for c in (colors.ground, colors.edge))
    assert (high + 0.05) / (low + 0.05) >= 3  # lines


def test_nothing_is_told_by_colour_alone() -> None:
    step = nc.plot.operation(5, 3, padding=1, step=0)
    source, target = (axes.patches for axes in step.axes)
    assert sum(bool(p.get_hatch()) for p in source) == 9 and sum(bool(p.get_hatch()) for p in target) == 1
    assert sum(p.get_linestyle() == ":" for p in source) == 7 * 7 - 5 * 5
    groups = nc.plot.channels(6, 6, 3).axes[0]
    assert len({p.get_hatch() for p in groups.patches}) == 3
    assert len({str(line.get_linestyle()) for line in groups.lines}) == 3
    plan = nc.explain(nc.conv2d, np.ones((1, 3, 8, 8)), np.ones((4, 3, 3, 3)))
    bars = nc.plot.plan(plan).axes[0]
    assert sum(bool(p.get_hatch()) for p in bars.patches) == 1
    assert [t.get_text() for t in bars.texts if "chosen" in t.get_text()]


def test_animations(tmp_path: Path) -> None:
    moving = {
        "plane": (nc.plot.animate(3, 2), 4),
        "zeros": (nc.plot.animate(2, 2, 2, transposed=True, inserted=True), 16),
        "mine": (nc.plot.at_work(nc.conv_transpose1d, integers(1, 3), integers(1, 1, 2), stride=2), 3),
        "many": (nc.plot.at_work(nc.conv1d, (1, 2 * MOST_FRAMES + 1), (1, 1, 1)), MOST_FRAMES // 2 + 26),
    }
    for name, (animation, frames) in moving.items():
        if name == "many":  # every third step
            assert len(list(animation.new_frame_seq())) == 101
            animation._draw_was_started = True  # else it complains that nobody has drawn it
            continue
        path = tmp_path / f"{name}.gif"
        animation.save(path, writer="pillow", dpi=30)
        with Image.open(path) as image:
            assert image.n_frames == frames  # type: ignore[attr-defined]


PLANS = [
    (nc.conv2d, (1, 64, 56, 56), (64, 64, 3, 3), {"padding": 1}),
    (nc.conv2d, (1, 3, 112, 112), (64, 3, 7, 7), {"stride": 2, "padding": 3}),
    (nc.conv2d, (1, 3, 60, 60), (8, 3, 3, 3), {"dilation": 3, "algorithm": "direct"}),
    (nc.conv2d, (1, 96, 7, 7), (96, 96, 1, 1), {}),
    (nc.conv_transpose2d, (1, 64, 16, 16), (64, 32, 4, 4), {"stride": 2, "padding": 1}),
    (nc.conv_transpose2d, (1, 8, 16, 16), (8, 8, 4, 4), {"stride": 2, "padding": 1, "algorithm": "gather"}),
    (nc.conv1d, (1, 32, 4096), (32, 32, 3), {}),
    (nc.conv3d, (1, 16, 20, 24, 28), (16, 16, 3, 3, 3), {}),
    (nc.depthwise_conv2d, (1, 32, 40, 40), (32, 1, 3, 3), {}),
    (nc.depthwise_conv2d, (1, 40, 40, 32), (32, 1, 3, 3), {"layout": "channels_last"}),
]


@pytest.mark.parametrize(("function", "x_shape", "w_shape", "options"), PLANS, ids=lambda v: getattr(v, "__name__", None))
def test_boxes_of_a_plan_cover_the_result(function: Any, x_shape: Any, w_shape: Any, options: dict[str, Any]) -> None:
    (plan,) = nc.explain(function, integers(*x_shape), integers(*w_shape), **options).plans
    found = boxes_of(plan.problem, plan.kernel.name, plan.machine)
    assert found is not None
    whole = plan.problem.target[1]  # type: ignore[union-attr]
    assert len(found.box) == len(whole) and np.prod(found.outputs) == np.prod(whole)
    for box, boxes, outputs in zip(found.box, found.boxes, found.outputs, strict=True):
        assert (boxes - 1) * box < outputs <= boxes * box
    assert found.tasks % np.prod(found.boxes) == 0 and found.tile_outputs > 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nc.plot.channels(5, 6, 2), "channels: groups must divide"),
        (lambda: nc.plot.kernels(np.ones(3)), "kernels: w must have 2 or 4 axes"),
        (lambda: nc.plot.kernels(np.ones((3, 3)), titles=[]), "kernels: titles must be one for each of the 1 filters; got 0"),
        (lambda: nc.plot.operation(2, 3), "operation: no output"),
        (lambda: nc.plot.operation((2, 2, 2, 2), 1), "operation: size must have one to three axes"),
        (lambda: nc.plot.overlap_map((2, 2, 2), 3, 2), "one or two axes"),
        (lambda: nc.plot.phase_gain(np.ones((2, 2, 2, 2, 2)), 2), "phase_gain: a picture has one or two axes"),
        (lambda: nc.plot.factors(np.ones(3)), "factors: kernel must have two axes"),
        (lambda: nc.plot.at_work(nc.conv2d, (1, 99, 99), (1, 1, 3, 3)), "at_work: a picture has at most 2000 cells; got 19210"),
        (lambda: nc.plot.at_work(nc.resize2d, (1, 3, 3), scale=2), "at_work: resize2d runs no convolution"),
        (lambda: nc.plot.receptive_field([{"kernel": 3}], at=(1, 1)), "receptive_field: at is a pixel of an image"),
        (lambda: nc.plot.plan(nc.explain(nc.conv1d, np.ones((0, 1, 3)), np.ones((1, 1, 1)))), "plan: nothing to be drawn"),
    ],
)
def test_refusals(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    "call", [lambda: nc.plot.plan("conv2d"), lambda: nc.plot.at_work("conv2d"), lambda: nc.plot.channels(2, 2, dark=2)]
)
def test_wrong_types(call: Callable[[], Any]) -> None:
    with pytest.raises((TypeError, ValueError), match="must be"):
        call()
