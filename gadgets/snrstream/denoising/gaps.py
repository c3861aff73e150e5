"""Stacks of slices without the gaps between them."""

import dataclasses
from itertools import pairwise

from .group import position_along_normal
from .stack import Stack

WIDEST = 2.0  # from centre to centre, in slice thicknesses: beyond, a whole slice is missing between two


def parts_without_gaps(stack: Stack) -> list[Stack]:
    """The stacks into which gaps cut a stack of slices; others stay as they are.

    Slices far apart show different anatomy: what a network has learned of neighbours does not hold for them.
    """
    frames = stack.frames
    if stack.axis != "slice" or len(frames) < 2:
        return [stack]
    positions, thickness_mm = [position_along_normal(frame.image) for frame in frames], frames[0].image.voxel_mm[2]
    cuts = [n for n, (a, b) in enumerate(pairwise(positions), 1) if b - a > WIDEST * thickness_mm]
    parts = []
    for first, end in pairwise([0, *cuts, len(frames)]):
        leaving = tuple(place - first for place in stack.leaving if first <= place < end)
        if leaving:
            parts.append(dataclasses.replace(stack, frames=frames[first:end], leaving=leaving))
    return parts
