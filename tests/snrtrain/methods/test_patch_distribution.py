"""Batches of patches have the distribution of patches that are drawn one at a time."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy import stats

from snrtrain.archive.archive import Entry
from snrtrain.methods.choices import PatchRange
from snrtrain.methods.noise_process import NoiseRange
from snrtrain.methods.patches import Patch, Patches
from snrtrain.methods.turned import gathered, magnified
from tests.snrtrain.methods import one_patch

SIZE, N = 16, 1200
PATCH = PatchRange(SIZE, n_frames=4, amplitude=(40.0, 400.0), p_own=0.3, p_uniform_g=0.4, p_turned=0.3)
NOISE = NoiseRange(p_white=0.4, p_gaussian=0.6, p_partial_fourier=0.3, p_resolution=0.4)
# Of the smallest of all p-values below, some 60: by chance it is under this once in 170 seeds.
LEAST_P = 1e-4


def entry(number: int, n_frames: int, height: int, width: int, **changes: object) -> Entry:
    """Its clean image tells where a pixel comes from, and is unlike under each flip and transpose."""
    frame, y, x = np.meshgrid(*map(np.arange, (n_frames, height, width)), indexing="ij")
    clean = ((10 + number + 0.1 * frame) * np.exp(1j * (0.02 * y + 0.001 * x))).astype(np.complex64)
    gmaps = np.stack([1 + 0.02 * y[0] + 0.01 * x[0], 2 + number + 0 * x[0]]).astype(np.float32)
    noise = (np.float32(0.5) * (1 + 0.01 * y) * np.exp(1j * x)).astype(np.complex64)
    made = Entry("s", f"scan {number} (MIT)", "time", clean, False, noise, gmaps, ((1, 1), (2, 1)), 20.0, (1.0, 1.0))
    return dataclasses.replace(made, **changes)


ENTRIES = {
    "simulated": [entry(0, 6, 24, 20), entry(1, 4, 20, 24)],
    "real": [entry(2, 5, 20, 20, own_noise=True, noise=None)],
    "zero-filled": [entry(3, 5, 22, 18, resolution=(0.6, 0.9), noise=None)],
    "mirrored": [entry(4, 2, 20, 20), entry(5, 1, 20, 20)],
}


def told(patches: Patch) -> dict[str, np.ndarray]:
    """Numbers `(n,)` that tell what each patch has been given."""
    clean, noise = patches.clean, (patches.noisy - patches.clean) / patches.gmap
    own = np.abs(noise.abs().numpy()).reshape(len(noise), -1)
    power = torch.fft.fft2(noise).abs().square().mean(dim=1)
    power = power / power.mean(dim=(1, 2), keepdim=True)
    step = clean[..., 1:, 1:] * clean[..., :-1, :-1].conj()
    pairs = (clean[..., 1:, :] * clean[..., :-1, :].conj(), clean[..., 1:] * clean[..., :-1].conj())
    along = [torch.angle(products.sum(dim=(1, 2, 3))) for products in pairs]
    low, quarter = slice(0, SIZE // 4), slice(SIZE // 4, SIZE // 2)
    low_e1, low_ro = power[:, low].mean(dim=(1, 2)), power[:, :, low].mean(dim=(1, 2))
    transposed = along[1].abs() > along[0].abs()  # the scan's phase is steeper along e1
    numbers = {
        "level of the clean image": clean.abs().mean(dim=(1, 2, 3)),
        "phase": torch.angle(clean[:, 0, 0, 0]),
        "diagonal": torch.angle(step.sum(dim=(1, 2, 3))),
        "along e1": along[0], "along ro": along[1],
        "later frames": clean[:, -1].abs().mean(dim=(1, 2)) / clean[:, 0].abs().mean(dim=(1, 2)),
        "second frame": clean[:, 1].abs().mean(dim=(1, 2)) / clean[:, 0].abs().mean(dim=(1, 2)),
        "g, mean": patches.gmap.mean(dim=(1, 2, 3)), "g, spread": patches.gmap.std(dim=(1, 2, 3)),
        "g, corner": patches.gmap[:, 0, 0, -1], "g, inside": patches.gmap[:, 0, 5, 2],
        "noise, mean": noise.real.mean(dim=(1, 2, 3)), "noise, SD": torch.from_numpy(own).square().mean(dim=1),
        "low along e1": low_e1, "low along ro": low_ro,
        "low along the scan's e1": torch.where(transposed, low_ro, low_e1),
        "positive along e1": power[:, quarter].mean(dim=(1, 2)),
        "positive along ro": power[:, :, quarter].mean(dim=(1, 2)),
        "corner of k-space": power[:, SIZE // 2, SIZE // 2], "edge of k-space": power[:, SIZE // 2, 0],
    }  # fmt: skip
    return {name: values.double().numpy().round(5) for name, values in numbers.items()}


@pytest.fixture(scope="module", params=list(ENTRIES))
def both(request):
    entries = ENTRIES[request.param]
    generator = torch.Generator().manual_seed(7)
    singly = [one_patch.draw_patch(entries, PATCH, NOISE, generator) for _ in range(N)]
    stacked = Patch(*(torch.stack([getattr(patch, key) for patch in singly]) for key in ("noisy", "clean", "gmap")))
    batches = Patches(entries, PATCH, NOISE)
    batches.settle(torch.device("cpu"), 1 << 40)
    return stacked, batches.draw(N, torch.Generator().manual_seed(8))


def test_every_number_that_can_be_told_of_a_patch_has_the_same_distribution(both):
    one, other = map(told, both)
    p = {name: stats.ks_2samp(one[name], other[name], method="asymp").pvalue for name in one}
    assert min(p.values()) > LEAST_P, {name: value for name, value in p.items() if value <= LEAST_P}


def test_shares_of_what_is_chosen_agree(both):
    shares = [
        torch.stack([
            (patch.gmap == 1).all(dim=3).all(dim=2).all(dim=1).double(),
            (((patch.noisy - patch.clean).abs() - 0.5).abs() < 0.2).all(dim=3).all(dim=2).all(dim=1).double(),
        ]).mean(dim=1)
        for patch in both
    ]  # fmt: skip
    assert float((shares[0] - shares[1]).abs().max()) < 4.5 * (2 * 0.25 / N) ** 0.5


def test_spectra_of_all_noise_together_agree(both):
    spectra = []
    for patch in both:
        noise = (patch.noisy - patch.clean) / patch.gmap
        drawn = noise[(noise.abs().std(dim=(1, 2, 3)) > 0.2)]  # not that of their own reconstruction
        power = torch.fft.fft2(drawn).abs().square().mean(dim=1)
        spectra.append((power.mean(dim=0), power.std(dim=0) / len(power) ** 0.5))
    (one, its_error), (other, its_other) = spectra
    assert float(((one - other).abs() / (its_error**2 + its_other**2).sqrt()).max()) < 5  # of 256 frequencies


@pytest.mark.parametrize("turn", range(8))
def test_parts_are_turned_as_flips_and_transposes_say(turn):
    image = torch.arange(35.0).reshape(5, 7)
    base, stride = torch.tensor([[8]]), torch.tensor([7])  # row 1, column 1
    part = gathered(image.flatten(), base, stride, torch.tensor([turn]), 3)
    assert torch.equal(part[0, 0], one_patch.turned(image[1:4, 1:4], turn))
    large = magnified(image.flatten(), base[:, 0], stride, torch.tensor([3]), torch.tensor([turn]), 8)
    expected = torch.nn.functional.interpolate(
        one_patch.turned(image[1:4, 1:4], turn)[None, None], size=(8, 8), mode="bilinear", align_corners=True
    )
    assert torch.allclose(large[0], expected[0, 0], atol=1e-5)
