"""A network's answer blended with the original, and what the images that come of it say about themselves."""

import dataclasses

import numpy as np

from ..image_kind import ImageKind
from ..items import ReconImage
from .alpha import Alpha
from .answer import denoise, stream
from .model import Model
from .stack import Memory, Stack
from .state import State


def denoised(
    stack: Stack, model: Model, alpha: Alpha, strength: float, timeout_s: float
) -> tuple[list[ReconImage], tuple[State, ...]]:
    """The denoised images of a stack that leave now, each with its own head, meta attributes and warnings.

    Parameters
    ----------
    stack
        The originals, with their neighbours or what is kept of those before.
    model
        The network, loaded.
    alpha
        Weight of the original.
    strength
        What the network's input is multiplied by, and its answer divided by; the g-map stays.
    timeout_s
        As of `Model.denoise`, in seconds.

    Returns
    -------
    seconds
        The denoised images.
    states
        Of each partition, for the next image of a stream; none where there is no stream.

    Raises
    ------
    ModelError, ModelTimeout, MemoryError
        As `Model.denoise`.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # which the model refuses
        images = [frame.image.image * np.float32(strength) for frame in stack.frames]
    gmaps = [frame.image.gmap for frame in stack.frames]
    warnings, states = stack.warnings, tuple[State, ...]()
    if stack.memory is not None:
        answers, n_frames, states = _streamed(stack.memory, images[0], gmaps[0], model, timeout_s)
        warnings += (stack.memory.lost,) * bool(stack.memory.lost)
    else:
        answers, n_frames = _together(stack, images, gmaps, model, timeout_s)
    meta, history = _audit(stack, n_frames, model, alpha, strength)
    warnings += tuple(f"denoising fell back: {text}" for text in model.fallbacks)
    seconds = []
    for place in stack.leaving:
        item, answer = stack.frames[place].image, answers[place] / np.float32(strength)
        second = dataclasses.replace(
            item,
            image=alpha.blend(item.image, answer, item.gmap),
            history=(*item.history, history),
            meta={**item.meta, **meta},
            warnings=(*item.warnings, *warnings),
            kind=ImageKind.DENOISED,
        )
        seconds.append(second)
    return seconds, states


def _streamed(
    memory: Memory, image: np.ndarray, gmap: np.ndarray, model: Model, timeout_s: float
) -> tuple[np.ndarray, int, tuple[State, ...]]:
    """Answers `(1, e2, e1, ro)`, how many frames the network saw for each partition, and the partitions' states."""
    before = memory.states or (None,) * len(image)
    parts = [stream(model, *part, timeout_s) for part in zip(image, gmap, before, strict=True)]
    n_frames = 1 if before[0] is None else before[0].n_frames + 1
    return np.stack([answer for answer, _ in parts])[None], n_frames, tuple(state for _, state in parts)


def _together(
    stack: Stack, images: list[np.ndarray], gmaps: list[np.ndarray], model: Model, timeout_s: float
) -> tuple[np.ndarray, int]:
    """Answers `(frame, e2, e1, ro)`, and how many frames the network saw. Partitions are frames, unless time is."""
    manifest = model.manifest
    if stack.axis == "time":
        image, gmap = np.stack(images, axis=1), np.stack(gmaps, axis=1)  # (e2, frame, e1, ro)
        answers = np.stack([denoise(model, *part, timeout_s) for part in zip(image, gmap, strict=True)], axis=1)
    else:
        answer = denoise(model, np.concatenate(images), np.concatenate(gmaps), timeout_s)
        answers = answer.reshape(len(images), *images[0].shape)
    n_frames = 1 if not manifest.frames else len(images) if stack.mode else len(images[0])
    most = manifest.n_frames or (2 * len(manifest.past) * (manifest.window - 1) + 1 if manifest.past else n_frames)
    return answers, min(n_frames, most)  # of those at hand, the network sees so many


def stand_in(item: ReconImage, history: str, meta: dict[str, str]) -> ReconImage:
    """The original once more, marked as not denoised."""
    return dataclasses.replace(
        item,
        history=(*item.history, history),
        meta={**item.meta, "SNRSTREAM_denoised": "false", **meta},
        kind=ImageKind.STAND_IN,
    )


def residual(original: ReconImage, second: ReconImage) -> ReconImage:
    """`original - denoised`, complex; zero where a stand-in has the place of the denoised image."""
    return dataclasses.replace(
        second,
        image=original.image - second.image,
        history=(*second.history, "original minus denoised"),
        kind=ImageKind.RESIDUAL,
    )


def _audit(
    stack: Stack, n_frames: int, model: Model, alpha: Alpha, strength: float
) -> tuple[dict[str, str | list[str]], str]:
    """Meta attributes and the line of history that tell how an image was denoised."""
    manifest = model.manifest
    name = f"{manifest.name} {manifest.version}"
    axis = "none" if n_frames == 1 and len(manifest.frames) > 1 else stack.axis
    meta: dict[str, str | list[str]] = {
        "SNRSTREAM_denoised": "true",
        "SNRSTREAM_model": name,
        "SNRSTREAM_model_sha256": manifest.sha256,
        "SNRSTREAM_alpha": str(alpha),
        "SNRSTREAM_strength": f"{strength:g}",
        "SNRSTREAM_backend": model.backend,
        "SNRSTREAM_device": model.device,
        "SNRSTREAM_frames": f"{axis}, {stack.mode}" if stack.mode and axis != "none" else axis,
        "SNRSTREAM_frames_used": str(n_frames),
    }
    if model.fallbacks:
        meta["SNRSTREAM_fallback"] = list(model.fallbacks)
    scaled = "" if strength == 1 else f", strength {strength:g}"
    return meta, f"denoised by {name}, alpha {alpha}{scaled}"
