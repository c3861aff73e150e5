"""Models beside BM4D: rows, verdict and mistakes."""

import argparse
import csv
import subprocess
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from snrstream.errors import ConfigurationError, ModelError
from snrtrain.commands import evaluate
from snrtrain.evaluation import comparison, lead, selection, snraware
from snrtrain.evaluation.comparison import ComparisonRow
from snrtrain.evaluation.lead import Lead
from snrtrain.evaluation.peers import STATIC
from snrtrain.evaluation.scenes import static_scenes
from tests.processes import forked

from .conftest import constant_model

NAN = float("nan")
ROOT = Path(__file__).resolve().parents[3]


def run(folder, model: str, *more: str) -> None:
    evaluate.main(["snraware", "--volumes", str(folder), "--model", model, "--n-thick", "1", *more])


def rows_of(folder) -> list[dict[str, str]]:
    with (folder / "out/table.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_model_that_does_nothing_gains_nothing(volume_folder, model_folder, outputs, capsys) -> None:
    more = ("--names", "a_t2", "--slices", "thick", "--snr", "10", "20", "--acceleration", "1", "2", "--peers")
    run(volume_folder, model_folder(), *more, *outputs)
    rows = rows_of(volume_folder)
    assert [(row["acceleration"], row["snr"]) for row in rows[::4]] == [
        ("1", "10.0"), ("1", "20.0"), ("2", "10.0"), ("2", "20.0")
    ]  # fmt: skip
    assert [row["method"] for row in rows[:4]] == ["noisy", "network", "network, alpha 0.25", "ceiling"]
    noisy, same, blended, ceiling = ([float(row["psnr"]) for row in rows[n::4]] for n in range(4))
    assert same == pytest.approx(noisy, abs=1e-3) and blended == pytest.approx(noisy, abs=1e-3)
    assert all(a < b for a, b in zip(noisy, ceiling, strict=True))
    # Twice the SNR is 6 dB, a little more where the noise floor lifts dark tissue.
    assert noisy[1] - noisy[0] == pytest.approx(6.02, abs=0.5)
    out = capsys.readouterr().out
    assert "| a_t2 | thick | 1 | 10 |" in out and "lead in PSNR" not in out and "No requirement was judged" in out
    assert (volume_folder / "out/table.png").is_file()


def test_a_useless_model_falls_short_of_bm4d_and_the_true_image_does_not(
    volume_folder, model_folder, outputs, monkeypatch
) -> None:
    monkeypatch.setitem(STATIC, "BM4D", STATIC["NLM"])  # a peer that does not take half a minute
    more = ("--names", "a_t2", "--slices", "thick", "--snr", "10", "--acceleration", "1", "--peers", "BM4D")
    more = (*more, "--speed", "0", *outputs)
    with pytest.raises(ModelError, match="2 of 3 requirements missed"):
        run(volume_folder, model_folder(), *more)
    text = (volume_folder / "out/table.md").read_text()
    assert (
        "- a_t2, thick slices, R = 1, SNR 10: -" in text
        and "expected above 0" in text
        and "expected +0.6 or more" in text
    )
    (scene,) = static_scenes(volume_folder, ["a_t2"], ["thick"], {"thick": 1}, [1], seed=7)
    truth = constant_model(10.1 * scene.truth[0].numpy())  # 1 % too bright, so that its PSNR is finite
    run(volume_folder, model_folder("ideal", model=truth, divisor=1), *more)
    assert "3 requirements met." in (volume_folder / "out/table.md").read_text()


def test_peers_of_an_earlier_run_do_not_run_again(volume_folder, model_folder, outputs, monkeypatch) -> None:
    same = model_folder()
    place = ("--names", "a_t2", "--slices", "thick", "--acceleration", "1")
    place = (*place, "--snr", "10", "20", *outputs)
    run(volume_folder, same, *place, "--peers", "wavelets", "NLM", "--peer-snr", "20")
    first = rows_of(volume_folder)
    earlier = volume_folder / "earlier.csv"
    (volume_folder / "out/table.csv").rename(earlier)

    def fail(*_) -> None:
        raise AssertionError("it ran again")

    monkeypatch.setitem(STATIC, "NLM", fail)
    more = ("--peers", "NLM", "wavelets", "--peer-snr", "--peers-of", str(earlier))
    run(volume_folder, same, *place, *more)
    found = [(row["snr"], row["method"]) for row in rows_of(volume_folder)]
    noisy = ["noisy", "network", "network, alpha 0.25"]
    assert found[:4] == [("10.0", name) for name in (*noisy, "ceiling")]
    assert found[4:] == [("20.0", name) for name in (*noisy, "NLM", "wavelets", "ceiling")]
    assert [row for row in rows_of(volume_folder) if row["method"] == "NLM"] == [first[-2]]
    with pytest.raises(ConfigurationError, match=r"noisy images of a_t2, thick slices, R = 1, SNR 20 have 3"):
        run(volume_folder, same, *place, *more, "--seed", "8")
    monkeypatch.setattr(snraware, "static_scenes", fail)  # told before the scenes are made
    with pytest.raises(ConfigurationError, match="table.png is no table of these rows; expected a CSV file"):
        run(volume_folder, same, *place, "--peers-of", str(volume_folder / "out/table.png"))
    with pytest.raises(ConfigurationError, match="none.csv is no table of these rows; expected a CSV file"):
        run(volume_folder, same, *place, "--peers-of", "none.csv")


def test_a_volume_that_the_model_was_trained_on_is_marked_and_not_judged(
    volume_folder, model_folder, outputs, monkeypatch, capsys
) -> None:
    monkeypatch.setitem(STATIC, "BM4D", STATIC["NLM"])
    trained = model_folder(training={"data": ["a_t2.nii.gz (MIT)", "phantoms (generated)"]})
    more = ("--slices", "thick", "--snr", "10", "--acceleration", "1", "--peers", "BM4D", "--speed", "0", *outputs)
    run(volume_folder, trained, "--names", "a_t2", *more)
    out = capsys.readouterr().out
    assert "| a_t2 (trained on) | thick | 1 | 10 |" in out and "No requirement was judged." in out
    assert "Trained on by the manifest, so that nothing is judged by it: a_t2." in out
    assert {row["volume"] for row in rows_of(volume_folder)} == {"a_t2"}, "--peers-of finds it again"
    with pytest.raises(ModelError, match="2 of 3 requirements missed"):
        run(volume_folder, trained, "--names", "a_t2", "ge_irspgr_1p5", *more)
    text = (volume_folder / "out/table.md").read_text()
    assert "- ge_irspgr_1p5, thick slices" in text and "- a_t2" not in text and "| ge_irspgr_1p5 | thick" in text


def test_thin_slices_are_taken_as_they_are(volume_folder) -> None:
    n_slices = {"thick": 2, "thin": 8}
    scenes = static_scenes(volume_folder, ["a_t2", "ge_irspgr_1p5"], ["thick", "thin"], n_slices, [1], seed=0)
    found = [(scene.name, scene.slices, len(scene.truth)) for scene in scenes]
    assert found == [("a_t2", "thick", 2), ("ge_irspgr_1p5", "thick", 2), ("ge_irspgr_1p5", "thin", 8)]


def rows(ours: float, theirs: float, place: tuple = ("a_t2", "thick", 4, 10.0), rival: str = "BM4D") -> list:
    return [
        ComparisonRow(*place, "network", ours, NAN, NAN, NAN, 10.0),
        ComparisonRow(*place, rival, theirs, NAN, NAN, NAN, 900.0),
    ]


def test_what_is_required() -> None:
    thin = Lead("BM4D", 0.0, 0.4)
    assert thin.missed(rows(30.5, 30.0)) == ([], 2)
    first, second = thin.missed(rows(30.0, 30.0, ("a_t2", "thin", 4, 10.0)))[0]
    assert first == "a_t2, thin slices, R = 4, SNR 10: +0.00 dB to BM4D; expected above 0"
    assert second == "mean of 1 scene: +0.00 dB to BM4D; expected +0.4 or more"
    both = rows(30.0, 30.1) + rows(32.0, 30.0, ("a_t2", "thick", 1, 10.0))
    assert Lead("BM4D", -0.2, 0.9).missed(both) == ([], 3), "one behind, the mean ahead"
    (line,), n_judged = Lead("BM4D", 0.2, 0.9).missed(both)
    assert n_judged == 3 and line.endswith("SNR 10: -0.10 dB to BM4D; expected +0.2 or more")
    assert Lead("MPPCA", 0.0, 0.4).missed(both) == ([], 0), "nothing is judged by what did not run"
    assert len(thin.missed(rows(NAN, 30.0))[0]) == 2, "an answer that is no number"
    (line,), n_judged = snraware.too_slow(rows(30.0, 30.0), 100.0)
    assert n_judged == 1 and line.endswith("BM4D takes 90 times as long; expected 100 or more")
    assert snraware.too_slow(rows(30.0, 30.0), 90.0) == ([], 1)


def test_leads_are_told_by_kind_of_scene_and_method() -> None:
    both = rows(30.0, 30.1) + rows(32.0, 30.0, ("a_t2", "thick", 1, 10.0))
    both += rows(31.0, 28.0, ("a_t2", "10 frames", 1, 10.0), "MPPCA")
    lines = lead.table(both).splitlines()
    assert "| thick | BM4D | 2 | 1 | +0.95 | -0.10 |" in lines and "| series | MPPCA | 1 | 1 | +3.00 | +3.00 |" in lines
    assert lead.table([row for row in both if row.method == "network"]) == ""


def test_thirds_of_an_object_by_its_g(volume_folder) -> None:
    (scene,) = static_scenes(volume_folder, ["a_t2"], ["thick"], {"thick": 2}, [1, 4], seed=0)
    thirds = comparison.thirds_of(scene.gmaps[4], scene.mask)
    sizes = [int(third.sum()) for third in thirds]
    assert sum(sizes) == int(scene.mask.sum()) and min(sizes) > 0.3 * sum(sizes)
    g = scene.gmaps[4].expand(scene.mask.shape)
    assert float(g[thirds[0]].max()) <= float(g[thirds[1]].min()) <= float(g[thirds[2]].min())
    assert comparison.thirds_of(scene.gmaps[1], scene.mask) == []


def test_the_gain_in_each_third_of_g_is_that_of_its_pixels(volume_folder, outputs) -> None:
    (scene,) = static_scenes(volume_folder, ["a_t2"], ["thick"], {"thick": 1}, [1, 4], seed=0)
    low, _, high = comparison.thirds_of(scene.gmaps[4], scene.mask)

    def half_right(images: torch.Tensor, gmap: torch.Tensor) -> torch.Tensor:
        noise = images - 10.0 * scene.truth
        return images - noise * torch.where(low, 0.9, 0.0) - noise * torch.where(high, 0.5, 0.0)

    found, _ = comparison.measure(scene, 4, 10.0, half_right, 0.0, {}, seed=1)
    ours = next(row for row in found if row.method == "network")
    assert ours.gain_low == pytest.approx(20, abs=0.6) and ours.gain_high == pytest.approx(6.02, abs=0.6)
    assert ours.gain_middle == pytest.approx(0, abs=1e-6)
    assert ours.ssim_low > 0.1 and ours.ssim_high > ours.ssim_middle and ours.ssim_low > ours.ssim_middle
    same, _ = comparison.measure(scene, 4, 10.0, lambda images, gmap: images, 0.0, {}, seed=1)
    ours = next(row for row in same if row.method == "network")
    assert (ours.ssim_low, ours.ssim_middle, ours.ssim_high) == (0, 0, 0)
    flat, _ = comparison.measure(scene, 1, 10.0, half_right, 0.0, {}, seed=1)
    assert all(np.isnan(row.gain_low) and np.isnan(row.ssim_high) for row in flat), "g is the same everywhere"
    text = comparison.text(found, "m", [], "")
    for title in ("PSNR gain in dB", "SSIM gain over noisy"):
        assert f"### {title}, where g is in its lowest third\n" in text
    assert "### in the highest third\n" in text and "### SSIM gain in the highest third\n" in text
    assert "SSIM gain" not in comparison.text(flat, "m", [], "")


def test_mistakes_are_named(volume_folder, model_folder, outputs) -> None:
    same = model_folder()
    with pytest.raises(ModelError, match=r"manifest\.json does not exist; expected a model's folder"):
        run(volume_folder, str(volume_folder / "none"), *outputs)
    with pytest.raises(ModelError, match="unknown model 'none'"):
        run(volume_folder, "none", *outputs)
    with pytest.raises(ConfigurationError, match="knee.nii.gz does not exist"):
        run(volume_folder, same, "--names", "knee", *outputs)
    (volume_folder / "text.nii.gz").write_text("no volume")
    with pytest.raises(ConfigurationError, match="text.nii.gz cannot be read"):
        run(volume_folder, same, "--names", "text", *outputs)
    with pytest.raises(ConfigurationError, match=r"--peer-snr is \[7.0\]"):
        run(volume_folder, same, "--peer-snr", "7", *outputs)
    with pytest.raises(ConfigurationError, match="got a_t2 twice in names; expected each once"):
        run(volume_folder, same, "--names", "a_t2", "a_t2", *outputs)
    with pytest.raises(ConfigurationError, match=r"--names has \.\./v/a_t2; expected names of files"):
        run(volume_folder, same, "--names", "../v/a_t2", *outputs)
    with pytest.raises(ConfigurationError, match="--acceleration is 1000, too much for 12 channels"):
        run(volume_folder, same, "--names", "a_t2", "--acceleration", "1000", *outputs)
    nibabel.save(nibabel.Nifti1Image(np.ones((8, 8, 8), np.float32), np.eye(4)), volume_folder / "tiny.nii.gz")
    with pytest.raises(ConfigurationError, match="volume tiny has slices of 8 x 8 pixels; expected 11 or more"):
        run(volume_folder, same, "--names", "tiny", *outputs)
    assert not list((volume_folder / "out").iterdir())  # what fails leaves no empty files
    with pytest.raises(ConfigurationError, match="expected thin ones"):
        run(volume_folder, same, "--names", "a_t2", "--slices", "thin", *outputs)


def test_a_folder_is_measured_by_its_test_volumes_or_whole(volume_folder) -> None:
    def names(*given: str) -> list[str]:
        parser = argparse.ArgumentParser()
        selection.add_options(parser, ("a_t2", "spine_t2star"))
        return selection.chosen(parser.parse_args(["--volumes", str(volume_folder), *given]))[1]

    assert names() == ["a_t2"]
    assert names("--names", "ge_irspgr_1p5") == ["ge_irspgr_1p5"]
    (volume_folder / "a_t2.nii.gz").rename(volume_folder / "leg 1.nii.gz")
    assert names() == ["ge_irspgr_1p5", "leg 1"]


def test_the_command_line_ends_with_one_line_and_status_1(tmp_path) -> None:
    command = forked(str(ROOT / "tools/evaluate.py"), "snraware", "--volumes", str(tmp_path / "none"))
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 1
    assert ended.stderr.startswith("evaluate: volume folder") and ended.stderr.count("\n") == 1
