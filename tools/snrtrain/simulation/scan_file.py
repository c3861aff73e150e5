"""Write a simulated scan as an ISMRMRD file, in the form that converters give real scans."""

import zlib
from dataclasses import dataclass
from pathlib import Path

import ismrmrd
import numpy as np
from ismrmrd import xsd
from torch import Tensor

from snrstream.errors import ConfigurationError

DWELL_SCAN_US = 10.0
DWELL_NOISE_US = 4.0
RELATIVE_BANDWIDTH = 0.793  # of the noise scan: what a Siemens receiver passes of its nominal bandwidth


@dataclass(frozen=True)
class PhantomScan:
    """A scan as a scanner would deliver it.

    kspace: `(repetition, channel, e1, ro)` complex64, all lines, before undersampling; correlated noise.
    noise: `(channel, sample)` complex64, the noise scan. imaging, acs: bool `(e1,)`, the lines to keep.
    truth: `(e1, ro without oversampling)` complex64, the object in SNR units, sensitivities left out.
    sensitivities: `(channel, e1, ro)` complex64 after whitening (up to a unitary mixing of channels).
    """

    kspace: Tensor
    noise: Tensor
    imaging: Tensor
    acs: Tensor
    truth: Tensor
    sensitivities: Tensor
    acceleration: int


FIELD_OF_VIEW_MM = 256.0
RAW_SCALE = 1e-6  # scanners deliver small numbers


def write(scan: PhantomScan, path: Path) -> None:
    """Write header, noise scan and the kept lines to `path`, group `dataset`, replacing the file.

    Raises ConfigurationError where the folder does not exist.
    """
    if not path.parent.is_dir():
        raise ConfigurationError(f"folder {path.parent} does not exist; expected one to write {path.name} in")
    path.unlink(missing_ok=True)
    dataset = ismrmrd.Dataset(str(path), "dataset", create_if_needed=True)
    try:
        dataset.write_xml_header(xsd.ToXML(header(scan), "utf-8"))
        for acquisition in acquisitions(scan):
            dataset.append_acquisition(acquisition)
    finally:
        dataset.close()


def acquisitions(scan: "PhantomScan") -> list[ismrmrd.Acquisition]:
    """The noise scan, then every repetition's lines in ascending order."""
    noise = _acquisition(scan.noise.numpy(), DWELL_NOISE_US)
    noise.set_flag(ismrmrd.ACQ_IS_NOISE_MEASUREMENT)
    result = [noise]
    lines = (scan.imaging | scan.acs).nonzero().flatten().tolist()
    for repetition, kspace in enumerate(scan.kspace.numpy()):
        for line in lines:
            acquisition = _acquisition(kspace[:, line], DWELL_SCAN_US)
            acquisition.idx.kspace_encode_step_1 = line
            acquisition.idx.repetition = repetition
            if scan.acs[line]:
                imaging = bool(scan.imaging[line])
                acquisition.set_flag(
                    ismrmrd.ACQ_IS_PARALLEL_CALIBRATION_AND_IMAGING if imaging else ismrmrd.ACQ_IS_PARALLEL_CALIBRATION
                )
            if line == lines[0]:
                acquisition.set_flag(ismrmrd.ACQ_FIRST_IN_SLICE)
            if line == lines[-1]:
                acquisition.set_flag(ismrmrd.ACQ_LAST_IN_SLICE)
                acquisition.set_flag(ismrmrd.ACQ_LAST_IN_REPETITION)
            acquisition.scan_counter = len(result)
            result.append(acquisition)
    result[-1].set_flag(ismrmrd.ACQ_LAST_IN_MEASUREMENT)
    return result


def header(scan: "PhantomScan") -> xsd.ismrmrdHeader:
    """The ISMRMRD header of a scan: one encoding, embedded calibration."""
    n_repetitions, n_channels, n_e1, n_ro = scan.kspace.shape
    n_recon = scan.truth.shape[1]
    encoding = xsd.encodingType(
        encodedSpace=_space(n_ro, n_e1, FIELD_OF_VIEW_MM * n_ro / n_recon, n_e1 / n_recon),
        reconSpace=_space(n_recon, n_e1, FIELD_OF_VIEW_MM, n_e1 / n_recon),
        encodingLimits=xsd.encodingLimitsType(
            kspace_encoding_step_0=xsd.limitType(minimum=0, maximum=n_ro - 1, center=n_ro // 2),
            kspace_encoding_step_1=xsd.limitType(minimum=0, maximum=n_e1 - 1, center=n_e1 // 2),
            kspace_encoding_step_2=xsd.limitType(minimum=0, maximum=0, center=0),
            slice=xsd.limitType(minimum=0, maximum=0, center=0),
            repetition=xsd.limitType(minimum=0, maximum=n_repetitions - 1, center=0),
        ),
        trajectory=xsd.trajectoryType.CARTESIAN,
        parallelImaging=xsd.parallelImagingType(
            accelerationFactor=xsd.accelerationFactorType(
                kspace_encoding_step_1=scan.acceleration, kspace_encoding_step_2=1
            ),
            calibrationMode=xsd.calibrationModeType.EMBEDDED,
        ),
    )
    return xsd.ismrmrdHeader(
        measurementInformation=xsd.measurementInformationType(
            measurementID=_measurement_id(scan),
            patientPosition=xsd.patientPositionType.HFS,
            protocolName="simulated",
        ),
        acquisitionSystemInformation=xsd.acquisitionSystemInformationType(
            systemVendor="simulated",
            systemFieldStrength_T=3.0,
            relativeReceiverNoiseBandwidth=RELATIVE_BANDWIDTH,
            receiverChannels=n_channels,
            coilLabel=[
                xsd.coilLabelType(coilNumber=channel, coilName=f"loop_{channel}") for channel in range(n_channels)
            ],
        ),
        experimentalConditions=xsd.experimentalConditionsType(H1resonanceFrequency_Hz=123_200_000),
        encoding=[encoding],
    )


def _measurement_id(scan: PhantomScan) -> str:
    """Device, subject, session and measurement, as Gadgetron's store wants them; the last tells scans apart."""
    return f"simulator_object_1_{zlib.crc32(scan.kspace.contiguous().numpy().data):08x}"


def _space(n_x: int, n_y: int, width_mm: float, aspect: float) -> xsd.encodingSpaceType:
    return xsd.encodingSpaceType(
        matrixSize=xsd.matrixSizeType(x=n_x, y=n_y, z=1),
        fieldOfView_mm=xsd.fieldOfViewMm(x=width_mm, y=FIELD_OF_VIEW_MM * aspect, z=5.0),
    )


def _acquisition(data: np.ndarray, dwell_us: float) -> ismrmrd.Acquisition:
    acquisition = ismrmrd.Acquisition.from_array((RAW_SCALE * data).astype(np.complex64))
    acquisition.version = 1
    acquisition.available_channels = data.shape[0]
    acquisition.center_sample = data.shape[1] // 2
    acquisition.sample_time_us = dwell_us
    acquisition.read_dir = (1.0, 0.0, 0.0)
    acquisition.phase_dir = (0.0, 1.0, 0.0)
    acquisition.slice_dir = (0.0, 0.0, 1.0)
    return acquisition
