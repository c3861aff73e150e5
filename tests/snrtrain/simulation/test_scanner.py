"""What simulated training images look like after the reconstruction."""

import numpy as np
import pytest
import torch

from snrstream.recon.fft import to_kspace
from snrtrain.archive.gmaps import ALONG_E1, possible_gmaps
from snrtrain.simulation import scanner
from snrtrain.simulation.coils import loop_sensitivities, stack_sensitivities
from snrtrain.simulation.phantom import object_phase, shepp_logan
from tests.snrtrain.small_archive import fully_sampled

SIZE = 64


@pytest.fixture(scope="module")
def disc() -> np.ndarray:
    """A disc of magnitude 1 with a brighter core."""
    y, x = np.meshgrid(np.linspace(-1, 1, SIZE), np.linspace(-1, 1, SIZE), indexing="ij")
    return (1.0 * (np.hypot(x, y) < 0.7) + 0.3 * (np.hypot(x, y) < 0.3)).astype(np.float32)


@pytest.fixture(scope="module")
def scan(disc) -> scanner.SimulatedScan:
    """A flat scan of the disc with a smooth object phase, at SNR 40."""
    rng = np.random.default_rng(3)
    image = torch.polar(torch.from_numpy(disc), object_phase(disc.shape, rng))
    return fully_sampled(image, rng, 40.0, None, 8, p_zero_filled=0.0, flat=True)


def test_a_flat_scan_has_the_objects_magnitude(disc, scan):
    inside = torch.from_numpy(disc) > 0
    ratio = scan.clean.abs()[inside] / torch.from_numpy(disc)[inside]
    # Maps from data at SNR 40, 49 pixels each, lose up to a few percent at the edge.
    assert float(ratio.std() / ratio.mean()) < 0.03


def test_coil_maps_take_the_smooth_phase_away(disc, scan):
    core = torch.from_numpy(disc) > 1
    assert float(scan.clean[core].angle().abs().median()) < 0.05


def test_noise_has_an_sd_of_one_in_the_object(disc, scan):
    inside = torch.from_numpy(disc) > 0
    # 1500 pixels of two parts: 1.8 %, and maps fitted to the noise take up to 1 in 49 of it.
    assert float(torch.view_as_real(scan.noise)[inside].std()) == pytest.approx(1, rel=0.06)


def test_a_crop_is_of_the_size_asked_for(disc):
    scan = fully_sampled(torch.from_numpy(disc).to(torch.complex64), np.random.default_rng(0), 20.0, 32, 4)
    assert scan.clean.shape == scan.noise.shape == (32, 32)


def test_g_is_one_without_acceleration_and_grows_with_it(disc):
    image = torch.from_numpy(disc).to(torch.complex64)
    maps = scanner.gmaps(image, (1, 2, 4), np.random.default_rng(1), 60.0, 12)
    inside = torch.from_numpy(disc) > 0
    medians = [float(gmap[inside].median()) for gmap in maps]
    assert medians[0] == pytest.approx(1, abs=1e-5)
    assert 0.95 < medians[1] < medians[2]


def test_resampling_keeps_the_intensity_of_tissue():
    image = shepp_logan(128).to(torch.complex64)
    coarse = scanner.resample(image, (64, 80))
    assert coarse.shape == (64, 80)
    # The mean is the centre of k-space, which cropping keeps.
    assert float(coarse.real.mean()) == pytest.approx(float(image.real.mean()), rel=1e-5)


def test_air_is_added_around_the_centre():
    image = torch.zeros(10, 12)
    image[5, 6] = 1
    padded = scanner.pad_air(image, (16, 8))
    assert padded.shape == (16, 12) and float(padded[8, 6]) == 1


def test_the_frames_of_a_series_share_maps_and_each_has_noise_of_its_own(disc):
    image = torch.from_numpy(disc).to(torch.complex64)
    frames = torch.stack([image, 0.5 * image, image])
    coils = stack_sensitivities(8, (SIZE, SIZE), (0.0,), np.random.default_rng(2))
    scan = scanner.scan_frames(frames, coils, np.random.default_rng(4), 40.0, 32, p_zero_filled=0.0)
    assert scan.clean.shape == scan.noise.shape == (3, 32, 32)
    # One set of maps is linear: half the object is half the image, to the precision of float32.
    assert torch.allclose(scan.clean[1], 0.5 * scan.clean[0], atol=1e-4)
    first, second = (torch.view_as_real(scan.noise[n]).flatten() for n in (0, 2))
    # 2048 independent values: a correlation of 0.022 SD.
    assert abs(float(torch.corrcoef(torch.stack([first, second]))[0, 1])) < 0.1


def test_slices_have_maps_of_their_own_and_a_phase_that_is_smooth_along_them(disc):
    heights = (-0.4, -0.2, 0.0, 0.2, 0.4)
    stack = scanner.complex_object(np.repeat(disc[None], 5, axis=0), np.random.default_rng(0), heights)
    inside = torch.from_numpy(disc) > 0
    turn = (stack[1:] * stack[:-1].conj()).angle()[:, inside]
    # Linear in the height, so every step turns by the same angle.
    assert float(turn.std(dim=0).max()) < 1e-3 and float(turn.abs().max()) > 0.02
    coils = stack_sensitivities(8, (SIZE, SIZE), heights, np.random.default_rng(2))
    assert not torch.allclose(coils[:, 0], coils[:, 2], atol=0.05)
    scan = scanner.scan_frames(stack, coils, np.random.default_rng(4), 40.0, None, p_zero_filled=0.0, flat=True)
    ratio = scan.clean.abs()[:, inside] / torch.from_numpy(disc)[inside]
    # As of one slice; maps on every second pixel lose a little more at the edge.
    assert float(ratio.std() / ratio.mean()) < 0.05


def test_a_volume_has_g_maps_of_both_directions(disc):
    heights = np.linspace(-0.7, 0.7, 16)
    coils = stack_sensitivities(12, (32, 32), heights, np.random.default_rng(2))
    blob = scanner.resample(torch.from_numpy(disc).to(torch.complex64), (32, 32))
    volume = coils * blob * torch.from_numpy(np.abs(heights) < 0.6)[:, None, None]
    maps = scanner.coil_gmaps(volume, [(1, 1), (2, 1), (2, 2), (3, 3), (6, 1)], np.random.default_rng(3), 60.0)
    assert all(gmap.shape == (16, 32, 32) for gmap in maps.values())
    medians = [float(gmap[8][blob.abs() > 0.5].median()) for gmap in maps.values()]
    assert medians[0] == pytest.approx(1, abs=1e-5)
    assert 0.95 < medians[1] < medians[2] < medians[3]


@pytest.mark.parametrize("n_channels", [8, 12, 24])
def test_g_to_train_with_rises_with_every_r(disc, n_channels):
    """The chain's own falls from R = 5 or 6 on, where the calibration lines do not tell the aliases apart."""
    coils = loop_sensitivities(n_channels, (SIZE, SIZE), np.random.default_rng(n_channels)) * torch.from_numpy(disc)
    maps = scanner.coil_gmaps(coils[:, None], ALONG_E1, np.random.default_rng(4), 30.0)
    inside = torch.from_numpy(disc) > 0
    medians = [float(gmap[0][inside].median()) for gmap in maps.values()]
    print(n_channels, [f"{median:.2f}" for median in medians])
    assert list(maps) == list(ALONG_E1) and medians == sorted(medians) and medians[0] > 1
    assert float(maps[4, 1][0][~inside].median()) < 1  # in air as at the scanner


def test_accelerations_that_lines_or_channels_do_not_allow_are_left_out(disc):
    coils = stack_sensitivities(5, (SIZE, SIZE), (0.0,), np.random.default_rng(2)) * torch.from_numpy(disc)
    acs = to_kspace(coils)[:, :, 20:42]
    # 22 lines hold three steps of 6 and the line itself, not of 8; 5 channels tell 5 aliases apart.
    maps = possible_gmaps(acs, (0, 20), (1, SIZE), [(3, 1), (5, 1), (6, 1), (8, 1), (1, 2)], step=2)
    assert list(maps) == [(3, 1), (5, 1)]
