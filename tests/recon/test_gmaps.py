import math

import pytest
import torch

from snrstream.errors import ScanError
from snrstream.recon.acquired import Acquired
from snrstream.recon.gmaps import sense_gmap, unscanned_gmaps
from snrstream.recon.lattice import Lattice
from snrstream.recon.plan import Plan

from .simulation import Shape, central, lattice_mask, noisy_kspace, object_and_coils, true_maps, white_noise

LATTICES = [Lattice((r, 1)) for r in range(1, 9)]


def test_they_are_those_of_the_accelerated_scan_and_grow_with_r() -> None:
    shape = (1, 64, 48)
    acs, y0 = central(noisy_kspace(16, shape, snr=100), 1, 40)
    gmaps = unscanned_gmaps(acs, (0, y0), shape[:2], LATTICES)
    assert gmaps.shape == (8, *shape) and torch.allclose(gmaps[0], torch.ones(shape), atol=1e-5)
    for lattice, gmap in zip(LATTICES, gmaps, strict=True):
        acquired = Acquired.of(lattice_mask(lattice, *shape[:2]), lattice, shape[2])
        assert torch.equal(gmap, Plan.of(acs, (0, y0), acquired).gmap)
    inside = object_and_coils(16, shape)[0].abs() > 0.9
    medians = [float(g[inside].median()) for g in gmaps]
    assert medians[:5] == sorted(medians[:5])


def test_volumes() -> None:
    shape = (16, 24, 12)
    kspace = noisy_kspace(8, shape, snr=100)
    acs = kspace[:, 2:14, 4:20]
    gmaps = unscanned_gmaps(acs, (2, 4), shape[:2], [Lattice((2, 2)), Lattice((2, 2), 1), Lattice((1, 3))])
    assert gmaps.shape == (3, *shape) and bool(torch.isfinite(gmaps).all())


def test_too_few_calibration_lines() -> None:
    acs, y0 = central(noisy_kspace(4, (1, 32, 16), snr=50), 1, 12)
    with pytest.raises(ScanError, match="ACS has 12 lines; a kernel of 4 lines at R=6 needs at least 19"):
        unscanned_gmaps(acs, (0, y0), (1, 32), [Lattice((2, 1)), Lattice((6, 1))])


@pytest.mark.parametrize(
    ("lattice", "shape"),
    [
        (Lattice((2, 1)), (1, 12, 3)),
        (Lattice((4, 1)), (1, 12, 2)),
        (Lattice((1, 3)), (6, 4, 2)),
        (Lattice((2, 2)), (6, 8, 2)),
        (Lattice((2, 2), shift=1), (8, 8, 2)),
        (Lattice((3, 2), shift=1), (12, 6, 2)),
    ],
)
def test_the_geometry_is_that_of_the_dense_encoding(lattice: Lattice, shape: Shape) -> None:
    """The SD of the least-squares image of all samples of a column, by a matrix of every line, channel and pixel."""
    csm = white_noise(torch.Generator().manual_seed(0), 8, *shape).to(torch.complex128)  # tells all aliases apart
    csm, sampled = csm / torch.linalg.vector_norm(csm, dim=0), lattice_mask(lattice, *shape[:2])
    found = sense_gmap(csm, lattice)
    phase = [torch.outer(torch.arange(n) - n // 2, torch.arange(n) - n // 2) * (2 * math.pi / n) for n in shape[:2]]
    fourier = [torch.polar(torch.full_like(p.double(), len(p) ** -0.5), -p.double()) for p in phase]
    encoding = torch.einsum("kz,ly->klzy", *fourier)[sampled].flatten(1)  # (line, pixel)
    for column in range(shape[2]):
        maps = csm[..., column].flatten(1)
        matrix = (maps[:, None] * encoding).flatten(0, 1)
        sd = torch.linalg.inv(matrix.mH @ matrix).diagonal().real.sqrt() / math.prod(lattice.acceleration) ** 0.5
        assert torch.allclose(found[..., column].flatten().double(), sd, rtol=1e-4)


def test_the_geometry_is_what_a_kernel_of_many_clean_lines_has() -> None:
    shape, lattice = (1, 96, 48), Lattice((2, 1))
    acs, y0 = central(noisy_kspace(12, shape, snr=500), 1, 48)
    gmap = unscanned_gmaps(acs, (0, y0), shape[:2], [lattice])[0]
    inside = object_and_coils(12, shape)[0].abs() > 0.9
    assert float((sense_gmap(true_maps(12, shape), lattice) / gmap)[inside].median()) == pytest.approx(1, abs=0.03)


def test_pixels_whose_maps_are_alike_cannot_be_told_apart() -> None:
    csm = torch.full((4, 1, 8, 3), 0.5, dtype=torch.complex64)
    assert torch.equal(sense_gmap(csm, Lattice((1, 1))), torch.ones(1, 8, 3))
    gmap = sense_gmap(csm, Lattice((2, 1)))
    assert bool(torch.isfinite(gmap).all()) and float(gmap.min()) > 100
