"""What a network is given of a scan: each image with its neighbours, or with what is kept of those before it."""

from .gaps import parts_without_gaps
from .group import Frame
from .manifest_fields import Manifest
from .neighbours import Neighbours
from .scan_kind import Axis, ScanKind, axis_of
from .stack import Mode, Stack
from .state import State
from .streams import Streams


class Feed:
    """Images in, stacks out: by what the scan is, what the network takes, and the mode.

    A network that remembers has a series in time as `Streams` while that streams; all else is for `Neighbours`.

    Parameters
    ----------
    manifest
        The network's.
    mode
        `streaming`, or `series`, which lets all leave at the end.
    kind
        Of the scan.
    most_bytes
        Of all that is held back or remembered.
    """

    def __init__(self, manifest: Manifest, mode: Mode, kind: ScanKind, most_bytes: int) -> None:
        self._manifest, self._mode, self._kind, self._most_bytes = manifest, mode, kind, most_bytes
        axis, in_volume = (axis_of(manifest.frames, n_partitions, kind) for n_partitions in (1, 2))
        self._images = self._collector(axis)
        # No axis of volumes but time holds anything, so that one of the two has the whole bound.
        self._volumes = self._images if in_volume == axis else self._collector(in_volume)

    def add(self, frame: Frame) -> list[Stack]:
        """The stacks that the image completes."""
        is_volume = len(frame.image.image) > 1
        stacks = (self._volumes if is_volume else self._images).add(frame)
        self._go_on_streaming()
        return self._contiguous(stacks)

    def end(self) -> list[Stack]:
        """The stacks of all that still waits."""
        return self._contiguous(self._images.end())

    def keep(self, stack: Stack, states: tuple[State, ...]) -> None:
        """A stack was denoised. states: for the next image of its stream, if it is of one."""
        if stack.memory is not None and isinstance(self._images, Streams):
            self._images.keep(stack.memory, states)

    def lose(self, stack: Stack) -> None:
        """It could not be denoised."""
        if stack.memory is not None and isinstance(self._images, Streams):
            self._images.lose(stack.memory)

    def _collector(self, axis: Axis) -> Neighbours | Streams:
        manifest, kind = self._manifest, self._kind
        if manifest.past and axis == "time" and self._mode == "streaming":
            return Streams(kind.phases, self._most_bytes)
        return Neighbours(axis, manifest.n_frames, self._mode, kind.n_slices, self._most_bytes, kind.n_times)

    def _go_on_streaming(self) -> None:
        """A series in time that exceeds the bound has left as a whole, and is a stream from there on."""
        held = self._images
        if self._mode == "series" and isinstance(held, Neighbours) and held.mode == "streaming":
            self._mode = "streaming"
            if self._manifest.past and held.axis == "time":
                streams = Streams(self._kind.phases, self._most_bytes, held.warnings)
                if self._volumes is held:
                    self._volumes = streams
                self._images = streams

    def _contiguous(self, stacks: list[Stack]) -> list[Stack]:
        """A network of one axis is given its frames as it always was."""
        if len(self._manifest.frames) < 2:
            return stacks
        return [part for stack in stacks for part in parts_without_gaps(stack)]
