"""How much of the original is kept, how strongly the network denoises, and what is left over."""

import dataclasses

import numpy as np
import pytest

from snrstream.chain.chain import Chain, parse_chain
from snrstream.denoising.alpha import Alpha
from snrstream.errors import ConfigurationError
from snrstream.gadgets import denoise, image_finish
from snrstream.gadgets.gadget import run as run_gadget
from snrstream.hosts.openrecon import adjusted
from snrstream.image_kind import ImageKind
from snrstream.items import ReconImage
from snrstream.output.dicom import to_dicom
from snrstream.output.dicom.identity import ScanIdentity
from snrstream.output.image_values import kind_of
from snrstream.output.preview import draw_preview
from tests.scans import NO_HEADER

from .conftest import halving_model
from .frame_model import FrameMean
from .images import random_image, recon_image

TOLERANCE = 1e-6  # of sums of two float32 numbers around 1
TABLE = "1:0.5 2:0.3 4:0.1"


def run(recon: ReconImage, **properties) -> list[ReconImage]:
    return list(run_gadget(denoise, [recon], NO_HEADER, denoise.Parameters(model="tiny", **properties)))


def with_gmap(recon: ReconImage) -> ReconImage:
    """g from 0.5 to 6, from the first pixel to the last."""
    gmap = np.linspace(0.5, 6, recon.image.size, dtype=np.float32).reshape(recon.image.shape)
    return dataclasses.replace(recon, gmap=gmap)


def gadget(properties: str) -> Chain:
    return parse_chain(f"<configuration><gadget name='denoise'>{properties}</gadget></configuration>", "mine.xml")


def test_the_gadget_is_linear_in_alpha(install) -> None:
    install()
    recon = recon_image()
    _, network = run(recon, alpha=0.0)
    assert np.allclose(network.image, recon.image * np.float32(0.5), rtol=1e-6, atol=1e-6), "the network alone"
    for alpha in (0.1, 0.5, 0.9):
        _, second = run(recon, alpha=alpha)
        assert np.allclose(second.image, alpha * recon.image + (1 - alpha) * network.image, atol=TOLERANCE)
    _, second = run(recon, alpha=1.0)
    assert second.image.tobytes() == recon.image.tobytes()


def test_alpha_by_g_is_linear_between_its_pairs_and_constant_beyond(install) -> None:
    install()
    recon = with_gmap(recon_image())
    _, second = run(recon, alpha_by_g=TABLE)
    g = recon.gmap.astype(np.float64)
    alpha = np.select(
        [g < 1, g < 2, g < 4], [np.full(g.shape, 0.5), 0.5 - 0.2 * (g - 1), 0.3 - 0.1 * (g - 2)], np.full(g.shape, 0.1)
    )
    assert np.allclose(second.image, recon.image * (alpha + (1 - alpha) * 0.5), atol=TOLERANCE)
    assert second.meta["SNRSTREAM_alpha"] == TABLE and second.image.dtype == np.complex64


def test_where_the_table_says_1_pixels_stay_bit_for_bit(install) -> None:
    install()
    recon = with_gmap(recon_image())
    _, second = run(recon, alpha_by_g="2:1 2.5:0")
    kept = recon.gmap <= 2
    assert 0 < kept.sum() < kept.size
    assert second.image[kept].tobytes() == recon.image[kept].tobytes()
    assert not np.any(second.image[~kept] == recon.image[~kept])


def test_a_table_of_ones_needs_no_network(install) -> None:
    install(halving_model(float("nan")))
    recon = recon_image()
    _, second = run(recon, alpha_by_g="1:1 3:1")
    assert (
        second.kind is ImageKind.STAND_IN and second.image.tobytes() == recon.image.tobytes() and second.warnings == ()
    )


def test_a_table_of_one_pair_is_one_alpha() -> None:
    a, b = random_image(), random_image(seed=1)
    g = np.full(a.shape, 3, np.float32)
    assert np.array_equal(Alpha.by_g("2:0.3").blend(a, b, g), Alpha.constant(0.3).blend(a, b, g))
    assert str(Alpha.constant(0.3)) == "0.3"


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ("1:0.5 2", "'2' is no pair of numbers"),
        ("1:0.5,2:0.3", "'1:0.5,2:0.3' is no pair of numbers"),
        ("1:0.5:2", "'1:0.5:2' is no pair of numbers"),
        ("2:0.5 1:0.3", "'1:0.3' is out of range or order"),
        ("1:0.5 1:0.3", "'1:0.3' is out of range or order"),
        ("0:0.5", "'0:0.5' is out of range or order"),
        ("1:1.01", "'1:1.01' is out of range or order"),
        ("1:-0.1", "'1:-0.1' is out of range or order"),
        ("1:nan", "'1:nan' is out of range or order"),
        ("nan:0.5", "'nan:0.5' is out of range or order"),
        ("1:0.5 inf:0.1", "'inf:0.1' is out of range or order"),
        ("1:0 " * 101, "it has 101 pairs"),
        ("1:0" + 2000 * "0", "it has 2003 characters"),
    ],
)
def test_a_wrong_table_is_a_line_that_says_what_is_wrong(table, problem) -> None:
    with pytest.raises(ConfigurationError) as caught:
        gadget(f"<property name='alpha_by_g' value='{table}'/>")
    text = str(caught.value)
    assert text.startswith("gadget denoise in mine.xml: alpha_by_g is ") and problem in text and "\n" not in text


def test_an_empty_table_is_none() -> None:
    chain = gadget("<property name='alpha' value='0.3'/><property name='alpha_by_g' value=' '/>")
    assert chain.steps[0][1] == denoise.Parameters(alpha=0.3)


@pytest.mark.parametrize("value", ["-0.1", "101", "nan", "inf"])
@pytest.mark.parametrize(("name", "expected"), [("alpha", "0 to 1"), ("strength", "0.01 to 100")])
def test_alpha_and_strength_out_of_range_are_refused(name, expected, value) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} is {float(value)}; expected a number from {expected}"):
        gadget(f"<property name='{name}' value='{value}'/>")


def test_alpha_and_its_table_exclude_each_other_also_on_the_console() -> None:
    both = f"<property name='alpha' value='0.3'/><property name='alpha_by_g' value='{TABLE}'/>"
    with pytest.raises(ConfigurationError, match=r"alpha is 0.3, alpha_by_g '1:0.5 .*'; expected one of them"):
        gadget(both)
    with pytest.raises(ConfigurationError, match="parameter of the console: alpha is 0.4, alpha_by_g"):
        adjusted(gadget(""), {"alpha": 0.4, "alphabyg": TABLE})
    one, other = "<property name='alpha' value='0.3'/>", f"<property name='alpha_by_g' value='{TABLE}'/>"
    for key in ("alphabyg", "alpha_by_g"):
        chain, warnings = adjusted(gadget(one), {key: TABLE})
        assert chain.steps[0][1] == denoise.Parameters(alpha_by_g=TABLE) and not warnings
    chain, _ = adjusted(gadget(other), {"alpha": 0.4})
    assert chain.steps[0][1] == denoise.Parameters(alpha=0.4)
    parameters, _ = adjusted(gadget(""), {"alphabyg": TABLE, "strength": 0.5, "residual": True, "frames": "series"})
    assert parameters.steps[0][1] == denoise.Parameters(alpha_by_g=TABLE, strength=0.5, residual=True, frames="series")


def test_strength_multiplies_what_the_network_sees_and_divides_what_it_says(monkeypatch) -> None:
    """By a network that takes away what is below 1, as one that expects noise of SD 1 would."""

    class Shrinking(FrameMean):
        def denoise(self, image, _gmap, _timeout_s, _causal):
            size = np.abs(image)
            return (image * np.maximum(0, 1 - 1 / np.maximum(size, 1e-6))).astype(np.complex64)

    monkeypatch.setattr(denoise, "load_model", lambda name, timeout_s, backend: Shrinking(frames="none"))
    recon = recon_image()
    size = np.abs(recon.image)
    for strength in (0.5, 1.0, 2.0):
        _, second = run(recon, strength=strength)
        assert np.allclose(np.abs(second.image), np.maximum(0, size - 1 / strength), atol=2 * TOLERANCE)
        assert second.meta["SNRSTREAM_strength"] == f"{strength:g}"


def test_the_residual_is_the_original_minus_the_denoised_image(install) -> None:
    install()
    recon = recon_image()
    original, second, rest = run(recon, alpha=0.3, residual=True)
    assert rest.kind is ImageKind.RESIDUAL and np.array_equal(rest.image, original.image - second.image)
    assert np.allclose(rest.image, 0.35 * recon.image, atol=TOLERANCE)
    assert rest.history == (*second.history, "original minus denoised")


def test_a_stand_in_leaves_no_residual(install) -> None:
    install(halving_model(float("nan")))
    for alpha, n_warnings in ((0.0, 1), (1.0, 0)):
        _, second, rest = run(recon_image(), alpha=alpha, residual=True)
        assert second.kind is ImageKind.STAND_IN and rest.kind is ImageKind.RESIDUAL and not rest.image.any()
        assert rest.meta["SNRSTREAM_denoised"] == "false" and len(rest.warnings) == n_warnings


def test_the_residual_is_a_series_of_its_own_for_consoles_dicom_and_the_preview(install) -> None:
    install()
    recons = run(recon_image(), alpha=0.3, residual=True)
    magnitudes = {}
    for output in ("complex", "magnitude"):
        images = list(run_gadget(image_finish, recons, NO_HEADER, image_finish.Parameters(output=output, gmap=False)))
        assert [image.image_series_index for image in images] == [1, 2, 3]
        rest = images[2]
        assert kind_of(rest) is ImageKind.RESIDUAL and rest.meta["DataRole"] == "Image"
        assert rest.meta["SeriesDescriptionAdditional"] == "_residual" and rest.meta["SNRSTREAM_alpha"] == "0.3"
        magnitudes[output] = np.abs(rest.data)
        assert rest.meta["WindowWidth"] != images[0].meta["WindowWidth"]
    assert np.array_equal(magnitudes["magnitude"], np.rint(magnitudes["complex"] * 10))
    (dataset,) = to_dicom(rest, None, ScanIdentity.of(None))
    assert list(dataset.ImageType) == ["DERIVED", "PRIMARY", "M", "RESIDUAL"]
    assert dataset.SeriesNumber == 999003 and dataset.SeriesDescription.endswith("residual")
    assert "; original minus denoised; denoised by tiny 0.1; " in dataset.DerivationDescription
    panels = [draw_preview(images[:n], "").width for n in (2, 3)]
    assert panels[1] > panels[0], "one panel more"


def test_every_denoised_image_tells_how_it_was_made(monkeypatch) -> None:
    fallbacks = ("no GPU \N{RIGHTWARDS ARROW} CPU", "tiles of 64")
    monkeypatch.setattr(
        denoise, "load_model", lambda name, timeout_s, backend: FrameMean(n_frames=1, fallbacks=fallbacks)
    )
    properties = {"alpha_by_g": TABLE, "strength": 0.8, "residual": True}
    finish = image_finish.Parameters(gmap=False)
    images = list(run_gadget(image_finish, run(recon_image(), **properties), NO_HEADER, finish))
    for image in images[1:]:
        assert image.attribute_string.isascii()
        told = {key.removeprefix("SNRSTREAM_"): value for key, value in image.meta.items() if "SNRSTREAM" in key}
        assert told == {
            "axes": "along",
            "denoised": "true",
            "model": "mean 1",
            "model_sha256": "5" * 64,
            "alpha": TABLE,
            "strength": "0.8",
            "backend": "numpy",
            "device": "CPU",
            "frames": "time, streaming",
            "frames_used": "1",
            "fallback": ["no GPU ? CPU", "tiles of 64"],
            "warning": ["denoising fell back: no GPU ? CPU", "denoising fell back: tiles of 64"],
        }
        (dataset,) = to_dicom(image, None, ScanIdentity.of(None))
        text = dataset.DerivationDescription
        assert text.isascii()
        for part in (
            "denoised by mean 1; model sha256 55555",
            f"5; alpha {TABLE}; strength 0.8; run by numpy; on CPU; frames time, streaming; frames used 1; "
            "WARNING: denoising fell back: no GPU ? CPU; WARNING: denoising fell back: tiles of 64; history ",
        ):
            assert part in text
    assert "SNRSTREAM_model" not in images[0].meta


def test_other_strength_or_frames_are_another_series_of_dicom(monkeypatch) -> None:
    uids, identity = [], ScanIdentity.of(None)
    for properties in ({}, {}, {"strength": 0.5}, {"frames": "series"}, {"alpha_by_g": TABLE}):
        monkeypatch.setattr(denoise, "load_model", lambda name, timeout_s, backend: FrameMean())
        finish = image_finish.Parameters(gmap=False)
        _, image = run_gadget(image_finish, run(recon_image(), **properties), NO_HEADER, finish)
        (dataset,) = to_dicom(image, None, identity)
        uids.append(dataset.SeriesInstanceUID)
    assert len(set(uids)) == 4, "the first two are the same"
