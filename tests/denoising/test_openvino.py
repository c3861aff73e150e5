"""OpenVINO in the place of ONNX Runtime: the same answer, its own signal to stop, and when it is chosen."""

import importlib.util
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from snrstream.denoising import backend_choice, openvino_backend
from snrstream.denoising.backend_choice import Found, candidates, measured, open_model
from snrstream.denoising.check import FAILED, check_model
from snrstream.denoising.loaded import load_model
from snrstream.denoising.manifest import load_manifest
from snrstream.denoising.model import Model
from snrstream.denoising.recorded import record_test_vector
from snrstream.denoising.runs import TIMEOUT_S
from snrstream.errors import ModelError

from .conftest import halving_model, warnings_of
from .images import random_image
from .networks import REMEMBERS, Limited, remembering_file, torchscript

if importlib.util.find_spec("openvino") is None:  # an import by itself would tell its maker
    pytest.skip("OpenVINO is not installed", allow_module_level=True)


@pytest.fixture
def everywhere(monkeypatch) -> None:
    """As if this processor had bfloat16, for which OpenVINO is chosen."""
    monkeypatch.setattr(backend_choice, "AUTOMATIC", ("openvino",))


def gmap_of(image: np.ndarray) -> np.ndarray:
    return np.ones(image.shape, np.float32)


def taking(milliseconds: dict[str, float]):
    """`measured`, but for the times, by backend."""

    def told(models: list[Model], timeout_s: float, edge: int = 1) -> list[Found]:
        return [found._replace(ms=milliseconds[found.model.backend]) for found in measured(models, timeout_s, edge)]

    return told


@pytest.mark.parametrize("shape", [(1, 30, 41), (3, 64, 64), (1, 200, 96)])
def test_a_model_answers_as_on_onnx_runtime_whatever_its_size(shape) -> None:
    manifest, path = load_manifest("snraware_unet2d")
    image = 5 * random_image(shape)
    expected = Model(manifest, path).denoise(image, gmap_of(image))
    model = Model(manifest, path, TIMEOUT_S, ("openvino", "cpu"))
    assert np.abs(model.denoise(image, gmap_of(image)) - expected).max() < 1e-3
    assert (model.backend, model.device, model.fallbacks) == ("openvino", "CPU f32", ())


@pytest.mark.usefixtures("everywhere")
def test_a_model_that_remembers_is_timed_and_compared_like_any_other(install, monkeypatch) -> None:
    pytest.importorskip("onnxscript")
    place = install(remembering_file(), **REMEMBERS)
    record_test_vector(place)
    manifest, path = load_manifest("tiny")
    found = open_model(manifest, path, TIMEOUT_S, "openvino")
    assert (found.backend, found.device[:4]) == ("openvino", "CPU ")
    monkeypatch.setattr(backend_choice, "measured", taking({"openvino": 1.0, "onnxruntime": 2.0}))
    assert open_model(manifest, path, TIMEOUT_S).backend == "openvino"
    monkeypatch.setattr(backend_choice, "measured", taking({"openvino": 2.0, "onnxruntime": 2.0}))
    assert open_model(manifest, path, TIMEOUT_S).backend == "onnxruntime"


def test_threads_share_a_model(install) -> None:
    install()
    model = Model(*load_manifest("tiny"), TIMEOUT_S, ("openvino", "cpu"))
    images = [random_image((1, 24, 8 * n)) for n in range(1, 9)]
    answers: dict[int, np.ndarray] = {}

    def work(n: int) -> None:
        for _ in range(20):
            answers[n] = model.denoise(images[n], gmap_of(images[n]))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(len(images))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.allclose(answers[n], 0.5 * image) for n, image in enumerate(images))


def test_a_run_ends_when_it_is_told_to() -> None:
    manifest, path = load_manifest("snraware_unet2d")
    load, _ = openvino_backend.opening(path.read_bytes(), manifest, "openvino")
    backend, batch = load(), np.ones((1, 3, 1, 1536, 1536), np.float32)
    stop = backend.stop()
    threading.Timer(0.1, setattr, (stop, "terminate", True)).start()
    with pytest.raises(RuntimeError):
        backend.run(batch, stop)
    with pytest.raises(RuntimeError, match="before it began"):
        backend.run(batch, stop)
    small = np.ones((1, 3, 1, 16, 16), np.float32)
    assert backend.run(small, backend.stop()).shape == (1, 2, 1, 16, 16), "the next one is not cut"


@pytest.mark.usefixtures("everywhere")
def test_openvino_is_taken_where_it_is_much_faster_and_answers_alike(install, monkeypatch) -> None:
    place = install()
    record_test_vector(place)
    for ms, expected in (
        ({"onnxruntime": 10, "openvino": 7}, "openvino"),
        ({"onnxruntime": 10, "openvino": 9}, "onnx"),
    ):
        monkeypatch.setattr(backend_choice, "measured", taking(ms))
        assert open_model(*load_manifest("tiny"), TIMEOUT_S).backend.startswith(expected)


@pytest.mark.usefixtures("everywhere")
def test_a_fast_backend_with_another_answer_is_not_taken(install, monkeypatch) -> None:
    record_test_vector(install())
    monkeypatch.setattr(backend_choice, "measured", taking({"onnxruntime": 10, "openvino": 1}))
    real = openvino_backend.OpenVinoBackend.run
    monkeypatch.setattr(openvino_backend.OpenVinoBackend, "run", lambda self, *batch: real(self, *batch) + 0.02)
    assert open_model(*load_manifest("tiny"), TIMEOUT_S).backend == "onnxruntime"
    with pytest.raises(ModelError, match="OpenVINO's answer is not the recorded one; expected backend onnxruntime"):
        open_model(*load_manifest("tiny"), TIMEOUT_S, "openvino")


@pytest.mark.parametrize(("rms", "largest", "agrees"), [
    (0.003, 0.03, True), (0.011, 0.03, False), (0.003, 0.11, False), (None, None, False),
])  # fmt: skip
def test_an_answer_is_the_recorded_one_within_its_tolerance(install, rms, largest, agrees) -> None:
    record_test_vector(install())
    assert Found(Model(*load_manifest("tiny")), rms, largest, 1.0).agrees == agrees


def test_a_model_without_a_recorded_answer_stays_with_onnx_runtime(install) -> None:
    install()
    assert load_model("tiny").backend == "onnxruntime"
    assert load_model("tiny", backend="openvino").backend == "openvino", "who names it has it"


@pytest.mark.usefixtures("everywhere")
def test_a_damaged_test_vector_keeps_nobody_from_denoising(install, caplog) -> None:
    place = install()
    record_test_vector(place)
    (place / "test_vector.npz").write_bytes(b"no more")
    assert load_model("tiny").backend == "onnxruntime"
    (told,) = warnings_of(caplog)
    assert told.startswith("OpenVINO is not considered: model tiny: test_vector.npz has sha256")


@pytest.mark.usefixtures("everywhere")
def test_the_check_of_a_model_allows_what_the_choice_allows(install, monkeypatch) -> None:
    """bfloat16 is off by more than the tolerance in single pixels."""
    record_test_vector(install(noise_reduction=0.5))
    monkeypatch.setattr(backend_choice, "measured", taking({"onnxruntime": 10, "openvino": 1}))
    real = openvino_backend.OpenVinoBackend.run

    def nearly(self: openvino_backend.OpenVinoBackend, *batch: object) -> np.ndarray:
        answer = real(self, *batch)
        answer[..., ::50, ::50] += 0.03
        return answer

    monkeypatch.setattr(openvino_backend.OpenVinoBackend, "run", nearly)
    found = list(check_model("tiny"))
    assert not [text for label, text in found if label == FAILED]
    assert [text for label, text in found if "openvino" in text and text.endswith("in use")]


def test_what_cannot_be_had_is_named(install, monkeypatch) -> None:
    install(torchscript(Limited(items=8, edge=64)), format="torchscript")
    for backend in ("openvino", "onnxruntime"):
        with pytest.raises(ModelError, match=f"is torchscript; expected an ONNX file for backend {backend}"):
            load_model("tiny", backend=backend)
    assert load_model("tiny").backend == "torchscript"
    install(halving_model())
    monkeypatch.setattr(backend_choice.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match="openvino, which is not installed"):
        load_model("tiny", backend="openvino")
    assert candidates(Model(*load_manifest("tiny")), TIMEOUT_S) == []


def test_a_failing_run_goes_on_with_onnx_runtime(install, monkeypatch) -> None:
    install()
    model, image = load_model("tiny", backend="openvino"), random_image((1, 16, 16))

    def fail(*_: object) -> np.ndarray:
        raise RuntimeError("the plugin broke")

    monkeypatch.setattr(openvino_backend.OpenVinoBackend, "run", fail)
    assert np.allclose(model.denoise(image, gmap_of(image)), 0.5 * image)
    assert (model.backend, model.device) == ("onnxruntime", "CPUExecutionProvider")
    assert model.fallbacks == ("CPU f32 to cpu: model tiny: failed on 1 x 16 x 16: the plugin broke",)


def test_nothing_is_told_to_its_maker(tmp_path: Path) -> None:
    """Its telemetry keeps a number for each home directory, from the first import on."""
    code = "from snrstream.denoising import openvino_backend as b; assert b.devices(); import sys; " \
           "assert 'openvino_telemetry.main' not in sys.modules"  # fmt: skip
    environment = {"HOME": str(tmp_path), "PYTHONPATH": ":".join(sys.path)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    assert list(tmp_path.iterdir()) == []
