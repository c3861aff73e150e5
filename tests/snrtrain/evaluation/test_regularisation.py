"""Lines are dropped from fully sampled scans: the default keeps aliasing low, and the tool shows it."""

import csv
import dataclasses

import numpy as np
import pytest
import torch

from snrstream.errors import ConfigurationError
from snrstream.recon.grappa import TIKHONOV
from snrtrain.commands import evaluate
from snrtrain.evaluation import regularisation
from snrtrain.evaluation.fully_sampled import FullScan, image_of, read, scanned, simulated
from snrtrain.evaluation.replicas import read_scan
from snrtrain.simulation.phantom import shepp_logan, simulate_scan
from snrtrain.simulation.scan_file import write
from tests.recon.simulation import object_and_coils

# Of Gadgetron 4.7.2's own image of the same lines at R = 4, by the same scale and mask; and of that denoised.
GADGETRONS, GADGETRONS_DENOISED = 0.064, 0.0605


@pytest.fixture(scope="module")
def brain(raw_scan) -> FullScan:
    return read(raw_scan("brain_16ch_r1"), None, np.random.default_rng(0))


def test_the_brain_at_r_4_is_no_further_from_the_full_scan_than_gadgetrons(brain: FullScan) -> None:
    """`noise`, once the default, has a bright band over the ventricles, which stays in the denoised image."""
    rows, _ = regularisation.measured(brain, (4, 1), [TIKHONOV], np.random.default_rng(0))
    ours, noise = rows
    print(ours, noise, sep="\n")
    assert ours.original <= GADGETRONS and ours.denoised <= GADGETRONS_DENOISED
    assert noise.original > 1.15 * ours.original and noise.denoised > 1.15 * ours.denoised
    assert noise.median_g < ours.median_g


@pytest.mark.parametrize("acceleration", [(2, 1), (3, 1), (5, 1), (6, 1)])
def test_noise_has_the_sd_g_at_every_acceleration(brain: FullScan, acceleration: tuple[int, int]) -> None:
    """R = 5 and 6 too, at which kernels have fewer lines, and R = 3, 5 and 6 that do not divide the lines."""
    (ours, noise), _ = regularisation.measured(brain, acceleration, [TIKHONOV], np.random.default_rng(0))
    # Four replicas of 5,800 pixels, of which R each share their noise: an SD of 0.5 % at most.
    assert ours.sd_over_g == pytest.approx(1, abs=0.02) and noise.sd_over_g == pytest.approx(1, abs=0.02)


@pytest.mark.needs_data
def test_dropped_lines_are_those_of_the_undersampled_file(brain: FullScan, test_data) -> None:
    undersampled = read_scan(test_data / "brain_16ch_r4.h5", "grappa_snr", 0)
    given = image_of(undersampled.bucket, undersampled.header)
    ours = image_of(brain.at((4, 1)), brain.header)
    assert np.allclose(ours.image, given.image, atol=1e-4 * np.abs(given.image).max())  # other transforms


def test_the_table_has_all_scans_and_regularisations(tmp_path, outputs) -> None:
    paths = [tmp_path / f"{name}.h5" for name in ("one", "other")]
    for number, path in enumerate(paths):
        write(simulate_scan(shepp_logan(64), np.random.default_rng(number), 8, snr=40.0), path)
    given = ["--acceleration", "2", "3", "--tikhonov", f"{TIKHONOV:g}", "--scan-snr", "20"]
    evaluate.main(["regularisation", *map(str, paths), *given, *outputs])
    with (tmp_path / "out/table.csv").open() as file:
        rows = list(csv.DictReader(file))
    places = [(name, r, x) for name in ("one", "other") for r in "23" for x in ("0.0005", "noise")]
    assert [(row["scan"], row["acceleration"], row["regularisation"]) for row in rows] == places
    assert "| 0.0005 | 1.000 | 1.000 | 1.000 |" in (tmp_path / "out/table.md").read_text()
    assert (tmp_path / "out/table.png").is_file()


def test_volumes_at_2_x_2() -> None:
    shape, snr = (16, 24, 24), 30.0
    image, coils = object_and_coils(8, shape)
    scan = scanned("ellipsoid", (snr * image * coils).to(torch.complex64), np.random.default_rng(0))
    (ours, noise), images = regularisation.measured(scan, (2, 2), [TIKHONOV], np.random.default_rng(1))
    assert (ours.acceleration, list(images)) == ("2 x 2", ["truth", "0.0005", "noise"])
    assert ours.sd_over_g == pytest.approx(1, abs=0.02) and noise.median_g < ours.median_g
    assert ours.original < 3 * ours.median_g / snr  # noise of g, and what kernel and maps leave


def test_a_thin_volume_is_refused(volume_folder) -> None:
    with pytest.raises(ConfigurationError, match="volume a_t2 has .* expected 28 slices"):
        simulated(volume_folder, "a_t2", 20, np.random.default_rng(0))


def test_an_undersampled_scan_is_refused(raw_scan) -> None:
    with pytest.raises(ConfigurationError, match="has R = 3 x 1; expected a fully sampled scan"):
        read(raw_scan("brain_16ch_r3"), None, np.random.default_rng(0))


def test_errors_do_not_depend_on_the_scale() -> None:
    truth = torch.rand(1, 8, 8, generator=torch.Generator().manual_seed(0)).numpy()
    inside = truth > 0.2
    assert regularisation.scaled_nrmse(3j * truth, truth, inside) < 1e-6
    worse = truth + 0.1 * np.where(np.indices(truth.shape).sum(0) % 2, 1, -1)
    assert 0.05 < regularisation.scaled_nrmse(worse, truth, inside) < 0.3


def test_an_image_that_the_model_is_not_for_stays_as_it_is(brain: FullScan) -> None:
    image = image_of(brain.bucket, brain.header)
    image = dataclasses.replace(image, gmap=100 * image.gmap)
    assert np.array_equal(regularisation.denoised(image, brain), image.image)
