"""TorchScript models: SNRAware's contract, agreement with ONNX, and what must not reach a user."""

import json
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path

import numpy as np
import pytest

from snrstream.denoising.loaded import load_model
from snrstream.errors import ModelError

from .networks import Endless, Magnitude, Published, Smoothing, onnx_file, torchscript
from .test_tiling import stack

PUBLISHED = {
    "format": "torchscript", "frames": "time", "patch": [16, 64, 64], "overlap": [8, 16, 16], "divisor": 1,
}  # fmt: skip


@pytest.mark.parametrize("shape", [(16, 64, 64), (20, 101, 150), (3, 40, 70), (1, 64, 65)])
def test_a_model_of_snrawares_published_contract_runs_unchanged(install, shape) -> None:
    install(torchscript(Published()), **PUBLISHED)
    model = load_model("tiny")
    assert (model.backend, model.fallbacks, model.manifest.n_frames) == ("torchscript", (), 16)
    assert model.tile(shape) == (16, 64, 64)
    image, gmap = stack(shape)
    denoised = model.denoise(image, gmap)
    assert denoised.shape == shape and denoised.dtype == np.complex64
    assert 0.05 < np.abs(denoised - image).std() < 2


def test_one_patch_is_the_networks_own_answer(install) -> None:
    import torch

    install(torchscript(Published()), **PUBLISHED)
    image, gmap = stack((16, 64, 64))
    x = torch.from_numpy(np.stack([image.real, image.imag, gmap])[None])
    with torch.no_grad():
        real, imag = Published()(x)[0].numpy()
    denoised = load_model("tiny").denoise(image, gmap)
    assert np.abs(denoised - (real + 1j * imag)).max() < 1e-5  # float32, values up to 25


def test_onnx_and_torchscript_agree(install) -> None:
    install(onnx_file(Smoothing()), name="onnx", frames="time", divisor=8)
    install(torchscript(Smoothing()), name="torchscript", format="torchscript", frames="time", divisor=8)
    image, gmap = stack((6, 75, 130))
    one, other = (load_model(name).denoise(image, gmap) for name in ("onnx", "torchscript"))
    assert np.abs(one - other).max() < 1e-4  # noise SDs
    assert load_model("onnx").backend == "onnxruntime"


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"no archive at all", "model tiny: model.onnx cannot be loaded: "),
        (torchscript(Magnitude()), r"answered with shape \(1, 1, 1, 64, 64\); expected \(1, 2, 1, 64, 64\)"),
    ],
)
def test_what_is_no_torchscript_file_or_of_another_contract_is_refused_at_loading(install, data, match) -> None:
    install(data, format="torchscript")
    with pytest.raises(ModelError, match=match) as caught:
        load_model("tiny")
    assert "\n" not in str(caught.value) and "Traceback" not in str(caught.value)


def test_nothing_of_torchs_warnings_about_itself_is_heard(install) -> None:
    install(torchscript(Smoothing()), format="torchscript", frames="time")
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        load_model("tiny").denoise(*stack((1, 13, 18)))
    assert not heard


CHILD = """
    import json, sys
    from pathlib import Path
    import numpy as np
    from snrstream.denoising import manifest
    from snrstream.denoising.loaded import load_model
    from snrstream.errors import ModelError
    from snrstream.system.time_limit import leave

    manifest.folders = lambda kind: [Path(sys.argv[1])]
    model = load_model("tiny")
    for n_frames in (1, 2, 1):
        shape = (n_frames, 8, 8)
        try:
            model.denoise(np.ones(shape, np.complex64), np.ones(shape, np.float32), 1.0)
            print(json.dumps("denoised"))
        except ModelError as exc:
            print(json.dumps(str(exc)))
    leave(3)
"""


def test_a_module_that_hangs_is_left_behind_and_refused(install) -> None:
    """In a process of its own, which ends although the thread that it left behind still computes."""
    models = install(torchscript(Endless()), format="torchscript").parent
    root = Path(__file__).parents[2]
    child = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(CHILD), str(models)],
        env={"PYTHONPATH": f"{root / 'gadgets'}:{root}", "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert child.returncode == 3 and not child.stderr, child.stderr
    assert [json.loads(line) for line in child.stdout.splitlines()] == [
        "denoised",
        "model tiny: failed on 2 x 8 x 8: no answer within 1 s (timeout_s)",
        "model tiny: failed on 1 x 8 x 8: an earlier run that exceeded its time limit still goes on",
    ]
