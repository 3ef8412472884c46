"""Sizes against counting: every formula by brute force over small ranges."""

import time
from fractions import Fraction
from itertools import product
from math import prod

import numpy as np
import pytest
import reference

from numconv import arithmetic

RELATIONSHIPS = arithmetic.relationships()
SMALL = [(k, s, lo, hi, d) for k, s, lo, hi, d in product(range(1, 4), range(1, 4), range(3), range(3), range(1, 4))]


def positions(size, kernel, stride, low, high, dilation):
    """Window positions, counted."""
    return sum(1 for n in range(-low, size + high, stride) if n + dilation * (kernel - 1) <= size + high - 1)


def test_relationships_are_the_papers_fifteen():
    assert [r.number for r in RELATIONSHIPS] == list(range(1, 16))
    assert [r.number for r in RELATIONSHIPS if r.transposed] == list(range(8, 15))


@pytest.mark.parametrize("relationship", RELATIONSHIPS, ids=lambda r: str(r.number))
def test_relationship_holds(relationship):
    cases = relationship.cases()
    assert len(cases) >= 10
    assert relationship.holds()
    for sizes in cases[:: max(1, len(cases) // 50)]:  # and it is what the public functions say
        i, k, s, p, d, a = (sizes[name] for name in "ikspda")
        if relationship.transposed:
            assert arithmetic.conv_transpose_output_shape(i, k, s, p, a, d) == relationship(**sizes)
        else:
            assert arithmetic.conv_output_shape(i, k, s, p, d) == relationship(**sizes)


def test_relationship_refuses_what_it_does_not_speak_of():
    with pytest.raises(ValueError, match="does not apply"):
        RELATIONSHIPS[0].holds(i=5, k=3, s=2)


def test_a_wrong_relationship_does_not_hold():
    from dataclasses import replace

    for right in RELATIONSHIPS:
        assert not replace(right, formula=lambda right=right, **sizes: right.formula(**sizes) + 1).holds()


def test_conv_output_shape_counts_positions():
    for k, s, lo, hi, d in SMALL:
        for i in range(1, 13):
            expected = positions(i, k, s, lo, hi, d)
            if expected:
                assert arithmetic.conv_output_shape(i, k, s, (lo, hi), d) == expected
            else:
                with pytest.raises(ValueError, match=r"conv_output_shape: .*exceeds"):
                    arithmetic.conv_output_shape(i, k, s, (lo, hi), d)


def test_input_sizes_are_all_sizes():
    for k, s, lo, hi, d in SMALL:
        for o in range(1, 5):
            found = arithmetic.input_sizes(o, k, s, (lo, hi), d)
            assert list(found) == [i for i in range(1, 40) if positions(i, k, s, lo, hi, d) == o]
            for word in ("same", "same_lower"):
                assert all(arithmetic.conv_output_shape(i, k, s, word, d) == o for i in arithmetic.input_sizes(o, k, s, word, d))


def test_output_padding_restores_the_size():
    for k, s, lo, hi, d in SMALL:
        for i in range(1, 13):
            o = positions(i, k, s, lo, hi, d)
            if o:
                a = arithmetic.output_padding_for(i, o, k, s, (lo, hi), d)
                assert 0 <= a < s
                assert arithmetic.conv_transpose_output_shape(o, k, s, (lo, hi), a, d) == i


def test_conv_transpose_output_shape_is_the_oracles():
    import numpy as np

    for k, s, lo, hi, d in SMALL:
        for i, a in product(range(1, 4), range(max(s, d))):
            x, w = np.ones((1, 1, i)), np.ones((1, 1, k))
            if (i - 1) * s + d * (k - 1) + 1 - lo - hi + a >= 1:
                assert reference.conv_transpose(x, w, None, s, [(lo, hi)], a, 1, d).shape[2:] == arithmetic.conv_transpose_output_shape(
                    (i,), k, s, [(lo, hi)], a, d
                )


def test_same_padding():
    assert arithmetic.same_padding(8, 3, 2) == (0, 1)
    assert arithmetic.same_padding(8, 3, 2, lower=True) == (1, 0)
    assert arithmetic.same_padding((8, 7), 3, 2) == ((0, 1), (1, 1))
    for k, s, d, i in product(range(1, 5), range(1, 4), range(1, 3), range(1, 10)):
        pair = arithmetic.same_padding(i, k, s, d)
        assert arithmetic.conv_output_shape(i, k, s, pair, d) == -(-i // s) == arithmetic.conv_output_shape(i, k, s, "same", d)


def test_scalars_and_tuples():
    assert arithmetic.conv_output_shape(7, 3) == 5
    assert arithmetic.conv_output_shape((7, 9), 3, (1, 2), [(0, 1), (1, 1)]) == (6, 5)
    assert arithmetic.conv_output_shape([7], 3) == (5,)
    assert arithmetic.conv_output_shape(7, (3, 5), padding="valid") == (5, 3)
    assert arithmetic.input_sizes((2, 3), 3, (1, 2)) == ((4, 7), (4, 8))
    assert arithmetic.output_padding_for((14, 13), 7, 3, 2, 1) == (1, 0)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: arithmetic.conv_output_shape(7, 0), ValueError, "conv_output_shape: kernel must be at least 1; got 0"),
        (lambda: arithmetic.conv_output_shape(7.5, 3), TypeError, "conv_output_shape: spatial must be an integer; got 7.5"),
        (lambda: arithmetic.conv_output_shape((7, 7), (3, 3, 3)), ValueError, "conv_output_shape: sequences must have one entry per axis"),
        (lambda: arithmetic.conv_output_shape(7, 3, padding="full"), ValueError, "conv_output_shape: padding must be 'valid'"),
        (lambda: arithmetic.conv_output_shape(7, 3, padding=-1), ValueError, "conv_output_shape: padding must be at least 0"),
        (
            lambda: arithmetic.conv_transpose_output_shape(7, 3, 2, output_padding=2),
            ValueError,
            "output_padding must be less than the stride",
        ),
        (lambda: arithmetic.conv_transpose_output_shape(1, 1, padding=1), ValueError, "crops all of it"),
        (lambda: arithmetic.output_padding_for(15, 7, 3, 2, 1), ValueError, r"possible sizes: \(13, 14\)"),
        (lambda: arithmetic.receptive_field([{"stride": 2}]), ValueError, "receptive_field: a layer needs a kernel"),
        (lambda: arithmetic.receptive_field([3]), TypeError, "receptive_field: layers must be dicts"),
        (lambda: arithmetic.receptive_field([{"kernel": 3, "stride": 2, "padding": "same"}]), ValueError, "depends on the input's size"),
    ],
)
def test_errors(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_receptive_field_of_vgg():
    layers = [{"kernel": 3, "padding": 1}, {"kernel": 3, "padding": 1}, {"kernel": 2, "stride": 2}] * 2
    field = arithmetic.receptive_field(layers)
    assert (field.size, field.jump, field.start) == (16, 4, -6)
    assert [f.size for f in field.layers] == [3, 5, 6, 10, 14, 16]
    assert [f.jump for f in field.layers] == [1, 1, 2, 2, 2, 4]
    assert field.center == Fraction(3, 2)


def test_receptive_field_per_axis():
    field = arithmetic.receptive_field([{"kernel": (3, 1), "dilation": 2, "padding": ((2, 2), (0, 0))}, {"kernel": 3, "stride": (1, 2)}])
    assert (field.size, field.jump, field.start) == ((7, 3), (1, 2), (-2, 0))


def seen(layers, size):
    """Which inputs reach each output, by pushing sets through the layers."""
    sets = [{q} for q in range(size)]
    for layer in layers:
        k, s, p, d = layer["kernel"], layer.get("stride", 1), layer.get("padding", 0), layer.get("dilation", 1)
        if layer.get("transposed"):
            out = (len(sets) - 1) * s + d * (k - 1) + 1 - 2 * p
            sets = [set().union(*(sets[n] for n, r in product(range(len(sets)), range(k)) if n * s + r * d - p == q)) for q in range(out)]
        else:
            out = (len(sets) + 2 * p - d * (k - 1) - 1) // s + 1
            sets = [set().union(*(sets[q * s - p + r * d] for r in range(k) if 0 <= q * s - p + r * d < len(sets))) for q in range(out)]
    return sets


@pytest.mark.parametrize(
    "layers",
    [
        [{"kernel": 3, "stride": 2, "padding": 1}, {"kernel": 4, "stride": 2, "padding": 1, "transposed": True}],
        [{"kernel": 4, "stride": 2, "transposed": True}, {"kernel": 3}],
        [{"kernel": 2, "stride": 2, "transposed": True}],
        [
            {"kernel": 3, "stride": 2, "transposed": True},
            {"kernel": 3, "stride": 3},
            {"kernel": 5, "stride": 3, "padding": 2, "transposed": True},
        ],
        [{"kernel": 3, "dilation": 2}, {"kernel": 3, "dilation": 4}],
    ],
)
def test_receptive_field_is_what_reaches_an_output(layers):
    field = arithmetic.receptive_field(layers)
    sets = seen(layers, 60)
    inner = [s for s in sets if s and min(s) > 8 and max(s) < 51]
    assert max(max(s) - min(s) + 1 for s in inner) == field.size
    for q, s in enumerate(sets):  # windows lie around their centres
        if s in inner:
            assert abs(Fraction(min(s) + max(s), 2) - (field.center + q * field.jump)) <= Fraction(1, 1) * (
                1 if any(la.get("transposed") for la in layers) else 0
            )


def followed(layers):
    """The size by following the window of every phase of the transposed layers back."""
    size = 0
    for phase in range(prod(la["stride"] for la in layers if la["transposed"])):
        first = last = phase
        for la in reversed(layers):
            k, s, p = la["dilation"] * (la["kernel"] - 1) + 1, la["stride"], la["padding"]
            if la["transposed"]:
                first, last = -(-(first + p - k + 1) // s), (last + p) // s
            else:
                first, last = first * s - p, last * s - p + k - 1
            if first > last:
                break
        size = max(size, last - first + 1)
    return size


@pytest.mark.parametrize("seed", range(150))
def test_receptive_field_of_every_phase(seed):
    draw = np.random.default_rng(seed)
    layers = [
        {"kernel": int(k), "stride": int(s), "padding": int(p), "dilation": int(d), "transposed": bool(t)}
        for k, s, p, d, t in zip(*(draw.integers(low, high, 5) for low, high in ((1, 7), (1, 6), (0, 4), (1, 3), (0, 2))), strict=True)
    ]
    fields = arithmetic.receptive_field(layers).layers
    assert [field.size for field in fields] == [followed(layers[:n]) for n in range(1, 6)]


LONG = 2**31 - 1


def test_long_strides_and_stacks_take_no_longer():
    transposed, plain = {"kernel": 3, "stride": LONG, "transposed": True}, {"kernel": 3, "stride": LONG}
    begin = time.perf_counter()
    assert arithmetic.receptive_field([transposed] * 3).size == 1
    assert arithmetic.receptive_field([plain] * 5).jump == LONG**5
    assert arithmetic.receptive_field([plain, transposed]).jump == 1
    assert len(arithmetic.receptive_field([{"kernel": 3, "stride": 2}] * 400).layers) == 400
    assert arithmetic.receptive_field([{"kernel": 4, "stride": 2, "transposed": True}] * 16 + [{"kernel": 3}] * 14).size == 4
    with pytest.raises(ValueError, match="leave more than 300000 places"):
        arithmetic.receptive_field([transposed, {"kernel": LONG + 2, "stride": LONG - 1}])
    assert arithmetic.output_padding_for(LONG - 1, 1, 3, stride=LONG) == LONG - 4
    with pytest.raises(ValueError, match="2147483647 sizes are too many"):
        arithmetic.input_sizes(3, 3, stride=LONG)
    with pytest.raises(ValueError, match="shapes are too many"):
        arithmetic.input_sizes((3, 3, 3), 3, stride=10**6)
    assert time.perf_counter() - begin < 3  # seconds; 0.1 at rest
