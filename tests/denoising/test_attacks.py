"""What models, manifests and clients might do to a scan, and do not."""

import dataclasses
import io
import itertools
import threading
import time

import ismrmrd
import numpy as np
import pytest
import torch
from torch import nn

from snrstream.denoising import neighbours
from snrstream.denoising.loaded import load_model
from snrstream.errors import ModelError, ModelTimeout, ScanError
from snrstream.gadgets import denoise, image_finish
from snrstream.gadgets.gadget import Scan, stream
from snrstream.gadgets.gadget import run as run_gadget
from snrstream.image_kind import ImageKind
from snrstream.wire.encoder import encode
from snrstream.wire.messages import Pause
from tests.scans import NO_HEADER

from .broken_models import hanging_model, slowly_loading_model
from .frame_model import FrameMean
from .images import recon_image
from .networks import torchscript

PROMPT = 30.0  # seconds on a busy machine, for what would take an hour


class Told(nn.Module):
    """Raises with characters that steer a terminal, once it is loaded."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[-1] == 20:
            raise RuntimeError("bad \x1b[31m\x01 size")
        return x[:, :2]


class Cast(nn.Module):
    """Answers in another type than it was asked in."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, :2].to(self.dtype)


def run(items, **properties):
    return stream(denoise, items, Scan(NO_HEADER), denoise.Parameters(model="tiny", **properties))


@pytest.mark.parametrize("spoilt", [{"a\x00b": 1}, {"a\x01": 1}, {"a\x1b[31m": 1}, {}])
def test_texts_of_others_neither_break_an_images_attributes_nor_steer_a_terminal(install, caplog, spoilt) -> None:
    install(**spoilt) if spoilt else install(torchscript(Told()), format="torchscript")
    finish = image_finish.Parameters(output="magnitude")
    out = list(run_gadget(image_finish, run([recon_image(shape=(1, 12, 20))]), NO_HEADER, finish))
    assert {1, 2} <= {image.image_series_index for image in out}
    for image in out:
        data = encode(image)
        assert b"\x1b" not in data.partition(b"<ismrmrdMeta>")[2].partition(b"</ismrmrdMeta>")[0]
        assert ismrmrd.Meta.deserialize(image.attribute_string)["GADGETRON_ScaleRatio"]
    told = [record.getMessage() for record in caplog.records if "not denoised" in record.getMessage()]
    assert len(told) == 1 and told[0].isprintable() and "\\x" in told[0]


def test_a_scan_that_ends_early_ends_its_network_too(install) -> None:
    install(hanging_model())
    before = threading.active_count()
    out = run([Pause(), recon_image(), recon_image(1)], timeout_s=3000.0)
    assert isinstance(next(out), Pause) and [next(out).kind for _ in range(2)] == 2 * [ImageKind.ORIGINAL]
    start = time.monotonic()
    out.close()
    while threading.active_count() > before:
        assert time.monotonic() < start + PROMPT
        time.sleep(0.05)
    install()
    second = next(itertools.islice(run([recon_image()], alpha=0.0), 1, None))
    assert second.kind is ImageKind.DENOISED, "the next scan has its model"


def test_a_model_that_is_being_loaded_holds_up_no_other_and_those_who_want_it_as_long_as_they_say(install) -> None:
    install(slowly_loading_model(2400), name="slow")
    install(name="tiny")
    before = threading.active_count()

    def load() -> None:
        with pytest.raises(ModelTimeout):
            load_model("slow", 3.0)

    loading = threading.Thread(target=load)
    loading.start()
    time.sleep(0.5)
    assert load_model("tiny") is load_model("tiny")
    with pytest.raises(ModelTimeout, match=r"another scan has been loading it for 0.5 s \(timeout_s\)"):
        load_model("slow", 0.5)
    assert loading.is_alive()
    loading.join()
    while threading.active_count() > before:  # what was left behind would disturb the tests that follow
        time.sleep(0.1)


@pytest.mark.parametrize("frames", ["streaming", "series"])
@pytest.mark.parametrize("pauses", [[], [Pause()]])
def test_a_scan_that_fails_has_a_second_for_each_original_that_left(use, frames, pauses) -> None:
    use(FrameMean())

    def source():
        yield from pauses
        yield from (recon_image(n, repetition=n) for n in range(4))
        raise ScanError("no more")

    out = []
    with pytest.raises(ScanError, match="no more"):
        out.extend(run(source(), frames=frames))  # what came before the error stays in it
    assert sum(item.kind is ImageKind.DENOISED for item in out if not isinstance(item, Pause)) == 4


def test_a_patient_who_moves_all_the_time_costs_no_more_with_each_image(use, monkeypatch) -> None:
    use(FrameMean(n_frames=4))
    seen = []
    remembered = neighbours.Neighbours._group

    def counted(collected, image):
        group = remembered(collected, image)
        seen.append(sum(len(groups) for groups in collected._groups.values()))
        return group

    monkeypatch.setattr(neighbours.Neighbours, "_group", counted)
    out = list(run([recon_image(n, repetition=n, position=(n, 0, 0)) for n in range(40)]))
    assert sum(item.kind is ImageKind.DENOISED for item in out) == 40 and max(seen) <= 9


@pytest.mark.parametrize("dtype", [torch.complex64, torch.int64, torch.bool])
def test_answers_that_are_no_floating_point_numbers_are_refused(install, dtype) -> None:
    install(torchscript(Cast(dtype)), format="torchscript")
    with pytest.raises(ModelError, match=f"answered with {dtype}; expected floating point numbers"):
        load_model("tiny")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floating_point_numbers_are_taken(install, dtype) -> None:
    install(torchscript(Cast(dtype)), format="torchscript")
    image = np.full((1, 8, 8), 2 + 1j, np.complex64)
    assert np.array_equal(load_model("tiny").denoise(image, np.ones(image.shape, np.float32)), image)


def test_pixels_whose_energy_overflows_are_refused(install) -> None:
    install()
    image = recon_image()
    huge = dataclasses.replace(image, image=image.image * np.float32(1e30))
    _, second = run([huge], strength=100.0)
    assert second.kind is ImageKind.STAND_IN and second.warnings[0].endswith(
        "expected less than 1e+15 (at strength 100)"
    )


def test_a_log_has_a_bounded_number_of_reasons(use, caplog) -> None:
    use(FrameMean(n_frames=1, failures=[ModelError(f"reason {n}") for n in range(60)]))
    out = list(run([recon_image(n, repetition=n) for n in range(60)]))
    assert sum(item.kind is ImageKind.STAND_IN for item in out) == 60 and out[-1].warnings == (
        "not denoised: reason 59",
    )
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == denoise.MOST_TOLD and told[-1].endswith("further reasons stand in the images alone")


def test_the_reason_of_a_torchscript_module_is_told_in_all_its_lines(install) -> None:
    class Lines(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if x.shape[-1] == 20:
                raise RuntimeError("first\nsecond")
            return x[:, :2]

    data = io.BytesIO()
    with pytest.warns((DeprecationWarning, FutureWarning), match="torch.jit"):
        torch.jit.save(torch.jit.script(Lines()), data)
    install(data.getvalue(), format="torchscript")
    _, second = run([recon_image(shape=(1, 12, 20))])
    assert second.warnings[0].endswith("first second")
