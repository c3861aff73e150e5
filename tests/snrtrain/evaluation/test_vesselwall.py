"""Vessel walls at R = 2 x 2: the drawn neck, the reconstruction's units, and what a model gains."""

import csv

import nibabel
import numpy as np
import pytest
import torch

from snrstream.errors import ConfigurationError, ModelError
from snrtrain.commands import evaluate
from snrtrain.evaluation import vesselwall
from snrtrain.metrics import object_mask
from snrtrain.simulation import vessel_wall

from .conftest import SLICES, centre_model, model_that_averages

SHAPE = (32, 48, 48)


@pytest.fixture(autouse=True)
def small(monkeypatch) -> None:
    monkeypatch.setattr(vesselwall, "SHAPE", SHAPE)
    monkeypatch.setattr(vesselwall, "N_CHANNELS", 12)


def test_walls_are_bright_around_dark_lumens() -> None:
    neck = vessel_wall.draw(SHAPE, np.random.default_rng(0))
    means = [float(neck.magnitude[part].mean()) for part in (neck.lumen, neck.muscle, neck.wall)]
    assert means[0] < 0.1 < means[1] < 0.6 < means[2]
    assert not (neck.wall & neck.lumen).any() and not (neck.wall & neck.muscle).any()
    assert all(part.any(axis=(1, 2)).all() for part in (neck.wall, neck.lumen)), "vessels run through all partitions"
    again = vessel_wall.draw(SHAPE, np.random.default_rng(1))
    assert np.abs(again.magnitude - neck.magnitude).mean() > 0.01, "each neck is another one"
    assert np.diff(neck.heights) == pytest.approx(2 / 48)


def test_the_scan_is_at_two_by_two_and_in_units_of_its_reference() -> None:
    neck = vessel_wall.draw(SHAPE, np.random.default_rng(0))
    thing = vesselwall.Thing("neck", neck.magnitude, neck.heights, {})
    image, gmap, unit, reference = vesselwall.scan(thing, 400.0, np.random.default_rng(1))
    inside = object_mask(reference)
    assert unit == pytest.approx(2.0), "sqrt of R = 4"
    error = ((image.abs() * unit - reference) / (unit * gmap))[inside]
    assert 0.9 < float(error.std()) < 2.0, "noise of SD g, and what GRAPPA leaves of the others at an SNR of 400"
    assert float(gmap[inside].median()) > 1.2


def test_cnr_by_hand() -> None:
    reference = torch.tensor([4.0, 4.0, 1.0, 1.0])
    image = torch.tensor([5.0, 3.0, 2.0, 0.0]).to(torch.complex64)  # errors of SD sqrt(2)
    bright = torch.tensor([True, True, False, False])
    assert vesselwall.cnr(image, reference, bright, ~bright) == pytest.approx(2 * 3 / (2 * 2**0.5))


def test_what_averages_gains_and_what_does_nothing_falls_short(tmp_path, model_folder, outputs) -> None:
    put = ["vesselwall", "--objects", "2", "--snr", "20", *outputs, "--model"]
    with pytest.raises(ModelError, match="3 of 3 requirements missed"):
        evaluate.main([*put, model_folder("same", model=centre_model(1.0), **SLICES)])
    evaluate.main([*put, model_folder("mean", model=model_that_averages(), **{**SLICES, "default_alpha": 0.0})])
    with (tmp_path / "out/table.csv").open() as file:
        rows = {row["measure"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["PSNR", "SSIM", "edges kept", "CNR wall, lumen", "CNR wall, muscle"]
    assert all(row["objects"] == "2" for row in rows.values())
    assert float(rows["PSNR"]["gain"]) > 1 and float(rows["CNR wall, muscle"]["gain"]) > 0
    assert float(rows["edges kept"]["denoised"]) <= float(rows["edges kept"]["original"]) + 0.1
    assert (tmp_path / "out/table.png").is_file()


def test_volumes_of_another_contrast(tmp_path, model_folder, outputs, monkeypatch) -> None:
    monkeypatch.setattr(vesselwall.simulated_pairs, "LARGEST_PLANE", 48)
    z = np.linspace(-1, 1, 30)
    y, x = np.meshgrid(np.linspace(-1, 1, 96), np.linspace(-1, 1, 96), indexing="ij")
    inside = (x**2 + y**2)[..., None] + 0.05 * z**2
    data = 40.0 * (inside < 0.8) + 40.0 * (inside < 0.4) + 40.0 * (inside < 0.15)
    for name, slices in (("head", data), ("flat", data[..., :6])):
        nibabel.save(nibabel.Nifti1Image(slices, np.diag([1.0, 1.0, 3.0, 1.0])), tmp_path / f"{name}.nii.gz")
    model = model_folder("mean", model=model_that_averages(), **SLICES)
    put = ["vesselwall", "--objects", "1", "--snr", "30", "--volumes", str(tmp_path), "--model", model, *outputs]
    evaluate.main([*put, "--names", "head"])
    with (tmp_path / "out/table.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["of"] == "head"]
    assert [row["measure"] for row in rows] == ["PSNR", "SSIM", "edges kept", "CNR of two tissues"]
    with pytest.raises(ConfigurationError, match="volume flat has"):
        evaluate.main([*put, "--names", "flat"])
