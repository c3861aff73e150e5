"""Types of the parts of `ismrmrd` that are used here; the package ships none."""

import ctypes
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from . import hdf5 as hdf5
from . import xsd as xsd

__version__: str

ACQ_FIRST_IN_ENCODE_STEP1: int
ACQ_LAST_IN_ENCODE_STEP1: int
ACQ_FIRST_IN_ENCODE_STEP2: int
ACQ_LAST_IN_ENCODE_STEP2: int
ACQ_FIRST_IN_AVERAGE: int
ACQ_LAST_IN_AVERAGE: int
ACQ_FIRST_IN_SLICE: int
ACQ_LAST_IN_SLICE: int
ACQ_FIRST_IN_CONTRAST: int
ACQ_LAST_IN_CONTRAST: int
ACQ_FIRST_IN_PHASE: int
ACQ_LAST_IN_PHASE: int
ACQ_FIRST_IN_REPETITION: int
ACQ_LAST_IN_REPETITION: int
ACQ_FIRST_IN_SET: int
ACQ_LAST_IN_SET: int
ACQ_FIRST_IN_SEGMENT: int
ACQ_LAST_IN_SEGMENT: int
ACQ_IS_NOISE_MEASUREMENT: int
ACQ_IS_PARALLEL_CALIBRATION: int
ACQ_IS_PARALLEL_CALIBRATION_AND_IMAGING: int
ACQ_IS_REVERSE: int
ACQ_IS_NAVIGATION_DATA: int
ACQ_IS_PHASECORR_DATA: int
ACQ_LAST_IN_MEASUREMENT: int
ACQ_IS_HPFEEDBACK_DATA: int
ACQ_IS_DUMMYSCAN_DATA: int
ACQ_IS_RTFEEDBACK_DATA: int
ACQ_IS_SURFACECOILCORRECTIONSCAN_DATA: int
ACQ_IS_PHASE_STABILIZATION_REFERENCE: int
ACQ_IS_PHASE_STABILIZATION: int
ACQ_COMPRESSION1: int
ACQ_COMPRESSION2: int
ACQ_COMPRESSION3: int
ACQ_COMPRESSION4: int
IMTYPE_MAGNITUDE: int
IMTYPE_PHASE: int
IMTYPE_REAL: int
IMTYPE_IMAG: int
IMTYPE_COMPLEX: int
IMTYPE_RGB: int
DATATYPE_USHORT: int
DATATYPE_SHORT: int
DATATYPE_UINT: int
DATATYPE_INT: int
DATATYPE_FLOAT: int
DATATYPE_DOUBLE: int
DATATYPE_CXFLOAT: int
DATATYPE_CXDOUBLE: int

class _Flags:
    def is_flag_set(self, flag: int) -> bool: ...
    def set_flag(self, flag: int) -> None: ...
    def clear_flag(self, flag: int) -> None: ...
    def clear_all_flags(self) -> None: ...

class EncodingCounters(ctypes.Structure):
    kspace_encode_step_1: int
    kspace_encode_step_2: int
    average: int
    slice: int
    contrast: int
    phase: int
    repetition: int
    set: int
    segment: int
    user: Sequence[int]

class _AcquisitionFields(_Flags):
    version: int
    flags: int
    measurement_uid: int
    scan_counter: int
    acquisition_time_stamp: int
    physiology_time_stamp: Sequence[int]
    number_of_samples: int
    available_channels: int
    active_channels: int
    channel_mask: Sequence[int]
    discard_pre: int
    discard_post: int
    center_sample: int
    encoding_space_ref: int
    trajectory_dimensions: int
    sample_time_us: float
    position: Sequence[float]
    read_dir: Sequence[float]
    phase_dir: Sequence[float]
    slice_dir: Sequence[float]
    patient_table_position: Sequence[float]
    idx: EncodingCounters
    user_int: Sequence[int]
    user_float: Sequence[float]

class AcquisitionHeader(_AcquisitionFields, ctypes.Structure): ...

class Acquisition(_AcquisitionFields):
    _head: AcquisitionHeader
    def __init__(
        self,
        head: AcquisitionHeader | None = None,
        data: NDArray[Any] | None = None,
        trajectory: NDArray[Any] | None = None,
    ) -> None: ...
    @staticmethod
    def from_array(data: NDArray[Any], trajectory: NDArray[Any] | None = None, **kwargs: Any) -> Acquisition: ...
    @staticmethod
    def from_bytes(bytelike: bytes) -> Acquisition: ...
    def to_bytes(self) -> bytes: ...
    def serialize_into(self, write: Callable[[bytes], Any]) -> None: ...
    def resize(self, number_of_samples: int = 0, active_channels: int = 1, trajectory_dimensions: int = 0) -> None: ...
    def getHead(self) -> AcquisitionHeader: ...
    def setHead(self, hdr: AcquisitionHeader) -> None: ...
    @property
    def data(self) -> NDArray[np.complex64]: ...
    @property
    def traj(self) -> NDArray[np.float32]: ...

class _ImageFields(_Flags):
    version: int
    data_type: int
    flags: int
    measurement_uid: int
    field_of_view: Sequence[float]
    channels: int
    position: Sequence[float]
    read_dir: Sequence[float]
    phase_dir: Sequence[float]
    slice_dir: Sequence[float]
    patient_table_position: Sequence[float]
    average: int
    slice: int
    contrast: int
    phase: int
    repetition: int
    set: int
    acquisition_time_stamp: int
    physiology_time_stamp: Sequence[int]
    image_type: int
    image_index: int
    image_series_index: int
    user_int: Sequence[int]
    user_float: Sequence[float]
    attribute_string_len: int

class ImageHeader(_ImageFields, ctypes.Structure):
    matrix_size: Sequence[int]
    @staticmethod
    def from_acquisition(acquisition: Acquisition, **kwargs: Any) -> ImageHeader: ...

class Image(_ImageFields):
    meta: Meta
    attribute_string: str
    def __init__(
        self,
        head: ImageHeader | None = None,
        attribute_string: str | None = None,
        meta: Meta | None = None,
        data: NDArray[Any] | None = None,
    ) -> None: ...
    @staticmethod
    def from_array(
        array: NDArray[Any], acquisition: Acquisition = ..., transpose: bool = False, **kwargs: Any
    ) -> Image: ...
    @staticmethod
    def from_bytes(bytelike: bytes) -> Image: ...
    def to_bytes(self) -> bytes: ...
    def serialize_into(self, write: Callable[[bytes], Any]) -> None: ...
    def getHead(self) -> ImageHeader: ...
    def setHead(self, hdr: ImageHeader) -> None: ...
    @property
    def data(self) -> NDArray[Any]: ...
    @property
    def matrix_size(self) -> tuple[int, ...]: ...

class Meta(dict[str, Any]):
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...
    def serialize(self) -> str: ...
    @staticmethod
    def deserialize(xml: str | bytes) -> Meta: ...

class _WaveformFields(_Flags):
    version: int
    flags: int
    measurement_uid: int
    scan_counter: int
    time_stamp: int
    number_of_samples: int
    channels: int
    sample_time_us: float
    waveform_id: int

class WaveformHeader(_WaveformFields, ctypes.Structure): ...

class Waveform(_WaveformFields):
    def __init__(self, head: WaveformHeader | None = None, data: NDArray[Any] | None = None) -> None: ...
    @staticmethod
    def from_array(data: NDArray[Any], **kwargs: Any) -> Waveform: ...
    @staticmethod
    def from_bytes(bytelike: bytes) -> Waveform: ...
    def to_bytes(self) -> bytes: ...
    def serialize_into(self, write: Callable[[bytes], Any]) -> None: ...
    def getHead(self) -> WaveformHeader: ...
    @property
    def data(self) -> NDArray[np.uint32]: ...

class Dataset:
    _dataset: Any
    def __init__(
        self, filename: Any, dataset_name: str = "dataset", create_if_needed: bool = True, mode: str | None = None
    ) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None: ...
    def list(self) -> Iterable[str]: ...
    def close(self) -> None: ...
    def read_xml_header(self) -> bytes: ...
    def write_xml_header(self, xmlstring: bytes | str) -> None: ...
    def number_of_acquisitions(self) -> int: ...
    def read_acquisition(self, acqnum: int) -> Acquisition: ...
    def append_acquisition(self, acq: Acquisition) -> None: ...
    def number_of_images(self, impath: str) -> int: ...
    def read_image(self, impath: str, imnum: int) -> Image: ...
    def append_image(self, impath: str, im: Image) -> None: ...
    def number_of_waveforms(self) -> int: ...
    def read_waveform(self, wavnum: int) -> Waveform: ...
    def append_waveform(self, wav: Waveform) -> None: ...

class ProtocolDeserializer:
    def __init__(self, stream: BinaryIO) -> None: ...
    def deserialize(self) -> Iterable[Any]: ...

class ProtocolSerializer:
    def __init__(self, stream: BinaryIO) -> None: ...
    def serialize(self, item: Any) -> None: ...
    def close(self) -> None: ...
