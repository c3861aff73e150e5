import ctypes
from builtins import set as _Set

import ismrmrd

class AcquisitionBucketStats:
    kspace_encode_step_1: _Set[int]
    kspace_encode_step_2: _Set[int]
    slice: _Set[int]
    phase: _Set[int]
    contrast: _Set[int]
    repetition: _Set[int]
    set: _Set[int]
    segment: _Set[int]
    average: _Set[int]
    def __init__(
        self,
        kspace_encode_step_1: _Set[int] = ...,
        kspace_encode_step_2: _Set[int] = ...,
        slice: _Set[int] = ...,
        phase: _Set[int] = ...,
        contrast: _Set[int] = ...,
        repetition: _Set[int] = ...,
        set: _Set[int] = ...,
        segment: _Set[int] = ...,
        average: _Set[int] = ...,
    ) -> None: ...

class AcquisitionBucket:
    data: list[ismrmrd.Acquisition]
    datastats: list[AcquisitionBucketStats]
    ref: list[ismrmrd.Acquisition]
    refstats: list[AcquisitionBucketStats]
    waveforms: list[ismrmrd.Waveform]
    def __init__(
        self,
        data: list[ismrmrd.Acquisition],
        datastats: list[AcquisitionBucketStats],
        ref: list[ismrmrd.Acquisition],
        refstats: list[AcquisitionBucketStats],
        waveforms: list[ismrmrd.Waveform],
    ) -> None: ...

class bundle_meta(ctypes.Structure):
    count: int
    header_bytes: int
    data_bytes: int
    trajectory_bytes: int

class stats_meta(ctypes.Structure):
    nbytes: int

class waveform_meta(ctypes.Structure):
    count: int
    header_bytes: int
    data_bytes: int

class bucket_meta(ctypes.Structure):
    data: bundle_meta
    reference: bundle_meta
    data_stats: stats_meta
    reference_stats: stats_meta
    waveforms: waveform_meta
