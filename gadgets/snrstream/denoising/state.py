"""What a stream keeps of the images that have been."""

from dataclasses import dataclass, field

import numpy as np

from ..errors import ModelError
from .contracts import past_shapes
from .manifest_fields import Manifest

Past = tuple[np.ndarray, ...]


@dataclass(frozen=True)
class State:
    """What the next image of a stream needs of those before it. It is never changed: each image gives a new one.

    Attributes
    ----------
    shape
        `(e1, ro)` of the images.
    sha256
        Of the model's file.
    past
        For each cell that attends to other frames `(P, C, H / d, W / d)` float32, as `Manifest.past` has it, oldest
        frame first; P is at most `window` - 1, H and W are the image's, padded to the model's divisor. It is kept of
        the whole image, so that other tiles than before may go on with it. Not to be written to.
    """

    shape: tuple[int, int]
    sha256: str
    past: Past = field(repr=False)

    @property
    def n_frames(self) -> int:
        """How many earlier frames are kept."""
        return len(self.past[0])

    @property
    def nbytes(self) -> int:
        """The memory that it takes."""
        return sum(part.nbytes for part in self.past)


def begin(manifest: Manifest, shape: tuple[int, int]) -> State:
    """The state before the first image `(e1, ro)` of a stream."""
    height, width = (-(-n // manifest.divisor) * manifest.divisor for n in shape)
    past = (np.zeros(of_one[1:], np.float32) for of_one in past_shapes(manifest, 1, 0, (height, width)))
    return State(shape, manifest.sha256, tuple(past))


def check_state(manifest: Manifest, state: State, shape: tuple[int, int]) -> None:
    """Whether an image `(e1, ro)` can be the next one of a stream. Raises ModelError."""
    if state.sha256 != manifest.sha256:
        raise ModelError(
            f"model {manifest.name}: the stream was begun by a model of sha256 {state.sha256[:12]}; expected this one, "
            f"{manifest.sha256[:12]}"
        )
    if state.shape != shape:
        raise ModelError(f"model {manifest.name}: an image of {shape[0]} x {shape[1]} follows in a stream of "
                         f"{state.shape[0]} x {state.shape[1]}; expected one size")  # fmt: skip
