import math

import pytest
import torch

from snrstream.errors import ScanError
from snrstream.recon.coil_maps import calibration_images, inati
from snrstream.recon.fft import to_image, to_kspace
from snrstream.recon.grappa import calibrate
from snrstream.recon.unmixing import combine, gfactor, snr_scale, unmixing_coefficients

from .simulation import object_and_coils, undersample, white_noise


def simulated_kspace(n_channels: int, n_e1: int, n_ro: int, snr: float, seed: int = 0) -> tuple[torch.Tensor, ...]:
    image, csm = object_and_coils(n_channels, n_e1, n_ro)
    signal = to_kspace(snr * csm * image).to(torch.complex64)
    return signal, white_noise(torch.Generator().manual_seed(seed), n_channels, n_e1, n_ro), (snr * image)


def central_lines(kspace: torch.Tensor, n_lines: int) -> tuple[torch.Tensor, int]:
    start = kspace.shape[1] // 2 - n_lines // 2
    return kspace[:, start : start + n_lines], start


@pytest.mark.parametrize(("acceleration", "shape"), [(2, (32, 24)), (3, (30, 25)), (4, (36, 24))])
@pytest.mark.parametrize("offset", [0, 1])
def test_unmixing_equals_filling_k_space_line_by_line(acceleration: int, shape: tuple[int, int], offset: int) -> None:
    """The image-space product is the k-space interpolation of the textbook, written out with loops."""
    signal, noise, _ = simulated_kspace(4, *shape, snr=50)
    kspace, sampled = undersample(signal + noise, acceleration, offset)
    acs, _ = central_lines(signal + noise, 16)
    kernel = calibrate(acs, acceleration)
    n_e1, n_ro = shape

    filled = kspace.to(torch.complex128)
    for line in range(n_e1):
        # with R dividing N, the lattice goes on beyond the edge
        after = (line - offset) % acceleration
        if after == 0:
            continue
        assert not sampled[line]
        for x in range(n_ro):
            sources = torch.stack(
                [kspace[:, (line - after + dy) % n_e1, (x + dx) % n_ro] for dy in kernel.lines for dx in kernel.samples]
            ).reshape(len(kernel.lines), len(kernel.samples), -1)
            filled[:, line, x] = torch.einsum("oyxc,yxc->o", kernel.weights[after - 1], sources).to(torch.complex128)

    _, csm = object_and_coils(4, *shape)
    csm = (csm / torch.linalg.vector_norm(csm, dim=0)).to(torch.complex64)
    direct = (to_image(filled) * csm.conj()).sum(dim=0)
    fused = combine(kspace, unmixing_coefficients(kernel, csm), scale=1.0)
    error = torch.linalg.vector_norm(fused - direct) / torch.linalg.vector_norm(direct)
    assert float(error) < 1e-5  # single precision: about 1e-6 for sums over 80 terms


@pytest.mark.parametrize("acceleration", [1, 2, 3, 4])
@pytest.mark.parametrize(("n_channels", "shape"), [(8, (48, 40)), (12, (45, 33))])
def test_pseudo_replica_noise_is_the_g_factor(acceleration: int, n_channels: int, shape: tuple[int, int]) -> None:
    """Robson et al., MRM 60:895 (2008): replicas of pure noise through the fixed reconstruction."""
    n_replicas = 128
    signal, noise, _ = simulated_kspace(n_channels, *shape, snr=50)
    acs, start = central_lines(signal + noise, 24)
    kernel = calibrate(acs, acceleration) if acceleration > 1 else None
    unmixing = unmixing_coefficients(kernel, inati(calibration_images(acs, start, shape[0])))
    g = gfactor(unmixing, acceleration)
    generator = torch.Generator().manual_seed(1)
    replicas = []
    for _ in range(n_replicas):
        kspace, sampled = undersample(white_noise(generator, n_channels, *shape), acceleration, offset=1 % acceleration)
        scale = snr_scale(acceleration, shape[0] / int(sampled.sum()))
        replicas.append(combine(kspace, unmixing, scale))
    stack = torch.stack(replicas)
    sd = torch.sqrt((stack.real.square() + stack.imag.square()).mean(dim=0) / 2)
    ratio = sd / g
    assert float(ratio.mean()) == pytest.approx(1.0, abs=0.01)
    # 2 n_replicas real numbers a pixel: the SD of the SD is 1/sqrt(4 n_replicas)
    assert float(ratio.std()) < 1.1 / math.sqrt(4 * n_replicas)


@pytest.mark.parametrize(("acceleration", "bound"), [(2, 0.02), (3, 0.05)])
def test_undersampled_signal_is_the_full_one_over_sqrt_r(acceleration: int, bound: float) -> None:
    """Nearly noise-free: what is left is GRAPPA's own error with 8 channels, and the maps'."""
    signal, noise, image = simulated_kspace(8, 60, 48, snr=2000)
    acs, start = central_lines(signal + noise, 24)
    csm = inati(calibration_images(acs, start, 60))
    full = combine(signal + noise, unmixing_coefficients(None, csm), 1.0)
    kspace, sampled = undersample(signal + noise, acceleration, offset=0)
    unmixing = unmixing_coefficients(calibrate(acs, acceleration), csm)
    image = combine(kspace, unmixing, snr_scale(acceleration, 60 / int(sampled.sum())))
    error = image * math.sqrt(acceleration) - full
    assert float(torch.linalg.vector_norm(error) / torch.linalg.vector_norm(full)) < bound


def test_g_is_1_without_acceleration_and_inputs_are_not_changed() -> None:
    signal, noise, _ = simulated_kspace(6, 32, 32, snr=50)
    kspace = signal + noise
    acs, start = central_lines(kspace, 16)
    copies = kspace.clone(), acs.clone()
    csm = inati(calibration_images(acs, start, 32))
    kept = csm.clone()
    assert torch.allclose(gfactor(unmixing_coefficients(None, csm), 1), torch.ones(32, 32), atol=1e-5)
    combine(kspace, unmixing_coefficients(calibrate(acs, 2), csm), 1.0)
    assert torch.equal(kspace, copies[0]) and torch.equal(acs, copies[1]) and torch.equal(csm, kept)


def test_maps_find_the_sensitivities() -> None:
    image, csm = object_and_coils(8, 64, 64)
    found = inati((200 * csm * image).to(torch.complex64))
    true = csm / torch.linalg.vector_norm(csm, dim=0)
    inside = image.abs() > 0.9
    correlation = (found.conj() * true).sum(dim=0).abs()
    assert float(correlation[inside].min()) > 0.999
    assert torch.allclose(torch.linalg.vector_norm(found, dim=0), torch.ones(64, 64), atol=1e-5)


@pytest.mark.parametrize(("n_lines", "acceleration", "needed"), [(8, 3, 10), (12, 4, 13), (6, 2, 7)])
def test_too_short_calibration(n_lines: int, acceleration: int, needed: int) -> None:
    acs = torch.ones(2, n_lines, 16, dtype=torch.complex64)
    expected = f"ACS has {n_lines} lines; a kernel of 4 lines at R={acceleration} needs at least {needed}"
    with pytest.raises(ScanError, match=expected):
        calibrate(acs, acceleration)


def test_calibration_data_without_signal() -> None:
    with pytest.raises(ScanError, match="zero or not finite"):
        calibrate(torch.zeros(2, 16, 16, dtype=torch.complex64), 2)
