"""A network's answer blended with the original, and what the images that come of it say about themselves."""

import dataclasses

import numpy as np

from ..image_kind import ImageKind
from ..items import ReconImage
from .alpha import Alpha
from .answer import denoise
from .manifest_fields import frames_text
from .model import Model
from .neighbours import Stack


def denoised(stack: Stack, model: Model, alpha: Alpha, strength: float, timeout_s: float) -> list[ReconImage]:
    """The denoised images of a stack that leave now, each with its own head, meta attributes and warnings.

    Partitions are frames, unless the frames are of another time.

    Parameters
    ----------
    stack
        The originals, with their neighbours.
    model
        The network, loaded.
    alpha
        Weight of the original.
    strength
        What the network's input is multiplied by, and its answer divided by; the g-map stays.
    timeout_s
        As of `Model.denoise`, in seconds.

    Raises
    ------
    ModelError, ModelTimeout, MemoryError
        As `Model.denoise`.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # which the model refuses
        images = [frame.image.image * np.float32(strength) for frame in stack.frames]
    gmaps = [frame.image.gmap for frame in stack.frames]
    if model.manifest.frames == ("time",):
        image, gmap = np.stack(images, axis=1), np.stack(gmaps, axis=1)  # (e2, frame, e1, ro)
        answers = np.stack([denoise(model, *part, timeout_s) for part in zip(image, gmap, strict=True)], axis=1)
    else:
        answer = denoise(model, np.concatenate(images), np.concatenate(gmaps), timeout_s)
        answers = answer.reshape(len(images), *images[0].shape)
    n_frames = 1 if not model.manifest.frames else len(images) if stack.mode else len(images[0])
    n_frames = min(n_frames, model.manifest.n_frames or n_frames)  # of those at hand, the network sees so many
    meta, history = _audit(stack.mode, n_frames, model, alpha, strength)
    warnings = (*stack.warnings, *(f"denoising fell back: {text}" for text in model.fallbacks))
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
    return seconds


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
    mode: str, n_frames: int, model: Model, alpha: Alpha, strength: float
) -> tuple[dict[str, str | list[str]], str]:
    """Meta attributes and the line of history that tell how an image was denoised."""
    manifest = model.manifest
    name = f"{manifest.name} {manifest.version}"
    meta: dict[str, str | list[str]] = {
        "SNRSTREAM_denoised": "true",
        "SNRSTREAM_model": name,
        "SNRSTREAM_model_sha256": manifest.sha256,
        "SNRSTREAM_alpha": str(alpha),
        "SNRSTREAM_strength": f"{strength:g}",
        "SNRSTREAM_backend": model.backend,
        "SNRSTREAM_device": model.device,
        "SNRSTREAM_frames": ", ".join((frames_text(manifest.frames), mode)) if mode else frames_text(manifest.frames),
        "SNRSTREAM_frames_used": str(n_frames),
    }
    if model.fallbacks:
        meta["SNRSTREAM_fallback"] = list(model.fallbacks)
    scaled = "" if strength == 1 else f", strength {strength:g}"
    return meta, f"denoised by {name}, alpha {alpha}{scaled}"
