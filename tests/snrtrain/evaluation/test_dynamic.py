"""Series: simulated ones and an archive's."""

import csv

import numpy as np
import pytest

from snrstream.errors import ConfigurationError, ModelError
from snrtrain.archive.archive import Entry, write_entry
from snrtrain.commands import evaluate
from snrtrain.evaluation.scenes import archived_series, moving_scenes


def test_frames_of_a_series_differ_as_tissue_does(volume_folder) -> None:
    (scene,) = moving_scenes(volume_folder, ["a_t2"], [1], seed=3)
    frames = scene.truth.abs()
    change = (frames[1:] - frames[:-1]).abs()[scene.mask[1:]].mean()
    assert scene.slices == f"{len(frames)} frames" and len(frames) >= 8
    assert 0.005 < change < 0.5  # of the reference tissue


def test_a_model_that_does_nothing_gains_nothing_beside_mppca(volume_folder, model_folder, outputs) -> None:
    pytest.importorskip("dipy")
    same, loud = model_folder(default_alpha=0.0), model_folder("loud", 1.1)
    with pytest.raises(ModelError, match="2 of 4 requirements missed"):
        evaluate.main([
            "dynamic", "--volumes", str(volume_folder), "--names", "a_t2", "--model", same, "--single", loud,
            "--snr", "5", "--peer-snr", "5", "--acceleration", "2", "--peers", "MPPCA", *outputs,
        ])  # fmt: skip
    text = (volume_folder / "out/table.md").read_text()
    assert "dB to MPPCA; expected above 0" in text and "| series | single-image network | 1 | 1 |" in text
    with (volume_folder / "out/table.csv").open() as file:
        gains = {row["method"]: float(row["gain"]) for row in csv.DictReader(file)}
    assert gains["network"] == pytest.approx(0, abs=1e-3)
    assert gains["MPPCA"] > 1
    assert gains["single-image network"] < -0.1


def entry(axis: str, own_noise: bool = False) -> Entry:
    clean = np.full((8, 12, 10), 20 + 0j, np.complex64)
    gmaps = np.stack([np.ones((12, 10)), np.full((12, 10), 1.5)]).astype(np.float32)
    return Entry("leg", "leg.nii.gz", axis, clean, own_noise, None, gmaps, ((1, 1), (4, 1)), 20.0, (1.0, 1.0))


def test_series_of_an_archive(tmp_path) -> None:
    write_entry(tmp_path / "test/leg/0000", entry("slice"))
    write_entry(tmp_path / "test/leg/0001", entry("time", own_noise=True))
    with pytest.raises(ConfigurationError, match="no simulated series with g-maps of R = 4 in test/"):
        archived_series(tmp_path, [4])
    write_entry(tmp_path / "test/leg/0002", entry("time"))
    (scene,) = archived_series(tmp_path, [4])
    assert float(scene.truth.real.max()) == pytest.approx(1) and float(scene.gmaps[4].min()) == 1.5


@pytest.mark.parametrize("more", [["--lead", "nan"], ["--lead-single", "inf"]])
def test_a_lead_is_a_number(volume_folder, model_folder, outputs, more) -> None:
    with pytest.raises(ConfigurationError, match=f"argument {more[0]}: is {more[1]}; expected a number"):
        evaluate.main(["dynamic", "--volumes", str(volume_folder), "--model", model_folder(), *more, *outputs])


def test_the_model_beside_it_is_looked_for_before_the_scenes_are_made(volume_folder, model_folder, outputs) -> None:
    with pytest.raises(ModelError, match="unknown model 'none'"):
        evaluate.main([
            "dynamic", "--volumes", str(volume_folder), "--names", "none_at_all", "--model", model_folder(),
            "--single", "none", *outputs,
        ])  # fmt: skip
