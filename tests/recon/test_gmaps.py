import pytest
import torch

from snrstream.errors import ScanError
from snrstream.recon.acquired import Acquired
from snrstream.recon.gmaps import unscanned_gmaps
from snrstream.recon.lattice import Lattice
from snrstream.recon.plan import Plan

from .simulation import central, lattice_mask, noisy_kspace, object_and_coils

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
