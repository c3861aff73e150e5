"""A model that lacks memory, or whose GPU fails: smaller tiles, then the CPU, each of them told."""

import dataclasses
import io

import numpy as np
import onnx
import pytest
import torch
from onnx import helper

from snrstream.denoising.loaded import load_model
from snrstream.denoising.manifest import load_manifest
from snrstream.denoising.model import Model
from snrstream.denoising.torchscript_backend import TorchScriptBackend
from snrstream.errors import ModelError

from .broken_models import _integers, _model
from .images import random_image
from .networks import Limited, torchscript

NO_MEMORY = "out of memory on cpu: "


def ones(shape: tuple[int, int, int]) -> np.ndarray:
    return np.ones(shape, np.float32)


def hungry_above(edge: int) -> onnx.ModelProto:
    """Its input, if W is below `edge`; otherwise it wants 2^40 zeros first, more than memory holds."""
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"], start=4, end=5),
        helper.make_node("Div", ["shape", "edge"], ["large"]),
        helper.make_node("Mul", ["large", "huge"], ["size"]),
        helper.make_node("ConstantOfShape", ["size"], ["zeros"]),
        helper.make_node("ReduceSum", ["zeros"], ["nothing"], keepdims=0),
        helper.make_node("Add", ["parts", "nothing"], ["y"]),
    ]
    return _model(nodes, [_integers("edge", edge), _integers("huge", 1 << 40)])


@pytest.mark.parametrize("shape", [(1, 150, 200), (9, 30, 257)])
def test_torchscript_out_of_memory_takes_smaller_tiles(install, shape) -> None:
    install(torchscript(Limited(items=8, edge=64)), format="torchscript")
    model, image = load_model("tiny"), random_image(shape)
    assert model.fallbacks == ()
    assert np.abs(model.denoise(image, ones(shape)) - 0.5 * image).max() < 1e-6  # float32
    assert model.fallbacks[-1] == f"{NO_MEMORY}tiles of {min(64, -(-shape[1] // 4) * 4)} x 64"
    assert all(told.startswith(NO_MEMORY) for told in model.fallbacks)
    assert model.device == "cpu" and model.tile(shape)[2] == 64
    told = model.fallbacks
    model.denoise(image, ones(shape))
    assert model.fallbacks == told, "the next image starts with what did"


def test_onnx_out_of_memory_takes_smaller_tiles(install) -> None:
    install(hungry_above(100))
    model, image = load_model("tiny"), random_image((1, 60, 300))
    assert np.abs(model.denoise(image, ones(image.shape)) - image).max() < 1e-6
    where = "out of memory on CPUExecutionProvider: "
    assert model.fallbacks == (f"{where}tiles of 60 x 148", f"{where}tiles of 60 x 72")


def test_many_frames_at_once_become_one_at_a_time(install) -> None:
    install(torchscript(Limited(items=1, edge=300)), format="torchscript")
    model, image = load_model("tiny"), random_image((20, 12, 200))
    assert np.abs(model.denoise(image, ones(image.shape)) - 0.5 * image).max() < 1e-6
    assert model.fallbacks == (f"{NO_MEMORY}one tile at a time",)


def test_what_is_too_large_in_every_way_fails_and_leaves_the_others_as_they_were(install) -> None:
    install(hungry_above(60))
    model, image = load_model("tiny"), random_image((3, 80, 200))
    with pytest.raises(ModelError, match="model tiny: failed on 3 x 80 x 200: .*Failed to allocate memory"):
        model.denoise(image, ones(image.shape))
    assert model.fallbacks == () and model.tile(image.shape) == (1, 80, 200)


def test_a_gpu_that_cannot_be_used_gives_way_to_the_cpu_and_is_told(install) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU that can be used")
    install(torchscript(Limited(items=8, edge=300)), format="torchscript")
    image = random_image()
    model = Model(*load_manifest("tiny"), devices=("cuda", "cpu"))
    assert model.device == "cpu" and len(model.fallbacks) == 1
    assert model.fallbacks[0].startswith("cuda to cpu: model tiny: model.onnx cannot be loaded: ")
    assert np.array_equal(model.denoise(image, ones(image.shape)), 0.5 * image)
    assert load_model("tiny").fallbacks == (), "a GPU that is not there is no failure"


class Broken(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.reshape(7, 11)


@pytest.mark.parametrize(
    ("network", "told"),
    [
        (Limited(items=8, edge=63), ["tiles of 100 x 100", "tiles of 64 x 64", "cpu to cpu: "]),
        (Broken(), ["cpu to cpu: "]),
    ],
)
def test_a_device_that_fails_whatever_the_tile_gives_way_to_the_next(install, network, told) -> None:
    """The first device stands for a GPU: a network of another file, which fails on the CPU as one would there."""
    install(torchscript(Limited(items=8, edge=300)), format="torchscript")
    model = Model(*load_manifest("tiny"), devices=("cpu", "cpu"))
    failing = TorchScriptBackend(torch.jit.load(io.BytesIO(torchscript(network))), "cpu", model.manifest)
    model._devices.setup = dataclasses.replace(model._devices.setup, backend=failing)
    image = random_image((1, 100, 200))
    assert np.array_equal(model.denoise(image, ones(image.shape)), 0.5 * image)
    assert len(model.fallbacks) == len(told) and model._devices.setup.n_device == 1
    assert all(part in line for part, line in zip(told, model.fallbacks, strict=True)), model.fallbacks
    assert model.tile(image.shape) == (1, 100, 200), "on the next device all starts anew"
