"""A small network without any framework: plain NumPy around `nc.vjp` learns to read handwritten digits in half a minute.

    python examples/digits.py

A stem, a ShuffleNet unit, a depthwise separable block and a dynamic convolution; Adam; the 8 × 8 digits that come with scikit-learn.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

import numconv as nc

Array = np.ndarray[Any, Any]
Weights = dict[str, Array]

SHAPES: dict[str, tuple[int, ...]] = {
    "stem": (16, 1, 3, 3), "stem_bias": (16,),
    "squeeze": (16, 8, 1, 1), "squeeze_bias": (16,), "middle": (16, 1, 3, 3), "middle_bias": (16,), "expand": (16, 8), "expand_bias": (16,),
    "depthwise": (16, 1, 3, 3), "pointwise": (32, 16), "pointwise_bias": (32,),
    "fc1": (8, 32), "fc2": (3, 8), "kernels": (3, 32, 32, 3, 3), "kernels_bias": (3, 32),
    "head": (10, 32 * 4 * 4), "head_bias": (10,),
}  # fmt: skip


def initial(rng: np.random.Generator) -> Weights:
    """Normal numbers of variance 2/(inputs of each output); zero biases."""
    found = {}
    for name, shape in SHAPES.items():
        inputs = np.prod(shape[2:] if name == "kernels" else shape[1:])
        scale = 0 if name.endswith("bias") else np.sqrt(2 / inputs)
        found[name] = (scale * rng.standard_normal(shape)).astype("float32")
    return found


def forward(p: Weights, x: Array) -> tuple[Array, Callable[[Array], Weights]]:
    """The scores of a batch, and the way from their gradient to those of all weights."""
    gradients: Weights = {}

    def layer(function: Callable[..., Any], x: Array, *names: str, **options: Any) -> tuple[Array, Callable[[Array], Array]]:
        y, pullback = nc.vjp(function, x, *(p[name] for name in names), **options)

        def back(dy: Array) -> Array:
            dx, *rest = pullback(dy)
            gradients.update(zip(names, rest, strict=True))
            return dx

        return y, back

    stem, stem_back = layer(nc.conv2d, x, "stem", "stem_bias", padding=1, activation="relu")
    # ShuffleNet unit: grouped 1 × 1 and shuffle, depthwise, grouped 1 × 1, and the shortcut around them
    a, squeeze_back = layer(nc.shuffled_grouped_conv2d, stem, "squeeze", "squeeze_bias", groups=2, activation="relu")
    b, middle_back = layer(nc.depthwise_conv2d, a, "middle", "middle_bias", padding=1)
    c, expand_back = layer(nc.pointwise_grouped_conv2d, b, "expand", "expand_bias", groups=2)
    unit = np.maximum(stem + c, 0)
    # depthwise separable block, to half the size
    block, block_back = layer(
        nc.depthwise_separable_conv2d, unit, "depthwise", "pointwise", "pointwise_bias", stride=2, padding=1, mid_activation="relu",
        activation="relu",
    )  # fmt: skip
    # dynamic convolution: each sample mixes its own kernels
    attention, attention_back = layer(nc.dynamic_attention, block, "fc1", "fc2", temperature=4.0)
    last, last_pullback = nc.vjp(nc.dynamic_conv2d, block, p["kernels"], attention, p["kernels_bias"], padding=1, activation="relu")
    flat = last.reshape(len(x), -1)
    scores = flat @ p["head"].T + p["head_bias"]

    def back(ds: Array) -> Weights:
        gradients["head"], gradients["head_bias"] = ds.T @ flat, ds.sum(axis=0)
        dblock, gradients["kernels"], dattention, gradients["kernels_bias"] = last_pullback((ds @ p["head"]).reshape(last.shape))
        dunit = block_back(dblock + attention_back(dattention)) * (unit > 0)
        stem_back(dunit + squeeze_back(middle_back(expand_back(dunit))))
        return gradients

    return scores, back


def cross_entropy(scores: Array, labels: Array) -> tuple[float, Array]:
    """The loss and its gradient."""
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    q = e / e.sum(axis=1, keepdims=True)
    rows = np.arange(len(labels))
    loss = -float(np.log(q[rows, labels]).mean())
    q[rows, labels] -= 1
    return loss, q / len(labels)


class Adam:
    """D. Kingma, J. Ba: Adam, arXiv 1412.6980."""

    def __init__(self, p: Weights) -> None:
        self.m, self.v = ({k: np.zeros_like(w) for k, w in p.items()} for _ in range(2))
        self.t = 0

    def update(self, p: Weights, g: Weights, rate: float) -> None:
        self.t += 1
        for k in p:
            self.m[k] += 0.1 * (g[k] - self.m[k])
            self.v[k] += 0.001 * (g[k] ** 2 - self.v[k])
            p[k] -= rate * (self.m[k] / (1 - 0.9**self.t)) / (np.sqrt(self.v[k] / (1 - 0.999**self.t)) + 1e-8)


def train(epochs: int = 12, batch: int = 50, tell: Callable[[str], Any] = print) -> float:
    """Train on 1400 digits; the share of the other 397 that are read rightly."""
    from sklearn.datasets import load_digits

    numba.set_num_threads(1)  # images this small are not worth waking a second one
    digits = load_digits()
    rng = np.random.default_rng(0)
    order = rng.permutation(len(digits.target))
    x = (digits.images[order, None] / 8 - 1).astype("float32")
    labels = digits.target[order]
    train_x, train_labels, test_x, test_labels = x[:1400], labels[:1400], x[1400:], labels[1400:]
    p = initial(rng)
    adam, accuracy = Adam(p), 0.0
    for epoch in range(epochs):
        start, losses = time.perf_counter(), []
        for chosen in rng.permutation(len(train_x)).reshape(-1, batch):
            scores, back = forward(p, train_x[chosen])
            loss, ds = cross_entropy(scores, train_labels[chosen])
            adam.update(p, back(ds), 0.003 * (1 - epoch / epochs))
            losses.append(loss)
        accuracy = float((forward(p, test_x)[0].argmax(axis=1) == test_labels).mean())
        tell(f"epoch {epoch + 1:2}: loss {np.mean(losses):.4f}, test accuracy {accuracy:.2%}, {time.perf_counter() - start:.1f} s")
    return accuracy


if __name__ == "__main__":
    train()
