import dataclasses
import math

import pytest
import torch
from torch import Tensor

from snrstream.recon.fft import to_image, to_kspace
from snrstream.recon.partial_fourier import cut_axes, homodyne, pocs, shortfalls, taper_weights
from snrstream.recon.spectrum import Spectrum

from .replicas import MOST_SPREAD, Reconstruction
from .simulation import Shape, white_noise


def cut(shape: Shape, **lacking: float) -> Spectrum:
    """Share of k-space lacking along e2, e1, ro: at the low end, or where negative at the high end."""
    parts = [torch.ones(n) for n in shape]
    for axis, share in lacking.items():
        part = parts[("e2", "e1", "ro").index(axis)]
        n = round(share * len(part))
        part[slice(0, n) if n > 0 else slice(n, None)] = 0
    return Spectrum.of(parts[0][:, None] * parts[1], parts[2])


def phantom(shape: Shape) -> Tensor:
    """Ellipsoids with sharp edges, 1 in most of the object, and a smooth phase of up to 3 radians. Complex64."""
    axes = [torch.linspace(-1, 1, n, dtype=torch.float64) if n > 1 else torch.zeros(1).double() for n in shape]
    z, y, x = torch.meshgrid(*axes, indexing="ij")
    image = ((z / 0.9) ** 2 + (y / 0.8) ** 2 + (x / 0.7) ** 2 < 1).double()
    for y0, x0, radius, value in ((0.3, 0.2, 0.25, 0.6), (-0.35, -0.2, 0.2, -0.5), (0, 0.4, 0.08, 0.8)):
        image += value * ((y - y0) ** 2 + (x - x0) ** 2 + z**2 < radius**2)
    return (image * torch.exp(1j * (x + 1.5 * y + 1.2 * z + 0.8 * x * y + 0.6 * y**2))).to(torch.complex64)


def zero_filled(image: Tensor, spectrum: Spectrum, noise: Tensor | float = 0.0) -> Tensor:
    """What is left of an image, and of noise in k-space, once what the spectrum lacks is cut away."""
    acquired = ((spectrum.lines[..., None] * spectrum.samples) > 0).float()
    return to_image(acquired * (to_kspace(image, dims=(0, 1, 2)) + noise), dims=(0, 1, 2))


def nrmse(image: Tensor, reference: Tensor) -> float:
    return float(torch.linalg.vector_norm(image - reference) / torch.linalg.vector_norm(reference))


@pytest.mark.parametrize("n", [24, 25, 64, 65, 128])
def test_one_side_cut_short_is_found_and_reduced_resolution_is_not(n: int) -> None:
    shape = (n, n, n)
    n_cut = round(n / 8)
    assert cut_axes(Spectrum.white(shape)) == {}
    assert cut_axes(cut(shape, e2=-1 / 8)) == {0: (0, n - n_cut)}
    assert cut_axes(cut(shape, e1=1 / 8)) == {1: (n_cut, n)}
    assert cut_axes(cut(shape, e1=3 / 8, ro=-1 / 4)) == {1: (round(3 * n / 8), n), 2: (0, n - round(n / 4))}
    lines = torch.zeros(n, n)
    lines[:, n // 2 - n // 4 : n // 2 + n // 4] = 1
    assert cut_axes(Spectrum.of(lines, torch.ones(n))) == {}
    lines[:, : n // 2 - n // 8] = 0  # cut on top of it
    assert cut_axes(Spectrum.of(lines, torch.ones(n))) == {1: (n // 2 - n // 8, n // 2 + n // 4)}


def test_lines_that_parallel_imaging_left_out_are_no_cut() -> None:
    lines = torch.zeros(1, 64)
    lines[:, 1::2] = 1
    assert cut_axes(Spectrum.of(lines, torch.ones(32))) == {}


# R along e1 and e2, channels, shape, lines or samples that lack
NOT_ACCELERATED = [((1, 1), 8, (1, 48, 40), (0, 12, 0)), ((1, 1), 16, (32, 24, 16), (8, 0, 0))]
ACCELERATED = [
    ((2, 1), 8, (1, 48, 40), (0, 18, 0)),
    ((3, 1), 16, (1, 45, 40), (0, -12, 9)),
    ((4, 1), 32, (1, 48, 24), (0, 8, 0)),
    ((2, 1), 12, (20, 24, 16), (-6, 6, 0)),
]


@pytest.mark.parametrize(("r", "n_channels", "shape", "lacking"), [*NOT_ACCELERATED, *ACCELERATED])
def test_the_noise_after_zero_filling_is_the_g_map(
    r: tuple[int, int], n_channels: int, shape: Shape, lacking: Shape
) -> None:
    reconstruction = Reconstruction.of(r, n_channels, shape, lacking)
    assert set(cut_axes(reconstruction.spectrum)) == {axis for axis in range(3) if lacking[axis]}
    ratio = reconstruction.sd_over_g(lambda *noisy: noisy)
    assert float(ratio.mean()) == pytest.approx(1.0, abs=0.01)
    assert float(ratio.std()) < MOST_SPREAD


@pytest.mark.parametrize(("r", "n_channels", "shape", "lacking"), [*NOT_ACCELERATED, *ACCELERATED])
def test_the_noise_after_the_taper_is_the_g_map(
    r: tuple[int, int], n_channels: int, shape: Shape, lacking: Shape
) -> None:
    reconstruction = Reconstruction.of(r, n_channels, shape, lacking)
    acquired = reconstruction.acquired
    for axis, weight in enumerate(taper_weights(reconstruction.spectrum, 0.3)):
        if weight is not None:
            acquired = acquired * weight.float().reshape([-1 if a == axis else 1 for a in range(3)])
    scale = torch.linalg.vector_norm(reconstruction.acquired) / torch.linalg.vector_norm(acquired)
    tapered = dataclasses.replace(reconstruction, acquired=scale * acquired)
    ratio = tapered.sd_over_g(lambda *noisy: noisy)
    assert float(ratio.mean()) == pytest.approx(1.0, abs=0.01)
    assert float(ratio.std()) < MOST_SPREAD


@pytest.mark.parametrize("share", [0.25, -0.25])
def test_the_taper_ends_k_space_smoothly_at_its_cut_side_alone(share: float) -> None:
    e2, weights, ro = taper_weights(cut((1, 64, 16), e1=share), 0.25)
    assert e2 is None and ro is None and weights is not None
    profile = weights if share > 0 else weights.flip(0)
    # A quarter of 48 lines would be 12; the cut side has 16 beyond the centre, half of which stay whole.
    n_rolled = 8
    assert torch.all(profile[:16] == 0) and torch.all(profile[16 + n_rolled :] > 0.999)
    steps = profile[15 : 16 + n_rolled].diff()
    assert torch.all(steps > 0) and float(steps.max()) < 0.2  # pi / 2 / 9 in the middle
    assert taper_weights(Spectrum.white((1, 64, 16)), 0.25) == (None, None, None)


SHAPES = [((1, 96, 80), ("e1",)), ((1, 95, 81), ("ro",)), ((32, 48, 40), ("e2",))]


@pytest.mark.parametrize(("shape", "axes"), [*SHAPES, ((32, 48, 40), ("e2", "e1")), ((1, 96, 80), ("e1", "ro"))])
@pytest.mark.parametrize("lack", [1 / 8, -1 / 4, 3 / 8])
def test_homodyne_and_pocs_come_closer_than_zero_filling(shape: Shape, axes: tuple[str, ...], lack: float) -> None:
    reference = phantom(shape)
    spectrum = cut(shape, **dict.fromkeys(axes, lack))
    image = zero_filled(reference, spectrum)
    before, by_homodyne, by_pocs = (
        nrmse(i, reference) for i in (image, homodyne(image, spectrum)[0], pocs(image, spectrum)[0])
    )
    print(f"NRMSE zero-filled {before:.4f}, homodyne {by_homodyne:.4f}, POCS {by_pocs:.4f}")
    assert by_homodyne < 0.8 * before and by_pocs < 0.6 * before


@pytest.mark.parametrize("method", [homodyne, pocs])
@pytest.mark.parametrize("shape", [(1, 64, 48), (1, 65, 47)])
@pytest.mark.parametrize("lack", [1 / 4, -1 / 4])
def test_a_real_object_is_restored_and_keeps_its_level(method, shape: Shape, lack: float) -> None:
    """Without phase, Hermitian symmetry holds exactly: only the object's Gibbs ringing departs from its magnitude."""
    reference = phantom(shape).abs().to(torch.complex64)
    spectrum = cut(shape, e1=lack)
    image = zero_filled(reference, spectrum)
    out, after = method(image, spectrum)
    assert out.dtype == torch.complex64 and nrmse(out, reference) < 0.2 * nrmse(image, reference)
    assert abs(out.sum() / reference.sum() - 1) < 0.005
    assert cut_axes(after) == {}


@pytest.mark.parametrize("snr", [5, 30])
@pytest.mark.parametrize("share", [7 / 8, 6 / 8, 5 / 8])
@pytest.mark.parametrize("method", [homodyne, pocs])
def test_the_noise_bias_of_homodyne_and_pocs(method, share: float, snr: float) -> None:
    """SD over g in the object, where a linear method would give 1: in phase with the signal, and in quadrature.

    With the share f acquired and a known phase, the symmetric centre gives each part 2 f - 1 of the noise's power 1/f,
    and the other 1 - f, doubled in amplitude, goes to the part in phase: 3 - 2 f.
    """
    n_replicas, shape = 32, (1, 96, 80)
    spectrum = cut(shape, e1=1 - share)
    reference = snr * phantom(shape)
    generator = torch.Generator().manual_seed(3)
    scale = float(spectrum.lines.max())  # zero-filled noise has an SD of 1 with it
    out = torch.stack(
        [
            method(scale * zero_filled(reference, spectrum, white_noise(generator, *shape)), spectrum)[0]
            for _ in range(n_replicas)
        ]
    )
    mean = out.mean(dim=0)
    noise = (out - mean) * (mean.conj() / mean.abs()) * math.sqrt(n_replicas / (n_replicas - 1))
    inside, outside = reference.abs() > 0.9 * snr, reference.abs() == 0
    in_phase, quadrature = (float(part[:, inside].square().mean().sqrt()) for part in (noise.real, noise.imag))
    background = float(noise[:, outside].abs().square().mean().sqrt() / math.sqrt(2))
    print(f"{method.__name__} {share} SNR {snr}: {in_phase:.3f}, {quadrature:.3f}, background {background:.3f} g")
    # The phase is estimated from noisy data, and the transition takes its share: within 5 %.
    assert in_phase == pytest.approx(math.sqrt((3 - 2 * share) / share), rel=0.05)
    assert 0.35 < quadrature < 0.95
    assert 0.95 < background < 1.3


@pytest.mark.parametrize("method", [homodyne, pocs])
def test_what_is_not_cut_passes_and_inputs_are_not_changed(method) -> None:
    image = white_noise(torch.Generator().manual_seed(0), 1, 32, 24)
    whole, spectrum = Spectrum.white((1, 32, 24)), cut((1, 32, 24), e1=0.25)
    assert torch.equal(method(image, whole)[0], image) and method(image, whole)[1] is whole
    inputs = [image, spectrum.lines, spectrum.samples]
    kept = [t.clone() for t in inputs]
    method(image, spectrum)
    assert all(torch.equal(a, b) for a, b in zip(inputs, kept, strict=True))


def test_pocs_ends_when_it_changes_little() -> None:
    image, spectrum = zero_filled(phantom((1, 64, 48)), cut((1, 64, 48), e1=0.25)), cut((1, 64, 48), e1=0.25)
    last = pocs(image, spectrum, n_iterations=200, tolerance=0)[0]
    assert nrmse(pocs(image, spectrum, n_iterations=1)[0], last) > 1e-2
    assert nrmse(pocs(image, spectrum, tolerance=1e-3)[0], last) < 2e-2
    assert torch.equal(pocs(image, spectrum, 100, tolerance=1)[0], pocs(image, spectrum, 1)[0])


@pytest.mark.parametrize("method", [homodyne, pocs])
@pytest.mark.parametrize("lack", [0.5, 0.6, -0.6])
def test_k_space_without_its_centre_gives_finite_images(method, lack: float) -> None:
    spectrum = cut((1, 40, 16), e1=lack)
    out, _ = method(zero_filled(phantom((1, 40, 16)), spectrum), spectrum)
    assert torch.isfinite(torch.view_as_real(out)).all()


def test_the_centre_stays_whole_and_a_short_overscan_is_told() -> None:
    for first, n_beyond in ((30, 2), (31, 1), (33, 0)):
        lines = torch.ones(1, 64)
        lines[:, :first] = 0
        spectrum = Spectrum.of(lines, torch.ones(16))
        weights = taper_weights(spectrum, 0.15)[1]
        assert weights is not None and (first > 32 or float(weights[32]) == 1)
        told = shortfalls(spectrum)
        assert (told == ()) == (n_beyond >= 2)
        if told:
            assert told == (f"k-space along e1 reaches {n_beyond} of 64 beyond its centre; expected 2 or more",)
