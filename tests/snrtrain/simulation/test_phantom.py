"""Simulated scans: sampling, noise, and the full circle through the reconstruction."""

import math

import ismrmrd
import numpy as np
import pytest
import torch

from snrstream.errors import ConfigurationError
from snrstream.noise import storage_server
from snrstream.recon.coil_maps import inati
from snrstream.recon.fft import gridded_readouts, to_image
from snrstream.recon.noise import noise_covariance, prewhitening_matrix
from snrstream.wire.measurement import measurement_id
from snrtrain.commands import simulate
from snrtrain.simulation import coils, phantom
from snrtrain.simulation.phantom import shepp_logan, simulate_scan
from snrtrain.simulation.scan_file import DWELL_NOISE_US, DWELL_SCAN_US, RELATIVE_BANDWIDTH, PhantomScan
from tests.noise_measurements import noise_measurement


def whitened(scan: PhantomScan) -> torch.Tensor:
    """K-space `(repetition, channel, e1, ro)` whitened by the scan's own noise scan."""
    matrix = prewhitening_matrix(noise_covariance(scan.noise), DWELL_SCAN_US, DWELL_NOISE_US, RELATIVE_BANDWIDTH)
    return torch.einsum("dc,rcyx->rdyx", matrix, scan.kspace)


def read(path):
    dataset = ismrmrd.Dataset(str(path), "dataset", create_if_needed=False, mode="r")
    try:
        header = ismrmrd.xsd.CreateFromDocument(dataset.read_xml_header())
        return header, [dataset.read_acquisition(i) for i in range(dataset.number_of_acquisitions())]
    finally:
        dataset.close()


def test_the_phantom_has_its_known_intensities():
    image = shepp_logan(128)
    assert image.shape == (128, 128) and float(image.min()) == 0
    assert float(image[64, 64]) == pytest.approx(0.2, abs=1e-6)  # 1 - 0.8: inside the skull
    assert float(image.max()) == pytest.approx(1.0, abs=1e-6)  # the skull


@pytest.mark.parametrize("acceleration", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("n_e1", [64, 65, 100])
def test_lines_are_regular_and_the_centre_is_acquired(n_e1, acceleration):
    imaging, acs = phantom.sampled_lines(n_e1, acceleration, 20)
    lines = imaging.nonzero().flatten()
    assert bool(imaging[n_e1 // 2])
    assert bool((lines.diff() == acceleration).all())
    assert int(lines[0]) < acceleration and n_e1 - 1 - int(lines[-1]) < acceleration
    if acceleration == 1:
        assert not bool(acs.any())
    else:
        kept = acs.nonzero().flatten()
        assert len(kept) == 20 and bool((kept.diff() == 1).all()) and bool(acs[n_e1 // 2])


def test_sensitivities_are_smooth_distinct_and_normalised():
    maps = coils.loop_sensitivities(12, (64, 48), np.random.default_rng(0))
    assert maps.shape == (12, 64, 48) and maps.dtype == torch.complex64
    assert float(torch.linalg.vector_norm(maps, dim=0).mean()) == pytest.approx(1, rel=1e-5)
    gram = maps.reshape(12, -1) @ maps.reshape(12, -1).mH
    assert float(torch.linalg.cond(gram)) < 1e6  # enough to invert in double: no channel repeats another
    # Neighbouring pixels differ by a small part of the largest value: a field of coils outside the image.
    assert float(maps.diff(dim=1).abs().max() / maps.abs().max()) < 0.2


def test_whitened_noise_has_an_sd_of_one():
    scan = simulate_scan(torch.zeros(64, 64), np.random.default_rng(1), n_channels=8)
    white = whitened(scan)[0]
    covariance = noise_covariance(white.reshape(8, -1)) / 2
    # 16,384 noise samples: the whitening matrix is known to sqrt(8 / 16,384) = 2 %, 4096 samples to 1.6 %.
    assert float((covariance - torch.eye(8)).abs().max()) < 0.08
    assert float(white.real.std()) == pytest.approx(1, rel=0.02)
    assert float(white.imag.std()) == pytest.approx(1, rel=0.02)


def test_channels_are_correlated_as_their_mixing_says():
    rng = np.random.default_rng(2)
    mixing = phantom.noise_correlation(6, rng)
    noise = mixing @ phantom.white_noise((6, 200_000), rng)
    expected = 2 * mixing @ mixing.mH
    # Every entry of the covariance is known to 1 / sqrt(200,000) = 0.2 % of the variances; five times that.
    assert float((noise_covariance(noise) - expected).abs().max() / expected.abs().max()) < 0.011
    assert float(expected.abs().fill_diagonal_(0).max()) > 0.1


def test_snr_is_what_was_asked_for():
    scan = simulate_scan(torch.ones(48, 48), np.random.default_rng(3), n_channels=8, snr=25, n_repetitions=40)
    images = to_image(whitened(scan))
    rss = torch.linalg.vector_norm(scan.sensitivities, dim=0)
    signal = images.mean(dim=0)  # its noise is down by sqrt(40)
    assert float((signal.abs().square().sum(dim=0).sqrt() / rss).median()) == pytest.approx(25, rel=0.03)
    assert float((images - signal).real.std()) * math.sqrt(40 / 39) == pytest.approx(1, rel=0.02)


@pytest.mark.parametrize("oversampling", [1, 2])
def test_full_circle_without_noise_gives_the_object(oversampling):
    magnitude = shepp_logan(96)[:, 8:88]
    rng = np.random.default_rng(4)
    scan = simulate_scan(magnitude, rng, n_channels=10, snr=math.inf, oversampling=oversampling)
    kspace = whitened(scan)[0]
    n_encoded = kspace.shape[-1]
    images = to_image(gridded_readouts(kspace, n_encoded // 2, n_encoded, magnitude.shape[1]))
    image = (inati(images[:, None])[:, 0].conj() * images).sum(dim=0)
    truth = scan.truth.abs() * torch.linalg.vector_norm(scan.sensitivities, dim=0)
    # The whitening matrix is an estimate (2 %), and maps bend where the object is empty: 3 % overall.
    assert float((image.abs() - truth).norm() / truth.norm()) < 0.03


def test_a_seed_fixes_the_scan():
    first, second = (simulate_scan(shepp_logan(32), np.random.default_rng(7), n_channels=4) for _ in range(2))
    assert torch.equal(first.kspace, second.kspace) and torch.equal(first.noise, second.noise)


def test_the_file_says_what_a_scanner_would(tmp_path):
    path = tmp_path / "scan.h5"
    arguments = ["--matrix", "60", "--acceleration", "3", "--acs", "20", "--channels", "4", "--oversampling", "2"]
    simulate.main(["phantom", "--output", str(path), "--repetitions", "2", *arguments])
    header, acquisitions = read(path)
    encoding = header.encoding[0]
    assert (encoding.encodedSpace.matrixSize.x, encoding.reconSpace.matrixSize.x) == (120, 60)
    assert encoding.encodedSpace.fieldOfView_mm.x == 2 * encoding.reconSpace.fieldOfView_mm.x
    limits = encoding.encodingLimits.kspace_encoding_step_1
    assert (limits.minimum, limits.maximum, limits.center) == (0, 59, 30)
    assert encoding.parallelImaging.accelerationFactor.kspace_encoding_step_1 == 3
    assert header.acquisitionSystemInformation.relativeReceiverNoiseBandwidth == pytest.approx(0.793)

    noise, *lines = acquisitions
    assert noise.is_flag_set(ismrmrd.ACQ_IS_NOISE_MEASUREMENT) and noise.sample_time_us == DWELL_NOISE_US
    first = [line for line in lines if line.idx.repetition == 0]
    assert len(first) * 2 == len(lines)
    numbers = [line.idx.kspace_encode_step_1 for line in first]
    assert numbers == sorted(set(range(0, 60, 3)) | set(range(20, 40)))
    for line in first:
        number = line.idx.kspace_encode_step_1
        acs, imaging = 20 <= number < 40, number % 3 == 0
        assert line.data.shape == (4, 120) and line.center_sample == 60
        assert line.is_flag_set(ismrmrd.ACQ_IS_PARALLEL_CALIBRATION) == (acs and not imaging)
        assert line.is_flag_set(ismrmrd.ACQ_IS_PARALLEL_CALIBRATION_AND_IMAGING) == (acs and imaging)
        assert line.is_flag_set(ismrmrd.ACQ_FIRST_IN_SLICE) == (number == numbers[0])
        assert line.is_flag_set(ismrmrd.ACQ_LAST_IN_SLICE) == (number == numbers[-1])
    assert lines[-1].is_flag_set(ismrmrd.ACQ_LAST_IN_MEASUREMENT)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["phantom", "--output", "{}/none/scan.h5"], "none does not exist"),
        (["{}/missing.nii.gz", "--output", "{}/scan.h5"], "missing.nii.gz does not exist"),
        (["phantom", "--output", "{}/scan.h5", "--acceleration", "0"], "--acceleration is 0; expected 1 or more"),
        (["phantom", "--output", "{}/scan.h5", "--snr", "-1"], "--snr is -1.0; expected more than 0"),
    ],
)
def test_mistakes_are_named(tmp_path, arguments, message):
    with pytest.raises(ConfigurationError, match=message):
        simulate.main([argument.format(tmp_path) for argument in arguments])


def test_the_noise_of_a_simulated_scan_is_found_in_gadgetrons_store(tmp_path, storage) -> None:
    """Gadgetron keeps nothing under an id that does not tell the subject; each scan has an id of its own."""
    headers = []
    for seed in (0, 0, 1):
        simulate.main(["phantom", "--output", str(tmp_path / "a.h5"), "--matrix", "32", "--channels", "4",
                       "--seed", str(seed)])  # fmt: skip
        headers.append(read(tmp_path / "a.h5")[0])
    first, again, other = (measurement_id(header) for header in headers)
    assert first == again != other and len(first.split("_")) == 4
    storage_server.keep(first, noise_measurement(), headers[0])
    ((tags, _),) = storage.blobs
    assert {"device", "subject", "session", "measurement"} <= tags.keys() and tags["measurement"] == first
    assert storage_server.find(first, headers[2]) is not None and storage_server.find(first, None) is not None
    assert storage_server.find(other, headers[2]) is None
