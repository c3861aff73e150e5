"""What a scan is, by its header, and along which axis a network that takes several is given its images."""

from dataclasses import dataclass
from typing import Literal

from ismrmrd import xsd

Axis = Literal["none", "time", "slice", "depth"]

FEWEST_TIMES = 4  # of fewer images of a slice, most would have hardly any before them, and its slices are more


@dataclass(frozen=True)
class ScanKind:
    """How many images the limits of a header let expect.

    Attributes
    ----------
    n_slices
        None where the header does not say.
    n_repetitions
        1 where it does not.
    phases
        The first and the last counter of a cycle, such as a heartbeat; None where it does not say.
    """

    n_slices: int | None = None
    n_repetitions: int = 1
    phases: tuple[int, int] | None = None

    @property
    def n_times(self) -> int:
        """Images of one slice in time."""
        first, last = self.phases or (0, 0)
        return self.n_repetitions * (last - first + 1)


def scan_kind(header: xsd.ismrmrdHeader) -> ScanKind:
    """By the limits of the first encoding."""
    limits = header.encoding[0].encodingLimits if header.encoding else None
    slices, repetitions, phases = (getattr(limits, counter, None) for counter in ("slice", "repetition", "phase"))
    return ScanKind(
        None if slices is None else slices.maximum - slices.minimum + 1,
        1 if repetitions is None else repetitions.maximum - repetitions.minimum + 1,
        None if phases is None else (phases.minimum, phases.maximum),
    )


def axis_of(frames: tuple[str, ...], n_partitions: int, kind: ScanKind) -> Axis:
    """Along which axis an image has its neighbours.

    A network of one axis has that one, whatever the scan is. One of several has the first of these that it takes:

    1. Partitions, of a volume: they are there at once, on both sides. As `depth`, else as `slice`.
    2. Time, where there is one slice, or `FEWEST_TIMES` images of each: no image waits for another. An image of which
       the header tells no others may yet be the first of a series.
    3. Slices, where there are several.
    4. None: the image is alone.

    Parameters
    ----------
    frames
        As `Manifest.frames`: what the network takes.
    n_partitions
        Of the image.
    kind
        Of its scan.
    """
    if len(frames) < 2:
        return _AXES[frames[0]] if frames else "none"
    if n_partitions > 1:  # of any two axes, one has partitions
        return "depth" if "depth" in frames else "slice"
    has_slices = "slice" in frames and (kind.n_slices or 1) > 1
    if "time" in frames and (kind.n_times >= FEWEST_TIMES or not has_slices):
        return "time"
    return "slice" if has_slices else "none"


_AXES: dict[str, Axis] = {"time": "time", "slice": "slice", "depth": "depth"}
