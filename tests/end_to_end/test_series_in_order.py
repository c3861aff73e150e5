"""A cine whose slices come as scanners acquire them, from raw data to DICOM."""

import ismrmrd
import numpy as np
import pydicom
import pytest

from snrstream.cli.main import main
from tests import scans

SHAPE = 1, 24, 16
SLICES, N_PHASES = (0, 2, 4, 1, 3), 3
CENTRE_TICKS = 12  # of 2.5 ms, from the first line of a phase to its central one


def lines():
    """Phases 20 ticks apart, and a tick from line to line."""
    noise = ismrmrd.Acquisition.from_array(scans.random_complex(4, 4096), sample_time_us=5.0)
    noise.set_flag(ismrmrd.ACQ_IS_NOISE_MEASUREMENT)
    yield noise
    for slice_number in SLICES:
        for phase in range(N_PHASES):
            kspace = scans.random_complex(4, *SHAPE, seed=slice_number)
            kspace[:, 0, SHAPE[1] // 2, SHAPE[2] // 2] += 3000
            every = [(0, y) for y in range(SHAPE[1])]
            for n, line in enumerate(scans.acquisitions(kspace, every, phase=phase, slice=slice_number)):
                line.position[2] = 10 * slice_number - 20
                line.physiology_time_stamp[0] = 20 * phase + n
                yield line


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cine")
    with ismrmrd.Dataset(folder / "scan.h5", "dataset", mode="w") as dataset:
        dataset.write_xml_header(scans.header(SHAPE).toXML("utf-8"))
        for line in lines():
            dataset.append_acquisition(line)
    command = ["recon", str(folder / "scan.h5"), "--output", str(folder / "out"), "--pipeline", "grappa_snr"]
    assert main([*command, "--set", "snr_map=false"]) == 0
    found = [pydicom.dcmread(path) for path in sorted((folder / "out" / "dicom").iterdir())]
    return sorted(found, key=lambda dataset: (dataset.SeriesNumber, dataset.InstanceNumber))


def test_slices_are_numbered_by_position_and_then_by_phase(datasets) -> None:
    places = [(dataset.TemporalPositionIdentifier, float(dataset.ImagePositionPatient[2])) for dataset in datasets]
    series = [(phase, z) for phase in range(1, N_PHASES + 1) for z in (-20, -10, 0, 10, 20)]
    assert places == 2 * series, "original and g-map"
    assert [int(dataset.InstanceNumber) for dataset in datasets] == 2 * list(range(1, len(series) + 1))


def test_trigger_times_are_those_of_the_central_line(datasets) -> None:
    for dataset in datasets:
        expected_ms = 2.5 * (20 * (dataset.TemporalPositionIdentifier - 1) + CENTRE_TICKS)
        assert (dataset.TriggerTime, dataset.CardiacNumberOfImages) == (expected_ms, N_PHASES)


def test_the_bandwidth_is_that_of_the_readout(datasets) -> None:
    expected = pytest.approx(1e6 / 5 / SHAPE[2])
    assert all(dataset.PixelBandwidth == expected for dataset in datasets)
    assert all(list(dataset.AcquisitionMatrix) == [0, SHAPE[2], SHAPE[1], 0] for dataset in datasets)
    assert np.unique([dataset.SOPInstanceUID for dataset in datasets]).size == len(datasets)
