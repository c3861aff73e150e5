"""A series in time through the socket, denoised image by image by a network that remembers."""

import dataclasses
import hashlib
import json
from itertools import islice
from pathlib import Path

import ismrmrd
import numpy as np
import pytest

import snrstream
from snrstream.denoising import answer
from snrstream.denoising.loaded import load_model
from snrstream.gadgets import image_finish
from snrstream.gadgets.gadget import run as run_gadget
from snrstream.hosts.conversation import Options
from snrstream.image_kind import ImageKind
from snrstream.wire.messages import Close, ConfigText, Header
from snrtrain.benchmarks import small_scan
from tests.denoising.conftest import MANIFEST
from tests.denoising.networks import REMEMBERS, remembering_file
from tests.scans import NO_HEADER

from .test_faults import dial, inside

pytest.importorskip("onnxscript")
N = 12
HEADER = small_scan.HEADER.replace(
    b"<average>", b"<repetition><minimum>0</minimum><maximum>11</maximum><center>0</center></repetition><average>"
)
GADGETS = ("noise_adjust", "accumulate", "grappa", "coil_combine")
PIPELINE = (
    "<configuration>" + "".join(f'<gadget name="{name}"/>' for name in GADGETS) + '<gadget name="denoise">'
    '<property name="model" value="remembers"/><property name="alpha" value="0"/></gadget><gadget name="image_finish">'
    '<property name="output" value="complex"/></gadget></configuration>'
)  # fmt: skip
CLOSE = 1e-3  # in noise SDs


@pytest.fixture
def model(tmp_path, monkeypatch) -> str:
    """A network for any number of frames, among a user's own models."""
    place = tmp_path / "models" / "remembers"
    place.mkdir(parents=True)
    data = remembering_file()
    (place / "model.onnx").write_bytes(data)
    manifest = {**MANIFEST, **REMEMBERS, "name": place.name, "sha256": hashlib.sha256(data).hexdigest()}
    (place / "manifest.json").write_text(json.dumps(manifest))
    monkeypatch.setenv("SNRSTREAM_MODELS", str(place.parent))
    return place.name


def repetitions() -> list[list[ismrmrd.Acquisition]]:
    """The lines of each, behind the noise in the first."""
    first, *others = (list(small_scan.acquisitions(n, n)) for n in range(N))
    return [first, *([a for a in lines if not a.is_flag_set(ismrmrd.ACQ_IS_NOISE_MEASUREMENT)] for lines in others)]


def originals(folder: Path) -> list[snrstream.ReconImage]:
    with ismrmrd.Dataset(str(folder / "scan.h5"), "dataset") as dataset:
        dataset.write_xml_header(HEADER)
        for acquisition in (a for lines in repetitions() for a in lines):
            dataset.append_acquisition(acquisition)
    images = snrstream.reconstruct(str(folder / "scan.h5"), "grappa_snr")
    return [image for image in images if image.kind is ImageKind.ORIGINAL]


def test_a_series_is_denoised_as_it_comes_as_if_it_were_there_whole(model, tmp_path) -> None:
    with inside(Options(clients=1)) as address:
        sock, link = dial(address)
        with sock:
            link.send(ConfigText(PIPELINE.encode()))
            link.send(Header(HEADER))
            answers, streamed = iter(link), []
            for n, lines in enumerate(repetitions()):
                for acquisition in lines:
                    link.send(acquisition)
                images = list(islice(answers, 3))  # or else it would wait for what is not sent yet
                assert {image.repetition for image in images} == {n}
                streamed += [image for image in images if image.image_series_index == 2]
            link.send(Close())
            assert [item for item in answers if isinstance(item, ismrmrd.Image)] == []
    assert len(streamed) == N

    images = originals(tmp_path)
    frames, gmaps = (np.concatenate([getattr(image, name) for image in images]) for name in ("image", "gmap"))
    whole = answer.denoise(load_model(model, 30.0), frames, gmaps, 30.0, causal=True)
    alone = answer.denoise(load_model(model, 30.0), frames[5:6], gmaps[5:6], 30.0)
    assert np.abs(alone[0] - whole[5]).max() > 10 * CLOSE, "those before have a say"
    expected = run_gadget(
        image_finish,
        [dataclasses.replace(i, image=w[None], kind=ImageKind.DENOISED) for i, w in zip(images, whole, strict=True)],
        NO_HEADER,
        image_finish.Parameters(output="complex"),
    )
    of_series = [image for image in expected if image.image_series_index == 2]
    for n, (found, wanted) in enumerate(zip(streamed, of_series, strict=True)):
        assert found.data.shape == wanted.data.shape and np.abs(found.data - wanted.data).max() < CLOSE
        frames = "time, streaming" if n else "none"
        used = str(min(n, REMEMBERS["window"] - 1) + 1)
        assert (found.meta["SNRSTREAM_frames"], found.meta["SNRSTREAM_frames_used"]) == (frames, used)
        assert found.meta["SNRSTREAM_model"] == "remembers 0.1" and "SNRSTREAM_warning" not in found.meta
