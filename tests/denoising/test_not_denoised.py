"""Whatever is wrong with a model: every image comes, and one that is not denoised says so."""

import dataclasses
import json
import subprocess
import textwrap
import threading
import time
from collections.abc import Iterable
from pathlib import Path

import ismrmrd
import numpy as np
import pytest

from snrstream.denoising.local_means import keep_local_means
from snrstream.gadgets import denoise, image_finish
from snrstream.gadgets.gadget import run as run_gadget
from snrstream.items import ReconImage
from snrstream.system import time_limit
from tests.processes import forked
from tests.scans import NO_HEADER

from .broken_models import hanging_model, hungry_model, slowly_loading_model, stubborn_model
from .conftest import halving_model, warnings_of
from .images import recon_image

GADGETS = Path(denoise.__file__).resolve().parents[2]
N_IMAGES = 12


def scan(recons: Iterable[ReconImage] | None = None, **properties) -> dict[int, list[ismrmrd.Image]]:
    """The outgoing images of a scan, by series. The model is `tiny`, alpha 0."""
    recons = [recon_image(seed) for seed in range(N_IMAGES)] if recons is None else recons
    parameters = denoise.Parameters(**{"model": "tiny", "alpha": 0.0, **properties})
    series: dict[int, list[ismrmrd.Image]] = {1: [], 2: [], 20: []}
    finish = image_finish.Parameters(output="complex")
    for image in run_gadget(image_finish, run_gadget(denoise, recons, NO_HEADER, parameters), NO_HEADER, finish):
        series[image.image_series_index].append(image)
    return series


def assert_not_denoised(series: dict[int, list[ismrmrd.Image]], reason: str) -> None:
    assert {number: len(images) for number, images in series.items()} == dict.fromkeys((1, 2, 20), N_IMAGES)
    for original, second in zip(series[1], series[2], strict=True):
        assert second.data.tobytes() == original.data.tobytes()
        meta = ismrmrd.Meta.deserialize(second.attribute_string)  # as it goes over the wire
        assert meta["SNRSTREAM_denoised"] == "false"
        assert not {"SNRSTREAM_model", "SNRSTREAM_model_sha256", "SNRSTREAM_alpha", "SNRSTREAM_device"} & meta.keys()
        assert meta["SeriesDescriptionAdditional"] == meta["SequenceDescriptionAdditional"] == "_not denoised"
        assert meta["ImageComments"] == "snrstream not denoised, x1"
        warning = meta["SNRSTREAM_warning"]
        assert warning.startswith("not denoised: ") and reason in warning, warning
        assert meta["GADGETRON_ImageProcessingHistory"] == ["snrstream", "not denoised"]
        assert meta["kept"] == "1" and meta["WindowWidth"] == original.meta["WindowWidth"]
        assert not {"SNRSTREAM_denoised", "SNRSTREAM_warning"} & original.meta.keys()


def assert_denoised(series: dict[int, list[ismrmrd.Image]]) -> None:
    for original, second in zip(series[1], series[2], strict=True):
        before = original.data[0]
        halved = keep_local_means(before, before * np.float32(0.5), np.ones(before.shape, np.float32))
        assert np.allclose(second.data[0], halved, rtol=1e-5, atol=1e-5)
        assert second.meta["SNRSTREAM_denoised"] == "true" and second.meta["SNRSTREAM_model"] == "tiny 0.1"
        assert second.meta["SeriesDescriptionAdditional"] == "_denoised" and "SNRSTREAM_warning" not in second.meta


def of_another_shape() -> bytes:
    """A model whose answer has three channels, though it does not say so."""
    model = halving_model()
    model.graph.initializer[1].int64_data[:] = [3]
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.shape.dim[1].dim_param = "C"
    return model.SerializeToString()


BROKEN = [
    ({"drop": "divisor"}, "manifest.json lacks divisor"),
    ({"sha256": "0" * 64}, "its manifest expects 000"),
    ({"file": "other.onnx"}, "'other.onnx' of its manifest is not in its folder"),
    ({"version": "1\x00"}, "version in manifest.json is '1\\x00'; expected printable characters"),
    ({"divisor": 10**30}, "expected 1 to 1024"),
    ({"model": b"no model at all"}, "model.onnx cannot be loaded"),
    ({"model": halving_model(in_channels=4)}, "expected [B, 3, T, H, W]"),
    ({"model": halving_model(float("nan"))}, "answered with NaN or infinite pixels"),
    ({"model": of_another_shape()}, "answered with shape (1, 3, 1, 16, 20); expected (1, 2, 1, 16, 20)"),
    ({"divisor": 1}, "failed on 1 x 13 x 18"),
    ({"model": hungry_model()}, "Failed to allocate memory"),
]


@pytest.mark.parametrize(("changes", "reason"), BROKEN, ids=[reason for _, reason in BROKEN])
def test_a_broken_model_costs_no_image_and_a_mended_one_denoises(install, caplog, changes, reason) -> None:
    install(**changes)
    assert_not_denoised(scan(), reason)
    (line,) = warnings_of(caplog)
    assert line.startswith("not denoised: ") and reason in line
    install()
    assert_denoised(scan())


def test_a_manifest_that_cannot_be_parsed_or_read(install) -> None:
    place = install()
    for text in ("{", "[" * 100_000, '{"name": NaN'):
        (place / "manifest.json").write_text(text)
        assert_not_denoised(scan(), "model tiny: ")
    (place / "manifest.json").write_bytes(b"\xff\xfe")
    assert_not_denoised(scan(), "manifest.json cannot be read")
    install()
    assert_denoised(scan())


def test_a_missing_model_is_told_loudly_with_the_known_ones(install, caplog) -> None:
    install()
    assert_not_denoised(scan(model="nope"), "unknown model 'nope'; known: tiny")
    assert warnings_of(caplog) == ["not denoised: unknown model 'nope'; known: tiny"]
    assert_denoised(scan())


def test_a_mended_manifest_counts_though_the_file_is_the_same(install) -> None:
    """The file was loaded once with the wrong divisor, and its hash has not changed."""
    install(divisor=1)
    assert_not_denoised(scan(), "failed on 1 x 13 x 18")
    install(divisor=4)
    assert_denoised(scan())


def test_one_image_that_fails_leaves_the_others_denoised(install) -> None:
    install(divisor=1)
    recons = [recon_image(shape=(1, 5, 5) if n == 1 else (1, 4, 8)) for n in range(N_IMAGES)]
    series = scan(recons)
    assert [image.meta["SNRSTREAM_denoised"] for image in series[2]] == ["true", "false", *["true"] * (N_IMAGES - 2)]
    assert series[2][1].data.tobytes() == series[1][1].data.tobytes()
    assert [image.image_index for image in series[2]] == list(range(1, N_IMAGES + 1))


def test_images_that_are_not_in_snr_units_are_marked_alike(install, caplog) -> None:
    install()
    recons = [dataclasses.replace(recon_image(seed), snr_units=False) for seed in range(N_IMAGES)]
    assert_not_denoised(scan(recons), "the image is not in SNR units")
    assert len(warnings_of(caplog)) == 1


def test_alpha_1_is_marked_as_not_denoised_without_a_warning(install, caplog) -> None:
    install(halving_model(float("nan")))
    series = scan(alpha=1.0)
    for original, second in zip(series[1], series[2], strict=True):
        assert second.data.tobytes() == original.data.tobytes()
        assert second.meta["SNRSTREAM_denoised"] == "false" and second.meta["SNRSTREAM_alpha"] == "1"
        assert second.meta["GADGETRON_ImageProcessingHistory"] == ["snrstream", "not denoised: alpha is 1"]
        assert not {"SNRSTREAM_warning", "SNRSTREAM_model"} & second.meta.keys()
    assert not warnings_of(caplog)


def test_a_model_that_hangs_is_stopped_and_its_thread_and_core_are_free(install, caplog) -> None:
    """Once, not for each image: a scan of many images would otherwise wait for each of them."""
    install(hanging_model())
    n_threads, start = threading.active_count(), time.monotonic()
    assert_not_denoised(scan(timeout_s=1.0), "failed on 1 x 13 x 18: no answer within 1 s")
    assert 1 <= time.monotonic() - start < N_IMAGES, "the limit of one image, and a margin for a busy machine"
    assert len(warnings_of(caplog)) == 1
    assert threading.active_count() == n_threads
    used_s = time.process_time()
    time.sleep(1)
    assert time.process_time() - used_s < 0.5, "half of what a thread that still runs would use"
    assert_not_denoised(scan(timeout_s=1.0), "no answer within 1 s")  # and not that an earlier run still goes on
    install()
    assert_denoised(scan())


CHILD = """
    import json, sys, time
    from pathlib import Path
    from snrstream.gadgets import denoise
    from snrstream.denoising import manifest
    from snrstream.gadgets.gadget import run
    from snrstream.gadgets.gadget import run as run_gadget
    from snrstream.image_kind import ImageKind
    from snrstream.system.time_limit import leave
    from tests.denoising.images import recon_image
    from tests.scans import NO_HEADER
    from tests.scans import NO_HEADER

    manifest.folders = lambda kind: [Path(sys.argv[1])]
    for model, timeout_s in (("stubborn", 1.0), ("stubborn", 1.0), ("tiny", 30.0)):
        start = time.monotonic()
        parameters = denoise.Parameters(model=model, alpha=0.0, timeout_s=timeout_s)
        first, second = run(denoise, [recon_image()], NO_HEADER, parameters)
        print(json.dumps([second.kind is ImageKind.DENOISED, list(second.warnings), time.monotonic() - start]))
    leave(3)
"""


@pytest.mark.parametrize(
    ("model", "failure"),
    [(stubborn_model, "failed on 1 x 13 x 18"), (slowly_loading_model, "model.onnx cannot be loaded")],
)
def test_what_cannot_be_interrupted_is_left_behind_and_refused_until_it_ends(install, model, failure) -> None:
    """In a process of its own, which ends in time although the thread that it left behind still computes."""
    models = install().parent
    install(model(), name="stubborn")
    root = Path(__file__).parents[2]
    child = subprocess.run(
        forked("-c", textwrap.dedent(CHILD), str(models)),
        env={"PYTHONPATH": f"{GADGETS}:{root}:{root}/tools", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert child.returncode == 3 and "Traceback" not in child.stderr, child.stderr
    first, again, other = (json.loads(line) for line in child.stdout.splitlines())
    assert first[:2] == [False, [f"not denoised: model stubborn: {failure}: no answer within 1 s (timeout_s)"]]
    refused = f"not denoised: model stubborn: {failure}: an earlier run that exceeded its time limit still goes on"
    assert again[:2] == [False, [refused]]
    assert other[:2] == [True, []]
    assert first[2] < 1 + time_limit.GRACE_S + 5, "the limit, the grace, and a margin for a busy machine"
