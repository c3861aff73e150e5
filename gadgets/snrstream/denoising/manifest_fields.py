"""What a manifest says of a model."""

from dataclasses import dataclass
from typing import Any

Size = tuple[int, int, int]
Range = tuple[float, float]


@dataclass(frozen=True)
class Recorded:
    """What the model once answered.

    Attributes
    ----------
    file
        Name of the file beside the model that holds it, see `recorded`.
    sha256
        Hash of that file, in hex.
    tolerance
        Largest difference of a later answer, in SNR units, above 0.
    """

    file: str
    sha256: str
    tolerance: float


@dataclass(frozen=True)
class Manifest:
    """One model. `manifest.json` holds these keys; those with a default may be left out.

    Attributes
    ----------
    name, version
        Printable text; the name is that of the folder.
    file, sha256
        The model file in the same folder, and its hash in hex.
    format
        `onnx` or `torchscript`.
    input
        `complex_gmap`: channels real, imaginary, g-map in, real, imaginary out. `magnitude_gmap`: magnitude and g-map
        in, magnitude out. `magnitude_slices`: magnitudes of `n_frames` neighbours in, the centre one's out.
    layout
        Of the input: `B,3,T,H,W`, `B,2,T,H,W` or `B,T,H,W`, in the order of the inputs above. S may stand for T where
        frames are slices, D where they are depth.
    frames
        What T may hold: some of `time`, `slice` and `depth` (partitions); empty where each frame is denoised by itself.
        In the file one name, a list of them, or `none`.
    divisor
        H and W must be multiples of it.
    scale
        `snr_units`: the noise has SD g per part. `normalised_magnitude`, for `magnitude_slices` alone: the largest
        magnitude of the stack is made 1.
    default_alpha
        Weight of the original in the blend, 0 to 1, where the pipeline sets none.
    noise_reduction
        Measured ratio of noise SD out to in, at alpha 0.
    training
        Method, data, commit, seed and the like.
    licence
        An SPDX name.
    n_frames
        How many frames the network takes at once: 0, the default, for any number, or T of the patch where there is a
        patch. `magnitude_slices` needs an odd number of 3 or more.
    patch, overlap
        `[T, H, W]` of a network that takes one size only, and by how much neighbours overlap; both or none.
    receptive_field
        `[T, H, W]`, how many pixels of the input have a say in one of the output; 0, the default, where it is not
        known. Where it fits the overlap, tiles leave no trace.
    past, window
        Of a network that streams: `[channels, divisor]` for each cell that attends to other frames, what it keeps of a
        frame being `[channels, H / divisor, W / divisor]`; and how many frames attention looks at, itself among them,
        so that `window` - 1 earlier ones are kept. Empty and 0 for all other networks. Its file's inputs and outputs
        are told by `Backend.run_remembering`.
    snr_range, gfactor_range
        `[lowest, highest]` in training, above 0; `safety` holds inputs against them.
    test_vector
        What the model once answered, null where nothing was recorded.
    tensorrt
        Whether ONNX Runtime may use TensorRT where it has it, which takes minutes at first.
    """

    name: str
    version: str
    file: str
    format: str
    sha256: str
    input: str
    layout: str
    frames: tuple[str, ...]
    divisor: int
    scale: str
    default_alpha: float
    noise_reduction: float
    training: dict[str, Any]
    licence: str
    n_frames: int = 0
    patch: Size | None = None
    overlap: Size | None = None
    receptive_field: Size = (0, 0, 0)
    past: tuple[tuple[int, int], ...] = ()
    window: int = 0
    snr_range: Range | None = None
    gfactor_range: Range | None = None
    test_vector: Recorded | None = None
    tensorrt: bool = False


def frames_text(frames: tuple[str, ...]) -> str:
    """`Manifest.frames` for people: `time, slice`, or `none`."""
    return ", ".join(frames) or "none"
