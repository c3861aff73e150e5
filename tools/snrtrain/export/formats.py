"""A network as an ONNX and as a TorchScript file, and whether both still are that network."""

import logging
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from snrstream.errors import ModelError
from snrtrain.networks import PARTS, divisor
from snrtrain.recipe import Recipe

FILES = {"onnx": "model.onnx", "torchscript": "model.pt"}
AGREEMENT = 1e-4  # of the largest value: float32 sums in another order differ by about 1e-6
JIT_OF_ITSELF = r"`torch\.jit\.\w+` is deprecated"  # what it says at each use
SIZES = ((1, 1, 8, 8), (2, 3, 9, 13), (1, 2, 32, 25), (3, 1, 5, 2), (1, 9, 4, 6))  # B, T, H, W; H, W in divisors


def to_onnx(network: nn.Module, path: Path, example: Tensor | None = None, divisor: int = 8) -> None:
    """One self-contained ONNX file with dynamic B, T, H and W, H and W multiples of the divisor.

    example: an input, `[B, C, T, H, W]` or `[B, C, H, W]`; `[2, 3, 3, 72, 104]` where none is given.
    """
    dim = torch.export.Dim
    if example is None:
        example = torch.rand(2, 3, 3, 72, 104) + 0.5
    height, width = (divisor * dim(name, min=1, max=512) for name in ("h", "w"))
    shape = {0: dim("b", min=1, max=4096), example.dim() - 2: height, example.dim() - 1: width}
    if example.dim() == 5:
        shape[2] = dim("t", min=1, max=4096)
    # It misses torchvision, whose operators no network here has.
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch.onnx about itself
        torch.onnx.export(
            network, (example,), str(path), input_names=["input"], output_names=["output"],
            dynamic_shapes=(shape,), dynamo=True, external_data=False, verbose=False,
        )  # fmt: skip
    strip(path)


def strip(path: Path) -> None:
    """Take out of an ONNX file what the exporter notes on each operator: stack traces, with paths of this machine."""
    import onnx

    model = onnx.load(path)
    for graph in (model.graph, *model.functions):
        for part in (graph, *graph.node, *graph.value_info):
            part.ClearField("metadata_props")
    onnx.save(model, path)


def to_torchscript(network: nn.Module, path: Path) -> None:
    """One TorchScript file of the network, its control flow included: any size that the network takes."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", JIT_OF_ITSELF)
        torch.jit.save(torch.jit.script(network), path)


def example_input(recipe: Recipe, size: tuple[int, int, int, int], generator: torch.Generator) -> Tensor:
    """An input of noise with SNR 20 and g-maps of 0.5 to 2.5, or magnitudes of 0 to 1; size: see `SIZES`."""
    n_batch, n_frames, height, width = (n * step for n, step in zip(size, (1, 1, *[divisor(recipe)] * 2), strict=True))
    if recipe.inputs == "magnitude_slices":
        return torch.rand(n_batch, recipe.n_frames, height, width, generator=generator)
    image = 20 * torch.randn(n_batch, PARTS[recipe.inputs], n_frames, height, width, generator=generator)
    gmap = 0.5 + 2 * torch.rand(n_batch, 1, n_frames, height, width, generator=generator)
    return torch.cat([image if recipe.inputs == "complex_gmap" else image.abs(), gmap], dim=1)


@torch.no_grad()
def agreement(network: nn.Module, folder: Path, recipe: Recipe) -> float:
    """Largest difference of both of `FILES` in the folder from the network over `SIZES`, of the largest value.

    Raises ModelError where it exceeds `AGREEMENT`.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(str(folder / FILES["onnx"]), providers=["CPUExecutionProvider"])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", JIT_OF_ITSELF)
        script = torch.jit.load(folder / FILES["torchscript"])
    generator = torch.Generator().manual_seed(recipe.seed)
    worst = 0.0
    for size in SIZES:
        x = example_input(recipe, size, generator)
        expected = network(x).numpy()
        answers = {"onnx": session.run(None, {"input": x.numpy()})[0], "torchscript": script(x).numpy()}
        for kind, found in answers.items():
            what = f"{FILES[kind]} of {recipe.name}"
            if found.shape != expected.shape:
                raise ModelError(f"{what} gives the shape {found.shape}; expected the network's {expected.shape}")
            difference = float(np.abs(found - expected).max() / np.abs(expected).max())
            if not difference <= AGREEMENT:
                raise ModelError(f"{what} differs from the network by {difference:.1e} on {list(x.shape)}; "
                                 f"expected at most {AGREEMENT:.0e}")  # fmt: skip
            worst = max(worst, difference)
    return worst
