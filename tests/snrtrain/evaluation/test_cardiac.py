"""A beating heart: true replicas in SNR units, and models that do nothing, blur, or mix frames."""

import csv
import shutil
from pathlib import Path

import nibabel
import numpy as np
import onnx
import pytest
import torch

from snrstream.errors import ConfigurationError, ModelError
from snrtrain.commands import evaluate
from snrtrain.evaluation import accelerated_series, cardiac, cardiac_rows
from snrtrain.simulation import heart
from tests.denoising.frame_model import frame_mean_model

from .conftest import _model

SHAPE = (64, 64)
SMALL = ["--matrix", "64", "--frames", "4", "--hearts", "2", "--repetitions", "4"]
FEW_LINES_LESS = ["--cine-acceleration", "2", "--bolus-acceleration", "2"]
TIME = {"frames": "time", "layout": "B,3,T,H,W", "n_frames": 0}


@pytest.fixture(autouse=True)
def few_coils(monkeypatch) -> None:
    monkeypatch.setattr(accelerated_series, "N_CHANNELS", 12)


def blurring_model(width: int = 5) -> onnx.ModelProto:
    """Real and imaginary part, each frame by itself, averaged over `width` x `width` pixels."""
    helper, kind = onnx.helper, onnx.TensorProto
    numbers = (("from", 0), ("to", 2), ("axis", 1))
    constants = [helper.make_tensor(name, kind.INT64, [1], [value]) for name, value in numbers]
    weights = np.full((2, 1, 1, width, width), 1 / width**2, np.float32)
    constants.append(helper.make_tensor("weights", kind.FLOAT, weights.shape, weights.ravel()))
    pads = [0, width // 2, width // 2] * 2
    nodes = [
        helper.make_node("Slice", ["x", "from", "to", "axis"], ["parts"]),
        helper.make_node("Conv", ["parts", "weights"], ["y"], group=2, pads=pads),
    ]
    return _model(nodes, constants, ["B", 3, "T", "H", "W"], ["B", 2, "T", "H", "W"])


def run(outputs: list[str], *more: str) -> None:
    evaluate.main(["cardiac", *SMALL, *FEW_LINES_LESS, *outputs, *more])


def rows_of(tmp_path: Path, name: str = "table") -> list[dict[str, str]]:
    with (tmp_path / f"out/{name}.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("acceleration", [1, 3])
def test_replicas_vary_by_the_gmap_about_the_truth(acceleration: int) -> None:
    drawn = heart.cine(SHAPE, 3, np.random.default_rng(0))
    blood = drawn.labels == heart.BLOOD
    series = accelerated_series.scan(drawn.magnitude, blood, 100.0, acceleration, np.random.default_rng(1))
    # The SNR if it were fully sampled; the combined magnitude is as bright as the coils' root sum of squares.
    expected = 100 / acceleration**0.5
    assert float(series.truth[torch.from_numpy(blood)].mean()) == pytest.approx(expected, rel=0.03)
    replicas = torch.stack([series.replica(np.random.default_rng(n)) for n in range(40)])
    tissue = series.truth > 0.3 * expected
    sd = (replicas - replicas.mean(0)).abs().square().sum(0).div(2 * 39).sqrt()
    # SD of the SD of 40 complex numbers: 8 % a pixel, over thousands of pixels.
    assert float((sd / series.gmap)[tissue].median()) == pytest.approx(1.0, abs=0.02)
    off = (replicas.mean(0).abs() - series.truth)[tissue]
    assert float(off.abs().median()) < 0.03 * expected, "what GRAPPA leaves of aliases, and noise over sqrt(40)"
    assert float(series.gmap[series.truth[0] > 0.3 * expected].median()) >= 1.0 - 1e-3


def test_what_does_nothing_gains_nothing_and_falls_short(tmp_path, model_folder, outputs) -> None:
    with pytest.raises(ModelError, match="2 of 8 requirements missed"):
        run(outputs, "--model", model_folder("same", default_alpha=0.0))
    rows = rows_of(tmp_path)
    assert [(row["scan"], row["image"]) for row in rows] == [
        (scan, image) for scan in ("cine", "bolus") for image in ("noisy", "same")
    ]
    for row in rows:
        assert float(row["gain"]) == pytest.approx(1.0, abs=1e-3) and row["hearts"] == "2"
        assert row["p_noisy"] == ("nan" if row["image"] == "noisy" else "1.0")
        assert 0.9 < float(row["edges"]) < 1.1 and float(row["off_blood"]) < 0.05
    assert len(rows_of(tmp_path, "table_hearts")) == 8
    assert (tmp_path / "out/table.png").is_file()


def test_what_blurs_gains_cnr_and_loses_edges(tmp_path, model_folder, outputs) -> None:
    same, blur = model_folder("same"), model_folder("blur", model=blurring_model())
    with pytest.raises(ModelError, match=r"[1-3] of 4 requirements missed"):
        run(outputs, "--scans", "cine", "--model", blur, "--model", same)
    noisy, blurred, ablation = rows_of(tmp_path)
    assert float(blurred["cnr"]) > 1.3 * float(noisy["cnr"])
    assert float(blurred["edges"]) < 0.8 * float(noisy["edges"])
    assert "cine: edges are 0." in (tmp_path / "out/table.md").read_text()
    assert float(ablation["p_first"]) == pytest.approx(float(blurred["p_noisy"]), rel=1e-3)  # it changes nothing
    assert 0 < float(ablation["p_first"]) < 1 and ablation["p_noisy"] == "1.0"


def test_a_network_for_series_sees_all_frames_of_one(tmp_path, model_folder, outputs) -> None:
    mean = model_folder("mean", model=frame_mean_model(), **TIME)
    alone = model_folder("alone", model=frame_mean_model())
    with pytest.raises(ModelError):  # by what it makes of a moving heart
        run(outputs, "--scans", "cine", "--model", mean, "--model", alone)
    noisy, mixed, single = rows_of(tmp_path)
    assert float(mixed["snr_blood"]) > 1.5 * float(noisy["snr_blood"])
    assert float(mixed["edges"]) < 0.8 * float(noisy["edges"]), "edges of other frames are elsewhere"
    assert float(single["gain"]) == pytest.approx(1.0, abs=1e-3)


def test_a_curve_over_time_that_is_dull_is_off() -> None:
    truth = torch.tensor([1.0, 3.0, 1.0])[:, None, None].expand(3, 4, 4)
    inside = torch.ones(3, 4, 4, dtype=torch.bool)
    inside[2] = False  # a region need not be in all frames
    assert cardiac.means_off(truth, truth, inside) == 0
    flat = torch.full((3, 4, 4), 2.0)
    assert cardiac.means_off(flat, truth, inside) == pytest.approx((2 / 10) ** 0.5)


def test_a_first_model_whose_means_are_off_falls_short() -> None:
    def row(image: str, cnr: float, off: float) -> cardiac_rows.HeartRow:
        return cardiac_rows.HeartRow("cine", 5, 0, image, 5.0, 3.0, cnr, off, 0.01, 1.0)

    for off, n_missed in ((0.04, 0), (0.06, 1)):
        rows = cardiac_rows.of_hearts([row("noisy", 2.0, 0.02), row("full", 4.0, off)], "full")
        lines, n_judged = cardiac_rows.missed(rows, "full", 1.9, 0.9)
        assert (len(lines), n_judged) == (n_missed, 4)
        assert rows[1].gain == 2 and np.isnan(rows[1].p_noisy), "one heart has no p"


def series_in(folder: Path) -> tuple[Path, np.ndarray]:
    """A series of two slices and 8 phases, 96 x 96, and its labels."""
    folder.mkdir()
    drawn = heart.cine((96, 96), 8, np.random.default_rng(3))
    data = np.stack([np.zeros_like(drawn.magnitude), drawn.magnitude]).transpose(2, 3, 0, 1) * 500
    data[..., 0, :] = data[..., 1, ::-1]
    affine = np.diag([1.5, 1.5, 8.0, 1.0])
    nibabel.save(nibabel.Nifti1Image(data.astype(np.int16), affine), folder / "cine.nii.gz")
    return folder, drawn.labels


def test_a_series_with_labels(tmp_path, model_folder, outputs) -> None:
    folder, labels = series_in(tmp_path / "series")
    np.save(tmp_path / "mask.npy", labels)
    put = ["--series", str(folder), "--roi", str(tmp_path / "mask.npy"), "--snr", "80"]
    run(outputs, *put, "--model", model_folder("blur", model=blurring_model()))
    rows = rows_of(tmp_path)
    assert [(row["image"], row["label"]) for row in rows] == [(i, n) for i in ("noisy", "blur") for n in "12"]
    assert rows[0]["cnr"] == "nan" and float(rows[1]["cnr"]) > 5
    assert all(int(row["pixels"]) == (labels == int(row["label"])).sum() for row in rows)
    assert float(rows[0]["mean"]) == pytest.approx(80 / 2**0.5, rel=0.05)
    assert abs(float(rows[0]["off"])) < 0.03 and float(rows[2]["edges"]) < 0.8 * float(rows[0]["edges"])
    assert float(rows[2]["snr"]) > 1.5 * float(rows[0]["snr"])
    told = (tmp_path / "out/table.md").read_text()
    assert "cine, slice 1, R = 2" in told and "No requirement was judged" in told
    assert (tmp_path / "out/table.png").is_file()
    seen = model_folder("seen", training={"data": ["cine.nii.gz (CC0)"]})
    run(outputs, *put, "--slice", "0", "--model", seen)
    told = (tmp_path / "out/table.md").read_text()
    assert "Trained on by the manifest" in told and "cine, slice 0" in told


def test_mistakes_are_named(tmp_path, model_folder, outputs) -> None:
    same, (folder, labels) = model_folder(), series_in(tmp_path / "series")
    copied = str(shutil.copytree(same, tmp_path / "copied/same"))
    np.save(tmp_path / "mask.npy", labels)
    np.save(tmp_path / "small.npy", labels[:, 1:])
    mask = ["--roi", str(tmp_path / "mask.npy")]
    for put, message in (
        (["--repetitions", "1"], "expected 2 and 32 or more"),
        (["--matrix", "16"], "expected 2 and 32 or more"),
        (["--cine-acceleration", "13"], "R is 13; expected 12"),
        (mask, "expected both, or none"),
        (["--series", str(folder)], "expected both, or none"),
        (["--slice", "1"], "expected --series as well"),
        (["--series", str(folder), "--slice", "2", *mask], r"--slice is 2; expected 0 \.\.\. 1"),
        (["--series", str(folder), "--name", "other", *mask], "does not exist"),
        (["--series", str(tmp_path / "none"), *mask], "holds no volume"),
        (["--series", str(folder), "--roi", str(tmp_path / "small.npy")], r"\(8, 95, 96\); expected \(8, 96, 96\)"),
        (["--model", same, "--model", same], "twice in model; expected each once"),
        (["--model", same, "--model", copied], "models are named same, same; expected names that differ"),
        (["--frames", "1", "--scans", "bolus"], "no frame with blood and myocardium"),
    ):
        with pytest.raises(ConfigurationError, match=message) as error:
            run(outputs, *([] if "--model" in put else ["--model", same]), *put)
        assert "\n" not in str(error.value)
    second = nibabel.load(folder / "cine.nii.gz")
    nibabel.save(second, folder / "more.nii.gz")
    with pytest.raises(ConfigurationError, match="has cine, more; expected one, or --name"):
        run(outputs, "--series", str(folder), *mask, "--model", same)
    assert not (tmp_path / "out/table.csv").exists()
