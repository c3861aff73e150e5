"""How a scan was acquired, as far as its header and the image's own attributes tell: matrix, coil, acceleration."""

import itertools
import math

import ismrmrd
from ismrmrd.xsd import ismrmrdHeader
from pydicom.dataset import Dataset

from ..image_values import meta_values
from .attributes import decimal, lookup, text

LONGEST_COIL = 16  # bytes of an SH
MOST_AVERAGES = 65536  # of ISMRMRD's counter
LARGEST_SIZE = 65535  # of DICOM's US
_ENCODED = "encoding.encodedSpace"


def add_acquisition(dataset: Dataset, image: ismrmrd.Image, header: ismrmrdHeader | None) -> None:
    """Acquisition matrix, bandwidth, averages, receive coil and parallel imaging. Unknown ones are left out.

    Those of parallel imaging are of the enhanced MR image, and allowed beside the classic one: converters look there.
    """
    n_read, n_phase = (_n_encoded(header, axis) for axis in ("x", "y"))
    if n_read and n_phase:
        dataset.AcquisitionMatrix = [0, n_read, n_phase, 0]  # columns are along the phase encoding
    hertz = _bandwidth_hz(meta_values(image, "SNRSTREAM_dwell_us"), lookup(header, f"{_ENCODED}.matrixSize.x"))
    # Where ramps are sampled, as in EPI, samples are not evenly apart in k-space: the dwell time does not tell it.
    if hertz and lookup(header, "encoding.trajectory.value") != "epi":
        dataset.PixelBandwidth = decimal(hertz)
    last_average = lookup(header, "encoding.encodingLimits.average.maximum")
    if last_average is not None and 0 <= last_average < MOST_AVERAGES:
        dataset.NumberOfAverages = str(last_average + 1)
    if coil := _coil(header):
        dataset.ReceiveCoilName = coil
    _add_parallel_imaging(dataset, header)


def _n_encoded(header: ismrmrdHeader | None, axis: str) -> int | None:
    """Of the matrix, as far as it is not oversampling: that of the field of view which is shown."""
    n, fov_mm = (lookup(header, f"{_ENCODED}.{name}.{axis}") for name in ("matrixSize", "fieldOfView_mm"))
    shown_mm = lookup(header, f"encoding.reconSpace.fieldOfView_mm.{axis}")
    if not (n and fov_mm and shown_mm):
        return None
    shown = n * shown_mm / fov_mm
    return round(shown) if 0.5 < shown < LARGEST_SIZE else None


def _bandwidth_hz(dwell_us: list[str], n_samples: int | None) -> float | None:
    """Of a pixel: the samples of a readout cover a field of view that is 1 / dwell time wide."""
    try:
        hertz = 1e6 / (float(dwell_us[0]) * (n_samples or 0))
    except (IndexError, ValueError, ZeroDivisionError):
        return None
    return hertz if math.isfinite(hertz) and hertz > 0 else None


def _coil(header: ismrmrdHeader | None) -> str:
    """The coils of the elements, `Body_18:1:B22` and its like; what their names share where all do not fit."""
    labels = lookup(header, "acquisitionSystemInformation.coilLabel") or []
    coils = sorted({name.split(":")[0].strip() for label in labels if (name := text(label.coilName, 64))} - {""})
    joined = ";".join(coils)
    if len(coils) > 1 and len(joined.encode()) > LONGEST_COIL:
        # Of sorted names, what the first and the last share all do.
        shared = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(coils[0], coils[-1], strict=False))
        joined = "".join(letter for letter, _ in shared).rstrip("_- 0123456789")
    return text(joined, LONGEST_COIL)


def _add_parallel_imaging(dataset: Dataset, header: ismrmrdHeader | None) -> None:
    factors = lookup(header, "encoding.parallelImaging.accelerationFactor")
    in_plane, out_of_plane = (getattr(factors, f"kspace_encoding_step_{n}", None) or 0 for n in (1, 2))
    if in_plane < 1:
        return
    dataset.ParallelReductionFactorInPlane = float(in_plane)
    is_accelerated = in_plane > 1 or out_of_plane > 1
    dataset.ParallelAcquisition = "YES" if is_accelerated else "NO"
    if is_accelerated:
        dataset.ParallelAcquisitionTechnique = "GRAPPA"
        if out_of_plane >= 1:
            dataset.ParallelReductionFactorOutOfPlane = float(out_of_plane)
