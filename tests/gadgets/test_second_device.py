"""On a device beside the CPU a scan becomes the images that it becomes on the CPU."""

import numpy as np
import pytest
import torch

from snrstream.gadgets import accumulate, coil_combine, compress_channels, grappa, image_finish, taper
from snrstream.gadgets.gadget import run as run_gadget
from snrstream.items import ReconImage
from snrstream.recon.lattice import Lattice

from .. import scans
from ..recon.simulation import noisy_kspace
from ..second_device import second_device
from .test_samplings import scan

PARTIAL = {"keep": lambda _z, y: y >= 10}
KSPACE = noisy_kspace(8, (1, 48, 32), snr=30)
SCANS = {
    "whole": scan(KSPACE, Lattice((1, 1))),
    "R=2, partial Fourier": scan(KSPACE, Lattice((2, 1)), (KSPACE,), **PARTIAL),
    "2 x 2, shift": scan(noisy_kspace(8, (16, 24, 16), snr=30), Lattice((2, 2), 1)),
}


def chain(header, acquisitions, maps="virtual", compressed=False) -> list[ReconImage]:
    items = run_gadget(accumulate, acquisitions, header, accumulate.Parameters())
    if compressed:
        items = run_gadget(compress_channels, items, header, compress_channels.Parameters(channels=6))
    items = run_gadget(taper, items, header, taper.Parameters())
    items = run_gadget(grappa, items, header, grappa.Parameters())
    return list(run_gadget(coil_combine, items, header, coil_combine.Parameters(maps=maps)))


def assert_same_elsewhere(monkeypatch, header, acquisitions, **options) -> None:
    expected = chain(header, acquisitions, **options)
    with second_device() as device:
        monkeypatch.setattr(accumulate, "find_device", lambda _name: device)
        found = chain(header, acquisitions, **options)
    assert len(found) == len(expected) > 0
    for image, same in zip(found, expected, strict=True):
        assert (image.meta["SNRSTREAM_recon_device"], same.meta["SNRSTREAM_recon_device"]) == (str(device), "cpu")
        assert np.allclose(image.gmap, same.gmap, rtol=1e-4)
        assert np.abs(image.image - same.image).max() < 1e-4 * np.abs(same.image).max()
        assert image.warnings == same.warnings
    assert list(run_gadget(image_finish, found, header, image_finish.Parameters()))


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("name", SCANS)
def test_samplings(monkeypatch, name: str, compressed: bool) -> None:
    assert_same_elsewhere(monkeypatch, *SCANS[name], compressed=compressed)


@pytest.mark.parametrize("maps", ["walsh", "inati"])
def test_maps(monkeypatch, maps: str) -> None:
    assert_same_elsewhere(monkeypatch, *SCANS["R=2, partial Fourier"], maps=maps)


@pytest.mark.parametrize("name", SCANS)
def test_slabs(monkeypatch, name: str) -> None:
    monkeypatch.setattr(coil_combine, "MOST_PLAN_BYTES", 0)
    assert_same_elsewhere(monkeypatch, *SCANS[name])


def test_interleaved_repetitions(monkeypatch) -> None:
    acquisitions = []
    for repetition in range(4):
        lines = [(0, y) for y in range(repetition % 2, 48, 2)]
        acquisitions += scans.acquisitions(KSPACE.numpy(), lines, repetition=repetition)
    header = scans.header((1, 48, 32), (2, 1), mode="interleaved")
    assert_same_elsewhere(monkeypatch, header, acquisitions)


@pytest.mark.parametrize(
    "mixed",
    [
        lambda there, here: there + here,
        lambda there, here: here.mul_(there),
        lambda there, here: torch.matmul(there, here),
        lambda there, here: torch.stack([there, here]),
        lambda there, here: here[there > 0],
    ],
)
def test_the_device_refuses_what_lies_elsewhere(mixed) -> None:
    with second_device() as device:
        there, here = torch.ones(3, 3, device=device), torch.ones(3, 3)
        with pytest.raises(RuntimeError, match="same device"):
            mixed(there, here)
        with pytest.raises(RuntimeError, match="numpy"):
            there.numpy()
        assert there.cpu().numpy().sum() == 9
