"""The g-maps that Gadgetron sent, kept as long as a later image can need them."""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator

import ismrmrd
import numpy as np

from ..wire.sizes import DEFAULT_LIMITS

Counted = ismrmrd.Image | ismrmrd.ImageHeader
Place = tuple[int, ...]  # slice, contrast, phase, set, or the first few of them
Shape = tuple[int, ...]

MOST_BYTES = DEFAULT_LIMITS.data  # of one message: maps that came in one are all kept for the images behind them


class KeptGMaps:
    """g-maps by the counters of their images, `(e2, e1, ro)` each.

    An image gets the map of its own slice, contrast, phase, set and repetition, else the latest map that shares as many
    of these as possible, from the slice on, and fits in shape. Gadgetron sends maps in the order of their images, and
    one, some or all of them ahead of the images. So these are kept, of each slice, contrast, phase and set:

    - the latest map of each shape;
    - those of single repetitions from the last one on whose image has come. In an endless series, where maps and images
      take turns, these are two, or two messages' worth where a message holds several repetitions;
    - no more of the latter, all in all, than `most_bytes`, beside the latest: that is for maps whose images never come.

    A map of several images, over whose repetitions or sets the calibration was averaged, is one array, counted once.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._latest: dict[tuple[Place, Shape], np.ndarray] = {}
        self._of_repetitions: dict[Place, dict[int, dict[Shape, np.ndarray]]] = {}  # in the order of arrival
        self._reached: dict[Place, int] = {}  # the repetition whose image came last
        self._n_bytes = 0  # of the maps of single repetitions
        self._uses: Counter[int] = Counter()  # of each of these, by its id: how many repetitions and places it is of

    def add(self, heads: Iterable[Counted], gmap: np.ndarray) -> None:
        """Keep the map of the images that have the counters of `heads`, and drop those whose images came before it."""
        added = {_place(head): self._add(head, gmap) for head in heads}.values()
        while self._n_bytes > self._most_bytes and any(len(repetitions) > 1 for repetitions in added):
            for repetitions in added:
                if len(repetitions) > 1:
                    self._drop_first(repetitions)

    def of(self, image: Counted, shape: Shape) -> np.ndarray | None:
        """The map of an image of this shape, or None where no map of its slice fits."""
        place = _place(image)
        own = self._of_repetitions.get(place, {}).get(image.repetition, {})
        if shape in own:
            return own[shape]
        return next((self._latest[key, shape] for key in _prefixes(place) if (key, shape) in self._latest), None)

    def passed(self, image: Counted) -> None:
        """An image of any kind but a g-map has come: older repetitions than its own may go with the next map."""
        place = _place(image)
        repetitions = self._of_repetitions.get(place)
        if repetitions:
            own = image.repetition
            self._reached[place] = own if own in repetitions else next(reversed(repetitions))

    def values(self) -> list[np.ndarray]:
        """Every map that is kept, once."""
        single = (maps.values() for repetitions in self._of_repetitions.values() for maps in repetitions.values())
        every = itertools.chain(self._latest.values(), itertools.chain.from_iterable(single))
        return list({id(gmap): gmap for gmap in every}.values())

    def _add(self, head: Counted, gmap: np.ndarray) -> dict[int, dict[Shape, np.ndarray]]:
        """Of the same place, all that are kept."""
        place, repetition = _place(head), head.repetition
        repetitions = self._of_repetitions.setdefault(place, {})
        reached = self._reached.pop(place, None)
        while reached in repetitions and next(iter(repetitions)) != reached:
            self._drop_first(repetitions)
        of_shape = repetitions.pop(repetition, {})
        if gmap.shape in of_shape:
            self._release(of_shape[gmap.shape])
        repetitions[repetition] = of_shape | {gmap.shape: gmap}
        self._use(gmap)
        self._latest |= {(key, gmap.shape): gmap for key in _prefixes(place)}
        return repetitions

    def _drop_first(self, repetitions: dict[int, dict[Shape, np.ndarray]]) -> None:
        for gmap in repetitions.pop(next(iter(repetitions))).values():
            self._release(gmap)

    def _use(self, gmap: np.ndarray) -> None:
        self._uses[id(gmap)] += 1
        if self._uses[id(gmap)] == 1:
            self._n_bytes += gmap.nbytes

    def _release(self, gmap: np.ndarray) -> None:
        self._uses[id(gmap)] -= 1
        if self._uses[id(gmap)] == 0:
            del self._uses[id(gmap)]
            self._n_bytes -= gmap.nbytes


def _place(image: Counted) -> Place:
    return image.slice, image.contrast, image.phase, image.set


def _prefixes(place: Place) -> Iterator[Place]:
    """All counters first, the slice alone last."""
    for n in range(len(place), 0, -1):
        yield place[:n]
