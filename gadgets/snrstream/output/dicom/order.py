"""Where the images of a scan stand among each other: in space, in the heart's cycle and in time.

Viewers and converters stack a series by its instance numbers. A scanner acquires slices in another order, such as
0 2 4 1 3, so that only all images together tell the number of one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import ismrmrd
import numpy as np

from .geometry import ImagePlane, image_planes

TICK_MS = 2.5  # of Siemens' time stamps, which other vendors' converters follow
GATING = "CG", "PPG"  # by ECG and by pulse: the first stamps of `physiology_time_stamp`; that of breathing follows
LONGEST_CYCLE_MS = 10_000.0  # of a heart; what is beyond is a clock that no trigger has set to 0


@dataclass(frozen=True)
class Place:
    """Of an image in its series.

    Attributes
    ----------
    numbers
        InstanceNumber of each part of the image, channel by channel and in it z by z.
    trigger_ms
        Time after the heart's trigger, None where no stamp tells.
    gating
        DICOM's word for what triggers, of ScanOptions; empty where there is no trigger time.
    n_phases
        Of the heart's cycle in the series.
    time
        Which of how many points in time, counted from 1: phases of the heart's cycle, repetition by repetition.
    """

    numbers: tuple[int, ...]
    trigger_ms: float | None
    gating: str
    n_phases: int
    time: tuple[int, int]


def places(images: Sequence[ismrmrd.Image]) -> list[Place]:
    """The places of all images of a scan, each in the series of its `image_series_index`.

    Instance numbers count from 1. They rise with the position along the cross product of rows and columns, then with
    the contrast, set, phase, repetition and average. Slices of other directions follow each other.

    Raises
    ------
    ScanError
        As `image_planes`.
    """
    series: dict[int, list[int]] = {}
    for n, image in enumerate(images):
        series.setdefault(image.image_series_index, []).append(n)
    found: dict[int, Place] = {}
    for members in series.values():
        found.update(zip(members, _of_series([images[n] for n in members]), strict=True))
    return [found[n] for n in range(len(images))]


def _of_series(images: Sequence[ismrmrd.Image]) -> list[Place]:
    numbers = _numbers(images)
    phases = {image.phase for image in images}
    points = sorted({(image.repetition, image.phase) for image in images})
    times = {point: n + 1 for n, point in enumerate(points)}
    trigger = _trigger_stamp(images) if len(phases) > 1 else None
    return [
        Place(
            numbers=tuple(of_image),
            trigger_ms=None if trigger is None else image.physiology_time_stamp[trigger] * TICK_MS,
            gating="" if trigger is None else GATING[trigger],
            n_phases=len(phases),
            time=(times[image.repetition, image.phase], len(times)),
        )
        for image, of_image in zip(images, numbers, strict=True)
    ]


def _numbers(images: Sequence[ismrmrd.Image]) -> list[list[int]]:
    directions: dict[tuple[float, ...], int] = {}
    keys = []
    for n, image in enumerate(images):
        planes = image_planes(image)
        group = directions.setdefault(_directions(planes[0]), len(directions))
        counters = image.average, image.repetition, image.phase, image.set, image.contrast
        for channel in range(image.data.shape[0]):
            for z, plane in enumerate(planes):
                keys.append(((group, channel, *counters, plane.location_mm, image.image_index, n, z), n))
    numbers: list[list[int]] = [[] for _ in images]
    rank = {place: number + 1 for number, place in enumerate(sorted(range(len(keys)), key=lambda i: keys[i][0]))}
    for i, (_, n) in enumerate(keys):
        numbers[n].append(rank[i])
    return numbers


def _directions(plane: ImagePlane) -> tuple[float, ...]:
    """Of rows and columns, coarse enough for slices that differ by the rounding of their float32."""
    return tuple(float(value) for value in np.round([*plane.read, *plane.phase], 3) + 0.0)


def _trigger_stamp(images: Sequence[ismrmrd.Image]) -> int | None:
    """Which of the stamps tells the time after the heart's trigger: one that differs, and stays within a cycle."""
    stamps = np.array([list(image.physiology_time_stamp) for image in images]) * TICK_MS
    usable = [k for k in range(len(GATING)) if np.ptp(stamps[:, k]) > 0 and stamps[:, k].max() <= LONGEST_CYCLE_MS]
    return usable[0] if usable else None
