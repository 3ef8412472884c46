"""The relationships of Dumoulin & Visin, "A guide to convolution arithmetic for deep learning" (arXiv 1603.07285).

Fourteen of them, and the one on dilation, numbered as they appear in the text.  Each is a formula and the conditions
under which it is stated, and can be checked: `holds` counts window positions one by one and compares.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

Sizes = dict[str, int]


@dataclass(frozen=True)
class Relationship:
    """One relationship.

    `formula(i, k, s, p, d, a)` is the output size; of a transposed convolution (`transposed`) i is its own input, k, s, p
    are those of the convolution it is the transpose of, and a the zeros added at the end.  `condition` says where it applies.
    """

    number: int
    title: str
    text: str
    formula: Callable[..., int]
    condition: Callable[..., bool]
    transposed: bool = False

    def __call__(self, i: int, k: int, s: int = 1, p: int = 0, d: int = 1, a: int = 0) -> int:
        """The output size by the formula."""
        return self.formula(i=i, k=k, s=s, p=p, d=d, a=a)

    def applies(self, i: int, k: int, s: int = 1, p: int = 0, d: int = 1, a: int = 0) -> bool:
        """Whether the relationship speaks of these sizes, and there is an output at all."""
        if not self.condition(i=i, k=k, s=s, p=p, d=d, a=a):
            return False
        return self(i, k, s, p, d, a) >= 1 if self.transposed else i + 2 * p >= d * (k - 1) + 1

    def measured(self, i: int, k: int, s: int = 1, p: int = 0, d: int = 1, a: int = 0) -> int:
        """The output size by counting, without a formula."""
        if self.transposed:  # what all stamps touch, cut by the padding, extended by a
            touched = {n * s + r for n, r in product(range(i), range(k))}
            return max(touched) - min(touched) + 1 - 2 * p + a
        return sum(n + d * (k - 1) <= i + p - 1 for n in range(-p, i + p, s))

    def holds(self, i: int | None = None, k: int | None = None, s: int = 1, p: int = 0, d: int = 1, a: int = 0) -> bool:
        """Whether formula and count agree; without sizes, for all sizes up to 9 to which it applies.

        A transposed one must also bring back its input's size: a convolution (k, s, p) of the output has i positions, and
        a is what that convolution leaves over.

        Raises
        ------
        ValueError
            For sizes to which the relationship does not apply.
        """
        if i is None or k is None:
            return all(self.holds(**sizes) for sizes in self.cases())
        if not self.applies(i, k, s, p, d, a):
            raise ValueError(
                f"Relationship.holds: number {self.number} ({self.title}) does not apply; got {i=}, {k=}, {s=}, {p=}, {d=}, {a=}"
            )
        size = self(i, k, s, p, d, a)
        if size != self.measured(i, k, s, p, d, a):
            return False
        if not self.transposed:
            return True
        stretched = (i - 1) * s + 1 + a  # the equivalent direct convolution: zeros between and after, padding k − p − 1, stride 1
        direct = stretched + 2 * (k - p - 1) - k + 1
        back = sum(n + k - 1 <= size + p - 1 for n in range(-p, size + p, s))
        return direct == size and back == i and (size + 2 * p - k) % s == a

    def cases(self, largest: int = 9) -> list[Sizes]:
        """All sizes up to `largest` to which the relationship applies (k, s, p, d, a up to about half)."""
        half = range(largest // 2 + 1)
        spaces = (range(1, largest + 1), half[1:], half[1:4], half, half[1:4], half[:3])
        every = (dict(zip("ikspda", values, strict=True)) for values in product(*spaces))
        return [sizes for sizes in every if self.applies(**sizes)]

    def __str__(self) -> str:
        return f"Relationship {self.number}: {self.text}"


def relationships() -> tuple[Relationship, ...]:
    """All fifteen, in order.

    Examples
    --------
    >>> five = relationships()[4]
    >>> print(five)
    Relationship 5: p = 0: o = ⌊(i − k)/s⌋ + 1
    >>> five(i=5, k=3, s=2), five.holds(i=5, k=3, s=2)
    (2, True)
    """
    return TABLE


def _row(number: int, title: str, text: str, formula: Callable[..., int], condition: Callable[..., bool]) -> Relationship:
    """Number 8 to 14 are of transposed convolutions; only 15 is of dilated ones, only 14 has zeros added at the end."""
    transposed = 8 <= number <= 14

    def stated(i: int, k: int, s: int, p: int, d: int, a: int) -> bool:
        plain = (d == 1 or number == 15) and (a == 0 or number == 14)
        return plain and (not transposed or p <= k - 1) and condition(i=i, k=k, s=s, p=p, a=a)

    return Relationship(number, title, text, formula, stated, transposed)


TABLE = (
    _row(1, "no padding, unit strides", "s = 1, p = 0: o = (i − k) + 1", lambda i, k, **_: i - k + 1, lambda s, p, **_: s == 1 and p == 0),
    _row(2, "padding, unit strides", "s = 1: o = (i − k) + 2p + 1", lambda i, k, p, **_: i - k + 2 * p + 1, lambda s, **_: s == 1),
    _row(3, "half (same) padding", "k = 2n + 1, s = 1, p = n: o = i", lambda i, **_: i, lambda k, s, p, **_: s == 1 and k == 2 * p + 1),
    _row(4, "full padding", "s = 1, p = k − 1: o = i + (k − 1)", lambda i, k, **_: i + k - 1, lambda k, s, p, **_: s == 1 and p == k - 1),
    _row(5, "no padding, strides", "p = 0: o = ⌊(i − k)/s⌋ + 1", lambda i, k, s, **_: (i - k) // s + 1, lambda p, **_: p == 0),
    _row(6, "padding, strides", "o = ⌊(i + 2p − k)/s⌋ + 1", lambda i, k, s, p, **_: (i + 2 * p - k) // s + 1, lambda **_: True),
    _row(7, "pooling", "o = ⌊(i − k)/s⌋ + 1", lambda i, k, s, **_: (i - k) // s + 1, lambda p, **_: p == 0),
    _row(
        8, "no padding, unit strides, transposed", "s = 1, p = 0: k' = k, s' = 1, p' = k − 1: o' = i' + (k − 1)",
        lambda i, k, **_: i + k - 1, lambda s, p, **_: s == 1 and p == 0,
    ),
    _row(
        9, "padding, unit strides, transposed", "s = 1: k' = k, s' = 1, p' = k − p − 1: o' = i' + (k − 1) − 2p",
        lambda i, k, p, **_: i + k - 1 - 2 * p, lambda s, **_: s == 1,
    ),
    _row(
        10, "half (same) padding, transposed", "k = 2n + 1, s = 1, p = n: k' = k, s' = 1, p' = p: o' = i'",
        lambda i, **_: i, lambda k, s, p, **_: s == 1 and k == 2 * p + 1,
    ),
    _row(
        11, "full padding, transposed", "s = 1, p = k − 1: k' = k, s' = 1, p' = 0: o' = i' − (k − 1)",
        lambda i, k, **_: i - k + 1, lambda k, s, p, **_: s == 1 and p == k - 1,
    ),
    _row(
        12, "no padding, strides, transposed", "p = 0, s divides i − k: s − 1 zeros between, s' = 1, p' = k − 1: o' = s(i' − 1) + k",
        lambda i, k, s, **_: s * (i - 1) + k, lambda p, **_: p == 0,
    ),
    _row(
        13, "padding, strides, transposed", "s divides i + 2p − k: s − 1 zeros between, s' = 1, p' = k − p − 1: o' = s(i' − 1) + k − 2p",
        lambda i, k, s, p, **_: s * (i - 1) + k - 2 * p, lambda **_: True,
    ),
    _row(
        14, "padding, any strides, transposed", "a = (i + 2p − k) mod s zeros added at the end: o' = s(i' − 1) + a + k − 2p",
        lambda i, k, s, p, a, **_: s * (i - 1) + a + k - 2 * p, lambda s, a, **_: a < s,
    ),
    _row(
        15, "dilation", "o = ⌊(i + 2p − k − (k − 1)(d − 1))/s⌋ + 1",
        lambda i, k, s, p, d, **_: (i + 2 * p - k - (k - 1) * (d - 1)) // s + 1, lambda **_: True,
    ),
)  # fmt: skip
