"""A network that remembers: whole series, causal ones, and streams, which are the same images."""

import dataclasses
import functools

import numpy as np
import pytest
import torch

from snrstream.denoising import answer
from snrstream.denoising.backend_choice import candidates
from snrstream.denoising.loaded import load_model
from snrstream.denoising.model import Model
from snrstream.errors import ModelError

from .images import random_image
from .networks import REMEMBERS, onnx_file, remembering, remembering_file, torchscript

pytest.importorskip("onnxscript")
CLOSE = 2e-4  # of values up to 40
file_of = functools.cache(remembering_file)
Kept = tuple[torch.Tensor, list[torch.Tensor]]


@pytest.fixture
def model(install) -> Model:
    install(file_of("onnx"), **REMEMBERS)
    return load_model("tiny")


@pytest.fixture(params=["onnxruntime", "openvino", "torchscript"])
def any_model(request, install) -> Model:
    """On each backend."""
    install(file_of("torchscript" if request.param == "torchscript" else "onnx"), **REMEMBERS,
            format="torchscript" if request.param == "torchscript" else "onnx")  # fmt: skip
    found = load_model("tiny")
    if request.param == "openvino":
        pytest.importorskip("openvino")
        (found, *_) = [other for other in candidates(found, 30.0) if other.device.endswith("f32")]
    assert found.backend == request.param
    return found


def series(n_frames: int, height: int = 20, width: int = 27) -> tuple[np.ndarray, np.ndarray]:
    """Images of noise and signal, all of their own, and g-maps."""
    image = 8 * random_image((n_frames, height, width))
    return image, (1 + 0.5 * np.random.default_rng(1).random(image.shape)).astype(np.float32)


def asked(image: np.ndarray, gmap: np.ndarray, causal: bool) -> np.ndarray:
    """What the network itself says to all frames at once, padded as the runtime pads."""
    n_frames, height, width = image.shape
    size = -(-height // 4) * 4, -(-width // 4) * 4
    x = torch.zeros(1, 3, n_frames, *size)
    x[:, 2] = 1
    parts = torch.from_numpy(np.stack([image.real, image.imag, gmap]))
    x[0, :, :, :height, :width] = parts
    with torch.no_grad():
        found = remembering()(x, torch.tensor([float(causal)]))[0, :, :, :height, :width]
    return torch.complex(found[0], found[1]).numpy()


def streamed(model: Model, image: np.ndarray, gmap: np.ndarray) -> np.ndarray:
    state, answers = None, []
    for frame in zip(image, gmap, strict=True):
        found, state = model.stream(*frame, state)
        answers.append(found)
    return np.stack(answers)


@pytest.mark.parametrize("n_frames", [1, 2, 5, 40])
def test_a_stream_is_the_whole_causal_series_and_that_is_the_network(any_model, n_frames) -> None:
    image, gmap = series(n_frames)
    expected, whole = asked(image, gmap, True), any_model.denoise(image, gmap, causal=True)
    assert whole.dtype == np.complex64 and np.abs(whole - expected).max() < CLOSE
    assert np.abs(streamed(any_model, image, gmap) - expected).max() < CLOSE
    assert any_model.fallbacks == ()


@pytest.mark.parametrize("n_frames", [1, 7, 40, 75])
def test_cuts_of_a_long_series_do_not_show(any_model, n_frames) -> None:
    image, gmap = series(n_frames, 12, 16)
    expected = asked(image, gmap, False)
    assert np.abs(any_model.denoise(image, gmap) - expected).max() < CLOSE
    if n_frames > 1:
        assert np.abs(asked(image, gmap, True) - expected).max() > 0.1, "later frames have a say"
        alone = np.concatenate([asked(image[n : n + 1], gmap[n : n + 1], False) for n in range(n_frames)])
        assert np.abs(alone - expected).max() > 0.1, "frames have a say in each other"


def test_cuts_do_not_show_where_attention_sees_further_than_a_tile(install) -> None:
    """Three cells with a window of 8 see 21 frames on either side, and tiles have 32 by default."""
    install(file_of("onnx"), **{**REMEMBERS, "window": 8})
    assert load_model("tiny").tile((200, 12, 16))[0] > 43


@pytest.mark.parametrize("causal", [False, True])
def test_tiles_in_plane_do_not_show(install, causal) -> None:
    install(file_of("onnx"), **REMEMBERS, receptive_field=[19, 63, 63])
    model = load_model("tiny")
    image, gmap = series(9, 212, 224)
    expected = asked(image, gmap, causal)
    model._devices.setup = dataclasses.replace(model._devices.setup, largest=128)
    assert model.tile((1, *image.shape[1:])) == (1, 128, 128)
    assert np.abs(model.denoise(image, gmap, causal=causal) - expected).max() < CLOSE
    if causal:
        assert np.abs(streamed(model, image, gmap) - expected).max() < CLOSE


def test_a_stream_goes_on_in_smaller_tiles_when_memory_is_short(model, monkeypatch) -> None:
    image, gmap = series(6, 64, 200)
    expected = asked(image, gmap, True)
    first, state = model.stream(image[0], gmap[0], None)
    inner = model._devices.setup.backend.run_remembering

    def limited(x, causal, past, stop):
        if x.shape[-1] > 192:
            raise RuntimeError("CUDA out of memory")
        return inner(x, causal, past, stop)

    monkeypatch.setattr(model._devices.setup.backend, "run_remembering", limited)
    answers = [first]
    for frame in zip(image[1:], gmap[1:], strict=True):
        found, state = model.stream(*frame, state)
        answers.append(found)
    assert np.sqrt(np.mean(np.abs(np.stack(answers) - expected) ** 2)) < 0.05, "tiles of 100 columns show a little"
    assert model.fallbacks == ("out of memory on CPUExecutionProvider: tiles of 64 x 100",)
    whole = model.denoise(image, gmap, causal=True)
    assert np.sqrt(np.mean(np.abs(whole - expected) ** 2)) < 0.05


def test_a_state_is_never_changed_and_holds_what_the_window_needs(any_model) -> None:
    image, gmap = series(9, 18, 25)
    of_a_frame = 4 * (2 * 32 * 10 * 14 + 64 * 5 * 7)
    state, states = None, []
    for n, frame in enumerate(zip(image, gmap, strict=True)):
        _, state = any_model.stream(*frame, state)
        states.append(state)
        assert (state.n_frames, state.nbytes) == (min(n + 1, 3), min(n + 1, 3) * of_a_frame)
        assert all(part.base is None for part in state.past), "no more is held than it says"
    kept = [[part.copy() for part in state.past] for state in states]
    one, after = any_model.stream(image[3], gmap[3], states[2])
    with pytest.raises(ModelError, match="NaN or infinite"):
        any_model.stream(np.full_like(image[0], np.nan), gmap[0], states[2])
    again, _ = any_model.stream(image[3], gmap[3], states[2])
    assert np.array_equal(one, again) and after is not states[3]
    for state, before in zip(states, kept, strict=True):
        assert all(np.array_equal(*both) for both in zip(state.past, before, strict=True))
    with pytest.raises(dataclasses.FrozenInstanceError):
        after.shape = (1, 1)


def test_a_failed_run_loses_nothing(model, monkeypatch) -> None:
    image, gmap = series(3)
    _, state = model.stream(image[0], gmap[0], None)
    with monkeypatch.context() as broken:
        broken.setattr(model._devices.setup.backend, "run_remembering", lambda *_: 1 / 0)
        with pytest.raises(ModelError, match="model tiny: failed on 1 x 20 x 27: division by zero"):
            model.stream(image[1], gmap[1], state)
    found, _ = model.stream(image[1], gmap[1], state)
    assert np.abs(found - asked(image[:2], gmap[:2], True)[1]).max() < CLOSE


def test_a_state_of_another_size_or_model_is_refused(model, install) -> None:
    image, gmap = series(2)
    _, state = model.stream(image[0], gmap[0], None)
    with pytest.raises(ModelError, match=r"an image of 27 x 20 follows in a stream of 20 x 27; expected one size"):
        model.stream(image[1].T, gmap[1].T, state)
    with pytest.raises(ModelError, match=r"begun by a model of sha256 0000; expected this one, \w{12}$"):
        model.stream(image[1], gmap[1], dataclasses.replace(state, sha256="0000"))


def test_a_network_that_does_not_remember_is_told(install) -> None:
    install()
    model, (image, gmap) = load_model("tiny"), series(1)
    for ask in (lambda: model.stream(image[0], gmap[0], None), lambda: model.denoise(image, gmap, causal=True)):
        with pytest.raises(ModelError, match="model tiny keeps nothing of earlier frames; expected past in its"):
            ask()


def infinite(present: list[np.ndarray]) -> list[np.ndarray]:
    present[1][0, 0, 3, 1, 1] = np.inf
    return present


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (infinite, "model tiny keeps NaN or infinite values of a frame"),
        (
            lambda present: present[:2],
            r"model tiny answered with shapes \[.*\]; expected \[\(1, 2, 1, 20, 28\), \(1, 1, 32",
        ),
        (lambda present: [part[:, :, :, 1:] for part in present], "model tiny answered with shapes"),
    ],
)
def test_what_cannot_be_kept_is_told_at_once(model, monkeypatch, spoil, told) -> None:
    """The images after it would all fail."""
    image, gmap = series(1)
    inner = model._devices.setup.backend.run_remembering

    def spoilt(*given):
        found, present = inner(*given)
        return found, spoil(present)

    monkeypatch.setattr(model._devices.setup.backend, "run_remembering", spoilt)
    with pytest.raises(ModelError, match=told):
        model.stream(image[0], gmap[0], None)


def test_phase_and_local_means_are_those_of_the_whole_series(model) -> None:
    image, gmap = series(6)
    image += 20 * np.exp(1j * np.linspace(0, 6, 20))[:, None].astype(np.complex64)
    whole, state, answers = answer.denoise(model, image, gmap, 30.0, True), None, []
    for frame in zip(image, gmap, strict=True):
        found, state = answer.stream(model, *frame, state, 30.0)
        answers.append(found)
    assert answers[0].shape == (20, 27) and answers[0].dtype == image.dtype
    assert np.abs(np.stack(answers) - whole).max() < CLOSE
    assert np.abs(model.denoise(image, gmap, causal=True) - whole).max() > 0.1, "the phase counts"


class Overwrites(torch.nn.Module):
    """The image itself; what it keeps of frames it writes over when it sees it again."""

    def forward(self, x: torch.Tensor, causal: torch.Tensor, past: list[torch.Tensor]) -> Kept:  # noqa: ARG002
        past[0].mul_(0.0)
        return x[:, :1], [x[:, 1:].transpose(1, 2)]


def test_a_module_that_writes_to_its_input_spoils_no_state(install) -> None:
    install(torchscript(Overwrites()), format="torchscript", input="magnitude_gmap", layout="B,2,T,H,W", divisor=1,
            frames="time", past=[[1, 1]], window=3)  # fmt: skip
    model, (image, gmap) = load_model("tiny"), series(2)
    _, first = model.stream(image[0], gmap[0], None)
    _, second = model.stream(image[1], gmap[1], first)
    assert np.array_equal(first.past[0][0, 0], gmap[0]) and np.array_equal(second.past[0][:, 0], gmap)


class Remembers(torch.nn.Module):
    """The magnitude times the mean of g over the last two frames."""

    def forward(self, x: torch.Tensor, causal: torch.Tensor, past: list[torch.Tensor]) -> Kept:  # noqa: ARG002
        g = x[:, 1:].transpose(1, 2)
        before = torch.cat([past[0][:, -1:] if past[0].shape[1] > 0 else g[:, :1], g[:, :-1]], dim=1)
        return x[:, :1] * ((g + before) / 2).transpose(1, 2), [g]


def test_a_magnitude_network_streams_too(install) -> None:
    install(torchscript(Remembers()), format="torchscript", input="magnitude_gmap", layout="B,2,T,H,W", divisor=1,
            frames="time", past=[[1, 1]], window=2)  # fmt: skip
    model = load_model("tiny")
    image = np.full((4, 8, 8), 3j, np.complex64)
    gmap = np.broadcast_to(np.float32([1, 0.5, 0.5, 1])[:, None, None], image.shape)
    expected = image * np.float32([1, 0.75, 0.5, 0.75])[:, None, None]
    assert np.allclose(streamed(model, image, gmap), expected, atol=1e-5)
    assert np.allclose(model.denoise(image, gmap, causal=True), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"past": [], "window": 0}, "model tiny has 5 inputs and 4 outputs; expected one of each"),
        ({"past": [[32, 2]]}, "has inputs x, causal, past_0, past_1, past_2; expected x, causal, past_0, for its"),
        ({"past": [[32, 2], [12, 4], [32, 2]]}, r"past_1 has shape \[.*64.*\]; expected \[B, P, 12, H, W\]"),
        ({"past": [[32, 2], [64, 2], [32, 2]]}, "model tiny: failed on 1 x 20 x 27: .*Reshape"),
    ],
)
def test_a_file_that_does_not_keep_what_the_manifest_says(install, changes, told) -> None:
    install(file_of("onnx"), **{**REMEMBERS, **changes})
    image, gmap = series(1)
    with pytest.raises(ModelError, match=told):
        load_model("tiny").stream(image[0], gmap[0], None)


def test_an_onnx_file_of_one_input_has_no_past(install) -> None:
    install(onnx_file(torch.nn.Identity()), **{**REMEMBERS, "divisor": 8})
    with pytest.raises(
        ModelError, match="has inputs input; expected x, causal, past_0, past_1, past_2, for its manifest"
    ):
        load_model("tiny")


class NoPast(torch.nn.Module):
    def forward(self, x: torch.Tensor, causal: torch.Tensor, past: list[torch.Tensor]) -> torch.Tensor:  # noqa: ARG002
        return x[:, :2]


class Forgets(torch.nn.Module):
    def forward(self, x: torch.Tensor, causal: torch.Tensor, past: list[torch.Tensor]) -> Kept:  # noqa: ARG002
        return x[:, :2], past[:2]


class Integers(torch.nn.Module):
    def forward(self, x: torch.Tensor, causal: torch.Tensor, past: list[torch.Tensor]) -> Kept:  # noqa: ARG002
        return x[:, :2], [part.int() for part in past]


@pytest.mark.parametrize(
    ("network", "told"),
    [
        (NoPast(), "model tiny answered with Tensor; expected the answer and the list of what is kept"),
        (Forgets(), r"model tiny keeps shapes \[.*\] of a frame; expected \[\(1, 1, 32, 32, 32\), .*\]"),
        (Integers(), "model tiny answered with torch.int32; expected floating point numbers"),
    ],
)
def test_a_torchscript_file_that_keeps_something_else(install, network, told) -> None:
    install(torchscript(network), format="torchscript", **REMEMBERS)
    with pytest.raises(ModelError, match=told):
        load_model("tiny")
