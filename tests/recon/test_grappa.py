import itertools
import math

import pytest
import torch

from snrstream.errors import ScanError
from snrstream.recon import coil_maps
from snrstream.recon.acquired import Acquired
from snrstream.recon.coil_maps import calibration_images, inati
from snrstream.recon.combine import Combiner, Grid
from snrstream.recon.fft import to_image
from snrstream.recon.grappa import TIKHONOV, calibrate
from snrstream.recon.lattice import Lattice
from snrstream.recon.plan import Plan
from snrstream.recon.unmixing import gfactor, unmixing_coefficients

from .direct import combined, direct_weights, filled, relative
from .simulation import LATTICES, Shape, central, lattice_mask, noisy_kspace, object_and_coils, true_maps, white_noise


def stored(kspace: torch.Tensor, grid: Grid) -> torch.Tensor:
    return kspace[:, grid.first[0] :: grid.step[0], grid.first[1] :: grid.step[1]]


@pytest.mark.parametrize(("lattice", "shape", "n_acs"), LATTICES)
def test_calibration_equals_the_dense_least_squares_fit(lattice: Lattice, shape: Shape, n_acs: tuple[int, int]) -> None:
    acs, _ = central(noisy_kspace(3, shape, snr=30), *n_acs)
    kernel = calibrate(acs, lattice, n_lines=2, n_partitions=2, n_samples=3)
    dense = direct_weights(acs, kernel)
    error = relative(kernel.weights - dense, dense)
    # Normal equations in single precision lose the condition number, up to 1 / TIKHONOV, to rounding of 6e-8.
    assert error < 6e-8 / TIKHONOV * 10


@pytest.mark.parametrize(("lattice", "shape", "n_acs"), LATTICES)
@pytest.mark.parametrize("first", [(0, 0), (1, 1)])
def test_unmixing_equals_filling_k_space_line_by_line(
    lattice: Lattice, shape: Shape, n_acs: tuple[int, int], first: tuple[int, int]
) -> None:
    """The image-space product is the k-space interpolation of the textbook, written out with loops."""
    n_e2, n_e1, _ = shape
    first = (first[0] % n_e2, first[1])
    full = noisy_kspace(3, shape, snr=50)
    sampled = lattice_mask(lattice, n_e2, n_e1, first)
    kspace = full * sampled[..., None]
    kernel = calibrate(central(full, *n_acs)[0], lattice, n_partitions=2)
    csm = true_maps(3, shape)
    direct = combined(filled(kspace, sampled, kernel, kernel.weights), csm)
    unmixing = unmixing_coefficients(kernel, csm)
    grids = [Grid((n_e2, n_e1))]
    if lattice.shift == 0:
        (r1, r2), (z0, y0) = lattice.acceleration, first
        grids.append(Grid((n_e2, n_e1), (z0 % r2, y0 % r1), (r2, r1)))
    for grid in grids:
        image = Combiner.plan(unmixing, 1.0, grid).image(stored(kspace, grid))
        assert relative(image - direct, direct) < 1e-5  # single precision: about 1e-6 for sums of this length


REPLICA_CASES = [
    *[(Lattice((r, 1)), c, shape) for r in (1, 2, 3, 4) for c, shape in ((8, (1, 48, 40)), (12, (1, 45, 33)))],
    (Lattice((4, 1)), 32, (1, 32, 24)),
    (Lattice((2, 2)), 8, (20, 24, 16)),
    (Lattice((2, 2), shift=1), 8, (21, 23, 15)),
]


@pytest.mark.parametrize(("lattice", "n_channels", "shape"), REPLICA_CASES)
def test_pseudo_replica_noise_is_the_g_factor(lattice: Lattice, n_channels: int, shape: Shape) -> None:
    """Robson et al., MRM 60:895 (2008): replicas of pure noise through the fixed reconstruction."""
    n_replicas = 128
    n_e2, n_e1, _ = shape
    acs, _ = central(noisy_kspace(n_channels, shape, snr=50), min(n_e2, 16), 24 if n_e2 == 1 else 16)
    acceleration = math.prod(lattice.acceleration)
    kernel = calibrate(acs, lattice) if acceleration > 1 else None
    sampled = lattice_mask(lattice, n_e2, n_e1, (0, 1))
    plan = Plan.with_maps(true_maps(n_channels, shape), Acquired.of(sampled, lattice, shape[2]), kernel)
    generator = torch.Generator().manual_seed(1)
    power = torch.zeros(shape)
    for _ in range(n_replicas):
        noise = white_noise(generator, n_channels, *shape) * sampled[..., None]
        power += plan.image(noise).abs().square()
    ratio = torch.sqrt(power / (2 * n_replicas)) / plan.gmap
    assert float(ratio.mean()) == pytest.approx(1.0, abs=0.01)
    # 2 n_replicas real numbers a pixel: the SD of the SD is 1/sqrt(4 n_replicas)
    assert float(ratio.std()) < 1.1 / math.sqrt(4 * n_replicas)


@pytest.mark.parametrize(
    ("lattice", "shape", "n_acs", "bound"),
    [
        (Lattice((2, 1)), (1, 60, 48), (1, 24), 0.01),
        (Lattice((3, 1)), (1, 60, 48), (1, 24), 0.03),
        (Lattice((2, 2), shift=1), (24, 40, 24), (20, 24), 0.04),
    ],
)
def test_undersampled_signal_is_the_full_one_over_sqrt_r(lattice, shape, n_acs, bound) -> None:
    """Nearly noise-free: what is left is GRAPPA's own error with 8 channels."""
    full = noisy_kspace(8, shape, snr=2000)
    csm = true_maps(8, shape)
    reference = (to_image(full, dims=(1, 2, 3)) * csm.conj()).sum(dim=0)
    sampled = lattice_mask(lattice, *shape[:2])
    acceleration = math.prod(lattice.acceleration)
    plan = Plan.with_maps(csm, Acquired.of(sampled, lattice, shape[2]), calibrate(central(full, *n_acs)[0], lattice))
    image = plan.image(full * sampled[..., None])
    error = image * math.sqrt(acceleration) - reference
    assert float(torch.linalg.vector_norm(error) / torch.linalg.vector_norm(reference)) < bound


@pytest.mark.parametrize(("shape", "step", "first"), [((1, 16, 8), (1, 2), (0, 1)), ((6, 12, 5), (2, 3), (1, 2))])
def test_the_folded_frame_equals_the_plain_one(shape: Shape, step: tuple[int, int], first: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    sampled = lattice_mask(Lattice((step[1], step[0])), *shape[:2], first)
    kspace = white_noise(generator, 4, *shape) * sampled[..., None]
    unmixing = white_noise(generator, 4, *shape)
    grid = Grid(shape[:2], first, step)
    plain = 0.7 * (to_image(kspace, dims=(1, 2, 3)) * unmixing).sum(dim=0)
    assert torch.allclose(Combiner.plan(unmixing, 0.7, grid).image(stored(kspace, grid)), plain, atol=1e-5)
    assert torch.allclose(Combiner.plan(unmixing, 0.7, Grid(shape[:2])).image(kspace), plain, atol=1e-5)


ONE_STORED = [(Lattice((r1, r2)), (r2, n_e1)) for r2 in (2, 3, 4) for r1, n_e1 in ((1, 5), (1, 6), (2, 6), (3, 6))] + [
    (Lattice((r1, r2)), (n_e2, r1)) for r1 in (2, 3, 4) for r2, n_e2 in ((1, 1), (1, 5), (2, 6), (3, 3))
]


@pytest.mark.parametrize(("lattice", "size"), ONE_STORED)
@pytest.mark.parametrize("readout_done", [False, True])
def test_one_stored_line_along_an_axis(lattice: Lattice, size: tuple[int, int], readout_done: bool) -> None:
    """Where R is the size of k-space, its image lies where the dense transform, a sum over all lines, puts it."""
    generator = torch.Generator().manual_seed(0)
    shape = (*size, 7)
    unmixing = white_noise(generator, 3, *shape)
    r1, r2 = lattice.acceleration
    for first in itertools.product(range(r2), range(r1)):
        kspace = white_noise(generator, 3, *shape) * lattice_mask(lattice, *size, first)[..., None]
        grid = Grid(size, first, (r2, r1))
        dense = [dense_transform(n) for n in shape]
        coils = torch.einsum("zk,yj,xi,ckji->czyx", *dense, kspace.to(torch.complex128))
        expected = (coils * unmixing).sum(dim=0)
        given = to_image(kspace, dims=(3,)) if readout_done else kspace
        plan = Combiner.plan(unmixing, 1.0, grid, readout_done)
        moved = Combiner.plan(unmixing, 1.0, Grid(size, (0, 0), (r2, r1)), readout_done).moved(1.0, grid)
        for combiner in (plan, moved):
            assert relative(combiner.image(stored(given, grid)) - expected, expected) < 1e-5  # single precision


def dense_transform(n: int) -> torch.Tensor:
    """`N^-1/2 exp(2 pi i k r / N)` with k = 0 and r = 0 at index N // 2: complex128 `(r, k)`."""
    place = torch.arange(n, dtype=torch.float64) - n // 2
    return torch.polar(torch.full((n, n), n**-0.5, dtype=torch.float64), 2 * math.pi / n * torch.outer(place, place))


def test_g_is_1_without_acceleration_and_inputs_are_not_changed() -> None:
    shape = (1, 32, 32)
    kspace = noisy_kspace(6, shape, snr=50)
    acs, _ = central(kspace, 1, 16)
    csm = true_maps(6, shape)
    kept = [t.clone() for t in (kspace, csm)]
    assert torch.allclose(gfactor(unmixing_coefficients(None, csm), 1), torch.ones(shape), atol=1e-5)
    unmixing = unmixing_coefficients(calibrate(acs, Lattice((2, 1))), csm)
    before = unmixing.clone()
    Combiner.plan(unmixing, 1.0, Grid((1, 32), (0, 0), (1, 2))).image(kspace[:, :, ::2])
    inati(kspace)
    assert all(torch.equal(a, b) for a, b in zip((kspace, csm, unmixing), (*kept, before), strict=True))


@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("shape", [(1, 64, 64), (9, 75, 90)])
def test_maps_find_the_sensitivities(shape: Shape, step: int) -> None:
    image, csm = object_and_coils(8, shape)
    found = inati((200 * csm * image).to(torch.complex64), step=step)
    inside = image.abs() > 0.9
    correlation = (found.conj() * true_maps(8, shape)).sum(dim=0).abs()
    assert float(correlation[inside].min()) > 0.998  # a window of 7 pixels spans a tenth of the field of view
    assert torch.allclose(torch.linalg.vector_norm(found, dim=0), torch.ones(shape), atol=1e-5)


def test_maps_are_the_leading_vectors_and_combine_to_a_positive_mean() -> None:
    images = noisy_kspace(4, (1, 9, 9), snr=20)
    found = inati(images, window=3)[:, 0]
    for y, x in itertools.product((0, 4, 8), (1, 5)):
        block = images[:, 0, max(y - 1, 0) : y + 2, x - 1 : x + 2].flatten(1)
        combined = (found[:, y, x].conj() @ block).sum()
        assert combined.real > 0 and abs(float(combined.imag)) < 1e-3 * float(combined.real)


def test_maps_of_a_faint_object_have_converged(monkeypatch) -> None:
    """Calibration lines at an SNR of 5, against thirty iterations. With one it would be 3e-6 away, by rounding 4e-7."""
    shape = (1, 64, 64)
    kspace = noisy_kspace(8, shape, snr=5)
    acs, first = central(kspace, 1, 24)
    images = calibration_images(to_image(acs, dims=(-1,)), (0, first), shape[:2])
    found = inati(images, step=2)
    monkeypatch.setattr(coil_maps, "N_ITERATIONS", 30)
    correlation = (found.conj() * inati(images, step=2)).sum(dim=0).abs()
    assert float(correlation[object_and_coils(8, shape)[0].abs() > 0.9].min()) > 1 - 1e-6


@pytest.mark.parametrize("size", [(1, 33), (9, 24), (4, 40)])
def test_calibration_images_are_the_tapered_lines_transformed(size: tuple[int, int]) -> None:
    """By zero filling; partitions all there, or few; lines that lie askew to the centre are cut to what lies alike."""
    generator, n_e2 = torch.Generator().manual_seed(0), min(size[0], 4)
    start = size[0] // 2 - n_e2 // 2, size[1] // 2 - 6
    acs = torch.randn(3, n_e2, 14, 5, dtype=torch.complex64, generator=generator)
    images = calibration_images(acs, start, size)
    kspace = torch.zeros(3, *size, 5, dtype=torch.complex64)
    kspace[:, start[0] : start[0] + n_e2, start[1] : start[1] + 14] = acs
    weights = []
    for axis, n_lines in enumerate((n_e2, 14)):
        before, centre = size[axis] // 2 - start[axis], size[axis] // 2
        low, high = min(before, n_lines - before), min(before + 1, n_lines - before)
        weight = torch.zeros(size[axis])
        taper = torch.sin(math.pi * (torch.arange(low + high) + 0.5) / (low + high)) ** 2
        weight[centre - low : centre + high] = taper if low + high < size[axis] else 1
        weights.append(weight)
    expected = to_image(kspace * weights[0][:, None, None] * weights[1][:, None], dims=(1, 2))
    assert torch.allclose(images, expected, atol=1e-5)


def test_maps_without_signal_weigh_all_channels_alike() -> None:
    found = inati(torch.zeros(4, 1, 5, 5, dtype=torch.complex64))
    assert torch.allclose(found, torch.full_like(found, 0.5))


@pytest.mark.parametrize(("n_lines", "acceleration", "needed"), [(8, 3, 10), (12, 4, 13), (6, 2, 7)])
def test_too_short_calibration(n_lines: int, acceleration: int, needed: int) -> None:
    acs = torch.ones(2, 1, n_lines, 16, dtype=torch.complex64)
    expected = f"ACS has {n_lines} lines; a kernel of 4 lines at R={acceleration} needs at least {needed}"
    with pytest.raises(ScanError, match=expected):
        calibrate(acs, Lattice((acceleration, 1)))
    with pytest.raises(ScanError, match="ACS has 6 partitions; a kernel of 4 partitions at R=2 needs at least 7"):
        calibrate(torch.ones(2, 6, 20, 16, dtype=torch.complex64), Lattice((2, 2)))


def test_calibration_data_without_signal() -> None:
    with pytest.raises(ScanError, match="zero or not finite"):
        calibrate(torch.zeros(2, 1, 16, 16, dtype=torch.complex64), Lattice((2, 1)))


@pytest.mark.parametrize(("n_acs", "n_sources"), [(24, 3), (32, 4), (16, 2)])
def test_a_kernel_has_no_lines_that_the_acs_cannot_train(n_acs: int, n_sources: int) -> None:
    """At R = 4 a window of four lines spans 13: in 24, its first source would never hold the central line."""
    acs, _ = central(noisy_kspace(4, (1, 64, 16), snr=50), 1, n_acs)
    assert len(calibrate(acs, Lattice((4, 1))).sources) == n_sources
