import ctypes
from collections.abc import Iterator, Sequence
from typing import Any

from numpy.typing import NDArray

class SamplingLimit(ctypes.Structure):
    min: int
    center: int
    max: int

class SamplingDescription(ctypes.Structure):
    encoded_FOV: Sequence[float]
    recon_FOV: Sequence[float]
    encoded_matrix: Sequence[int]
    recon_matrix: Sequence[int]
    sampling_limits: Sequence[SamplingLimit]

class ReconBuffer:
    data: NDArray[Any]
    trajectory: NDArray[Any] | None
    density: NDArray[Any] | None
    headers: NDArray[Any]
    sampling: SamplingDescription
    def __init__(
        self,
        data: NDArray[Any],
        trajectory: NDArray[Any] | None,
        density: NDArray[Any] | None,
        headers: NDArray[Any],
        sampling_description: SamplingDescription,
    ) -> None: ...

class ReconBit:
    data: ReconBuffer
    ref: ReconBuffer | None
    def __init__(self, buffer: ReconBuffer, reference: ReconBuffer | None = None) -> None: ...

class ReconData:
    bits: list[ReconBit]
    def __init__(self, bits: list[ReconBit]) -> None: ...
    def __getitem__(self, item: int) -> ReconBit: ...
    def __iter__(self) -> Iterator[ReconBit]: ...
