"""The network runs beside what brings the next image, and holds nothing back where nothing comes."""

import threading

import numpy as np
import pytest

from snrstream.errors import ModelError, ModelTimeout
from snrstream.gadgets import denoise
from snrstream.gadgets.gadget import Scan, stream
from snrstream.image_kind import ImageKind
from snrstream.items import ReconImage
from snrstream.wire.messages import Pause
from tests.scans import NO_HEADER

from .frame_model import FrameMean
from .images import recon_image

PATIENCE = 30.0  # seconds, for a thread that should be at work already


class Gated(FrameMean):
    """Answers when the gate is opened."""

    def __init__(self, **changes) -> None:
        super().__init__(frames="none", n_frames=0, **changes)
        self.gate, self.begun = threading.Event(), threading.Event()

    def denoise(self, image: np.ndarray, gmap: np.ndarray, timeout_s: float = 30.0, causal: bool = False) -> np.ndarray:
        self.begun.set()
        assert self.gate.wait(PATIENCE)
        return super().denoise(image, gmap, timeout_s, causal)


def run(items, **properties):
    return stream(denoise, items, Scan(NO_HEADER), denoise.Parameters(model="mean", **properties))


def images(n: int) -> list[ReconImage]:
    return [recon_image(seed, repetition=seed) for seed in range(n)]


def test_the_next_image_is_made_while_the_network_runs(use) -> None:
    model, (first, second) = use(Gated()), images(2)

    def source():
        yield Pause()
        yield first
        assert model.begun.wait(PATIENCE), "or else the network waits for the next image"
        model.gate.set()
        yield second

    out = [item for item in run(source()) if not isinstance(item, Pause)]
    assert out[:2] == [first, second]
    assert [item.head for item in out[2:]] == [first.head, second.head] and all(
        item.kind is ImageKind.DENOISED for item in out[2:]
    )


def test_nothing_is_held_back_at_a_pause(use) -> None:
    use(FrameMean(frames="none", n_frames=0))
    first, second = images(2)
    out = run([Pause(), first, Pause(), second, Pause()])
    kinds = [
        "pause" if isinstance(i, Pause) else "denoised" if i.kind is ImageKind.DENOISED else "original" for i in out
    ]
    assert kinds == ["pause", "original", "denoised", "pause", "original", "denoised", "pause"]


def test_a_source_that_never_pauses_gets_each_image_at_once(use) -> None:
    use(FrameMean(frames="none", n_frames=0))
    taken = []

    def source():
        for image in images(3):
            taken.append(image)
            yield image

    for n, item in enumerate(run(source())):
        assert (item.kind is ImageKind.DENOISED) == (n % 2 == 1) and len(taken) == n // 2 + 1


@pytest.mark.parametrize("properties", [{}, {"residual": True}, {"frames": "series"}])
def test_images_are_those_of_one_after_the_other(use, properties) -> None:
    use(FrameMean(n_frames=3))
    alone, beside = (list(run([*begin, *images(5)], **properties)) for begin in ([], [Pause()]))
    for kind in (False, True):
        one, other = (
            [i for i in out if isinstance(i, ReconImage) and (i.kind is not ImageKind.ORIGINAL) == kind]
            for out in (alone, beside)
        )
        assert len(one) == len(other) > 0
        for a, b in zip(one, other, strict=True):
            assert a.kind is b.kind and a.meta == b.meta and np.array_equal(a.image, b.image)


def test_after_a_timeout_beside_the_next_image_all_that_wait_are_stand_ins(use) -> None:
    model = use(FrameMean(frames="none", n_frames=0, failures=[None, ModelTimeout("too long")]))
    out = [item for item in run([Pause(), *images(4)]) if not isinstance(item, Pause)]
    seconds = [item for item in out if item.kind is not ImageKind.ORIGINAL]
    assert [item.head.idx.repetition for item in seconds] == [0, 1, 2, 3]
    assert [item.kind is ImageKind.STAND_IN for item in seconds] == [False, True, True, True]
    assert model.given == [1, 1] and seconds[-1].warnings == ("not denoised: too long",)


def test_a_failure_concerns_its_image_alone(use) -> None:
    use(FrameMean(frames="none", n_frames=0, failures=[None, ModelError("no")]))
    seconds = [i for i in run([Pause(), *images(3)]) if isinstance(i, ReconImage) and i.kind is not ImageKind.ORIGINAL]
    assert [item.kind is ImageKind.STAND_IN for item in seconds] == [False, True, False]
