import numpy as np
import pytest

from snrstream.denoising.blending import blend
from snrstream.denoising.loaded import load_model
from snrstream.errors import ModelError
from snrstream.gadgets import denoise
from snrstream.gadgets.gadget import run as run_gadget
from snrstream.image_kind import ImageKind
from snrstream.items import ReconImage
from tests.scans import NO_HEADER

from .conftest import halving_model
from .images import random_image, recon_image


def run(recon: ReconImage, **properties) -> tuple[ReconImage, ReconImage]:
    original, denoised = run_gadget(denoise, [recon], NO_HEADER, denoise.Parameters(model="tiny", **properties))
    return original, denoised


def test_the_original_passes_and_the_denoised_follows(install) -> None:
    install()
    recon = recon_image()
    original, denoised = run(recon, alpha=0.0)
    assert original is recon
    assert np.allclose(denoised.image, recon.image * np.float32(0.5), rtol=1e-6, atol=1e-6)
    assert (original.kind, denoised.kind) == (ImageKind.ORIGINAL, ImageKind.DENOISED)
    assert denoised.meta["SNRSTREAM_denoised"] == "true" and "SNRSTREAM_denoised" not in original.meta
    assert denoised.meta["SNRSTREAM_model"] == "tiny 0.1"
    assert denoised.meta["SNRSTREAM_alpha"] == "0" and denoised.meta["kept"] == "1"
    assert len(denoised.meta["SNRSTREAM_model_sha256"]) == 64


def test_alpha_1_is_the_original_bit_for_bit_whatever_the_network_says(install) -> None:
    install(halving_model(float("nan")))
    recon = recon_image()
    _, denoised = run(recon, alpha=1.0)
    assert np.array_equal(denoised.image.view(np.uint32), recon.image.view(np.uint32))


def test_the_manifest_gives_the_default_alpha(install) -> None:
    install(default_alpha=0.25)
    recon = recon_image()
    _, denoised = run(recon)
    assert denoised.meta["SNRSTREAM_alpha"] == "0.25"
    assert np.allclose(denoised.image, 0.25 * recon.image + 0.75 * 0.5 * recon.image, atol=1e-6)


def test_blend_is_linear_in_alpha() -> None:
    a, b = random_image(), random_image(seed=1)
    for alpha in (0.0, 0.1, 0.5, 0.9, 1.0):
        assert np.allclose(blend(a, b, alpha), alpha * a + (1 - alpha) * b, atol=1e-6)
    assert np.array_equal(blend(a, b, 0.0), b)


@pytest.mark.parametrize("shape", [(1, 4, 4), (2, 5, 7), (3, 16, 3), (19, 4, 5)])
def test_any_size_and_several_frames(install, shape) -> None:
    install()
    image = random_image(shape)
    assert np.array_equal(load_model("tiny").denoise(image, np.ones(shape, np.float32)), image * np.float32(0.5))


def test_a_loaded_model_is_shared_and_a_changed_file_is_noticed(install) -> None:
    place = install()
    assert load_model("tiny") is load_model("tiny")
    (place / "model.onnx").write_bytes(halving_model(0.7).SerializeToString())
    with pytest.raises(ModelError, match=r"model tiny: model.onnx has sha256 .* its manifest expects"):
        load_model("tiny")


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"drop": "divisor"}, "manifest.json lacks divisor"),
        ({"colour": "red"}, "manifest.json has unknown colour"),
        ({"divisor": "8"}, "divisor in manifest.json is '8'; expected int"),
        ({"divisor": 0}, "divisor is 0"),
        ({"default_alpha": 2}, "default_alpha is 2; expected 0 to 1"),
        ({"format": "pickle"}, "format is 'pickle'; supported: onnx"),
        ({"scale": "percent"}, "scale is 'percent'"),
        ({"file": "../model.onnx"}, "is not in its folder"),
        ({"file": "other.onnx"}, "is not in its folder"),
        ({"model": b"no model at all"}, "cannot be loaded"),
        ({"model": halving_model(in_channels=4)}, r"input has shape .* expected \[B, 3, T, H, W\]"),
    ],
)
def test_models_that_cannot_be_trusted(install, changes, match) -> None:
    install(**changes)
    with pytest.raises(ModelError, match=match):
        load_model("tiny")


def test_broken_manifest_and_unknown_names(install) -> None:
    place = install()
    (place / "manifest.json").write_text("{")
    with pytest.raises(ModelError, match="manifest.json cannot be read"):
        load_model("tiny")
    (place / "manifest.json").write_text("[]")
    with pytest.raises(ModelError, match="holds a list"):
        load_model("tiny")
    with pytest.raises(ModelError, match="unknown model 'nope'; known: tiny"):
        load_model("nope")
    for name in ("../tiny", "/tiny", ""):
        with pytest.raises(ModelError, match="not a plain name"):
            load_model(name)


def test_a_network_that_answers_with_nan_or_fails(install) -> None:
    install(halving_model(float("nan")))
    with pytest.raises(ModelError, match="NaN"):
        load_model("tiny").denoise(random_image(), np.ones((1, 13, 18), np.float32))
    install(divisor=1, name="undivided")
    with pytest.raises(ModelError, match="model undivided: failed on 1 x 5 x 5"):
        load_model("undivided").denoise(random_image((1, 5, 5)), np.ones((1, 5, 5), np.float32))
