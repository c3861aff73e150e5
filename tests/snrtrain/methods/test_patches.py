"""Patches have the noise that they say they have, whatever they come from."""

import dataclasses
import pickle

import numpy as np
import pytest
import torch

from snrstream.errors import ConfigurationError
from snrtrain.archive.archive import Archive
from snrtrain.methods.choices import PatchRange
from snrtrain.methods.noise_process import NoiseRange
from snrtrain.methods.patches import Patch, Patches, from_channels, to_channels
from tests.snrtrain import small_archive

PATCH, NOISE = PatchRange(size=32, p_own=0.0), NoiseRange()
CPU, EVERYTHING = torch.device("cpu"), 1 << 40  # bytes of memory


@pytest.fixture(scope="module")
def entries(tmp_path_factory):
    return Archive(small_archive.make(tmp_path_factory.mktemp("archive")), "train").entries


def drawn(entries, patch=PATCH, n=64, seed=2, held=False) -> Patch:
    patches = Patches(entries, patch, NOISE)
    assert patches.settle(CPU, EVERYTHING if held else None) == held
    return patches.draw(n, torch.Generator().manual_seed(seed))


def white(patches: Patch) -> torch.Tensor:
    """The noise in SDs, both parts of it."""
    return torch.view_as_real((patches.noisy - patches.clean) / patches.gmap)


def equal(one: Patch, other: Patch) -> bool:
    return all(torch.equal(getattr(one, key), getattr(other, key)) for key in ("noisy", "clean", "gmap"))


def test_patches_are_seeded_and_their_noise_is_g(entries):
    one, other = drawn(entries), drawn(entries)
    assert equal(one, other) and not equal(one, drawn(entries, seed=3))
    assert one.noisy.shape == one.clean.shape == one.gmap.shape == (64, 1, 32, 32)
    assert float(one.gmap.max()) > 1.1
    # 64 patches of 32^2 pixels, the smoothest with a tenth as many independent values: well within 3 %.
    assert float(white(one).std()) == pytest.approx(1, rel=0.03)


def test_an_archive_in_memory_gives_the_same_patches_as_its_files(entries):
    patch = dataclasses.replace(PATCH, p_own=0.3, n_frames=2)
    assert equal(drawn(entries, patch), drawn(entries, patch, held=True))


def test_an_archive_that_does_not_fit_stays_in_its_files_and_a_line_says_so(entries, capsys):
    patches = Patches(entries, PATCH, NOISE)
    assert not patches.settle(CPU, 1000)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("the archive takes 0.0 GiB, and cpu has 0.0 free, of which it may take 60%: the processor")
    assert equal(patches.draw(4, torch.Generator().manual_seed(1)), drawn(entries, n=4, seed=1))


def test_another_process_opens_the_files_anew(entries):
    patches = Patches(entries, PATCH, NOISE)
    before = len(pickle.dumps(patches))
    patches.draw(8, torch.Generator())
    assert len(pickle.dumps(patches)) == before, "what is open stays behind"


def test_the_noise_of_a_scans_own_reconstruction_is_kept(entries):
    patches = drawn(entries, dataclasses.replace(PATCH, p_own=1.0, p_turned=0.0))
    assert bool((patches.gmap == 1).all())
    own = torch.from_numpy(np.stack([np.array(entry.noise) for entry in entries])).abs()
    for noise in (patches.noisy - patches.clean).abs():
        assert float((own - noise.max()).abs().min()) < 1e-4, "is one of the noise's own values, but for rounding"


def test_a_real_scan_keeps_its_level_and_gets_no_noise_of_its_own_again(entries):
    real = [dataclasses.replace(entry, own_noise=True, clean=np.ones_like(entry.clean)) for entry in entries]
    patches = drawn(real, dataclasses.replace(PATCH, p_uniform_g=1.0, p_turned=0.0), n=200)
    sigmas = (1 / patches.clean.abs().mean(dim=(1, 2, 3)) ** 2 - 1).clamp(min=0).sqrt()  # clean: 1 / sqrt(sigma^2 + 1)
    assert 28 < float(sigmas.max()) <= 32.001
    expected = float((sigmas**2 / (sigmas**2 + 1)).mean().sqrt())
    assert float(white(patches).std()) == pytest.approx(expected, rel=0.02)


def test_frames_are_neighbours_and_go_on_as_their_mirror_image(entries):
    frames = np.arange(3, dtype=np.complex64)[:, None, None] + np.ones((1, 40, 40), np.complex64)
    entry = dataclasses.replace(entries[0], clean=frames, noise=None, own_noise=True, axis="time")
    one = drawn([entry], dataclasses.replace(PATCH, n_frames=5, p_turned=0.0), n=1)
    levels = one.clean[0, :, 0, 0].real
    assert torch.allclose(levels / levels[0], torch.tensor([1.0, 2.0, 3.0, 2.0, 1.0]))
    assert bool((one.gmap == one.gmap[:, :1]).all())
    noise = one.noisy - one.clean
    assert not torch.allclose(noise[:, 0], noise[:, 4]), "noise is drawn for each frame"
    patches = Patches([entry], PATCH, NOISE)
    assert patches.draw(2, torch.Generator(), n_frames=7).clean.shape == (2, 7, 32, 32), "other than the range's"


def test_an_image_smaller_than_the_patch_is_named(entries):
    with pytest.raises(ConfigurationError, match=r"phantom has 64 x 64 pixels; expected 65 x 65 or more"):
        drawn(entries, dataclasses.replace(PATCH, size=65))


@pytest.mark.parametrize("held", [False, True])
def test_values_that_are_not_finite_are_named_by_their_file(tmp_path, held):
    entries = Archive(small_archive.make(tmp_path), "train").entries
    for name in ("clean", "noise", "gmaps"):
        path = tmp_path / f"train/two/0001/{name}.npy"
        sound = np.load(path)
        np.save(path, np.full_like(sound, np.nan))
        with pytest.raises(ConfigurationError, match=rf"train/two/0001/{name}\.npy holds values that are not finite"):
            drawn(entries, dataclasses.replace(PATCH, p_own=0.5), held=held)
        np.save(path, sound)


def test_channels_and_back():
    image = torch.randn(2, 3, 4, 5, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    channels = to_channels(image)
    assert channels.shape == (2, 2, 3, 4, 5) and torch.equal(from_channels(channels), image)
