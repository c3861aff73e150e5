"""Patches have the noise that they say they have, whatever they come from."""

import dataclasses

import numpy as np
import pytest
import torch

from snrstream.errors import ConfigurationError
from snrtrain.archive.archive import Archive
from snrtrain.methods.noise_process import NoiseRange
from snrtrain.methods.patches import PatchRange, draw_patch, from_channels, to_channels
from tests.snrtrain import small_archive

PATCH, NOISE = PatchRange(size=32, p_own=0.0), NoiseRange()


@pytest.fixture(scope="module")
def entries(tmp_path_factory):
    return Archive(small_archive.make(tmp_path_factory.mktemp("archive")), "train").entries


def drawn(entries, patch=PATCH, n=64, seed=2):
    generator = torch.Generator().manual_seed(seed)
    return [draw_patch(entries, patch, NOISE, generator) for _ in range(n)]


def white(patches) -> torch.Tensor:
    """The noise in SDs, both parts of it."""
    return torch.view_as_real(torch.stack([(p.noisy - p.clean) / p.gmap for p in patches]))


def test_patches_are_seeded_and_their_noise_is_g(entries):
    one, other = drawn(entries), drawn(entries)
    assert all(torch.equal(a.noisy, b.noisy) for a, b in zip(one, other, strict=True))
    assert one[0].noisy.shape == one[0].clean.shape == one[0].gmap.shape == (1, 32, 32)
    assert max(float(p.gmap.max()) for p in one) > 1.1
    # 64 patches of 32^2 pixels, the smoothest with a tenth as many independent values: well within 3 %.
    assert float(white(one).std()) == pytest.approx(1, rel=0.03)


def test_the_noise_of_a_scans_own_reconstruction_is_kept(entries):
    patches = drawn(entries, dataclasses.replace(PATCH, p_own=1.0, p_turned=0.0))
    assert all(bool((p.gmap == 1).all()) for p in patches)
    own = torch.from_numpy(np.stack([np.array(entry.noise) for entry in entries])).abs()
    for patch in patches:
        largest = (patch.noisy - patch.clean).abs().max()
        assert float((own - largest).abs().min()) < 1e-4, "is one of the noise's own values, but for rounding"


def test_a_real_scan_keeps_its_level_and_gets_no_noise_of_its_own_again(entries):
    real = [dataclasses.replace(entry, own_noise=True, clean=np.ones_like(entry.clean)) for entry in entries]
    patches = drawn(real, dataclasses.replace(PATCH, p_uniform_g=1.0, p_turned=0.0), n=200)
    sigmas = [float((1 / p.clean.abs().mean() ** 2 - 1) ** 0.5) for p in patches]  # for clean is 1 / sqrt(sigma^2 + 1)
    assert min(sigmas) >= 0 and 28 < max(sigmas) <= 32
    share = [s / (s**2 + 1) ** 0.5 for s in sigmas]
    expected = float(np.sqrt(np.mean(np.square(share))))
    assert float(white(patches).std()) == pytest.approx(expected, rel=0.02)


def test_frames_are_neighbours_and_go_on_as_their_mirror_image(entries):
    frames = np.arange(3, dtype=np.complex64)[:, None, None] + np.ones((1, 40, 40), np.complex64)
    entry = dataclasses.replace(entries[0], clean=frames, noise=None, own_noise=True, axis="time")
    patch = dataclasses.replace(PATCH, n_frames=5, p_turned=0.0)
    (one,) = drawn([entry], patch, n=1)
    levels = one.clean[:, 0, 0].real
    assert torch.allclose(levels / levels[0], torch.tensor([1.0, 2.0, 3.0, 2.0, 1.0]))
    assert bool((one.gmap == one.gmap[0]).all())
    assert not torch.allclose(one.noisy[0] - one.clean[0], one.noisy[4] - one.clean[4]), "noise is drawn for each frame"


def test_an_image_smaller_than_the_patch_is_named(entries):
    with pytest.raises(ConfigurationError, match=r"phantom has 64 x 64 pixels; expected 65 x 65 or more"):
        drawn(entries, dataclasses.replace(PATCH, size=65))


def test_values_that_are_not_finite_are_named_by_their_file(tmp_path):
    entries = Archive(small_archive.make(tmp_path), "train").entries
    for name in ("clean", "noise", "gmaps"):
        path = tmp_path / f"train/two/0001/{name}.npy"
        sound = np.load(path)
        np.save(path, np.full_like(sound, np.nan))
        with pytest.raises(ConfigurationError, match=rf"train/two/0001/{name}\.npy holds values that are not finite"):
            drawn(entries, dataclasses.replace(PATCH, p_own=0.5))
        np.save(path, sound)


def test_channels_and_back():
    image = torch.randn(2, 3, 4, 5, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    channels = to_channels(image)
    assert channels.shape == (2, 2, 3, 4, 5) and torch.equal(from_channels(channels), image)
