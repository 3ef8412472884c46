"""What a task's number stands for, of both lane orders."""

from __future__ import annotations

from ..runtime.launch import inlined


@inlined
def located(plan, number):
    """(sample, group, split of the channels, number of the box along t, h and w) of a task."""
    w, number = number % plan.w.boxes, number // plan.w.boxes
    h, number = number % plan.h.boxes, number // plan.h.boxes
    t, number = number % plan.t.boxes, number // plan.t.boxes
    split, number = number % plan.splits, number // plan.splits
    return number // plan.groups, number % plan.groups, split, (t, h, w)
