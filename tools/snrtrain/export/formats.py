"""A network as an ONNX and as a TorchScript file, and whether both still are that network."""

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from snrstream.errors import ModelError
from snrtrain.networks import PARTS, divisor, remembered
from snrtrain.networks.whitened import WhitenedUNet
from snrtrain.recipe import Recipe

FILES = {"onnx": "model.onnx", "torchscript": "model.pt"}
AGREEMENT = 1e-4  # of the largest value: float32 sums in another order differ by about 1e-6
JIT_OF_ITSELF = r"`torch\.jit\.\w+` is deprecated"  # what it says at each use
SIZES = ((1, 1, 8, 8), (2, 3, 9, 13), (1, 2, 32, 25), (3, 1, 5, 2), (1, 9, 4, 6))  # B, T, H, W; H, W in divisors
N_EARLIER = 2  # frames of the past for which a file is made: none and one would be taken for constants
_Ask = Callable[[Tensor, Tensor, list[Tensor]], tuple[Tensor, list[Tensor]]]  # x, causal, past: answer, present


class Remembering(nn.Module):
    """A network for any frames, with all that its file takes and gives: `WhitenedUNet.remembering` by another name."""

    def __init__(self, network: WhitenedUNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, causal: Tensor, past: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Answer and present of frames, causal or not, and the past."""
        return self.network.remembering(x, causal, past)


def to_onnx(
    network: nn.Module, path: Path, example: Tensor | None = None, divisor: int = 8,
    past: Sequence[tuple[int, int]] = (),
) -> None:  # fmt: skip
    """One self-contained ONNX file with dynamic B, T, H and W, H and W multiples of the divisor.

    example: an input, `[B, C, T, H, W]` or `[B, C, H, W]`; `[2, 3, 3, 72, 104]` where none is given. past: of a network
    for any frames, see `networks.remembered`; then the inputs are x, causal, past_0 ..., and the outputs y, present_0
    ..., and the number of frames in the past is dynamic too.
    """
    dim = torch.export.Dim
    if example is None:
        example = torch.rand(2, 3, 3, 72, 104) + 0.5
    h, w = (dim(name, min=1, max=512) for name in ("h", "w"))
    shape = {0: dim("b", min=1, max=4096), example.dim() - 2: divisor * h, example.dim() - 1: divisor * w}
    if example.dim() == 5:
        shape[2] = dim("t", min=1, max=4096)
    given: tuple[Any, ...] = (example,)
    shapes: tuple[Any, ...] = (shape,)
    inputs, outputs = ["input"], ["output"]
    if past:
        earlier = dim("p", min=0, max=4096)
        of_cells = [{0: shape[0], 1: earlier, 3: divisor // d * h, 4: divisor // d * w} for _, d in past]
        network = Remembering(cast(WhitenedUNet, network))
        given = (example, torch.zeros(1), nothing(past, example, N_EARLIER))
        shapes = (shape, None, of_cells)
        inputs = ["x", "causal", *(f"past_{n}" for n in range(len(past)))]
        outputs = ["y", *(f"present_{n}" for n in range(len(past)))]
    # It misses torchvision, whose operators no network here has.
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch.onnx about itself
        torch.onnx.export(
            network, given, str(path), input_names=inputs, output_names=outputs,
            dynamic_shapes=shapes, dynamo=True, external_data=False, verbose=False,
        )  # fmt: skip
    strip(path)


def nothing(past: Sequence[tuple[int, int]], x: Tensor, n_frames: int = 0) -> list[Tensor]:
    """A past of no frames, or of some that are all zero, for the input `x`."""
    return [x.new_zeros(len(x), n_frames, c, x.shape[-2] // d, x.shape[-1] // d) for c, d in past]


def strip(path: Path) -> None:
    """Take out of an ONNX file what the exporter notes on each operator: stack traces, with paths of this machine."""
    import onnx

    model = onnx.load(path)
    for graph in (model.graph, *model.functions):
        for part in (graph, *graph.node, *graph.value_info):
            part.ClearField("metadata_props")
    onnx.save(model, path)


def to_torchscript(network: nn.Module, path: Path, remembering: bool = False) -> None:
    """One TorchScript file of the network, its control flow included: any size that the network takes.

    remembering: it is a network for any frames, and its file takes and gives what `Remembering` does.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", JIT_OF_ITSELF)
        torch.jit.save(torch.jit.script(Remembering(cast(WhitenedUNet, network)) if remembering else network), path)


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

    A network for any frames is asked thrice: all frames at once, so with a causal mask, and frame by frame, each with
    what is remembered of those before it. The last two are held against the same answer of the network.
    Raises ModelError where it exceeds `AGREEMENT`.
    """
    kept = remembered(recipe)
    files: dict[str, _Ask] = {"onnx": _onnx(folder / FILES["onnx"], kept),
                              "torchscript": _torchscript(folder / FILES["torchscript"], kept)}  # fmt: skip
    generator = torch.Generator().manual_seed(recipe.seed)
    worst = 0.0
    for size in SIZES:
        x = example_input(recipe, size, generator)
        for kind, ask in files.items():
            for way, expected, found in _answers(network, ask, x, recipe):
                what = f"{FILES[kind]} of {recipe.name}"
                if found.shape != expected.shape:
                    shapes = f"{tuple(found.shape)}; expected the network's {tuple(expected.shape)}"
                    raise ModelError(f"{what} gives the shape {shapes}")
                difference = float((found - expected).abs().max() / expected.abs().max())
                if not difference <= AGREEMENT:
                    raise ModelError(f"{what} differs from the network by {difference:.1e} on {list(x.shape)}{way}; "
                                     f"expected at most {AGREEMENT:.0e}")  # fmt: skip
                worst = max(worst, difference)
    return worst


def _answers(network: nn.Module, ask: _Ask, x: Tensor, recipe: Recipe) -> Iterator[tuple[str, Tensor, Tensor]]:
    """How the file was asked, what the network says, and what the file does."""
    kept = remembered(recipe)
    if not kept:
        yield "", network(x), ask(x, torch.zeros(1), [])[0]
        return
    for way, causal in ((", all frames", torch.zeros(1)), (", causal", torch.ones(1))):
        yield way, network(x, causal), ask(x, causal, nothing(kept, x))[0]
    past, streamed = nothing(kept, x), []
    for frame in x.split(1, dim=2):
        answer, present = ask(frame, torch.ones(1), past)
        streamed.append(answer)
        past = [torch.cat(both, dim=1)[:, 1 - recipe.window :] for both in zip(past, present, strict=True)]
    yield ", frame by frame", network(x, torch.ones(1)), torch.cat(streamed, dim=2)


def _onnx(path: Path, kept: Sequence[tuple[int, int]]) -> _Ask:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def ask(x: Tensor, causal: Tensor, past: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        named = {"input": x.numpy()}
        if kept:
            named = {"x": x.numpy(), "causal": causal.numpy()} | {f"past_{n}": p.numpy() for n, p in enumerate(past)}
        answer, *present = map(torch.from_numpy, session.run(None, named))
        return answer, present

    return ask


def _torchscript(path: Path, kept: Sequence[tuple[int, int]]) -> _Ask:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", JIT_OF_ITSELF)
        script = torch.jit.load(path)

    def ask(x: Tensor, causal: Tensor, past: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        answer: tuple[Tensor, list[Tensor]] = script(x, causal, past) if kept else (script(x), [])
        return answer

    return ask
