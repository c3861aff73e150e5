"""Training from archive to model folder, in seconds; and the mistakes a user can make."""

import csv
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from snrstream.errors import ConfigurationError
from tools import simulate, train
from tools.training import archive, chain, recipe
from tools.training.networks import build as build_network
from tools.training.noise_process import NoiseRange
from tools.training.patches import PatchRange, draw_batch
from tools.training.validation import validation_psnr, validation_set

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

ROOT = Path(__file__).resolve().parents[2]
RECIPE = ROOT / "tools/recipes/snraware_unet2d.toml"
TINY = [
    "width_half=8", "width_quarter=8", "width_eighth=8", "batch=4", "patch=32",
    "steps=240", "validate_every=120", "learning_rate=0.005", "ema=0.9",
]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Tiny tensors: a second thread costs more than it brings."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def scans() -> archive.Archive:
    """Two scans of the Shepp-Logan phantom and the g-maps of one coil set."""
    rng = np.random.default_rng(0)
    image = chain.complex_object(simulate.shepp_logan(64).numpy(), rng)
    scans = [chain.fully_sampled(image, rng, 20.0, None, 4, p_zero_filled=0.0) for _ in range(2)]
    maps = chain.gmaps(image, (2, 3), rng, 40.0, 8)
    return archive.Archive(
        torch.stack([scan.clean for scan in scans]),
        torch.stack([scan.noise for scan in scans]),
        torch.tensor([scan.snr for scan in scans]),
        torch.tensor([scan.resolution for scan in scans]),
        torch.stack(maps),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory, scans) -> Path:
    """A folder with both archives and the outcome of a tiny training."""
    folder = tmp_path_factory.mktemp("training")
    for name in ("train.pt", "validation.pt"):
        scans.save(folder / name)
    train.main(["--archive", str(folder), "--run", str(folder / "run"), "--output", str(folder / "model"), *TINY])
    return folder


def test_the_loss_falls_and_the_gain_rises(folder):
    with (folder / "run/log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["120", "240"]
    assert float(rows[-1]["loss"]) < 0.95 * float(rows[0]["loss"])
    held_out = archive.Archive.load(folder / "validation.pt")
    untrained = build_network(recipe.load(RECIPE, TINY))  # returns its input
    noisy = validation_psnr(untrained, validation_set(held_out, seed=1))
    assert float(rows[-1]["validation_psnr"]) > noisy


def test_the_checkpoint_carries_its_configuration(folder):
    checkpoint = torch.load(folder / "run/best.pt", weights_only=True)
    assert checkpoint["recipe"]["width_half"] == 8 and checkpoint["recipe"]["seed"] == 1
    assert checkpoint["commit"] and checkpoint["step"] in (120, 240)
    build_network(recipe.Recipe(**checkpoint["recipe"])).load_state_dict(checkpoint["weights"])


def test_the_manifest_holds_what_the_runtime_reads(folder):
    manifest = json.loads((folder / "model/manifest.json").read_text())
    assert set(manifest) == {
        "name", "version", "file", "format", "sha256", "input", "layout", "frames", "divisor", "scale",
        "default_alpha", "noise_reduction", "training", "licence",
        "snr_range", "gfactor_range", "test_vector",
    }  # fmt: skip
    assert manifest["sha256"] == hashlib.sha256((folder / "model/model.onnx").read_bytes()).hexdigest()
    assert 0 <= manifest["default_alpha"] <= 1 and 0 < manifest["noise_reduction"] <= 1.5
    assert sorted(path.name for path in (folder / "model").iterdir()) == [
        "README.md", "manifest.json", "model.onnx", "test_vector.npz"
    ]  # fmt: skip


@torch.no_grad()
def test_the_onnx_file_is_the_network_at_any_size(folder):
    checkpoint = torch.load(folder / "run/best.pt", weights_only=True)
    network = build_network(recipe.Recipe(**checkpoint["recipe"]))
    network.load_state_dict(checkpoint["weights"])
    session = onnxruntime.InferenceSession(str(folder / "model/model.onnx"), providers=["CPUExecutionProvider"])
    for shape in [(1, 3, 1, 8, 16), (3, 3, 2, 48, 32), (1, 3, 5, 128, 136)]:
        x = torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 10 + 0.5
        (got,) = session.run(None, {"input": x.numpy()})
        expected = network(x).numpy()
        assert got.shape == expected.shape
        # float32 sums in another order: 1e-6 of the values, and ten-fold through the depth of the network.
        assert np.abs(got - expected).max() < 1e-4 * np.abs(expected).max()


def test_patches_are_seeded_and_their_noise_is_g(scans):
    patch, noise = PatchRange(size=32, p_chain=0.0), NoiseRange()
    batches = [draw_batch(scans, 64, patch, noise, torch.Generator().manual_seed(2)) for _ in range(2)]
    assert torch.equal(batches[0].noisy, batches[1].noisy)
    batch = batches[0]
    assert batch.network_input().shape == (64, 3, 1, 32, 32)
    assert float(batch.gmap.min()) > 0 and float(batch.gmap.max()) > 1.1
    # 64 patches of 32^2 pixels, the smoothest with a tenth as many independent values: well within 3 %.
    assert float(((batch.noisy - batch.clean) / batch.gmap).std()) == pytest.approx(1, rel=0.03)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("stesp=3", "unknown setting stesp; known: name, seed, .*steps"),
        ("steps", "'steps' is not of the form key=value"),
        ("steps=many", "steps is 'many'; expected int"),
    ],
)
def test_a_wrong_setting_is_named(override, message):
    with pytest.raises(ConfigurationError, match=message):
        recipe.load(RECIPE, [override])


def test_a_wrong_recipe_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match=r"none\.toml does not exist"):
        recipe.load(tmp_path / "none.toml", [])
    (tmp_path / "broken.toml").write_text("steps = ")
    with pytest.raises(ConfigurationError, match="is not TOML"):
        recipe.load(tmp_path / "broken.toml", [])
    (tmp_path / "short.toml").write_text("steps = 3")
    with pytest.raises(ConfigurationError, match="lacks name, seed"):
        recipe.load(tmp_path / "short.toml", [])


def test_an_empty_archive_is_named(tmp_path, scans):
    archive.Archive(*(part[:0] for part in vars(scans).values())).save(tmp_path / "train.pt")
    with pytest.raises(ConfigurationError, match="is empty"):
        archive.Archive.load(tmp_path / "train.pt")


def test_a_users_mistake_ends_in_one_line_without_a_traceback():
    command = [sys.executable, "tools/train.py", "stesp=3"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr.startswith("train: unknown setting stesp; known: ")
    assert "Traceback" not in result.stderr and result.stderr.count("\n") == 1
