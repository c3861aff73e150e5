"""A scan that no scanner made, for a server to have done one before the first client comes."""

from collections.abc import Iterator

import ismrmrd
import numpy as np
from ismrmrd import xsd

N_CHANNELS, N_E1, N_SAMPLES, N_PIXELS = 16, 256, 512, 256  # as large as many: memory, too, is had more quickly again
ACCELERATION, N_ACS = 2, 24
FOV_MM, SLICE_MM = 256.0, 5.0
SIGNAL, WIDTH = 300.0, 2.0  # of the centre of k-space over the noise, and in lines
DWELL_US = 5.0

HEADER = xsd.ismrmrdHeader(
    acquisitionSystemInformation=xsd.acquisitionSystemInformationType(relativeReceiverNoiseBandwidth=1.0),
    experimentalConditions=xsd.experimentalConditionsType(H1resonanceFrequency_Hz=123_000_000),
    encoding=[
        xsd.encodingType(
            encodedSpace=xsd.encodingSpaceType(
                matrixSize=xsd.matrixSizeType(x=N_SAMPLES, y=N_E1, z=1),
                fieldOfView_mm=xsd.fieldOfViewMm(x=FOV_MM * N_SAMPLES / N_PIXELS, y=FOV_MM, z=SLICE_MM),
            ),
            reconSpace=xsd.encodingSpaceType(
                matrixSize=xsd.matrixSizeType(x=N_PIXELS, y=N_E1, z=1),
                fieldOfView_mm=xsd.fieldOfViewMm(x=FOV_MM, y=FOV_MM, z=SLICE_MM),
            ),
            encodingLimits=xsd.encodingLimitsType(
                kspace_encoding_step_1=xsd.limitType(minimum=0, maximum=N_E1 - 1, center=N_E1 // 2)
            ),
            trajectory=xsd.trajectoryType.CARTESIAN,
            parallelImaging=xsd.parallelImagingType(
                accelerationFactor=xsd.accelerationFactorType(
                    kspace_encoding_step_1=ACCELERATION, kspace_encoding_step_2=1
                ),
                calibrationMode=xsd.calibrationModeType.EMBEDDED,
            ),
        )
    ],
)


def acquisitions() -> Iterator[ismrmrd.Acquisition]:
    """Noise, then every other line of a smooth object, and all in the middle."""
    rng = np.random.default_rng(0)
    noise = ismrmrd.Acquisition.from_array(_noise(rng, 2048), sample_time_us=DWELL_US)
    noise.set_flag(ismrmrd.ACQ_IS_NOISE_MEASUREMENT)
    yield noise
    sensitivities = _noise(rng, 1)
    samples = np.exp(-(((np.arange(N_SAMPLES) - N_SAMPLES // 2) / WIDTH) ** 2))
    for line in range(N_E1):
        distance = line - N_E1 // 2
        imaging, reference = line % ACCELERATION == 0, -N_ACS // 2 <= distance < N_ACS // 2
        if not (imaging or reference):
            continue
        signal = (SIGNAL * np.exp(-((distance / WIDTH) ** 2)) * sensitivities * samples).astype(np.complex64)
        acquisition = ismrmrd.Acquisition.from_array(
            signal + _noise(rng, N_SAMPLES), sample_time_us=DWELL_US, center_sample=N_SAMPLES // 2,
            read_dir=(1, 0, 0), phase_dir=(0, 1, 0), slice_dir=(0, 0, 1), scan_counter=line,
        )  # fmt: skip
        acquisition.idx.kspace_encode_step_1 = line
        if reference:
            both, only = ismrmrd.ACQ_IS_PARALLEL_CALIBRATION_AND_IMAGING, ismrmrd.ACQ_IS_PARALLEL_CALIBRATION
            acquisition.set_flag(both if imaging else only)
        if line == N_E1 - ACCELERATION:
            acquisition.set_flag(ismrmrd.ACQ_LAST_IN_SLICE)
        yield acquisition


def _noise(rng: np.random.Generator, n_samples: int) -> np.ndarray:
    """White, of SD 1 per part, `(channel, sample)` complex64."""
    return rng.standard_normal((N_CHANNELS, 2 * n_samples), np.float32).view(np.complex64)
