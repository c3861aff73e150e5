"""Fewer frames than the model was made for are told, and the ends of a longer series are not."""

import pytest

from snrstream.chain.chain import parse_chain
from snrstream.denoising.group import Frame
from snrstream.denoising.neighbours import Neighbours
from snrstream.gadgets import denoise, image_finish
from snrstream.gadgets.gadget import run as run_gadget
from snrstream.hosts.openrecon import adjusted
from snrstream.items import ReconImage
from snrstream.output.image_values import meta_values
from tests.scans import NO_HEADER

from .images import recon_image

INTERLEAVED = (0, 2, 4, 6, 1, 3, 5)  # positions of the slices, in the order of acquisition


def told(images: list[ReconImage], axis: str, n_frames: int, mode: str, n_slices=None, n_times=1) -> list[str]:
    """The warning of each image in the order of leaving, empty where it has none."""
    neighbours = Neighbours(axis, n_frames, mode, n_slices, 1 << 30, n_times)
    stacks = [stack for image in images for stack in neighbours.add(Frame(image))] + neighbours.end()
    return [text for stack in stacks for text in len(stack.leaving) * ["; ".join(stack.warnings)]]


def stack(positions, repetition: int = 0) -> list[ReconImage]:
    return [recon_image(slice=n, repetition=repetition, position=(0, 0, 5.0 * z)) for n, z in enumerate(positions)]


@pytest.mark.parametrize("mode", ["streaming", "series"])
@pytest.mark.parametrize("n_slices", [None, 7])
def test_slices(mode, n_slices, caplog) -> None:
    one, five = stack([0]), stack(range(5))
    expected = "the model is made for 7 slices, and there {}: edges may be taken for noise"
    assert told(one, "slice", 7, mode, n_slices) == [expected.format("is 1")]
    assert [record.getMessage() for record in caplog.records] == [expected.format("is 1")]
    assert told(five, "slice", 7, mode, n_slices) == 5 * [expected.format("are 5")]
    assert len(caplog.records) == 2, "once for each scan"
    whole = stack(INTERLEAVED) + stack(INTERLEAVED, repetition=1)
    assert told(whole, "slice", 7, mode, n_slices) == 14 * [""], "the ends of a stack are as trained"


def test_partitions_are_slices_and_depth() -> None:
    volume = recon_image(shape=(3, 4, 5))
    for axis, word in (("depth", "partitions"), ("slice", "slices")):
        (text,) = told([volume], axis, 5, "streaming")
        assert f"made for 5 {word}, and there are 3" in text
        assert told([volume], axis, 3, "streaming") == told([volume], axis, 0, "streaming") == [""]
    assert told([volume], "none", 1, "streaming") == [""]


def test_images_in_time() -> None:
    images = [recon_image(repetition=n) for n in range(6)]
    assert told(images, "time", 4, "streaming", n_times=6) == told(images, "time", 4, "series") == 6 * [""]
    unknown = told(images, "time", 4, "streaming")  # the header does not say that more will come
    assert [bool(text) for text in unknown] == [True, True, True, False, False, False]
    assert all(told(images[:2], "time", 4, mode, n_times=2) for mode in ("streaming", "series"))


def test_the_shipped_model_of_slices_tells_it_in_the_image_s_meta() -> None:
    item = recon_image(shape=(1, 32, 32))
    images = run_gadget(denoise, [item], NO_HEADER, denoise.Parameters(model="sn2n_unet25d"))
    original, _, second = run_gadget(image_finish, images, NO_HEADER, image_finish.Parameters())
    assert meta_values(original, "SNRSTREAM_warning") == []
    assert any("made for 7 slices, and there is 1" in text for text in meta_values(second, "SNRSTREAM_warning"))
    assert second.meta["SNRSTREAM_alpha"] == "0.2", "the model's own"


def chain(properties: str):
    text = f"<configuration><gadget name='denoise'>{properties}</gadget></configuration>"
    return parse_chain(text, "test")


OF_UNET = "<property name='model' value='snraware'/>"


@pytest.mark.parametrize(
    "alpha", ["<property name='alpha' value='0.3'/>", "<property name='alpha_by_g' value='1:0.5'/>"]
)
@pytest.mark.parametrize("named", [OF_UNET, ""])
def test_a_pipeline_s_alpha_belongs_to_its_model(named, alpha) -> None:
    pipeline = chain(named + alpha)
    (_, before), *_ = pipeline.steps
    other = "sn2n_unet25d"

    def after(**parameters) -> denoise.Parameters:
        changed, warnings = adjusted(pipeline, parameters)
        assert not warnings
        return changed.steps[0][1]

    assert after(model=other) == denoise.Parameters(model=other), "whose alpha is the manifest's"
    assert after(model=other, alpha=0.4) == after(alpha=0.4, model=other) == denoise.Parameters(model=other, alpha=0.4)
    assert after(alphabyg="1:0.2", model=other) == denoise.Parameters(model=other, alpha_by_g="1:0.2")
    assert after(model="snraware") == before, "no other model"
    assert after(strength=2.0).alpha == before.alpha
