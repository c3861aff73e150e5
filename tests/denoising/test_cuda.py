"""On a GPU the shipped models give the processor's images, on both backends, and so does a whole reconstruction."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from snrstream.api import reconstruct
from snrstream.denoising.manifest import load_manifest
from snrstream.denoising.model import Model
from snrstream.denoising.recorded import difference

from .networks import REMEMBERS, remembering_file

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = sorted(path.parent.name for path in (ROOT / "models").glob("*/manifest.json"))
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
needs_provider = pytest.mark.skipif(
    "CUDAExecutionProvider" not in onnxruntime.get_available_providers(), reason="needs ONNX Runtime for CUDA"
)


def test_a_provider_without_its_libraries_gives_way_to_the_cpu_and_is_told() -> None:
    """ONNX Runtime would run on the CPU without a word to its caller."""
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU that can be used")
    model = Model(*load_manifest("snraware_unet2d"), devices=("cuda", "cpu"))
    assert model.device == "CPUExecutionProvider" and len(model.fallbacks) == 1
    assert model.fallbacks[0].startswith("cuda to cpu: ") and "CUDAExecutionProvider" in model.fallbacks[0]


@needs_provider
@needs_cuda
@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_model_gives_its_recorded_answer_on_a_gpu(name) -> None:
    """Recorded on a processor; TensorFloat-32, which would be off by tenths, is not used."""
    model = Model(*load_manifest(name), devices=("cuda",))
    assert model.device == "CUDAExecutionProvider"
    assert float(difference(model, 60.0).max()) <= model.manifest.test_vector.tolerance


@needs_cuda
def test_torchscript_gives_the_same_on_a_gpu_whole_and_in_a_stream(install) -> None:
    install(remembering_file("torchscript"), format="torchscript", **REMEMBERS)
    place, rng = load_manifest("tiny"), np.random.default_rng(0)
    gpu, cpu = Model(*place, devices=("cuda",)), Model(*place, devices=("cpu",))
    assert gpu.device.startswith("cuda ")
    series = (10 * rng.standard_normal((5, 48, 40, 2))).astype(np.float32).view(np.complex64)[..., 0]
    gmap = np.ones(series.shape, np.float32)
    for causal in (False, True):
        found, expected = (model.denoise(series, gmap, 60.0, causal) for model in (gpu, cpu))
        assert np.abs(found - expected).max() < 1e-3
    states = [None, None]
    for frame, g in zip(series, gmap, strict=True):
        (found, states[0]), (expected, states[1]) = (
            model.stream(frame, g, state, 60.0) for model, state in zip((gpu, cpu), states, strict=True)
        )
        assert np.abs(found - expected).max() < 1e-3


@needs_cuda
def test_a_reconstruction_on_a_gpu_is_that_of_the_processor_and_says_where_it_was_made() -> None:
    gpu, cpu = (
        reconstruct(ROOT / "data/brain_16ch_r3.h5", "grappa_snr", settings={"device": device})
        for device in ("cuda", "cpu")
    )
    for found, expected in zip(gpu, cpu, strict=True):
        assert found.meta["SNRSTREAM_recon_device"].startswith("cuda:0 ")
        assert expected.meta["SNRSTREAM_recon_device"] == "cpu"
        assert np.allclose(found.gmap, expected.gmap, rtol=1e-3)
        off = np.abs(found.image - expected.image)
        assert np.sqrt(np.mean(off**2)) < 1e-2, "of a noise SD"
