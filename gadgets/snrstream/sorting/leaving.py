"""When the images that are under way leave."""

from ..errors import ScanError
from ..wire.acquisitions import LAST_IN_SLICE
from .keys import Key
from .scan_image import ScanImage

MOST_OPEN_IMAGES = 65536
MOST_BYTES = 12 << 30  # of images under way, as of one


class Leaving:
    """The images under way, in the order in which they began, and which of them are to leave.

    Whoever sorts lines reads and counts here with each of them: a call takes longer.

    Parameters
    ----------
    n_averages : int
        That the header announces.

    Attributes
    ----------
    started : dict of Key to ScanImage
        All of them.
    ended : dict of Key to None
        Of these, those that leave before another image's line.
    whole : set of Key
        And those that have all their image lines, but may get calibration lines.
    left : dict
        The latest repetition that left, of each encoding, slice, contrast, phase and set.
    has_flags : bool
        Whether ends of slices are flagged.
    calibrates_last : bool
        Whether calibration lines follow those of the image.
    last_average : int
        The last that is expected.
    n_lines, most_lines : int
        Of the images under way, and how many of them memory can hold.
    """

    def __init__(self, n_averages: int) -> None:
        self.started: dict[Key, ScanImage] = {}
        self.ended: dict[Key, None] = {}
        self.whole: set[Key] = set()
        self.left: dict[tuple[int, ...], int] = {}
        self.has_flags = self.calibrates_last = False
        self.last_average = n_averages - 1
        self.n_lines = self.most_lines = 0
        self.most_images = MOST_OPEN_IMAGES

    def begin(self, key: Key, image: ScanImage, n_bytes: int) -> None:
        """An image is under way.

        Parameters
        ----------
        key : Key
            Its own.
        image : ScanImage
            It.
        n_bytes : int
            Of a line.
        """
        self.started[key] = image
        self.most_lines = self.most_lines or MOST_BYTES // max(1, n_bytes)

    def pop(self, key: Key) -> ScanImage | None:
        """An image that is under way no longer; None where it was not."""
        image = self.started.pop(key, None)
        self.whole.discard(key)
        if image is not None:
            self.n_lines -= image.n_acquired
        return image

    def pop_ended(self) -> list[Key]:
        """Those that leave now."""
        ended, self.ended = self.ended, {}
        return list(ended)

    def has_left(self, key: Key) -> bool:
        """Whether this repetition of an image has left, or a later one."""
        return self.left.get(key[:-1], -1) >= key[-1]

    def flagged(self, key: Key, flags: int) -> None:
        """A line is flagged as the last of its slice, repetition or measurement."""
        self.has_flags |= bool(flags & LAST_IN_SLICE)
        self.ended[key] = None
        if not flags & LAST_IN_SLICE:
            others = [k for k, image in self.started.items() if k[-1] <= key[-1] and image.complete()]
            self.ended |= dict.fromkeys(others)

    def more_averages(self, key: Key, average: int) -> None:
        """More come than were expected: the ends of earlier ones are none."""
        self.last_average = average
        self.ended.pop(key, None)
        self.whole.discard(key)

    def has_all(self, key: Key, may_be_calibrated: bool) -> None:
        """An image is whole: it leaves, unless its calibration lines may still come."""
        if may_be_calibrated:
            self.whole.add(key)
        else:
            self.ended[key] = None

    def repeated_by(self, key: Key) -> list[Key]:
        """Complete images of which another repetition begins."""
        if key[-1] == 0:
            return []
        return [k for k, image in self.started.items() if k[:-1] == key[:-1] and image.complete()]

    def oldest(self) -> Key:
        """The image that began first and has most of its lines: those that lack are none that will come.

        Raises
        ------
        ScanError
            Where there is none.
        """
        oldest = next((key for key, image in self.started.items() if image.has_most_lines), None)
        if oldest is not None:
            return oldest
        if len(self.started) > self.most_images:
            raise ScanError(f"more than {self.most_images} images are incomplete; expected flags that end them")
        n_bytes = sum(image.n_bytes for image in self.started.values())
        raise ScanError(
            f"{len(self.started)} incomplete images hold {n_bytes >> 20} MiB; expected at most {MOST_BYTES >> 20} "
            "MiB, and flags that end images"
        )
