"""Measures of quality: their formulas, scikit-image's own figures, and values by hand."""

import numpy as np
import pytest
import torch

from snrtrain import metrics

skimage_metrics = pytest.importorskip("skimage.metrics")


def noisy_discs(n_slices: int = 2) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A reference, the same with noise, and all pixels as mask."""
    generator = torch.Generator().manual_seed(0)
    y, x = torch.meshgrid(*2 * [torch.linspace(-1, 1, 48)], indexing="ij")
    reference = (50.0 * (x**2 + y**2 < 0.6) + 30 * (x**2 + y**2 < 0.2) + 5).repeat(n_slices, 1, 1)
    return reference, reference + 4 * torch.randn(reference.shape, generator=generator), torch.ones_like(reference) > 0


def test_psnr_is_its_formula() -> None:
    reference = torch.full((10, 10), 50.0)
    mask = torch.ones(10, 10, dtype=torch.bool)
    assert metrics.magnitude_psnr(reference + 5, reference, mask) == pytest.approx(20.0)
    assert metrics.magnitude_psnr(-reference - 5, reference, mask) == pytest.approx(20.0)  # of magnitudes


def test_the_papers_psnr_has_its_peak_and_counts_all_pixels() -> None:
    reference = torch.full((10, 10), 50.0)
    reference[:, 5:] = 0
    image = torch.polar(reference + 1, torch.linspace(0, 3, 10).expand(10, 10))
    assert metrics.snr_units_psnr(image, reference) == pytest.approx(
        20 * np.log10(2048), abs=1e-5
    )  # 1 noise SD everywhere
    assert metrics.snr_units_psnr(reference + 0.5, reference) == pytest.approx(20 * np.log10(4096), abs=1e-5)


def test_psnr_ssim_and_nrmse_are_those_of_scikit_image() -> None:
    reference, image, everywhere = noisy_discs()
    a, b, peak = image.abs().numpy(), reference.numpy(), metrics.peak(reference)
    psnr = skimage_metrics.peak_signal_noise_ratio(b, a, data_range=peak)
    assert metrics.magnitude_psnr(image, reference, everywhere) == pytest.approx(psnr, abs=1e-4)
    nrmse = skimage_metrics.normalized_root_mse(b, a)  # over the reference's root mean square
    assert metrics.magnitude_nrmse(image, reference, everywhere) == pytest.approx(nrmse, rel=1e-5)
    similarity = [
        skimage_metrics.structural_similarity(
            x, y, data_range=peak, gaussian_weights=True, use_sample_covariance=False, full=True
        )[1].mean()
        for x, y in zip(a, b, strict=True)
    ]
    assert metrics.magnitude_ssim(image, reference, everywhere) == pytest.approx(np.mean(similarity), rel=1e-5)


def test_what_is_outside_of_the_mask_does_not_count() -> None:
    reference, image, everywhere = noisy_discs()
    mask = everywhere.clone()
    mask[:, :10] = False
    spoilt = image.clone()
    spoilt[:, :2] += 1000  # farther from the mask than half of SSIM's window
    for measure in (metrics.magnitude_psnr, metrics.magnitude_ssim, metrics.magnitude_nrmse):
        assert measure(spoilt, reference, mask) == measure(image, reference, mask)


def test_the_mask_is_the_object() -> None:
    image = torch.zeros(32, 32)
    image[8:24, 8:24] = 100.0
    assert torch.equal(metrics.object_mask(image), image > 0)
    assert not metrics.object_mask(torch.zeros(8, 8)).any()


def test_the_reference_tissue_is_the_brighter_part_of_the_object() -> None:
    image = torch.zeros(60, 60)
    image[10:50, 10:50], image[10:50, 30:50], image[29:31, 39:41] = 0.5, 1.0, 3.0  # half bright, a vessel
    assert metrics.reference_level(image) == pytest.approx(1.0)


def test_the_references_own_noise_is_measured_beside_edges() -> None:
    generator = torch.Generator().manual_seed(0)
    clean = torch.zeros(2, 96, 96)
    clean[:, 10:80, 20:70] = 50.0
    noisy = clean + 2 * torch.randn(clean.shape, generator=generator)
    # The median of 7000 correlated values: about 2 %.
    assert metrics.own_noise(noisy.to(torch.complex64), clean > 0) == pytest.approx(2, rel=0.06)


def test_the_ceiling_weighs_own_and_added_noise_by_their_power() -> None:
    clean = torch.full((10, 10), 100.0)
    mask = torch.ones(10, 10, dtype=torch.bool)
    noisy_psnr = 20.0  # an error of 10: of 1 / (1 / 10^2 + 1 / 5^2) = 20 with own noise of 5
    assert metrics.ceiling(noisy_psnr, clean, 5.0, mask) == pytest.approx(10 * np.log10(100**2 / 20), abs=1e-3)


def test_dice_by_hand() -> None:
    reference = torch.tensor([0, 1, 1, 2, 2, 3])
    classes = torch.tensor([1, 1, 1, 2, 3, 3])
    # Tissue 1: 2 * 2 / (3 + 2); 2: 2 * 1 / (1 + 2); 3: 2 * 1 / (2 + 1). Air is left out.
    assert metrics.dice(classes, reference) == pytest.approx((4 / 5 + 2 / 3 + 2 / 3) / 3)
    assert metrics.dice(classes, reference, (1, 3)) == pytest.approx((4 / 5 + 2 / 3) / 2)
    assert metrics.dice(classes, reference, (7,)) == 1.0


def test_kept_edges_are_a_gain_that_noise_does_not_raise() -> None:
    reference, _, everywhere = noisy_discs(1)
    assert metrics.edges_kept(reference, reference, everywhere) == pytest.approx(1.0)
    assert metrics.edges_kept(0.5 * reference + 7, reference, everywhere) == pytest.approx(0.5)
    blurred = torch.nn.functional.avg_pool2d(reference, 3, stride=1, padding=1)
    assert metrics.edges_kept(blurred, reference, everywhere) < 0.8
    generator = torch.Generator().manual_seed(1)
    noise = 2 * torch.randn(reference.shape, generator=generator)
    # 115 edge pixels of a slope of 15 to 25, whose noise is 2 / sqrt(2): about 1 %.
    assert metrics.edges_kept(reference + noise, reference, everywhere) == pytest.approx(1.0, abs=0.03)
