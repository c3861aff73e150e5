"""noise_adjust with the noise of another scan, on the shipped brain scan."""

import copy
import logging
from pathlib import Path

import ismrmrd
import numpy as np
import pytest
from ismrmrd import xsd

from snrstream.chain.pipelines import named_chain
from snrstream.errors import ScanError
from snrstream.gadgets import noise_adjust
from snrstream.gadgets.gadget import Scan
from snrstream.gadgets.gadget import run as run_gadget
from snrstream.noise import storage_server
from snrstream.noise import store as noise_store

from ..noise_measurements import noise_measurement

FLOAT32 = 1e-5  # of the largest value: whitening by a matrix that was rounded to complex float


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("SNRSTREAM_NOISE_STORE", str(tmp_path / "store"))
    return tmp_path / "store"


@pytest.fixture
def scan(read_scan):
    """Header, noise acquisitions and image lines."""
    header, acquisitions = read_scan("brain_16ch_r3")
    noise = [a for a in acquisitions if a.is_flag_set(ismrmrd.ACQ_IS_NOISE_MEASUREMENT)]
    return header, noise, [a for a in acquisitions if a not in noise]


def adjusted(header, acquisitions, **properties) -> list:
    return list(run_gadget(noise_adjust, acquisitions, header, noise_adjust.Parameters(**properties)))


def warned(header, acquisitions) -> tuple[Scan, list]:
    """The scan with its warnings, and what came of it."""
    scan = Scan(header)
    return scan, list(run_gadget(noise_adjust, acquisitions, scan, noise_adjust.Parameters()))


def naming(header, *named: str, kind: str = "Noise", **others) -> xsd.ismrmrdHeader:
    """The header of a later scan that names these measurements."""
    later = copy.deepcopy(header)
    later.measurementInformation.measurementID = "164128_1_1_4"
    later.measurementInformation.measurementDependency = [
        xsd.measurementDependencyType(dependencyType=kind, measurementID=name) for name in named
    ]
    for name, value in others.items():
        setattr(later.acquisitionSystemInformation, name, value)
    return later


def data(items) -> np.ndarray:
    return np.stack([item.data for item in items if isinstance(item, ismrmrd.Acquisition)])


def largest(values: np.ndarray) -> float:
    return float(np.abs(values).max())


def test_noise_alone_yields_nothing_and_is_kept(scan) -> None:
    header, noise, _ = scan
    assert adjusted(header, noise) == []
    kept = noise_store.find("164128_1_1_3")
    samples = np.concatenate([a.data for a in noise], axis=1).astype(complex)
    expected = samples @ samples.conj().T / samples.shape[1]
    assert np.allclose(kept.covariance, expected, rtol=0, atol=1e-12 * expected.real.max())
    assert (kept.n_samples, kept.dwell_us, kept.bandwidth_ratio) == (samples.shape[1], 20.0, 0.93)
    assert kept.labels == tuple(f"coil_{n}" for n in range(16))


@pytest.mark.parametrize("kind", ["Noise", "noise"])
def test_a_later_scan_gets_the_noise_that_it_names(scan, kind: str) -> None:
    header, noise, lines = scan
    own = adjusted(header, noise + lines)
    later = adjusted(naming(header, "164128_1_1_3", "164128_1_1_9", kind=kind), lines)
    assert np.array_equal(data(own), data(later)) and len(later) == len(lines)


def test_noise_is_kept_when_the_first_line_comes(scan) -> None:
    header, noise, lines = scan
    first = next(run_gadget(noise_adjust, iter([*noise, *lines]), header, noise_adjust.Parameters()))
    assert isinstance(first, ismrmrd.Acquisition) and noise_store.find("164128_1_1_3") is not None


def test_own_noise_wins(scan) -> None:
    header, noise, lines = scan
    noise_store.keep("other", noise_measurement(16))
    own = adjusted(header, noise + lines)
    assert np.array_equal(data(own), data(adjusted(naming(header, "other"), noise + lines)))


def test_noise_without_an_id_is_not_kept(scan, store, caplog) -> None:
    header, noise, _ = scan
    header.measurementInformation.measurementID = None
    with caplog.at_level(logging.INFO):
        assert adjusted(header, noise) == []
    assert "the header has no measurementID" in caplog.text and not store.exists()


def test_the_dwell_times_of_both_scans_count(scan) -> None:
    """Four times the dwell time of the later scan is a quarter of its noise power."""
    header, noise, lines = scan
    own = adjusted(header, noise + lines)
    slow = []
    for line in lines:
        head = line.getHead()
        head.sample_time_us = 80
        slow.append(ismrmrd.Acquisition(head, data=line.data))
    later = adjusted(naming(header, "164128_1_1_3"), slow)
    assert largest(data(later) - 2 * data(own)) <= FLOAT32 * largest(data(own))


def test_the_bandwidth_ratio_is_the_later_scans_with_a_warning(scan) -> None:
    header, noise, lines = scan
    own = adjusted(header, noise + lines)
    told, later = warned(naming(header, "164128_1_1_3", relativeReceiverNoiseBandwidth=4 * 0.93 / 9), lines)
    assert largest(data(later) - data(own) * 2 / 3) <= FLOAT32 * largest(data(own))
    assert told.snr_units and "of the noise measurement 0.93" in told.warnings[0]


def test_the_dependency_comes_from_the_storage_server(scan, store, storage) -> None:
    header, noise, lines = scan
    own = adjusted(header, noise + lines)
    for file in store.iterdir():
        file.unlink()
    later = adjusted(naming(header, "164128_1_1_3"), lines)
    assert largest(data(later) - data(own)) <= FLOAT32 * largest(data(own))
    assert len(storage.blobs) == 1


def test_a_missing_dependency(scan, caplog) -> None:
    header, _, lines = scan
    told, later = warned(naming(header, "164128_1_1_3"), lines)
    (text,) = told.warnings
    assert not told.snr_units and text in caplog.text
    assert text.startswith("NOT IN SNR UNITS: noise measurement '164128_1_1_3' that the scan names is not stored")
    assert all(a is b for a, b in zip(later, lines, strict=True))
    with pytest.raises(ScanError, match="that the scan names is not stored here.*missing_dependency=warn"):
        adjusted(naming(header, "164128_1_1_3"), lines, missing_dependency="error")
    with pytest.raises(ScanError, match="holds no noise measurement and names none"):
        adjusted(naming(header, "164128_1_1_3", kind="SenMap"), lines)


def test_a_dependency_that_does_not_fit_counts_as_missing(scan) -> None:
    header, noise, lines = scan
    adjusted(header, noise)
    labels = [xsd.coilLabelType(coilNumber=n, coilName=f"coil_{n + 1}") for n in range(16)]
    told, _ = warned(naming(header, "164128_1_1_3", coilLabel=labels), lines)
    assert not told.snr_units and "it lacks the scan's channels 'coil_16'" in told.warnings[0]
    few = [ismrmrd.Acquisition.from_array(line.data[:8], sample_time_us=20.0) for line in lines]
    told, _ = warned(naming(header, "164128_1_1_3"), few)
    assert not told.snr_units and "it has 16 channels and the scan has 8" in told.warnings[0]


@pytest.mark.parametrize("named", ["../../x", 10_000 * "x", "line\nbreak"])
def test_ids_of_strangers_in_a_warning(scan, named: str) -> None:
    header, _, lines = scan
    (text,) = warned(naming(header, named), lines)[0].warnings
    assert len(text) < 400 and "\n" not in text and repr(named[:100]) in text


def test_the_pipeline_for_dependent_noise_measures_and_nothing_else(scan) -> None:
    header, noise, lines = scan
    chain = named_chain("default_measurement_dependencies.xml")
    waveform = ismrmrd.Waveform.from_array(np.zeros((1, 4), np.uint32))
    assert list(chain.run([*noise, *lines, waveform], header)) == []
    assert noise_store.find("164128_1_1_3") is not None
    with pytest.raises(ScanError, match="scan holds no noise measurement; measure_only of noise_adjust expects one"):
        list(chain.run(lines, header))


def test_where_noise_cannot_be_stored_the_scan_goes_on(scan, monkeypatch, tmp_path, caplog) -> None:
    header, noise, lines = scan
    (tmp_path / "file").touch()
    monkeypatch.setenv("SNRSTREAM_NOISE_STORE", str(tmp_path / "file"))
    monkeypatch.setenv("GADGETRON_STORAGE_ADDRESS", "http://127.0.0.1:1")
    assert len(adjusted(header, noise + lines)) == len(lines)
    assert "'164128_1_1_3' is not kept" in caplog.text and "could not store noise measurement" in caplog.text
    assert storage_server.find("164128_1_1_3", None) is None
