"""sN2N's table: the simulated scan, the figures of a model that does nothing, p-values, and what must hold."""

import csv

import nibabel
import numpy as np
import pytest
import torch
from scipy import stats

from snrstream.errors import ConfigurationError, ModelError
from snrtrain.archive.archive import Pair, write_pair
from snrtrain.commands import evaluate
from snrtrain.evaluation import scores, sn2n
from snrtrain.evaluation.undersampled import scan_volume
from snrtrain.metrics import object_mask

from .conftest import SLICES, centre_model


def test_the_scan_is_reconstructed_in_units_of_its_reference(volume_folder) -> None:
    scan = scan_volume(volume_folder, "ge_irspgr_1p5", 4, snr=200.0, seed=0)
    inside = object_mask(scan.reference)
    for level in (0.0, 2.0):
        image, gmap, unit = scan.image(level)
        error = ((image.abs() * unit - scan.reference) / (unit * gmap))[inside]
        assert unit == pytest.approx(np.sqrt(2 * (1 + level**2)))  # R = 2, and the noise that was added
        # Noise of SD g, and what GRAPPA leaves of the other line at an SNR of 200.
        assert float(error.std()) == pytest.approx(1.0, abs=0.15)


def test_a_model_that_does_nothing_gains_nothing(volume_folder, model_folder, outputs) -> None:
    same = model_folder(model=centre_model(1.0), **SLICES)
    with pytest.raises(ModelError, match="3 of 3 requirements missed"):
        evaluate.main([
            "sn2n", "--volumes", str(volume_folder), "--names", "ge_irspgr_1p5", "--model", same, "--n-slices", "2",
            "--added", "0", "2", *outputs,
        ])  # fmt: skip
    with (volume_folder / "out/table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["added"], row["measure"]) for row in rows] == [
        (added, measure) for added in ("0.0", "2.0") for measure in sn2n.MEASURES
    ]
    assert all(float(row["gain"]) == pytest.approx(0, abs=1e-4) for row in rows)
    assert float(rows[0]["original"]) > float(rows[4]["original"]) + 3  # more noise is told from less
    with (volume_folder / "out/table_alpha.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 2 * 11
    assert (volume_folder / "out/table_images.png").is_file()


def test_p_is_of_the_paired_t_test_over_volumes() -> None:
    before, change = np.arange(4.0), np.array([1.0, 2.0, 1.0, 2.0])
    assert scores.paired_p(before, before) == 1.0
    # t = mean / (SD / sqrt(n)) = 1.5 / (0.577 / 2) with 3 degrees of freedom.
    t = 1.5 / (change.std(ddof=1) / 2)
    assert scores.paired_p(before, before + change) == pytest.approx(2 * stats.t.sf(t, 3))
    assert np.isnan(scores.paired_p(before[:1], before[:1] + 1)), "one volume proves nothing"


def test_each_volume_is_one_sample(volume_folder, model_folder, outputs) -> None:
    worse = model_folder(model=centre_model(0.5), **SLICES)
    with pytest.raises(ModelError):  # darker than the truth
        evaluate.main([
            "sn2n", "--volumes", str(volume_folder), "--names", "ge_irspgr_1p5", "a_t2", "--model", worse,
            "--n-slices", "3", "--added", "1", *outputs,
        ])  # fmt: skip
    with (volume_folder / "out/table.csv").open() as file:
        assert {row["volumes"] for row in csv.DictReader(file)} == {"2"}


def test_regions_of_a_label_volume(volume_folder, model_folder, outputs) -> None:
    (volume_folder / "labels").mkdir()
    reference = nibabel.load(volume_folder / "ge_irspgr_1p5.nii.gz")
    data = np.asarray(reference.dataobj)
    labels = np.where(data > 150, 17, np.where(data > 90, 4, 0)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(labels, reference.affine), volume_folder / "labels/regions.nii.gz")
    put = [
        "sn2n", "--volumes", str(volume_folder), "--names", "ge_irspgr_1p5", "--n-slices", "4", "--added", "0",
        *outputs, "--model", model_folder(model=centre_model(0.5), **{**SLICES, "default_alpha": 0.0}), "--labels",
    ]  # fmt: skip
    with pytest.raises(ModelError):  # it gains nothing
        evaluate.main([*put, str(volume_folder / "labels/regions.nii.gz")])
    with (volume_folder / "out/table_regions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == ["4", "17"]
    assert sum(int(row["voxels"]) for row in rows) == np.count_nonzero(labels[..., 2:6])
    assert all(float(row["original_off"]) == pytest.approx(0, abs=0.05) for row in rows)
    assert all(float(row["denoised_off"]) == pytest.approx(-0.5, abs=0.05) for row in rows)
    assert float(rows[0]["original"]) > 0.9
    assert "### Regions of regions.nii.gz" in (volume_folder / "out/table.md").read_text()
    nibabel.save(nibabel.Nifti1Image(labels[1:], np.eye(4)), volume_folder / "labels/cut.nii.gz")
    with pytest.raises(ConfigurationError, match=r"cut\.nii\.gz has \(63, 60, 8\) voxels of int16; expected whole"):
        evaluate.main([*put, str(volume_folder / "labels/cut.nii.gz")])
    (volume_folder / "labels/none.nii.gz").write_bytes(b"no")
    with pytest.raises(ConfigurationError, match=r"--labels .*none\.nii\.gz cannot be read"):
        evaluate.main([*put, str(volume_folder / "labels/none.nii.gz")])
    with pytest.raises(ConfigurationError, match="--labels is of one volume"):
        evaluate.main([*(part for part in put if part not in ("--names", "ge_irspgr_1p5")), "regions.nii.gz"])


def test_gains_must_be_positive_and_grow() -> None:
    def rows(*gains: float) -> list[sn2n.LevelRow]:
        return [sn2n.LevelRow(float(n), "PSNR", 30.0, 30.0 + gain, gain, 0.1, 5) for n, gain in enumerate(gains)]

    assert sn2n.missed(rows(0.5, 1.0, 2.0)) == ([], 5)
    assert sn2n.missed(rows(-0.1, 1.0))[0] == ["at 0 sigma PSNR gains -0.10 dB; expected above 0"]
    assert sn2n.missed(rows(0.5, 0.4))[0] == [
        "PSNR gains +0.40 dB at 1 sigma, +0.50 dB at 0; expected it to grow"
    ]  # fmt: skip


def test_the_pairs_of_an_archive(tmp_path, model_folder, outputs) -> None:
    generator = torch.Generator().manual_seed(0)
    reference = 10 + 20 * torch.rand(3, 24, 20, generator=generator)
    reference[2] = 0  # a slice of air
    plain = (1.25 * reference).numpy()
    write_pair(tmp_path / "archive/test/leg/0000", Pair("leg", "leg.h5", plain, plain, plain, None))
    put = ["sn2n", "--archive", str(tmp_path / "archive"), *outputs, "--model"]
    ideal = model_folder("ideal", model=centre_model(0.81), **{**SLICES, "default_alpha": 0.0})
    with pytest.raises(ConfigurationError, match="no pair with a reference in test/"):
        evaluate.main([*put, ideal])
    write_pair(tmp_path / "archive/test/leg/0001", Pair("leg", "leg.h5", plain, plain, plain, reference.numpy()))
    evaluate.main([*put, ideal])
    with (tmp_path / "out/table.csv").open() as file:
        psnr, _, nrmse, _ = list(csv.DictReader(file))
    assert psnr["volumes"] == "1"
    assert float(nrmse["original"]) == pytest.approx(0.25, rel=1e-3)
    assert float(nrmse["denoised"]) == pytest.approx(1.25 * 0.81 - 1, rel=1e-3)
    assert float(psnr["gain"]) == pytest.approx(20 * np.log10(0.25 / 0.0125), abs=0.01)
    write_pair(
        tmp_path / "archive/test/arm/0000", Pair("arm", "arm.h5 (MIT)", plain, plain, plain, 2 * reference.numpy())
    )
    seen = model_folder("seen", model=centre_model(0.81), training={"data": ["arm.h5 (MIT)"]}, **SLICES)
    evaluate.main([*put, seen])
    assert "nothing is judged by it: arm 1." in (tmp_path / "out/table.md").read_text()
    with (tmp_path / "out/table.csv").open() as file:
        assert next(csv.DictReader(file))["volumes"] == "1", "the arm's are left out"
    with pytest.raises(ConfigurationError, match="takes complex_gmap; an archive's pairs are for magnitude_slices"):
        evaluate.main([*put, model_folder()])
