"""The reconstruction in one place: what a notebook, the gadgets, training and evaluation call."""

import doctest

import ismrmrd
import pytest
import torch

from snrstream.gadgets import accumulate, coil_combine, grappa
from snrstream.gadgets.gadget import run as run_gadget
from snrstream.recon import plan as plan_module
from snrstream.recon.acquired import Acquired
from snrstream.recon.combine import Grid
from snrstream.recon.lattice import Lattice
from snrstream.recon.plan import KernelOptions, MapOptions, Plan, fit_kernel

from .. import scans
from .direct import combined, relative
from .simulation import Shape, central, lattice_mask, noisy_kspace, true_maps

CALIBRATION = [ismrmrd.ACQ_IS_PARALLEL_CALIBRATION]


@pytest.mark.parametrize(
    ("lattice", "shape", "n_acs"),
    [
        (Lattice((2, 1)), (1, 48, 40), (1, 24)),
        (Lattice((4, 1)), (1, 64, 32), (1, 32)),
        (Lattice((2, 2), 1), (16, 24, 12), (12, 16)),
    ],
)
def test_arrays_alone_give_the_image_of_the_gadgets(lattice: Lattice, shape: Shape, n_acs: tuple[int, int]) -> None:
    kspace = noisy_kspace(8, shape, snr=50)
    sampled = lattice_mask(lattice, *shape[:2])
    acs, y0 = central(kspace, *n_acs)
    z0 = shape[0] // 2 - n_acs[0] // 2
    lines = [(z0 + z, y0 + y) for z in range(n_acs[0]) for y in range(n_acs[1])]
    acquisitions = [
        *scans.acquisitions(kspace.numpy(), lines, CALIBRATION, end=False),
        *scans.acquisitions(kspace.numpy(), sampled.nonzero().tolist()),
    ]
    header = scans.header(shape, lattice.acceleration)
    buckets = list(run_gadget(accumulate, acquisitions, header, accumulate.Parameters(device="cpu")))
    (recon,) = run_gadget(
        coil_combine, run_gadget(grappa, buckets, header, grappa.Parameters()), header, coil_combine.Parameters()
    )
    plan = Plan.of(acs.contiguous(), (z0, y0), Acquired.of(sampled, lattice, shape[2]))
    image = plan.image(kspace * sampled[..., None])
    # The gadgets store the acquired lines alone, where R divides them: other transforms, of the same rounding.
    assert relative(image - torch.from_numpy(recon.image), image) < 1e-6
    assert torch.equal(plan.gmap, torch.from_numpy(recon.gmap))
    assert torch.allclose(plan.spectrum().lines, recon.spectrum.lines)


def test_a_plan_serves_other_lines_averages_and_samples() -> None:
    """As a plan of its own would, for kernel and maps are the same."""
    shape, lattice = (6, 24, 16), Lattice((2, 2))
    kspace = noisy_kspace(6, shape, snr=50)
    acs = kspace[:, :, 4:20].contiguous()
    kernel = fit_kernel(acs, (0, 4), shape[:2], lattice, KernelOptions(n_partitions=2))
    plan = Plan.of(acs, (0, 4), Acquired.every(Grid(shape[:2], (0, 0), (2, 2)), lattice, shape[2]), kernel)
    samples = torch.ones(shape[2])
    samples[:4] = 0
    moved = Grid(shape[:2], (1, 1), (2, 2))
    others = [Acquired.every(moved, lattice, shape[2]), Acquired(moved, lattice, torch.full((3, 12), 0.5), samples)]
    for acquired in others:
        lines = kspace[:, 1::2, 1::2] * acquired.sample_sd
        own = Plan.of(acs, (0, 4), acquired, kernel)
        assert relative(plan.image(lines, acquired) - own.image(lines), own.image(lines)) < 1e-6  # single precision
        assert torch.equal(plan.spectrum(acquired).samples, own.spectrum().samples)


def test_acquired_is_a_value() -> None:
    grid, lattice = Grid((1, 12), (0, 0), (1, 2)), Lattice((2, 1))
    one = Acquired.every(grid, lattice, 8)
    assert one == Acquired.every(grid, lattice, 8) and hash(one) == hash(Acquired.every(grid, lattice, 8))
    fewer = torch.ones(8)
    fewer[0] = 0
    for other in (
        Acquired.every(Grid((1, 12), (0, 1), (1, 2)), lattice, 8),
        Acquired.every(grid, Lattice((2, 1), 1), 8),
        Acquired(grid, lattice, 0.5 * one.line_sd, one.sample_sd),
        Acquired(grid, lattice, one.line_sd, fewer),
    ):
        assert one != other


@pytest.mark.parametrize("method", ["inati", "walsh"])
def test_without_acceleration_maps_come_from_the_image(method) -> None:
    shape = (1, 40, 32)
    kspace, lattice = noisy_kspace(8, shape, snr=100), Lattice((1, 1))
    acquired = Acquired.every(Grid(shape[:2]), lattice, shape[2])
    plan = Plan.of_image(kspace, acquired, MapOptions(method, step=1))
    assert torch.allclose(plan.gmap, torch.ones(shape), atol=1e-5)
    ours, best = plan.image(kspace).abs(), combined(kspace, true_maps(8, shape)).abs()
    inside = best > 50
    assert relative((ours - best)[inside], best[inside]) < 0.02  # the maps of 49 pixels each, at an SNR of 100


def test_acceleration_needs_calibration_lines() -> None:
    acquired = Acquired.every(Grid((1, 16)), Lattice((2, 1)), 8)
    with pytest.raises(ValueError, match="expected no acceleration, or calibration lines"):
        Plan.of_image(torch.ones(2, 1, 16, 8, dtype=torch.complex64), acquired)


def test_the_example_of_the_module_runs_and_gives_snr() -> None:
    """Its image is that of all lines, its noise g: the truth is |image of all lines| / g."""
    shape, lattice = (1, 96, 64), Lattice((3, 1))
    kspace, sampled = noisy_kspace(16, shape, snr=50), lattice_mask(lattice, 1, 96)
    acs, y0 = central(kspace, 1, 32)
    given = {"kspace": kspace * sampled[..., None], "sampled": sampled, "acs": acs, "start": (0, y0)}
    example = doctest.DocTestParser().get_doctest(str(plan_module.__doc__), given, "plan", None, None)
    assert len(example.examples) == 5
    assert doctest.DocTestRunner().run(example, clear_globs=False).failed == 0
    clean = noisy_kspace(16, shape, snr=50) - noisy_kspace(16, shape, snr=0)
    best = combined(clean, true_maps(16, shape)).abs() / 3**0.5  # a third of the samples
    inside, gmap = best > 10, example.globs["gmap"]
    deviation = ((example.globs["snr"] - best / gmap) * inside).square().sum() / inside.sum()
    assert float(deviation.sqrt()) == pytest.approx(1, abs=0.2)  # one noise SD, and what maps and kernel leave
