"""What may follow a convolution: the names that users write, and the numbers that kernels compare with.  One table for every device."""

from __future__ import annotations

#: silu is v·sigmoid(v) down to here, and there as good as its limit, zero; below, v would outgrow e⁻ᵛ, which ends at the largest number
SILU_FLOOR = -709

IDENTITY, RELU, RELU6, HARDSWISH, SILU, SIGMOID, TANH = range(7)  # from SILU on with an exponential

#: in the order in which errors list them
ACTIVATIONS: dict[str | None, int] = {
    None: IDENTITY,
    "relu": RELU,
    "relu6": RELU6,
    "silu": SILU,
    "hardswish": HARDSWISH,
    "sigmoid": SIGMOID,
    "tanh": TANH,
}
