"""Gadget: denoise images in SNR units by a network, blended with the original."""

import dataclasses
import logging
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np

from ..denoising.alpha import Alpha
from ..denoising.backend_choice import Choice
from ..denoising.feed import Feed
from ..denoising.group import Frame
from ..denoising.images import denoised, residual, stand_in
from ..denoising.loaded import load_model
from ..denoising.runs import TIMEOUT_S
from ..denoising.scan_kind import ScanKind, scan_kind
from ..denoising.stack import Mode, Stack
from ..denoising.state import State
from ..errors import ModelError, ModelTimeout
from ..image_kind import ImageKind
from ..items import Item, ReconImage
from ..system.resources import is_plain_name
from ..system.time_limit import cancel_when
from .gadget import Gadget, Scan

log = logging.getLogger(__name__)

LONGEST_TIMEOUT_S = 3600.0
MOST_TOLD = 20  # different reasons that a scan's log gives
MOST_BYTES = 2 << 30  # of what a scan holds back or remembers: images, g-maps, states of a network
WEAKEST, STRONGEST = 0.01, 100.0
WARM_UP_SIDE, WARM_UP_SNR = 64, 20.0  # pixels, and their value, of the frame that a model is warmed up on


@dataclass(frozen=True)
class Parameters:
    """The model, and how it is used.

    A pipeline's alpha belongs to the model that the pipeline names: where the console or `--set` names another model
    and no alpha, that model's default counts. Of `alpha` and `alpha_by_g`, a pipeline sets one.
    """

    model: Annotated[str, "name of the model: a folder in models/"] = field(
        default="snraware", metadata={"instead_of": ("alpha", "alpha_by_g")}
    )
    alpha: Annotated[
        float | None,
        "weight of the original in the denoised image, 0 (the network alone) to 1 (the original, bit for bit); the "
        "model's own where it is not set",
    ] = field(default=None, metadata={"instead_of": ("alpha_by_g",)})
    alpha_by_g: Annotated[
        str,
        "in place of alpha, a table of pairs g:alpha such as 1:0.5 2:0.3 4:0.1, linear in between and constant beyond, "
        "to denoise more where there is more noise",
    ] = field(default="", metadata={"instead_of": ("alpha",)})
    strength: Annotated[
        float,
        "what the network's input is multiplied by and its output divided by, 0.01 to 100. A network for SNR units "
        "takes for noise what is as small as noise of SD g: below 1 that is more of the image, and it denoises more, "
        "above 1 less. A network for normalised magnitudes sees the same image either way",
    ] = 1.0
    backend: Annotated[
        Choice,
        "what runs the network on a CPU: onnxruntime, openvino, or auto, which takes openvino where the processor has "
        "bfloat16, if it is much faster and gives the recorded answer",
    ] = "auto"
    frames: Annotated[
        Mode,
        "for models that look at several images, in time or of neighbouring slices: streaming denoises an image with "
        "the images at hand, series with all of its series once that has ended, up to 2 GiB of it",
    ] = "streaming"
    residual: Annotated[bool, "whether to send original minus denoised too, as series 3"] = False
    timeout_s: Annotated[
        float,
        "seconds that the network may take for an image, or for each 8 partitions of a volume, and to be loaded; "
        "above 0, up to 3600",
    ] = TIMEOUT_S

    def __post_init__(self) -> None:
        if not is_plain_name(self.model):
            raise ValueError(
                f"model {self.model[:200]!r} is not a plain name; expected the name of a folder in models/"
            )
        if self.alpha is not None and not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha is {self.alpha}; expected a number from 0 to 1")
        if self.alpha_by_g:
            Alpha.by_g(self.alpha_by_g)
            if self.alpha is not None:
                raise ValueError(f"alpha is {self.alpha}, alpha_by_g {self.alpha_by_g[:100]!r}; expected one of them")
        if not WEAKEST <= self.strength <= STRONGEST:
            raise ValueError(f"strength is {self.strength}; expected a number from {WEAKEST:g} to {STRONGEST:g}")
        if not 0 < self.timeout_s <= LONGEST_TIMEOUT_S:
            raise ValueError(f"timeout_s is {self.timeout_s}; expected seconds, above 0 to {LONGEST_TIMEOUT_S:g}")


def start(scan: Scan, parameters: Parameters) -> Gadget:
    """Let each `ReconImage` pass at once, and send its denoised version, with its residual, once its frames are there.

    The denoised images come in the order of their originals, one for each; other items pass.

    Whatever is wrong with the model, a scan never ends for it. In the place of a denoised image then comes the original
    once more, bit for bit, marked as not denoised and with a warning that says why. So does it for an image that is
    not in SNR units, for a network draws what it pleases from data beyond its range; and for alpha = 1, unwarned.

    The model is loaded, and its hash checked, before the first item is taken. One that could not be loaded or exceeded
    its time limit is not tried again in this scan, for each image would wait for it. After any other failure, such as
    too little memory, it is tried again with the next image, which may fare better and seldom waits for long.

    From the first `pause` on, the network runs while the next item is taken, so that the next image is reconstructed
    beside it. The denoised image then leaves behind the next original, or at the next `pause` if that is earlier: where
    the source has nothing more, nothing is held back. A source that never pauses gets each at once. Where the source
    fails, what waits leaves before the error does.
    """
    return _Denoiser(parameters, scan_kind(scan.header))


def warm_up(parameters: Parameters) -> None:
    """Load the model and run it once, so that the first scan does not wait.

    Parameters
    ----------
    parameters : Parameters
        Those of the scans to come: model and time limit count.

    Raises
    ------
    ModelError
        Where it cannot be loaded or run, or not in time.
    """
    model = load_model(parameters.model, parameters.timeout_s, parameters.backend)
    n_frames = model.manifest.n_frames or 1
    image = np.full((n_frames, WARM_UP_SIDE, WARM_UP_SIDE), WARM_UP_SNR, np.complex64)
    gmap = np.ones(image.shape, np.float32)
    model.denoise(image, gmap, parameters.timeout_s)
    if model.manifest.past:
        _, state = model.stream(image[0], gmap[0], None, parameters.timeout_s)
        model.stream(image[0], gmap[0], state, parameters.timeout_s)
    log.info("model %s %s is ready on %s", model.manifest.name, model.manifest.version, model.device)


class _Denoiser(Gadget):
    """One scan's use of a model. Each reason not to denoise is logged once."""

    def __init__(self, parameters: Parameters, kind: ScanKind) -> None:
        self._parameters = parameters
        self._told: set[str] = set()
        self._unusable = ""  # why, for the rest of the scan
        self._overlaps = False
        self._given_up: Future[None] = Future()
        self._worker = ThreadPoolExecutor(1, initializer=cancel_when, initargs=(self._given_up,))
        self._at_work: tuple[Stack, Future[tuple[list[ReconImage], tuple[State, ...]]]] | None = None
        self._queue: deque[Frame] = deque()  # whose seconds have not left, in the order of the originals
        try:
            self._model = load_model(parameters.model, parameters.timeout_s, parameters.backend)
        except (ModelError, MemoryError) as exc:
            self._unusable = _reason(exc)
            return
        manifest = self._model.manifest
        self._alpha = (
            Alpha.by_g(parameters.alpha_by_g)
            if parameters.alpha_by_g
            else Alpha.constant(manifest.default_alpha if parameters.alpha is None else parameters.alpha)
        )
        self._feed = Feed(manifest, parameters.frames, kind, MOST_BYTES)

    def take(self, item: Item) -> Iterator[Item]:
        """The item; of an original, what can follow once that has left."""
        yield item
        if isinstance(item, ReconImage) and item.kind is ImageKind.ORIGINAL:
            yield from self._seconds(item)

    def _seconds(self, item: ReconImage) -> Iterator[ReconImage]:
        frame = Frame(item)
        self._queue.append(frame)
        if not item.snr_units:
            frame.second = self._failed(item, "the image is not in SNR units")
        elif self._unusable:
            frame.second = self._failed(item, self._unusable)
        elif self._alpha.keeps_original:
            frame.second = stand_in(item, "not denoised: alpha is 1", {"SNRSTREAM_alpha": str(self._alpha)})
        else:
            for stack in self._feed.add(frame):
                self._denoise(stack)
        yield from self._leaving()

    def pause(self) -> Iterator[ReconImage]:
        """What can leave while nothing comes."""
        self._overlaps = True
        self._finish()
        yield from self._leaving()

    def end(self) -> Iterator[ReconImage]:
        """What still waits."""
        for stack in () if self._unusable else self._feed.end():
            self._denoise(stack)
            yield from self._leaving()
        self._finish()
        yield from self._leaving()

    def failed(self) -> Iterator[ReconImage]:
        """The same: for each original that has left, the client may count on a second."""
        return self.end()

    def close(self) -> None:
        """A network at work is told to end."""
        self._given_up.set_result(None)
        self._worker.shutdown(cancel_futures=True)

    def _denoise(self, stack: Stack) -> None:
        """Have the seconds of a stack made, once those of the one before it are."""
        self._finish()
        if self._unusable:
            return
        strength, timeout_s = self._parameters.strength, self._parameters.timeout_s
        making = self._worker.submit(denoised, stack, self._model, self._alpha, strength, timeout_s)
        self._at_work = stack, making
        if not self._overlaps:
            self._finish()

    def _finish(self) -> None:
        """Wait for the stack at work: its seconds, stand-ins where the model fails."""
        if self._at_work is None:
            return
        (stack, making), self._at_work = self._at_work, None
        leaving = [stack.frames[place] for place in stack.leaving]
        try:
            seconds, states = making.result()
            self._feed.keep(stack, states)
        except ModelTimeout as exc:
            self._feed.lose(stack)
            self._unusable = _reason(exc)
            # All that wait, for none of them would ever have its turn.
            leaving = [frame for frame in self._queue if frame.second is None]
            seconds = [self._failed(frame.image, self._unusable) for frame in leaving]
        except (ModelError, MemoryError) as exc:
            self._feed.lose(stack)
            seconds = [self._failed(frame.image, _reason(exc)) for frame in leaving]
        for frame, second in zip(leaving, seconds, strict=True):
            frame.second = second

    def _leaving(self) -> Iterator[ReconImage]:
        while self._queue and (second := self._queue[0].second) is not None:
            frame = self._queue.popleft()
            frame.second = None  # for the frame may be remembered as a neighbour
            yield second
            if self._parameters.residual:
                yield residual(frame.image, second)

    def _failed(self, item: ReconImage, reason: str) -> ReconImage:
        if reason not in self._told and len(self._told) < MOST_TOLD:
            self._told.add(reason)
            more = "; further reasons stand in the images alone" if len(self._told) == MOST_TOLD else ""
            log.warning("not denoised: %s%s", reason, more)
        strength = self._parameters.strength
        if strength != 1:
            reason += f" (at strength {strength:g})"
        warnings = (*item.warnings, f"not denoised: {reason}")
        return dataclasses.replace(stand_in(item, "not denoised", {}), warnings=warnings)


def _reason(exc: Exception) -> str:
    return str(exc) or "out of memory"
