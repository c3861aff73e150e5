"""One axis of k-space: its size, and the line that holds k = 0, by the header, by idx.user and by the data."""

from dataclasses import dataclass

import numpy as np

from ..errors import ScanError
from ..recon.echo import Echo

# The echo may lie so many lines off k = 0: one for each cycle of the object's phase across the field of view.
CYCLES_OF_PHASE = 3
SHARE_OF_TOLERANCE = 0.02  # of k-space: whole k-space about a centre that is off by less has no cut side
WIDEST_GAP = 8  # lines, before those that the matrix is made larger for
LEAST_LINES = 0.25  # of those that the fullest number has, in numbers that the matrix is made larger for


@dataclass(frozen=True)
class Axis:
    """Line numbers along one axis of phase encodes, as the acquisitions have them.

    Attributes
    ----------
    name : str
        For messages.
    size : int
        Lines of k-space, with k = 0 at size // 2.
    first, centre, last : int
        The first line that is expected, the one that holds k = 0, and the last.
    is_known : bool
        Whether the header tells the three.
    is_certain : bool
        Whether the data has a say in it.
    warnings : tuple of str
        Where this is not what the header tells.
    """

    name: str
    size: int
    first: int
    centre: int
    last: int
    is_known: bool
    is_certain: bool = False
    warnings: tuple[str, ...] = ()

    def as_slice(self, number: int) -> "Axis":
        """The same, where all lines have one number: there is nothing to transform.

        Parameters
        ----------
        number : int
            Theirs.
        """
        told: tuple[str, ...] = ()
        if self.size > 1:
            told = (
                f"the header has {self.size} partitions, and all lines are of partition {number}: taken for a slice",
            )
        elif number != 0:
            told = (f"all lines have {self.name} {number}; expected 0 of a slice: taken for that",)
        return Axis(self.name, 1, number, number, number, self.is_known, warnings=told)

    def placed(self, numbers: np.ndarray, n_image: int, user: int, echo: Echo | None) -> "Axis":
        """The same, as the lines of an image have it.

        Parameters
        ----------
        numbers : ndarray
            `(line,)` int: the number of each, of the image's lines first, then of its calibration's.
        n_image : int
            How many are of the image.
        user : int
            The centre that idx.user has; 0 where it has none.
        echo : Echo or None
            The strongest line, where it stands out.

        Raises
        ------
        ScanError
            Where lines lie outside of k-space.
        """
        every, counts = np.unique(numbers, return_counts=True)
        low, high = int(every[0]), int(every[-1])
        is_short = n_image > 0 and 2 * (high - low + 1) <= self.size  # an image that may end before k = 0
        centre, told = self._centre(every, user if low <= user <= high else 0, echo, is_short)
        warnings: tuple[str, ...] = (told,) if told else ()
        size, before, after = self.size, centre - low, high - centre
        if max(2 * before, 2 * after + 1) > size:
            self._require_more(every, counts)
            if self.size == 1 and echo is None:
                raise ScanError(
                    f"lines have {self.name} {low} to {high} where the header has one, and none stands out as k = 0; "
                    "expected the matrix of a volume, or slices in idx.slice"
                )
            size = 2 * before + 1 if before == after else 2 * max(before, after + 1)  # a cut side was even, most likely
            warnings += (
                f"lines {low} to {high} of {self.name}, with the centre at {centre}, do not fit into the header's "
                f"{self.size}: k-space of {size} lines was taken",
            )
        first, last = self.first, self.last
        if not self.is_known:
            expected = numbers[:n_image] if n_image else numbers
            first, last = int(expected.min()), int(expected.max())
        certain = echo is not None and not is_short
        return Axis(self.name, size, first, centre, last, self.is_known, certain, warnings)

    def _centre(self, every: np.ndarray, user: int, echo: Echo | None, is_short: bool) -> tuple[int, str]:
        """The line with k = 0, and a warning where the header has another, or the data has."""
        low, high = int(every[0]), int(every[-1])
        room = range(high - self.size + 1 + self.size // 2, low + self.size // 2 + 1)  # centres that leave lines room
        tolerance = max(CYCLES_OF_PHASE, round(SHARE_OF_TOLERANCE * self.size))
        if echo is None:
            return self._without_echo(low, high, room, user, tolerance)
        tolerance += echo.spacing // 2
        of_header, of_user = abs(self.centre - echo.line), abs(user - echo.line)
        is_near = of_header <= tolerance
        if user and of_user <= tolerance and not (self.is_known and of_header <= of_user):
            return user, self._told(user, f"idx.user has {user} and the strongest line is {echo.line}")
        if is_near and self.centre in room:
            return self.centre, ""
        strongest = f"the strongest line is {echo.line}"
        if self.is_known and self.centre in room and (is_short or echo.line not in room):
            why = "fewer than half of the lines came" if is_short else "it leaves the lines no room"
            return self.centre, self._kept(strongest, of_header, why)
        if len(room):
            centre = min(max(self.centre if is_near else echo.line, room[0]), room[-1])
            if self.is_known and is_near:
                strongest = f"lines {low} to {high} have no room in {self.size} about any other"
        else:
            middle = low + (high - low + 1) // 2
            at_ends = int(np.diff(every)[[0, -1]].max())  # where a line may lack that the sampling leaves out
            in_middle = at_ends // 2 < abs(middle - echo.line) <= tolerance
            centre = self.centre if self.is_known and is_near else middle if in_middle else echo.line
        return centre, self._told(centre, strongest)

    def _without_echo(self, low: int, high: int, room: range, user: int, tolerance: int) -> tuple[int, str]:
        if user and not self.is_known and user in room:
            return user, self._told(user, f"idx.user has {user}")
        if self.centre in room:
            off = abs(user - self.centre) if user else 0
            return self.centre, self._kept(f"idx.user has {user}", off, "no line stands out") if off > tolerance else ""
        if user in room:
            return user, self._told(user, f"idx.user has {user}")
        centre = min(max(self.centre, room[0]), room[-1]) if len(room) else low + (high - low + 1) // 2
        return centre, self._told(centre, f"the lines are {low} to {high}")

    def _kept(self, other: str, off: int, why: str) -> str:
        return (
            f"centre of {self.name}: {other}, {off} lines off the header's; {why}: the header's {self.centre} was taken"
        )

    def _told(self, centre: int, why: str) -> str:
        if centre == self.centre:
            return ""
        if not self.is_known:
            return f"centre of {self.name}: the header tells none; {why}: {centre} was taken"
        off = abs(centre - self.centre)
        return f"centre of {self.name}: {why}, {off} lines off the header's {self.centre}: {centre} was taken"

    def _require_more(self, every: np.ndarray, counts: np.ndarray) -> None:
        """Refuse a few lines that went astray; others beyond the matrix are of a larger k-space."""
        gap = np.diff(every) > WIDEST_GAP
        apart = np.append(gap, False) | np.insert(gap, 0, False)
        astray = every[apart | (counts < LEAST_LINES * counts.max())]
        if len(astray):
            furthest = astray[np.abs(astray - self.centre).argmax()]
            raise ScanError(
                f"{self.name} {furthest} lies outside k-space of {self.size} lines with its centre at {self.centre}"
            )
