from typing import Any

import ismrmrd
from numpy.typing import NDArray

class ImageArray:
    data: NDArray[Any]
    headers: NDArray[Any]
    meta: list[str]
    waveform: list[ismrmrd.Waveform] | None
    acq_headers: NDArray[Any] | None
    def __init__(
        self,
        data: NDArray[Any] | None = None,
        headers: NDArray[Any] | None = None,
        meta: list[str] | None = None,
        waveform: list[ismrmrd.Waveform] | None = None,
        acq_headers: NDArray[Any] | None = None,
    ) -> None: ...
