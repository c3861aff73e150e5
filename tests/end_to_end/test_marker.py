"""A marker off centre, from its raw data to the patient's coordinates: by DICOM's own equation, and by dcm2niix.

Each scan is the signal of a small Gaussian blob, whose place in the patient is known to a fraction of a pixel.
"""

import itertools
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import ismrmrd
import numpy as np
import pydicom
import pytest
from ismrmrd import xsd

from snrstream.api import chosen_chain
from snrstream.output.dicom import write_dicom
from snrstream.wire.header import parse_header
from snrtrain.benchmarks.header import cartesian_header

from ..scans import random_complex

TOLERANCE_PIXELS = 0.1  # of the centre of gravity of a blob that is a few pixels wide
CENTER_MM = np.array([12.5, -31.0, 44.0])
DCM2NIIX = shutil.which("dcm2niix") or ""


@dataclass(frozen=True)
class Geometry:
    """Matrices and fields of view (x, y, z), and where along them the marker lies, as shares of the last."""

    encoded: tuple[int, int, int]
    recon: tuple[int, int, int]
    encoded_mm: tuple[float, float, float]
    recon_mm: tuple[float, float, float]
    n_slices: int = 1
    marker: tuple[float, float, float] = (0.21, -0.27, 0.0)


GEOMETRIES = {
    "even": Geometry((24, 20, 1), (24, 20, 1), (240, 180, 5), (240, 180, 5)),
    "odd": Geometry((25, 21, 1), (25, 21, 1), (240, 180, 5), (240, 180, 5)),
    "oversampled readout": Geometry((48, 20, 1), (24, 20, 1), (480, 180, 5), (240, 180, 5)),
    "oversampled to odd": Geometry((50, 20, 1), (25, 20, 1), (480, 180, 5), (240, 180, 5)),
    "oversampled phase": Geometry((48, 30, 1), (24, 20, 1), (480, 270, 5), (240, 180, 5)),
    "zero-filled": Geometry((24, 20, 1), (40, 32, 1), (240, 180, 5), (240, 180, 5)),
    "zero-filled to odd": Geometry((24, 21, 1), (39, 32, 1), (240, 180, 5), (240, 180, 5)),
    "slices": Geometry((24, 20, 1), (24, 20, 1), (240, 180, 5), (240, 180, 5), n_slices=3),
    "volume": Geometry((48, 20, 8), (24, 20, 8), (480, 180, 64), (240, 180, 64), marker=(0.21, -0.27, 0.13)),
    "odd volume": Geometry((24, 21, 9), (24, 21, 7), (240, 180, 72), (240, 180, 56), marker=(0.21, -0.27, -0.13)),
}


def orientations() -> Iterator[np.ndarray]:
    """Rows are read, phase and slice: main planes with both signs, and obliques, every other one left-handed."""
    x, y, z = np.eye(3)
    for read, phase in ((x, y), (-x, y), (x, -z), (-x, z), (y, -z), (-y, -z)):
        yield np.stack([read, phase, np.cross(read, phase)])
    for seed in range(6):
        q, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((3, 3)))
        q[2] *= np.linalg.det(q) * (-1) ** seed
        yield q


def acquisitions(geometry: Geometry, directions: np.ndarray, sign: int) -> Iterator[ismrmrd.Acquisition]:
    """Noise, then the lines. sign: of the phase that grows with k and place; +1 is what the forward FFT undoes."""
    yield acquisition(30 * random_complex(1, 2048), directions, CENTER_MM, [ismrmrd.ACQ_IS_NOISE_MEASUREMENT])
    along = []
    for n, length_mm, n_recon, fov_mm, share in zip(
        geometry.encoded, geometry.encoded_mm, geometry.recon, geometry.recon_mm, geometry.marker, strict=True
    ):
        k = (np.arange(n) - n // 2) / length_mm
        sd_mm = 0.9 * max(length_mm / n, fov_mm / n_recon)
        along.append(np.exp(2j * np.pi * sign * k * share * fov_mm - 2 * (np.pi * sd_mm * k) ** 2))
    for slice_, line, partition in itertools.product(range(geometry.n_slices), *map(range, geometry.encoded[1:])):
        brightness = 1e5 if slice_ == geometry.n_slices - 1 else 1e3
        data = brightness * along[0] * along[1][line] * along[2][partition]
        position = CENTER_MM + slice_ * 7.0 * directions[2]
        made = acquisition(data[None] + random_complex(1, len(data), seed=line), directions, position)
        made.idx.slice, made.idx.kspace_encode_step_1, made.idx.kspace_encode_step_2 = slice_, line, partition
        yield made


def acquisition(data: np.ndarray, directions: np.ndarray, position: np.ndarray, flags=()) -> ismrmrd.Acquisition:
    """Of one channel `(1, ro)`."""
    made = ismrmrd.Acquisition.from_array(
        data.astype(np.complex64), sample_time_us=5.0, center_sample=data.shape[1] // 2, position=tuple(position),
        read_dir=tuple(directions[0]), phase_dir=tuple(directions[1]), slice_dir=tuple(directions[2]),
    )  # fmt: skip
    for flag in flags:
        made.set_flag(flag)
    return made


def header_of(geometry: Geometry, vendor: str, name: str) -> xsd.ismrmrdHeader:
    xml = cartesian_header(geometry.encoded, geometry.encoded_mm, geometry.recon, geometry.recon_mm)
    made = parse_header(xml)
    made.encoding[0].encodingLimits.slice = xsd.limitType(minimum=0, maximum=geometry.n_slices - 1, center=0)
    made.acquisitionSystemInformation.systemVendor = vendor or None
    made.subjectInformation = xsd.subjectInformationType(patientID=name)
    made.measurementInformation = xsd.measurementInformationType(
        measurementID=name, patientPosition=xsd.patientPositionType("HFS"), protocolName=name
    )
    return made


def scan(geometry: Geometry, directions: np.ndarray, vendor: str, sign: int, name: str, **settings) -> list:
    """The complex images, g-map and SNR map of a scan, and its header."""
    described = header_of(geometry, vendor, name)
    images = chosen_chain("grappa_snr", settings).run(acquisitions(geometry, directions, sign), described)
    return [image for image in images if isinstance(image, ismrmrd.Image)], described


def marker_mm(geometry: Geometry, directions: np.ndarray) -> np.ndarray:
    """Where the marker is: LPS."""
    place = np.array(geometry.marker) * geometry.recon_mm @ directions
    return CENTER_MM + place + (geometry.n_slices - 1) * 7.0 * directions[2]


def centre_of_gravity(values: np.ndarray) -> np.ndarray:
    """Of the pixels that are brighter than a tenth of the brightest, as an index with fractions."""
    weights = np.where(values > 0.1 * values.max(), values, 0).astype(float)
    return np.array([(weights * index).sum() for index in np.indices(values.shape)]) / weights.sum()


def by_hand(paths: list[Path]) -> np.ndarray:
    """LPS of the marker, by equation C.7.6.2.1-1 of DICOM PS3.3, in the files of one series."""
    files = [pydicom.dcmread(path) for path in paths]
    brightest = max(files, key=lambda file: file.pixel_array.max())
    normal = np.cross(*np.array(brightest.ImageOrientationPatient, float).reshape(2, 3))
    files.sort(key=lambda file: normal @ np.array(file.ImagePositionPatient, float))
    volume = np.stack([file.pixel_array * float(file.RescaleSlope) for file in files])
    z, y, x = centre_of_gravity(volume)
    positions = np.array([file.ImagePositionPatient for file in files], float)
    first = [np.interp(z, range(len(files)), positions[:, axis]) for axis in range(3)]
    read, phase = np.array(brightest.ImageOrientationPatient, float).reshape(2, 3)
    dy, dx = (float(spacing) for spacing in brightest.PixelSpacing)
    return first + x * dx * read + y * dy * phase


def nifti(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The pixels (x, y, z) of an uncompressed NIfTI-1 file, and its affine."""
    data = path.read_bytes()
    head = np.frombuffer(data, HEAD, 1)[0]
    assert head["sizeof_hdr"] == 348 and head["sform_code"] > 0
    values = np.frombuffer(data, TYPES[int(head["datatype"])], int(np.prod(head["dim"][1:4])), int(head["vox_offset"]))
    affine = np.vstack([head["srow"], [0, 0, 0, 1]])
    return values.reshape(head["dim"][1:4], order="F") * (float(head["scl_slope"]) or 1.0), affine.astype(float)


TYPES = {4: "<i2", 16: "<f4", 512: "<u2"}
HEAD = np.dtype({
    "names": ["sizeof_hdr", "dim", "datatype", "vox_offset", "scl_slope", "sform_code", "srow"],
    "formats": ["<i4", ("<i2", 8), "<i2", "<f4", "<f4", "<i2", ("<f4", (3, 4))],
    "offsets": [0, 40, 70, 108, 112, 254, 280], "itemsize": 348,
})  # fmt: skip


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> tuple[Path, dict]:
    """DICOM files of scans of every orientation by every kind of vendor, and of every geometry by both kinds."""
    folder, scans = tmp_path_factory.mktemp("dicom"), {}
    for number, directions in enumerate(orientations()):
        for kind, vendors in ((1, ["SIEMENS", "Siemens Healthineers"]), (-1, ["GE MEDICAL SYSTEMS", "Philips", ""])):
            vendor = vendors[number % len(vendors)]
            for shift in (0, 5):
                geometry = list(GEOMETRIES)[(number + shift + (2 if kind < 0 else 0)) % len(GEOMETRIES)]
                name = f"o{number:02d}_{'siemens' if kind > 0 else 'other'}_{geometry.replace(' ', '')}"
                images, described = scan(GEOMETRIES[geometry], directions, vendor, kind, name)
                originals = [image for image in images if image.image_series_index == 1]
                scans[name] = (GEOMETRIES[geometry], directions, write_dicom(originals, described, folder / name))
    return folder, scans


def misses(expected: np.ndarray, found: np.ndarray, geometry: Geometry, directions: np.ndarray) -> np.ndarray:
    """Along read, phase and slice, in pixels."""
    pixels = np.array(geometry.recon_mm) / geometry.recon
    return directions @ (found - expected) / pixels


def test_the_marker_is_where_dicom_says(written) -> None:
    _, scans = written
    worst = {
        name: misses(marker_mm(geometry, directions), by_hand(paths), geometry, directions)
        for name, (geometry, directions, paths) in scans.items()
    }
    assert len(scans) == 48
    far = {name: miss.round(2) for name, miss in worst.items() if np.abs(miss).max() > TOLERANCE_PIXELS}
    assert not far


@pytest.mark.skipif(not DCM2NIIX, reason="dcm2niix is not installed")
def test_dcm2niix_finds_the_marker_there(written, tmp_path) -> None:
    folder, scans = written
    subprocess.run(
        [DCM2NIIX, "-b", "n", "-z", "n", "-d", "3", "-f", "%i", "-o", tmp_path, folder],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    far = {}
    for name, (geometry, directions, _) in scans.items():
        pixels, affine = nifti(tmp_path / f"{name}.nii")
        assert sorted(pixels.shape) == sorted((*geometry.recon[:2], geometry.recon[2] * geometry.n_slices))
        ras = affine @ [*centre_of_gravity(pixels), 1]
        miss = misses(marker_mm(geometry, directions), ras[:3] * (-1, -1, 1), geometry, directions)
        if np.abs(miss).max() > TOLERANCE_PIXELS:
            far[name] = miss.round(2)
    assert not far


def test_the_coil_under_the_patient_lies_behind_what_it_sees(read_scan, test_data, tmp_path) -> None:
    """A scan of a Siemens product sequence, head first and supine: where its two arrays lie, their names tell.

    The mean place of the signal is further back by the elements of the spine coil, on which the phantom lies, than by
    those of the body coil on top of it. That needs no image of the scanner's own.
    """
    described, lines = read_scan(test_data / "phantom_14ch_r3_noise.h5")
    system = described.acquisitionSystemInformation
    labels, mean_y_mm = system.coilLabel, {}
    for array in ("Spine", "Body"):
        chosen = [n for n, label in enumerate(labels) if label.coilName.startswith(array)]
        assert len(chosen) >= 6
        system.coilLabel, system.receiverChannels = [labels[n] for n in chosen], len(chosen)
        parts = [ismrmrd.Acquisition.from_array(line.data[chosen]) for line in lines]
        for part, line in zip(parts, lines, strict=True):
            head = line.getHead()
            head.active_channels = head.available_channels = len(chosen)
            part.setHead(head)
        original, *_ = chosen_chain("grappa_snr").run(parts, described)
        (path,) = write_dicom([original], described, tmp_path / array)
        file = pydicom.dcmread(path)
        read, phase = np.array(file.ImageOrientationPatient, float).reshape(2, 3)
        dy, dx = (float(spacing) for spacing in file.PixelSpacing)
        pixels = file.pixel_array.astype(float) ** 2
        y, x = ((pixels * index).sum() / pixels.sum() for index in np.indices(pixels.shape))
        mean_y_mm[array] = float((np.array(file.ImagePositionPatient, float) + x * dx * read + y * dy * phase)[1])
    assert mean_y_mm["Spine"] > mean_y_mm["Body"] + 20  # y grows towards the back
