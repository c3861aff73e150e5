"""Ablations: a table sorted by PSNR, and whether the full method leads it."""

import csv

import pytest

from snrstream.errors import ConfigurationError, ModelError
from snrtrain.commands import evaluate


def test_the_full_method_is_to_be_best(volume_folder, model_folder, outputs) -> None:
    full, loud = model_folder("full"), model_folder("loud", 1.1)
    more = ["--volumes", str(volume_folder), "--names", "a_t2", "--n-slices", "1", "--snr", "10", *outputs]
    evaluate.main(["ablation", full, loud, *more])
    with (volume_folder / "out/table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["model"] for row in rows] == ["full", "loud"]
    assert float(rows[0]["gain"]) == pytest.approx(0, abs=1e-3)
    assert float(rows[0]["white"]) != pytest.approx(float(rows[0]["psnr"]), abs=1e-3)
    assert "1 requirement met" in (volume_folder / "out/table.md").read_text()
    with pytest.raises(ModelError, match="1 of 1 requirement missed"):
        evaluate.main(["ablation", loud, full, *more])
    assert "full is " in (volume_folder / "out/table.md").read_text().splitlines()[-1]


def test_models_of_one_name_are_refused(volume_folder, model_folder, outputs) -> None:
    same = model_folder()
    with pytest.raises(ConfigurationError, match="expected names that differ"):
        evaluate.main(["ablation", same, f"{same}/.", "--volumes", str(volume_folder), *outputs])


def test_what_one_of_the_models_was_trained_on_is_left_out_of_the_means(volume_folder, model_folder, outputs) -> None:
    full, dim = model_folder("full", training={"data": ["a_t2.nii.gz (MIT)"]}), model_folder("dim", 0.7)
    more = ["--volumes", str(volume_folder), "--n-slices", "1", "--snr", "40", *outputs, "--names", "a_t2"]
    evaluate.main(["ablation", full, dim, *more, "ge_irspgr_1p5"])
    text = (volume_folder / "out/table.md").read_text()
    assert text.startswith(
        "R = 4, SNR 40: 1 volume\n\nTrained on by the manifest, so that nothing is judged by it: a_t2."
    )
    assert "1 requirement met" in text
    evaluate.main(["ablation", full, dim, *more])
    assert "No requirement was judged" in (volume_folder / "out/table.md").read_text()
