"""The evaluation: its measures, and its verdict on a model that does nothing."""

import csv
import json

import numpy as np
import pytest
import torch

from snrstream.errors import ConfigurationError, ModelError
from tools import evaluate
from tools.training.metrics import magnitude_psnr, object_mask

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
nibabel = pytest.importorskip("nibabel")


@pytest.fixture
def folder(tmp_path):
    """A volume under a test volume's name, and a model that returns its input."""
    y, x = np.meshgrid(np.linspace(-1, 1, 64), np.linspace(-1, 1, 60), indexing="ij")
    plane = 100.0 * (x**2 + y**2 < 0.7) + 80.0 * (x**2 + y**2 < 0.2) + 40.0 * ((x - 0.5) ** 2 + y**2 < 0.03)
    data = np.repeat(plane[:, :, None], 4, axis=2).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(data, np.diag([1.0, 1.0, 4.0, 1.0])), tmp_path / "a_t2.nii.gz")
    value = onnx.helper.make_tensor_value_info
    initial = [onnx.helper.make_tensor(n, onnx.TensorProto.INT64, [1], [v]) for n, v in (("s", 0), ("e", 2), ("a", 1))]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Slice", ["input", "s", "e", "a"], ["output"])],
        "nothing",
        [value("input", onnx.TensorProto.FLOAT, ["b", 3, "t", "h", "w"])],
        [value("output", onnx.TensorProto.FLOAT, ["b", 2, "t", "h", "w"])],
        initial,
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "model.onnx")
    (tmp_path / "manifest.json").write_text(json.dumps({"divisor": 8, "default_alpha": 0.3}))
    return tmp_path


def options(folder, *more):
    return ["--volumes", str(folder), "--model", str(folder), "--names", "a_t2", "--slices", "1", "--bm4d-snr", *more]


def test_psnr_is_its_formula():
    reference = torch.full((10, 10), 50.0)
    mask = torch.ones(10, 10, dtype=torch.bool)
    assert magnitude_psnr(reference + 5, reference, mask) == pytest.approx(20.0)
    assert magnitude_psnr(-reference - 5, reference, mask) == pytest.approx(20.0)  # of magnitudes


def test_the_mask_is_the_object():
    image = torch.zeros(32, 32)
    image[8:24, 8:24] = 100.0
    assert torch.equal(object_mask(image), image > 0)


def test_the_reference_tissue_is_the_brighter_part_of_the_object():
    image = torch.zeros(60, 60)
    image[10:50, 10:50], image[10:50, 30:50], image[29:31, 39:41] = 0.5, 1.0, 3.0  # half bright, a vessel
    assert evaluate.reference_level(image) == pytest.approx(1.0)


def test_the_references_own_noise_is_measured_beside_edges():
    generator = torch.Generator().manual_seed(0)
    clean = torch.zeros(2, 96, 96)
    clean[:, 10:80, 20:70] = 50.0
    noisy = clean + 2 * torch.randn(clean.shape, generator=generator)
    # The median of 7000 correlated values: about 2 %.
    assert evaluate.own_noise(noisy.to(torch.complex64), clean > 0) == pytest.approx(2, rel=0.06)


def test_a_model_that_does_nothing_gains_nothing(folder, capsys):
    evaluate.main(options(folder, "--snr", "10", "20", "--acceleration", "1", "2", "--csv", str(folder / "out.csv")))
    with (folder / "out.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["acceleration"], row["snr"]) for row in rows] == [
        ("1", "10.0"), ("1", "20.0"), ("2", "10.0"), ("2", "20.0")
    ]  # fmt: skip
    for row in rows:
        assert float(row["network"]) == pytest.approx(float(row["noisy"]), abs=1e-3)
    # Twice the SNR is 6 dB, a little more where the noise floor lifts dark tissue.
    assert float(rows[1]["noisy"]) - float(rows[0]["noisy"]) == pytest.approx(6.02, abs=0.5)
    assert "| a_t2 | 1 | 10 |" in capsys.readouterr().out


def test_a_gain_below_the_required_one_is_an_error(folder):
    with pytest.raises(ModelError, match="gain at SNR 10 is under 5 dB: a_t2"):
        evaluate.main(options(folder, "--snr", "10", "--acceleration", "1", "--require-gain", "5"))


def test_mistakes_are_named(folder):
    with pytest.raises(ConfigurationError, match="expected both among --snr and --acceleration"):
        evaluate.main(options(folder, "--snr", "5", "--acceleration", "1", "--require-gain", "5"))
    with pytest.raises(ModelError, match=r"manifest\.json does not exist"):
        evaluate.main(["--volumes", str(folder), "--model", str(folder / "none")])
