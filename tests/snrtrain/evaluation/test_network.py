"""The model under test: any folder the runtime takes, and which images it sees together."""

import hashlib

import pytest
import torch

from snrstream.errors import ModelError
from snrtrain.evaluation import network
from tests.denoising.frame_model import frame_mean_model
from tests.denoising.networks import Magnitude, torchscript


@pytest.mark.parametrize(("frames", "layout"), [("slice", "B,3,S,H,W"), ("depth", "B,3,D,H,W"), ("time", "B,3,T,H,W")])
def test_a_network_sees_the_stacks_that_it_is_for(model_folder, frames: str, layout: str) -> None:
    model = network.open_model(model_folder("mean", model=frame_mean_model(), frames=frames, layout=layout, n_frames=0))
    images = torch.tensor([10.0, 10.03, 10.05])[:, None, None].expand(3, 8, 8).to(torch.complex64)
    for axis in ("slice", "time"):
        answer = network.denoiser(model, axis)(images, torch.ones(8, 8))
        together = (axis == "time") == (frames == "time")
        assert torch.allclose(answer, images.mean(0).expand(3, 8, 8) if together else images)


def test_torchscript_and_a_gmap_for_each_image(model_folder, tmp_path) -> None:
    place = model_folder("script", format="torchscript", file="model.pt", input="magnitude_gmap", layout="B,2,T,H,W")
    data = torchscript(Magnitude())
    (tmp_path / "script/model.pt").write_bytes(data)
    manifest = tmp_path / "script/manifest.json"
    onnx_hash = hashlib.sha256((tmp_path / "script/model.onnx").read_bytes()).hexdigest()
    manifest.write_text(manifest.read_text().replace(onnx_hash, hashlib.sha256(data).hexdigest()))
    images = torch.full((2, 8, 12), 3j, dtype=torch.complex64)
    gmap = torch.tensor([0.5, 1.0])[:, None, None].expand(2, 8, 12)
    answer = network.denoiser(network.open_model(place), "slice")(images, gmap)  # magnitude times g
    assert torch.allclose(answer, images * gmap, atol=1e-5)


def test_a_file_that_is_not_the_manifests_is_refused(model_folder, tmp_path) -> None:
    place = model_folder()
    (tmp_path / "same/model.onnx").write_bytes(b"another")
    with pytest.raises(ModelError, match="its manifest expects"):
        network.open_model(place)


@pytest.mark.parametrize(
    ("frames", "expected"),
    [((), set()), (("depth",), {"slice"}), (("time",), {"time"}), (("time", "slice", "depth"), {"time", "slice"})],
)
def test_a_manifest_may_name_one_kind_of_frames_or_several(frames, expected) -> None:
    assert network.stacks_of(frames) == expected
