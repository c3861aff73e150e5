"""A model's time limit, and what becomes of a model that does not keep it."""

import threading

import numpy as np
import pytest

from snrstream.denoising.loaded import load_model
from snrstream.errors import ModelError, ModelTimeout
from snrstream.system import time_limit
from snrstream.system.time_limit import within

from .broken_models import hanging_model, hungry_model
from .images import random_image

G_MAP = np.ones((1, 13, 18), np.float32)


def test_a_model_that_hangs_is_stopped_and_can_be_run_again(install) -> None:
    install(hanging_model())
    model, n_threads = load_model("tiny"), threading.active_count()
    for _ in range(2):
        with pytest.raises(ModelTimeout, match="model tiny: failed on 1 x 13 x 18: no answer within 0.5 s"):
            model.denoise(random_image(), G_MAP, 0.5)
        assert threading.active_count() == n_threads


def test_a_model_that_wants_petabytes_fails_and_the_process_lives_on(install) -> None:
    install(hungry_model())
    for _ in range(2):
        with pytest.raises(ModelError, match="failed on 1 x 13 x 18: .*Failed to allocate memory"):
            load_model("tiny").denoise(random_image(), G_MAP)


def test_a_hanging_model_does_not_hold_up_another_one(install) -> None:
    install()
    install(hanging_model(), name="hanging")
    image, failures = random_image(), []
    hanging = load_model("hanging")

    def hang() -> None:
        try:
            hanging.denoise(image, G_MAP, 3.0)
        except ModelTimeout as exc:
            failures.append(str(exc))

    thread = threading.Thread(target=hang)
    thread.start()
    assert np.array_equal(load_model("tiny").denoise(image, G_MAP), image * np.float32(0.5))
    assert thread.is_alive()
    thread.join()
    assert failures == ["model hanging: failed on 1 x 13 x 18: no answer within 3 s (timeout_s)"]


def test_work_is_taken_again_once_what_was_left_behind_has_ended(monkeypatch) -> None:
    monkeypatch.setattr(time_limit, "GRACE_S", 0.05)
    told, end, worker = threading.Event(), threading.Event(), []

    def work() -> None:
        worker.append(threading.current_thread())
        end.wait(60)

    with pytest.raises(TimeoutError, match="no answer within 0.05 s"):
        within(0.05, "model", work, told.set)
    assert told.is_set()
    with pytest.raises(RuntimeError, match="still goes on"):
        within(10, "model", lambda: 1, told.set)
    assert within(10, "another", lambda: 1, told.set) == 1
    end.set()
    worker[0].join(60)
    assert within(10, "model", lambda: 1, told.set) == 1


def test_concurrent_scans_share_one_model(install) -> None:
    install()
    models, gate = [], threading.Barrier(8)

    def one() -> None:
        gate.wait(30)
        models.append(load_model("tiny"))

    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(models) == 8 and len(set(map(id, models))) == 1
