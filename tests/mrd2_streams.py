"""MRD v2 streams written with the package's own writer, field by field, from ISMRMRD headers and acquisitions."""

import io
from collections.abc import Iterable

import ismrmrd
import mrd
import numpy as np
from ismrmrd import xsd


def stream(header: xsd.ismrmrdHeader, acquisitions: Iterable[ismrmrd.Acquisition]) -> bytes:
    """A stream with all that a Cartesian reconstruction and its images need. Counters that are 0 are left out."""
    return written(header_of(header), [mrd.StreamItem.Acquisition(acquisition_of(one)) for one in acquisitions])


def written(header: mrd.Header | None, items: list[mrd.StreamItem]) -> bytes:
    """The bytes of a whole stream."""
    target = io.BytesIO()
    with mrd.BinaryMrdWriter(target) as writer:
        writer.write_header(header)
        writer.write_data(items)
    return target.getvalue()


def read(data: bytes) -> tuple[mrd.Header | None, list[mrd.StreamItem]]:
    """Header and items. Raises where `data` is not one whole stream."""
    with mrd.BinaryMrdReader(io.BytesIO(data)) as reader:
        return reader.read_header(), list(reader.read_data())


def header_of(header: xsd.ismrmrdHeader) -> mrd.Header:
    """Of a header with one encoding, measurement, study and system information, and parallel imaging."""
    (encoding,) = header.encoding
    system, measurement, parallel = (
        header.acquisitionSystemInformation,
        header.measurementInformation,
        encoding.parallelImaging,
    )
    factor, limits = parallel.accelerationFactor, encoding.encodingLimits
    study = header.studyInformation
    return mrd.Header(
        study_information=mrd.StudyInformationType(
            study_time=mrd.Time.parse(str(study.studyTime)) if study and study.studyTime else None
        ),
        measurement_information=mrd.MeasurementInformationType(
            measurement_id=measurement.measurementID,
            patient_position=mrd.PatientPosition.H_FS,
            protocol_name=measurement.protocolName,
            sequence_name=measurement.sequenceName,
        ),
        acquisition_system_information=mrd.AcquisitionSystemInformationType(
            system_vendor=system.systemVendor,
            system_field_strength_t=system.systemFieldStrength_T,
            relative_receiver_noise_bandwidth=system.relativeReceiverNoiseBandwidth,
            receiver_channels=system.receiverChannels,
            coil_label=[mrd.CoilLabelType(coil_number=c.coilNumber, coil_name=c.coilName) for c in system.coilLabel],
        ),
        experimental_conditions=mrd.ExperimentalConditionsType(
            h1resonance_frequency_hz=header.experimentalConditions.H1resonanceFrequency_Hz
        ),
        encoding=[
            mrd.EncodingType(
                encoded_space=_space(encoding.encodedSpace),
                recon_space=_space(encoding.reconSpace),
                encoding_limits=mrd.EncodingLimitsType(
                    kspace_encoding_step_0=_limit(limits.kspace_encoding_step_0),
                    kspace_encoding_step_1=_limit(limits.kspace_encoding_step_1),
                    kspace_encoding_step_2=_limit(limits.kspace_encoding_step_2),
                    slice=_limit(limits.slice),
                ),
                trajectory=mrd.Trajectory.CARTESIAN,
                parallel_imaging=mrd.ParallelImagingType(
                    acceleration_factor=mrd.AccelerationFactorType(
                        kspace_encoding_step_1=factor.kspace_encoding_step_1,
                        kspace_encoding_step_2=factor.kspace_encoding_step_2,
                    ),
                    calibration_mode=mrd.CalibrationMode.EMBEDDED,
                ),
            )
        ],
    )


def acquisition_of(acquisition: ismrmrd.Acquisition) -> mrd.Acquisition:
    """Without trajectory."""
    head = acquisition.getHead()
    return mrd.Acquisition(
        head=mrd.AcquisitionHeader(
            flags=mrd.AcquisitionFlags(head.flags),
            idx=mrd.EncodingCounters(
                kspace_encode_step_1=head.idx.kspace_encode_step_1,
                kspace_encode_step_2=head.idx.kspace_encode_step_2 or None,
                average=head.idx.average or None,
                slice=head.idx.slice or None,
                contrast=head.idx.contrast or None,
                repetition=head.idx.repetition or None,
            ),
            measurement_uid=head.measurement_uid,
            scan_counter=head.scan_counter,
            acquisition_time_stamp=head.acquisition_time_stamp or None,
            channel_order=list(range(len(acquisition.data))),
            center_sample=head.center_sample,
            sample_time_us=head.sample_time_us,
            position=np.array(head.position, np.float32),
            read_dir=np.array(head.read_dir, np.float32),
            phase_dir=np.array(head.phase_dir, np.float32),
            slice_dir=np.array(head.slice_dir, np.float32),
        ),
        data=acquisition.data,
    )


def _space(space: xsd.encodingSpaceType) -> mrd.EncodingSpaceType:
    matrix, fov = space.matrixSize, space.fieldOfView_mm
    return mrd.EncodingSpaceType(
        matrix_size=mrd.MatrixSizeType(x=matrix.x, y=matrix.y, z=matrix.z),
        field_of_view_mm=mrd.FieldOfViewMm(x=fov.x, y=fov.y, z=fov.z),
    )


def _limit(limit: xsd.limitType | None) -> mrd.LimitType | None:
    if limit is None:
        return None
    return mrd.LimitType(minimum=limit.minimum, maximum=limit.maximum, center=limit.center)
