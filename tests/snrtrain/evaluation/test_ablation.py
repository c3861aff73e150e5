"""Ablations: a table sorted by PSNR, and whether the full method leads it."""

import csv

import pytest
from scipy import stats

from snrstream.errors import ConfigurationError, ModelError
from snrtrain.commands import evaluate
from snrtrain.evaluation.ablation import row
from snrtrain.evaluation.scores import Scores


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
    with pytest.raises(ConfigurationError, match="two arms are named same; expected names that differ"):
        evaluate.main(["ablation", same, f"{same}/.", "--volumes", str(volume_folder), *outputs])
    for arm in (f"={same}", f"full={same},", f"full={same},{same}"):
        with pytest.raises(ConfigurationError, match="expected MODEL, or NAME=MODEL,MODEL,... of different models"):
            evaluate.main(["ablation", arm, "--volumes", str(volume_folder), *outputs])


def test_several_seeds_an_arm_have_a_mean_an_sd_and_a_paired_test_over_scenes(
    volume_folder, model_folder, outputs
) -> None:
    full = ",".join(model_folder(f"full_{n}", factor) for n, factor in enumerate((1.0, 0.98)))
    loud = ",".join(model_folder(f"loud_{n}", factor) for n, factor in enumerate((1.1, 1.08, 1.06)))
    more = ["--volumes", str(volume_folder), "--names", "a_t2", "--n-slices", "1", *outputs]
    evaluate.main(["ablation", f"full={full}", f"loud={loud}", *more, "--snr", "5", "10", "20"])
    with (volume_folder / "out/table.csv").open() as file:
        rows = {row["model"]: row for row in csv.DictReader(file)}
    assert (rows["full"]["n_models"], rows["full"]["p"]) == ("2", "nan") and rows["loud"]["n_models"] == "3"
    assert 0 < float(rows["full"]["sd"]) < 0.2 and 0 < float(rows["loud"]["sd"]) < 0.5
    assert 0 < float(rows["loud"]["p"]) < 0.2


def test_the_pairs_are_scenes_each_the_mean_over_its_seeds() -> None:
    def scores(*psnr: float) -> list[Scores]:
        return [Scores(value, 0.0, 0.0, 0.0) for value in psnr]

    found = {
        ("full", "filtered"): [scores(30, 32), scores(20, 22), scores(10, 12.3)],
        ("less", "filtered"): [scores(30.5), scores(20.4), scores(10.6)],
        ("noisy", "filtered"): [scores(5), scores(5), scores(5)],
    }
    found |= {(name, "white"): found[name, "filtered"] for name in ("full", "less", "noisy")}
    less = row("less", "complex_gmap", "full", found)
    assert less.psnr == pytest.approx(20.5) and less.gain == pytest.approx(15.5)
    assert less.p == pytest.approx(stats.ttest_rel([31, 21, 11.15], [30.5, 20.4, 10.6]).pvalue)
    assert row("full", "complex_gmap", "full", found).sd == pytest.approx(2.1 / 2**0.5)


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
