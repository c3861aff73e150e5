"""What SNRAware's networks are validated on."""

import numpy as np
import pytest
import torch
from torch import nn

from snrtrain.archive.archive import Archive
from snrtrain.methods.snraware import Snraware
from tests.snrtrain import small_archive
from tests.snrtrain.small_recipes import recipe


class Same(nn.Module):
    """Answers with the image that it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.nothing = nn.Parameter(torch.zeros(1))

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        return given[:, :2] + self.nothing


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return small_archive.make(tmp_path_factory.mktemp("archive") / "a", frames=3, axis="time")


def opened(archive, **changes) -> Snraware:
    settings = recipe("cnnt", patch=32, n_frames=3, n_validation=12, **changes)
    return Snraware(settings, *(Archive(archive, split).entries for split in ("train", "validation")), 8)


def test_filtered_noise_is_on_the_same_images_of_the_same_sd_and_the_same_each_time(archive):
    method = opened(archive)
    white, first, second = method._scans, list(method._filtered()), list(method._filtered())
    for plain, one, other in zip(white, first, second, strict=True):
        assert torch.equal(plain.patch.clean, one.patch.clean) and torch.equal(plain.patch.gmap, one.patch.gmap)
        assert torch.equal(one.patch.noisy, other.patch.noisy) and not torch.equal(plain.patch.noisy, one.patch.noisy)
    noise = [torch.view_as_real((scan.patch.noisy - scan.patch.clean) / scan.patch.gmap) for scan in first]
    assert float(torch.stack(noise).std()) == pytest.approx(1, abs=0.02)
    spectra = [np.abs(np.fft.fft2(torch.view_as_complex(field).numpy())) for field in noise]
    empty = [float((field < 1e-2 * field.max()).mean()) for field in spectra]
    assert min(empty) < max(empty) and np.mean([share > 0.05 for share in empty]) > 0.5, "k-space is filtered"


def test_what_is_told_has_both_noises_and_the_choice_is_the_recipes(archive):
    network = Same()
    found = opened(archive).validation(network)
    assert set(found.told) == {"white_psnr", "white_psnr_2048", "filtered_psnr", "filtered_psnr_2048"}
    assert found.psnr == found.told["white_psnr"] == opened(archive).psnr(network)
    assert found.text == f"PSNR {found.psnr:.2f} dB (filtered {found.told['filtered_psnr']:.2f})"
    by_filtered = opened(archive, validated_by="filtered")
    assert by_filtered.validation(network).psnr == found.told["filtered_psnr"] == by_filtered.psnr(network)
    # Noise of one SD per part (of a map above that) lies some way below 66.2 dB, which is one SD of the magnitude.
    assert 50 < found.told["white_psnr_2048"] < 20 * np.log10(2048) + 1
    assert by_filtered.psnr(network, alpha=1.0) == pytest.approx(by_filtered.psnr(network), abs=1e-3)


def test_the_recipes_filters_are_those_that_it_is_validated_under(archive):
    none = opened(archive, p_gaussian=0.0, p_partial_fourier=0.0, p_resolution=0.0)
    (scan, *_) = none._filtered()
    noise = (scan.patch.noisy - scan.patch.clean) / scan.patch.gmap
    flat = np.abs(np.fft.fft2(noise.numpy()))
    assert float((flat < 1e-2 * flat.max()).mean()) < 0.01
