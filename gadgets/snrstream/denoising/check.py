"""What a run of a model shows: its recorded answer, noise reduction, speed, and the seam of its tiles."""

import time
from collections.abc import Iterator

import numpy as np

from ..errors import ModelError
from ..system.numbers import three_digits
from ..system.threads import limit_threads
from .backend_choice import MOST_OFF, candidates, measured
from .loaded import load_model
from .manifest import file_and_size, problem_of
from .manifest_fields import Manifest
from .model import Model
from .recorded import deviation
from .runs import TIMEOUT_S
from .seam import measure_seam
from .streamed import measure_stream

EDGE = 256  # of the test image, along e1 and ro
BRIGHT, DARK = 20.0, 12.0  # SNR where g is 1
MOST_FRAMES, ANY_FRAMES = 32, 4  # of the test stack; where the network takes any number
MOST_OFF_STREAMED = 0.01  # noise SDs (RMS), which bfloat16 keeps to: the same images in another order
WEAKER = 2.0  # times the manifest's noise: one image and g-map differ from others, but not by as much
FAILED = "FAILED"


def check_model(name: str) -> Iterator[tuple[str, str]]:
    """A label and a text for each finding; the label `FAILED` for each that must not be.

    Fails where manifest or hash are wrong, the model does not run, `safety` refuses its answer, the recorded answer is
    missed by more than its tolerance, a stream is not the whole series, or more than `WEAKER` times the noise remains
    than the manifest says. The seam is reported, not judged. One thread, as `serve` has by default.

    Parameters
    ----------
    name
        The model's folder in `models/`.
    """
    limit_threads(1)
    try:
        model = load_model(name)
        manifest = model.manifest
        yield "version", manifest.version
        yield "file", f"{file_and_size(model.path)}, matches its hash"
        # The answer was recorded on the backend of every installation.
        bare = Model(manifest, model.path) if model.backend == "openvino" else model
        yield from _compared(bare)
        yield from _measured(model)
        yield from _backends(model, bare)
        for fallback in model.fallbacks:
            yield "fallback", fallback
    except (ModelError, MemoryError) as exc:
        yield FAILED, problem_of(name, exc)


def noise_remaining(manifest: Manifest, noisy: np.ndarray, denoised: np.ndarray, flat: np.ndarray) -> float:
    """Noise SD out over in, from two images each that differ by their noise alone.

    Of the magnitudes where the network answers with these, for the phase is the original's.

    Parameters
    ----------
    manifest
        The model's.
    noisy, denoised
        `(2, frame, e1, ro)` complex64, what went in and what came out.
    flat
        `(e1, ro)` bool, where it is measured, away from edges: there g is the same in and out.
    """
    if manifest.input != "complex_gmap":
        noisy, denoised = np.abs(noisy), np.abs(denoised)
    before, after = (np.abs(pair[0] - pair[1])[:, flat].astype(np.float64) for pair in (noisy, denoised))
    return float(np.sqrt(np.mean(after**2) / np.mean(before**2)))


def flat_images(manifest: Manifest) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Twice the same disc in a disc under noise of SD g per part, the g-map, and where the discs are flat.

    SNR and g are within the manifest's ranges. All frames hold the same object under a smooth phase, as in scans, and
    noise of their own.

    Returns
    -------
    images
        `(2, frame, e1, ro)` complex64, in SNR units.
    gmap
        `(frame, e1, ro)` float32.
    flat
        `(e1, ro)` bool.
    """
    n_frames = 1 if not manifest.frames else min(manifest.n_frames or ANY_FRAMES, MOST_FRAMES)
    rng, shape = np.random.default_rng(0), (n_frames, EDGE, EDGE)
    y, x = np.meshgrid(np.linspace(-1, 1, EDGE), np.linspace(-1, 1, EDGE), indexing="ij")
    radius = np.hypot(x, y)
    gmap = np.clip(1 + 0.5 * np.exp(-4 * radius**2), *(manifest.gfactor_range or (None, None)))
    snr = np.clip([DARK, BRIGHT], *(manifest.snr_range or (None, None))) * gmap.min()
    object_ = np.select([radius < 0.4, radius < 0.8], snr[::-1]) * np.exp(1j * (x + 0.5 * y))
    flat = (radius < 0.33) | ((radius > 0.47) & (radius < 0.73))  # 9 pixels from an edge and more
    noise = rng.standard_normal((2, *shape)) + 1j * rng.standard_normal((2, *shape))
    noisy = (object_ + gmap * noise).astype(np.complex64)
    return noisy, np.broadcast_to(gmap, shape).astype(np.float32), flat


def _compared(model: Model) -> Iterator[tuple[str, str]]:
    recorded = model.manifest.test_vector
    if recorded is None:
        yield "recorded answer", "none, nothing to compare with"
        return
    found = deviation(model)
    yield "recorded answer", f"differs by {found:.2g}; tolerance {recorded.tolerance:g}"
    if not found <= recorded.tolerance:
        yield (
            FAILED,
            f"its answer differs from the recorded one by {found:.3g}; expected {recorded.tolerance:g} at most",
        )


def _backends(model: Model, bare: Model) -> Iterator[tuple[str, str]]:
    """What else could run it: time, and difference to the recorded answer."""
    others = candidates(bare, TIMEOUT_S)
    for n, found in enumerate(measured([bare, *others], TIMEOUT_S, EDGE) if others else ()):
        off = "" if found.rms is None else f", off by {found.rms:.2g} (RMS), {found.largest:.2g} at most"
        used = ", in use" * ((found.model.backend, found.model.device) == (model.backend, model.device))
        name = f"{found.model.backend} on {found.model.device}"
        yield "" if n else "backends", f"{name}: {three_digits(found.ms)} ms a frame{off}{used}"


def _streamed(model: Model, image: np.ndarray, gmap: np.ndarray) -> Iterator[tuple[str, str]]:
    found = measure_stream(model, image, gmap, MOST_FRAMES)
    kept = f"which keeps {found.nbytes / 2**20:.1f} MiB"
    yield "stream", f"{three_digits(found.ms)} ms an image of {EDGE} x {EDGE} in a streamed series, {kept}"
    yield "", f"off the whole series by {found.rms:.2g} (RMS), {found.largest:.2g} at most"
    if not (found.rms <= MOST_OFF_STREAMED and found.largest <= MOST_OFF * MOST_OFF_STREAMED):
        yield (
            FAILED,
            f"a stream differs from the whole causal series by {found.rms:.3g} (RMS), {found.largest:.3g} at most; "
            f"expected {MOST_OFF_STREAMED:g} and {MOST_OFF * MOST_OFF_STREAMED:g} at most",
        )


def _measured(model: Model) -> Iterator[tuple[str, str]]:
    noisy, gmap, flat = flat_images(model.manifest)
    denoised, seconds = [], []
    for image in noisy:
        start = time.perf_counter()
        denoised.append(model.denoise(image, gmap))
        seconds.append(time.perf_counter() - start)
    found, stated = noise_remaining(model.manifest, noisy, np.stack(denoised), flat), model.manifest.noise_reduction
    yield "noise", f"SD falls to {found:.1%} in flat regions, manifest {stated:.1%}"
    if not found <= WEAKER * stated:
        yield FAILED, f"{found:.1%} of the noise remains; expected {stated:.1%}, as its manifest says, or near it"
    best_ms = 1000 * min(seconds) / len(gmap)
    how = f"{model.backend} on {model.device}, best of {len(seconds)}"
    yield "speed", f"{three_digits(best_ms)} ms a frame of {EDGE} x {EDGE}, {how}"
    if model.manifest.past:
        yield from _streamed(model, noisy[0], gmap)
    elif "time" in model.manifest.frames and (n_frames := len(gmap)) > 1:
        streamed_ms = three_digits(best_ms * n_frames)
        yield "", f"{streamed_ms} ms an image in a streamed series, for its {n_frames} frames run each time"
    seam = measure_seam(model, noisy[0], gmap)
    yield "seam of tiles", f"{seam.at_borders:.2g} noise SDs (RMS) where they overlap, {seam.largest:.2g} at most"
