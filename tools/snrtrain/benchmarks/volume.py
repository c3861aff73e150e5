"""A 3D scan on disk, written line by line: 32 channels of it do not fit into memory twice."""

from pathlib import Path

import ismrmrd
import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from snrstream.recon.fft import to_image, to_kspace

from . import scans
from .header import cartesian_header

N_ACS = 24
COMPLEX_BYTES = 8
IMAGES_BYTES = 64  # a voxel, of complex image, g-map and SNR map, as HDF5 and as DICOM: 32, and as much to spare


def write(path: Path, matrix: tuple[int, int, int], n_channels: int, voxel_mm: float = 0.7) -> None:
    """A scan of `matrix` (x, y, z) at R = 2 x 1 with twofold readout oversampling and embedded calibration lines."""
    n_x, n_y, n_z = matrix
    rng = np.random.default_rng(0)
    header = cartesian_header(
        (2 * n_x, n_y, n_z), (2 * n_x * voxel_mm, n_y * voxel_mm, n_z * voxel_mm),
        matrix, (n_x * voxel_mm, n_y * voxel_mm, n_z * voxel_mm), acceleration=(2, 1),
    )  # fmt: skip
    lines, acs = _lines(n_y)
    kspace = _kspace(n_channels, (n_z, n_y, n_x), lines)
    with ismrmrd.Dataset(str(path), "dataset") as dataset:
        dataset.write_xml_header(header)
        noise = rng.standard_normal((2, n_channels, 16384)).astype(np.float32)
        acquisition = ismrmrd.Acquisition.from_array(noise[0] + 1j * noise[1], sample_time_us=5.0)
        acquisition.set_flag(ismrmrd.ACQ_IS_NOISE_MEASUREMENT)
        dataset.append_acquisition(acquisition)
        for z in tqdm(range(n_z), desc="partitions written", disable=None):
            for number, data in enumerate(_oversampled(kspace[:, z])):
                line = lines[number]
                acquisition = ismrmrd.Acquisition.from_array(
                    data, sample_time_us=5.0, center_sample=n_x,
                    read_dir=(1, 0, 0), phase_dir=(0, 1, 0), slice_dir=(0, 0, 1),
                )  # fmt: skip
                acquisition.idx.kspace_encode_step_1, acquisition.idx.kspace_encode_step_2 = line, z
                if line in acs:
                    both = ismrmrd.ACQ_IS_PARALLEL_CALIBRATION_AND_IMAGING
                    acquisition.set_flag(both if line % 2 == 0 else ismrmrd.ACQ_IS_PARALLEL_CALIBRATION)
                if (z, line) == (n_z - 1, lines[-1]):
                    acquisition.set_flag(ismrmrd.ACQ_LAST_IN_SLICE)
                dataset.append_acquisition(acquisition)


def n_bytes(matrix: tuple[int, int, int], n_channels: int) -> int:
    """Of disk that the raw data, and the images that become of it, take: a little more than what they hold."""
    n_x, n_y, n_z = matrix
    raw = n_z * len(_lines(n_y)[0]) * n_channels * 2 * n_x * COMPLEX_BYTES
    return round(1.05 * raw) + IMAGES_BYTES * n_x * n_y * n_z


def _lines(n_y: int) -> tuple[list[int], range]:
    """All that are acquired, and those for calibration."""
    acs = range(n_y // 2 - N_ACS // 2, n_y // 2 + N_ACS // 2)
    return sorted({*range(0, n_y, 2), *acs}), acs


def _kspace(n_channels: int, shape: tuple[int, int, int], lines: list[int]) -> Tensor:
    """The `lines` of every partition, `(channel, e2, line, ro)` complex64."""
    kept = torch.empty(n_channels, shape[0], len(lines), shape[2], dtype=torch.complex64)
    for channel in tqdm(range(n_channels), desc="channels simulated", disable=None):
        kept[channel] = scans.channel_kspace(channel, n_channels, shape)[:, lines]
    return kept


def _oversampled(lines: Tensor) -> np.ndarray:
    """`(channel, line, ro)` to `(line, channel, 2 ro)`."""
    n_ro = lines.shape[-1]
    image = torch.nn.functional.pad(to_image(lines, dims=(2,)), (n_ro // 2, n_ro - n_ro // 2))
    padded: np.ndarray = to_kspace(image, dims=(2,)).permute(1, 0, 2).contiguous().numpy()
    return padded
