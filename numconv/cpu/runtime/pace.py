"""Whether other processes burn this machine's cores: then parallel loops run in the calling thread for a while.

A parallel loop ends when its last thread does.  Where another process holds that thread's core, the loop waits for the scheduler to
change its mind, 4 to 24 ms for a layer of half a millisecond; OpenMP cannot take back what it handed to a thread that does not run.  So
each loop is timed.  Of one that takes far longer than it once did, or than one thread takes for it, a neighbour is to blame: loops run
alone until a pause is over, and are parallel again until one is late.  If that was sooner than a pause takes, the next pause is twice as
long, else half as long.  Bits do not depend on it.
"""

from __future__ import annotations

from math import inf
from time import perf_counter as clock

LATE = 4.0  # times the least that a loop has taken …
QUANTUM = 1e-3  # … and so many seconds: a scheduler's turn takes more, what else may delay a loop less
LONG_LOOP = 0.05  # seconds: a loop of many turns loses little by waiting for one
FIRST_PAUSE, LAST_PAUSE = 0.05, 1.0  # seconds: a pause costs half of a machine of two cores that is at rest again, a late loop some 20 ms


class _Machine:
    """Of this process.  Threads may change it at once: at worst a pause is a little longer or shorter."""

    until = 0.0  # when loops may be parallel again, by the clock; 0: nothing was late yet
    pause = FIRST_PAUSE  # the last one


def busy() -> bool:
    """Whether a parallel loop would wait for cores that others hold."""
    return _Machine.until > 0.0 and clock() < _Machine.until


class Pace:
    """The least that a loop over the same tasks has taken, in seconds."""

    __slots__ = ("alone", "together")

    def __init__(self) -> None:
        self.alone = self.together = inf

    def doubtful(self) -> bool:
        """Whether a loop is to run alone once, to know: it has never been quick, and no one knows what quick is."""
        return self.alone == inf and QUANTUM < self.together < LONG_LOOP

    def note(self, took: float, alone: bool) -> None:
        if alone:
            self.alone = min(self.alone, took)
            return
        self.together = min(self.together, took)
        if took < LONG_LOOP and took > min(LATE * self.together, self.alone) + QUANTUM:
            now = clock()
            soon = now - took - _Machine.until < _Machine.pause
            _Machine.pause = min(LAST_PAUSE, 2 * _Machine.pause) if soon else max(FIRST_PAUSE, _Machine.pause / 2)
            _Machine.until = now + _Machine.pause
