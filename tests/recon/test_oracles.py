"""The reconstruction against what others make of the same data: the textbook in double precision, and pygrappa."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from snrstream.gadgets import accumulate, noise_adjust
from snrstream.gadgets.gadget import run as run_gadget
from snrstream.recon.acquired import Acquired
from snrstream.recon.combine import Combiner, Grid
from snrstream.recon.fft import centred_slice, to_kspace
from snrstream.recon.grappa import calibrate
from snrstream.recon.lattice import Lattice
from snrstream.recon.plan import MapOptions, Plan, maps_of_calibration
from snrstream.recon.unmixing import unmixing_coefficients
from snrtrain.simulation.coils import loop_sensitivities
from snrtrain.simulation.phantom import object_phase, shepp_logan

from .direct import combined, direct_weights, filled, relative
from .simulation import LATTICES, Shape, central, lattice_mask, noisy_kspace, true_maps, white_noise


@pytest.mark.parametrize(("lattice", "shape", "n_acs"), LATTICES)
# In single precision the normal equations lose the condition number, up to 1 / TIKHONOV, to rounding of 6e-8.
@pytest.mark.parametrize(("dtype", "bound"), [(torch.complex128, 1e-5), (torch.complex64, 5e-4)])
def test_the_whole_reconstruction_equals_the_textbook(
    lattice: Lattice, shape: Shape, n_acs: tuple[int, int], dtype: torch.dtype, bound: float
) -> None:
    """Calibration, filling and combination, each direct and dense, give the image of the folded chain."""
    n_channels = 4
    full, csm = noisy_kspace(n_channels, shape, snr=30).to(dtype), true_maps(n_channels, shape).to(dtype)
    sampled = lattice_mask(lattice, *shape[:2])
    acs, kspace = central(full, *n_acs)[0], full * sampled[..., None]
    kernel = calibrate(acs, lattice, n_partitions=2, n_samples=3)
    ours = Combiner.plan(unmixing_coefficients(kernel, csm), 1.0, Grid(shape[:2])).image(kspace)
    direct = combined(filled(kspace, sampled, kernel, direct_weights(acs, kernel)), csm)
    assert ours.dtype == dtype
    error = relative(ours - direct, direct)
    print(f"{lattice}, {dtype}: {error:.1e} from the direct reconstruction")
    assert error < bound


@pytest.mark.parametrize(
    ("shape", "first", "step"),
    [((1, 24, 15), (0, 1), (1, 2)), ((1, 23, 16), (0, 0), (1, 1)), ((6, 12, 9), (1, 2), (2, 3))],
)
def test_the_adjoint_of_the_linear_map(shape: Shape, first: tuple[int, int], step: tuple[int, int]) -> None:
    """`<E k, m> = <k, E^H m>`: E is u times the transform of zero-filled k-space, so E^H undoes these in turn."""
    generator, grid, scale = torch.Generator().manual_seed(0), Grid(shape[:2], first, step), 0.7
    unmixing = white_noise(generator, 5, *shape).to(torch.complex128)
    image = white_noise(generator, *shape).to(torch.complex128)
    kspace = white_noise(generator, 5, *grid.stored, shape[2]).to(torch.complex128)
    back = to_kspace(scale * unmixing.conj() * image, dims=(1, 2, 3))[:, first[0] :: step[0], first[1] :: step[1]]
    forward = torch.vdot(image.flatten(), Combiner.plan(unmixing, scale, grid).image(kspace).flatten())
    assert torch.isclose(forward, torch.vdot(back.flatten(), kspace.flatten()), rtol=1e-10)


def nrmse_beside_cgrappa(noisy: Tensor, full: Tensor, r: int, n_acs: int = 24) -> tuple[float, float]:
    """NRMSE to the fully sampled image: ours, and that of pygrappa's cgrappa with its own default lamda.

    full: k-space `(channel, 1, e1, ro)`. noisy: the same, prewhitened, with the noise of the calibration lines; where
    `full` has none, the error is residual aliasing alone. Neither image holds calibration lines but those that lie on
    the lattice. The same maps, from the calibration lines as in the chain, combine all three images.
    """
    pygrappa = pytest.importorskip("pygrappa")
    lattice, size = Lattice((r, 1)), (1, full.shape[2])
    acs, start = central(noisy, 1, n_acs)
    sampled, maps = lattice_mask(lattice, *size), MapOptions(step=1)
    csm = maps_of_calibration(acs, (0, start), size, maps)
    reference = combined(full, csm)
    kspace, acquired = full * sampled[..., None], Acquired.of(sampled, lattice, full.shape[3])
    ours = Plan.of(acs, (0, start), acquired, maps=maps).image(kspace) / acquired.scale
    arrays = (np.ascontiguousarray(part[:, 0].numpy().astype(np.complex128)) for part in (kspace, acs))
    theirs = combined(torch.from_numpy(pygrappa.cgrappa(*arrays, kernel_size=(5, 5), coil_axis=0))[:, None], csm)
    return relative(ours - reference, reference), relative(theirs - reference, reference)


def head(n_channels: int, shape: tuple[int, int], snr: float, seed: int) -> Tensor:
    """K-space `(channel, 1, e1, ro)` of a Shepp-Logan phantom inside loop coils, unit noise added."""
    rng = np.random.default_rng(seed)
    magnitude = shepp_logan(max(shape))[centred_slice(shape[0], max(shape))][:, centred_slice(shape[1], max(shape))]
    coils = loop_sensitivities(n_channels, shape, rng) * torch.polar(magnitude, object_phase(shape, rng))
    level = torch.linalg.vector_norm(coils, dim=0)
    signal = to_kspace(coils * snr / float(level[level > 0.1].median()))[:, None]
    return signal.to(torch.complex64) + white_noise(torch.Generator().manual_seed(seed), *signal.shape)


OBJECTS: dict[str, Callable[[float], Tensor]] = {  # of an SNR in units of the one named
    "head, 12 channels, SNR 30": lambda snr: head(12, (96, 80), 30 * snr, 0),
    "head, 16 channels, SNR 50": lambda snr: head(16, (96, 80), 50 * snr, 1),
    "head, 16 channels, 128 x 128, SNR 30": lambda snr: head(16, (128, 128), 30 * snr, 2),
    "head, 32 channels, SNR 40": lambda snr: head(32, (128, 96), 40 * snr, 3),
    "ellipsoid, 16 channels, SNR 50": lambda snr: noisy_kspace(16, (1, 96, 80), 50 * snr),
    "ellipsoid, 12 channels, SNR 30": lambda snr: noisy_kspace(12, (1, 96, 80), 30 * snr),
}


@pytest.mark.parametrize("name", OBJECTS)
@pytest.mark.parametrize("r", [2, 3, 4])
def test_less_aliasing_of_a_simulated_object_than_cgrappa(name: str, r: int) -> None:
    """A denoiser takes away noise, not aliasing. So kernels of noisy lines make an image of k-space without noise."""
    noisy = OBJECTS[name](1)
    ours, theirs = nrmse_beside_cgrappa(noisy, noisy - OBJECTS[name](0), r)
    print(f"{name}, R = {r}, aliasing: NRMSE {ours:.4f}, cgrappa {theirs:.4f}: {ours / theirs:.2f}")
    assert ours <= 0.95 * theirs


@pytest.mark.parametrize("name", OBJECTS)
@pytest.mark.parametrize(("r", "most"), [(2, 1.0), (3, 1.0), (4, 1.5)])
def test_closer_to_a_simulated_object_than_cgrappa(name: str, r: int, most: float) -> None:
    """At R = 4 cgrappa, with twenty times the lambda, has less noise on some, and more aliasing on all."""
    noisy = OBJECTS[name](1)
    ours, theirs = nrmse_beside_cgrappa(noisy, noisy, r)
    print(f"{name}, R = {r}: NRMSE {ours:.4f}, cgrappa {theirs:.4f}: {ours / theirs:.2f}")
    assert ours <= most * theirs


@pytest.fixture(scope="module")
def brain(read_scan) -> Tensor:
    """Prewhitened k-space `(channel, 1, e1, ro)` of the fully sampled brain."""
    header, acquisitions = read_scan("brain_16ch_r1")
    white = run_gadget(noise_adjust, acquisitions, header, noise_adjust.Parameters())
    (bucket,) = run_gadget(accumulate, white, header, accumulate.Parameters(device="cpu"))
    assert bool((bucket.line_sd == 1).all())
    return bucket.kspace


@pytest.mark.parametrize(("r", "most"), [(2, 1.0), (3, 1.0), (4, 0.85)])
def test_closer_to_the_brain_than_cgrappa(brain: Tensor, r: int, most: float) -> None:
    ours, theirs = nrmse_beside_cgrappa(brain, brain, r)
    print(f"brain, 16 channels, R = {r}: NRMSE {ours:.4f}, cgrappa {theirs:.4f}")
    assert ours <= most * theirs
