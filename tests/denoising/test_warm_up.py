"""Models are ready before the first scan, and shared by all clients."""

import itertools
import shutil
import sys
import threading

import ismrmrd
import numpy as np
import onnxruntime
import pytest

from snrstream.chain import trial_scan
from snrstream.chain.pipelines import named_chain
from snrstream.chain.warm_up import warm_up
from snrstream.gadgets import denoise
from snrstream.system.resources import folder
from snrstream.wire.messages import ConfigFile, Header
from snrtrain.benchmarks import small_scan
from tests.sessions import answers_to

from .conftest import warnings_of

SCAN = [ConfigFile("grappa_denoise"), Header(small_scan.HEADER)]
N_CLIENTS = 4
N_MODELS = 2  # of the shipped pipelines
RUNTIME = sys.modules[denoise.load_model.__module__]


@pytest.fixture
def loads(monkeypatch) -> list[object]:
    """What ONNX Runtime opens from now on; no model is loaded yet."""
    monkeypatch.setattr(RUNTIME, "_loaded", {})
    opened, real = [], onnxruntime.InferenceSession

    def counted(path, *args, **kwargs):
        opened.append(path)
        return real(path, *args, **kwargs)

    monkeypatch.setattr(onnxruntime, "InferenceSession", counted)
    return opened


def forget(loads: list[object]) -> None:
    """As if no model had been loaded yet."""
    RUNTIME._loaded.clear()
    loads.clear()


def images() -> list[ismrmrd.Image]:
    answers = answers_to(itertools.chain(SCAN, small_scan.acquisitions()))
    return [answer for answer in answers if isinstance(answer, ismrmrd.Image)]


def test_the_first_scan_finds_its_model_loaded_and_run(loads, monkeypatch, caplog) -> None:
    runs, kind = [], type(denoise.load_model("snraware"))
    real = kind.denoise
    forget(loads)

    def counted(model, image, *others):
        runs.append(image.shape)
        return real(model, image, *others)

    monkeypatch.setattr(kind, "denoise", counted)
    warm_up()
    assert len(loads) == N_MODELS
    assert sorted(runs) == [(1, 64, 64), (7, 64, 64)]
    assert not warnings_of(caplog)
    assert images()[-1].meta["SNRSTREAM_denoised"] == "true"
    assert len(loads) == N_MODELS and len(runs) == N_MODELS + 1


def test_a_model_that_fails_is_a_warning_and_the_server_goes_on(install, caplog) -> None:
    install(b"no model at all", name="snraware")
    warm_up()
    told = [warning for warning in warnings_of(caplog) if "unknown model" not in warning]  # the other one is not there
    assert len(told) == 1 and told[0].startswith("not ready: model snraware: model.onnx cannot be loaded")


def test_a_pipeline_that_cannot_be_read_is_a_warning_too(tmp_path, loads, monkeypatch, caplog) -> None:
    for path in folder("pipelines").glob("*.xml"):
        shutil.copy(path, tmp_path)
    (tmp_path / "broken.xml").write_text("<configuration>")
    monkeypatch.setenv("SNRSTREAM_PIPELINES", str(tmp_path))
    warm_up()
    (warning,) = warnings_of(caplog)
    assert "broken.xml" in warning
    assert len(loads) == N_MODELS, "the others are warmed up all the same"


def test_the_trial_scan_is_reconstructed_as_a_scan_in_snr_units_is(caplog) -> None:
    images = list(named_chain("grappa_snr").run(trial_scan.acquisitions(), trial_scan.HEADER))
    assert images and not warnings_of(caplog)
    for image in images:
        assert not image.meta.keys() & {"SNRSTREAM_snr_units", "SNRSTREAM_warning"}
        assert image.data.shape == (1, 1, trial_scan.N_E1, trial_scan.N_PIXELS) and np.isfinite(image.data).all()


def test_each_reconstruction_is_tried_once_and_one_that_fails_is_a_warning(loads, monkeypatch, caplog) -> None:
    monkeypatch.setattr(trial_scan, "N_ACS", 2)
    warm_up()
    warnings = warnings_of(caplog)
    assert len(warnings) == 2 and all(text.startswith("not ready: ACS has 2 lines") for text in warnings)


def test_clients_at_once_share_one_loaded_model_and_get_what_a_single_one_gets(loads) -> None:
    alone = images()
    forget(loads)
    gate, found = threading.Barrier(N_CLIENTS), {}

    def client(number: int) -> None:
        gate.wait(60)
        found[number] = images()

    threads = [threading.Thread(target=client, args=(number,)) for number in range(N_CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loads) == 1
    assert len(found) == N_CLIENTS
    for several in found.values():
        assert [image.image_series_index for image in several] == [image.image_series_index for image in alone]
        for one, other in zip(several, alone, strict=True):
            assert np.array_equal(one.data, other.data) and one.attribute_string == other.attribute_string


def test_a_servers_log_tells_the_trial_scan_from_a_patients(loads, caplog) -> None:
    with caplog.at_level("INFO"):
        warm_up()
    told = [f"{record.threadName}: {record.getMessage()}" for record in caplog.records]
    assert len(told) > 2 and any("prewhitening" in line for line in told)
    assert all(line.startswith("trial scan: ") for line in told)
    caplog.clear()
    with caplog.at_level("INFO"):
        images()
    assert caplog.records and not any("trial" in record.threadName for record in caplog.records)
