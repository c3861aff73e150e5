"""`snrstream models`: real model files, good and broken, and the shipped one."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from snrstream.cli.main import main
from snrstream.denoising.check import flat_images, noise_remaining
from snrstream.denoising.manifest_fields import Manifest
from snrstream.denoising.onnx_backend import OnnxBackend
from snrstream.denoising.recorded import record_test_vector

from .. import shipped
from ..denoising import conftest
from ..denoising.conftest import MANIFEST, PARSED, halving_model
from ..denoising.networks import REMEMBERS, Global, Magnitude, Neighbours, Published, remembering_file, torchscript
from ..denoising.test_torchscript import PUBLISHED

install = conftest.install  # the fixture
ROOT = Path(__file__).resolve().parents[2]
GADGETS, MODELS = ROOT / "gadgets", ROOT / "models"
SLICES = {"format": "torchscript", "input": "magnitude_slices", "frames": "slice", "layout": "B,S,H,W", "n_frames": 5}


@pytest.fixture
def models(capsys):
    """A function that runs `snrstream models` and gives status, lines of stdout and what stderr ends with."""

    def run(*arguments: str) -> tuple[int, list[str], str]:
        status = main(["models", *arguments])
        out, err = capsys.readouterr()
        assert "Traceback" not in err and "internal error" not in err
        return status, out.splitlines(), (err.splitlines() or [""])[-1]

    return run


def only(lines: list[str], label: str) -> str:
    (text,) = (line.strip().removeprefix(label).strip() for line in lines if line.strip().startswith(label))
    return text


def test_the_shipped_models_are_listed(models) -> None:
    status, lines, _ = models("list")
    assert status == 0
    assert [row for row in map(str.split, lines[1:]) if row[0] in shipped.MODELS] == [
        ["sn2n_unet25d", "1.0.1", "onnx", "magnitude_slices", "slice", "0.2", "MIT", str(MODELS)],
        ["snraware", "1.0.0", "onnx", "complex_gmap", "none", "0", "MIT", str(MODELS)],
        ["snraware_time", "1.0.0", "onnx", "complex_gmap", "time", "0", "MIT", str(MODELS)],
        ["snraware_unet2d", "1.2.0", "onnx", "complex_gmap", "none", "0", "MIT", str(MODELS)],
    ]


@pytest.mark.parametrize(
    ("name", "size", "seam"),
    [("sn2n_unet25d", "1.8", 0.5), ("snraware", "11.4", 0.05), ("snraware_unet2d", "6.1", 0.05)],
)
def test_a_shipped_model_is_shown_and_passes_its_check(models, name, size, seam) -> None:
    status, lines, _ = models("show", name)
    assert status == 0 and "matches the file" in lines[6] and only(lines, "file") == f"model.onnx, {size} MiB"
    status, lines, _ = models("check", name)
    assert status == 0 and lines[0] == name and only(lines, "passed") == "all checks"
    found, stated = map(float, re.findall(r"([\d.]+)%", only(lines, "noise")))
    assert found == pytest.approx(stated, rel=0.01)
    backend = r"(onnxruntime on \w+ExecutionProvider|openvino on CPU \w+)"
    assert re.fullmatch(rf"[0-9.]+ ms a frame of 256 x 256, {backend}, best of 2", only(lines, "speed"))
    assert 0 < float(only(lines, "seam of tiles").split()[0]) < seam  # an instance norm sees the tile, not the image


def test_the_list_says_what_is_wrong_with_each_broken_folder(install, models, tmp_path) -> None:
    install(name="good", licence="x" * 100)
    (install(name="hash") / "model.onnx").write_bytes(b"another")
    (install(name="file") / "model.onnx").unlink()
    (install(name="json") / "manifest.json").write_text("{")
    (install(name="deep") / "manifest.json").write_text("[" * 200_000)
    install(name="keys", drop="licence")
    (install(name="folder") / "manifest.json").unlink()
    (tmp_path / "two\nlines\udcff").mkdir()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "README.md").write_text("no folder")
    status, lines, error = models("list")
    assert status == 1 and len(lines) == 9 and all(line.isprintable() for line in lines)
    assert error.startswith("snrstream: 7 of 8 models cannot be used: deep, file, folder, hash, json, keys, two")
    told = {line.split()[0]: line for line in lines}
    assert "BROKEN: model.onnx has sha256" in told["hash"]
    assert "BROKEN: file 'model.onnx' of its manifest is not in its folder" in told["file"]
    assert "BROKEN: manifest.json cannot be read" in told["json"] and "BROKEN: " in told["deep"]
    assert "BROKEN: manifest.json lacks licence" in told["keys"]
    assert "BROKEN: its folder has no manifest.json" in told["folder"]
    assert "BROKEN: model name" in told["two\\nlines\\udcff"]
    assert f"{37 * 'x'}...  {tmp_path}" in told["good"] and "BROKEN" not in told["good"]


def test_a_folder_without_models_and_none_at_all(models, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("snrstream.denoising.manifest.folders", lambda kind: [tmp_path])
    assert models("list")[:2] == (
        0,
        ["name  version  format  input  frames  alpha  licence  folder", f"(no models in {tmp_path})"],
    )
    assert models("check")[:2] == (0, [f"(no models in {tmp_path})"])
    monkeypatch.setattr("snrstream.denoising.manifest.folders", lambda kind: [tmp_path / "none"])
    for action in ("list", "check"):
        status, lines, error = models(action)
        assert (status, lines) == (1, []) and f"the models folder {tmp_path}/none cannot be read: No such file" in error


def test_models_of_the_user_add_to_the_shipped_ones_and_go_before_them(
    install, models, tmp_path, tmp_path_factory, monkeypatch
) -> None:
    monkeypatch.undo()  # of `install`, whose folder is now one of the environment's
    shutil.copytree(MODELS / "sn2n_unet25d", tmp_path / "sn2n_unet25d")  # a copy, of which nobody need hear
    more = tmp_path_factory.mktemp("more")
    monkeypatch.setenv("SNRSTREAM_MODELS", f"{tmp_path}:{more}/nowhere")
    assert f"the models folder {more}/nowhere cannot be read" in models("list")[2]
    monkeypatch.setenv("SNRSTREAM_MODELS", f"{tmp_path}:{more}")
    install(name="tiny")
    install(name="snraware_unet2d", version="mine")
    shutil.move(tmp_path / "tiny", more / "tiny")
    code = "import sys; from snrstream.cli.main import main; sys.exit(main(['models', 'list']))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(GADGETS)}, capture_output=True, text=True)
    rows = {line.split()[0]: line.split() for line in done.stdout.splitlines()}
    assert done.returncode == 0 and {"tiny", *shipped.MODELS} <= set(rows)
    assert rows["tiny"][-1] == str(more) and rows["sn2n_unet25d"][-1] == str(tmp_path)
    assert rows["snraware_unet2d"][1] == "mine" and rows["snraware_unet2d"][-1] == str(tmp_path)
    (line,) = done.stderr.splitlines()
    assert line.endswith(f"model snraware_unet2d: that of {tmp_path} is used, not that of {MODELS}")


def test_what_a_network_keeps_of_a_stream_is_shown(install, models) -> None:
    install()
    _, lines, _ = models("show", "tiny")
    assert [only(lines, key) for key in ("frames ", "past", "window")] == ["none"] * 3
    install(frames=["time", "slice"], past=[[320, 4], [64, 2]], window=8)
    _, lines, _ = models("show", "tiny")
    assert only(lines, "frames ") == "time, slice"
    assert only(lines, "past") == "320 channels at 1/4, 64 channels at 1/2" and only(lines, "window") == "8"


def test_all_fields_are_shown_and_a_wrong_hash_too(install, models) -> None:
    training = {"data": ["a", "b"], "commit": "c\x1b]0;", "settings": {"steps": 3}, "none": []}
    place = install(torchscript(Published()), **PUBLISHED, training=training, snr_range=[2, 50])
    status, lines, _ = models("show", "tiny")
    assert status == 0 and set(MANIFEST) - {"training"} <= {line.split()[0] for line in lines}
    assert only(lines, "patch") == "16 x 64 x 64 (T, H, W)" and only(lines, "snr_range") == "2 to 50"
    assert only(lines, "data") == "a" and "b" in [line.strip() for line in lines]
    assert only(lines, "settings") == '{"steps": 3}' and only(lines, "commit") == r"c\x1b]0;"
    (place / "model.onnx").write_bytes(b"another")
    status, lines, error = models("show", "tiny")
    assert status == 1 and "DOES NOT MATCH the file" in lines[6]
    assert "model tiny: model.onnx has sha256" in error
    for name, why in {"other": "unknown model 'other'; known: tiny", "../tiny": "is not a plain name"}.items():
        status, lines, error = models("show", name)
        assert (status, lines) == (1, []) and why in error


@pytest.mark.parametrize(
    ("network", "changes", "remains"),
    [
        (None, {}, 0.5),
        (Neighbours(), SLICES, 0.332**0.5),  # its weights squared and added, mirrored at the ends
        (Magnitude(), {"format": "torchscript", "input": "magnitude_gmap", "layout": "B,2,T,H,W",
                       "gfactor_range": [1, 1], "noise_reduction": 1}, 1),
        (Published(), {**PUBLISHED, "noise_reduction": 1}, None),
    ],
)  # fmt: skip
def test_every_contract_is_checked(install, models, network, changes, remains) -> None:
    record_test_vector(install(network and torchscript(network), **changes))
    status, lines, _ = models("check", "tiny", "tiny")
    assert status == 0 and lines.count("tiny") == 1 and only(lines, "passed") == "all checks"
    assert float(only(lines, "recorded answer").split()[2].rstrip(";")) < 1e-4  # float32
    found = float(only(lines, "noise").split()[3].rstrip("%")) / 100
    assert remains is None or found == pytest.approx(remains, abs=0.01)  # 30,000 samples and more
    assert any(
        name in only(lines, "speed")
        for name in (["torchscript on cpu"] if network else ["onnxruntime on CPU", "openvino on CPU"])
    )


def test_the_seam_of_a_model_that_sees_all_of_its_tile_is_told(install, models) -> None:
    changes = {"format": "torchscript", "patch": [1, 64, 64], "overlap": [0, 16, 16], "noise_reduction": 1}
    install(torchscript(Global()), **changes)
    status, lines, _ = models("check")
    assert status == 0 and only(lines, "recorded answer") == "none, nothing to compare with"
    at_borders, largest = (float(text) for text in re.findall(r"[\d.e-]+(?= noise| at most)", only(lines, "seam")))
    assert 0.01 < at_borders < largest < 3, "a tenth of the brightest pixel's spread, in SDs"


def test_a_model_that_fails_is_told_in_a_line_and_the_others_are_checked(install, models) -> None:
    place = install()
    record_test_vector(place)
    recorded = json.loads((place / "manifest.json").read_text())["test_vector"]
    vector = (place / "test_vector.npz").read_bytes()
    (install(halving_model(0.7), name="answer", test_vector=recorded) / "test_vector.npz").write_bytes(vector)
    (install(name="hash") / "model.onnx").write_bytes(b"another")
    install(b"no network", name="network")
    install(halving_model(float("nan")), name="nan")
    install(halving_model(0.9), name="weak", noise_reduction=0.4)
    install(name="range", snr_range=[0.01, 0.02])
    (install(name="vector", test_vector=recorded) / "test_vector.npz").write_bytes(vector[:-1])
    install(halving_model(1e38), name="huge")
    status, lines, error = models("check")
    assert status == 1 and error == (
        "snrstream: 8 of 9 models failed the check: answer, hash, huge, nan, network, range, vector, weak"
    )
    blocks = {block.splitlines()[0]: block.splitlines() for block in "\n".join(lines).split("\n\n")}
    expected = {
        "answer": "its answer differs from the recorded one by",
        "hash": "model.onnx has sha256",
        "huge": "answered with",
        "nan": "answered with NaN",
        "network": "model.onnx cannot be loaded",
        "range": "the brightest SNR is",
        "vector": "test_vector.npz has sha256",
        "weak": "90.0% of the noise remains; expected 40.0%",
    }
    for name, why in expected.items():
        assert why in only(blocks[name], "FAILED"), name
    assert only(blocks["tiny"], "passed") == "all checks"
    assert only(blocks["answer"], "seam of tiles"), "the rest is measured all the same"


@pytest.mark.parametrize("ranges", [{}, {"snr_range": (30.0, 40.0), "gfactor_range": (1.2, 1.4)}])
def test_the_test_image_is_in_snr_units_and_within_the_trained_ranges(ranges) -> None:
    manifest = Manifest(**{**PARSED, **ranges})
    noisy, gmap, flat = flat_images(manifest)
    assert noisy.shape == (2, 1, 256, 256) and noisy.dtype == np.complex64 and gmap.dtype == np.float32
    noise = ((noisy[0] - noisy[1]) / gmap / 2**0.5)[:, flat]
    assert abs(noise.real.std() - 1) < 0.02 and abs(noise.imag.std() - 1) < 0.02  # 30,000 samples: 0.004
    low, high = ranges.get("gfactor_range", (1.0, 1.5))
    assert low <= gmap.min() < gmap.max() <= high
    assert noise_remaining(manifest, noisy, 0.25 * noisy, flat) == pytest.approx(0.25, rel=1e-6)
    np.testing.assert_array_equal(noisy, flat_images(manifest)[0])


@pytest.mark.parametrize(("arguments", "light"), [(["models", "--help"], True), (["models", "list"], False)])
def test_help_and_list_import_nothing_heavy(arguments, light) -> None:
    heavy = {"torch", "onnxruntime", "pydicom", "h5py", "ismrmrd"} | ({"numpy"} if light else set())
    code = f"""
import sys
from snrstream.cli.main import main
try:
    main({arguments!r})
finally:
    print(sorted({heavy!r} & set(sys.modules)))
"""
    environment = {**os.environ, "PYTHONPATH": str(GADGETS)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "[]"


def test_an_answer_that_was_recorded_is_compared_later(models, install) -> None:
    place = install()
    assert models("record", "tiny")[:2] == (0, ["tiny 0.1: test_vector.npz written, tolerance 0.01"])
    assert only(models("check", "tiny")[1], "recorded answer") == "differs by 0; tolerance 0.01"
    assert json.loads((place / "manifest.json").read_text())["test_vector"]["file"] == "test_vector.npz"
    assert models("record", "none")[::2] == (1, "snrstream: unknown model 'none'; known: tiny")


def test_a_stream_is_measured_and_held_against_the_whole_series(models, install, monkeypatch) -> None:
    pytest.importorskip("onnxscript")
    install(remembering_file(), **{**REMEMBERS, "frames": "time"}, noise_reduction=5.0)
    monkeypatch.setattr("snrstream.denoising.check.EDGE", 64)
    status, lines, told = models("check", "tiny")
    assert status == 0, told
    assert not any("run each time" in line for line in lines), "each frame is run once"
    assert only(lines, "stream").endswith("ms an image of 64 x 64 in a streamed series, which keeps 0.9 MiB")
    (off,) = (line.strip() for line in lines if line.strip().startswith("off the whole series"))
    assert float(off.split()[5]) < 1e-3
    monkeypatch.setattr(OnnxBackend, "run_remembering", forgetting(OnnxBackend.run_remembering))
    _, lines, told = models("check", "tiny")
    assert "a stream differs from the whole causal series by" in only(lines, "FAILED") and "failed the check" in told


def forgetting(run):
    """Of a backend that sees nothing of the past."""
    return lambda self, x, causal, past, stop: run(self, x, causal, [part[:, :0] for part in past], stop)


def test_the_cost_of_streaming_is_told_beside_that_of_a_frame(models, install) -> None:
    install(halving_model(), frames="time", n_frames=8)
    _, lines, _ = models("check", "tiny")
    (streamed,) = (line for line in lines if "in a streamed series, for its 8 frames run each time" in line)
    frame = float(only(lines, "speed").split()[0])
    assert float(streamed.split()[0]) == pytest.approx(8 * frame, rel=0.01)
