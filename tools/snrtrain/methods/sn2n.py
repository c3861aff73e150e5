"""MR-self Noise2Noise: from one half of a scan's partitions to the other (Jung et al., European Radiology 2022)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from snrstream.denoising.contracts import mirrored
from snrstream.errors import ConfigurationError
from snrtrain.archive.archive import Pair, check_size, file_of, sound
from snrtrain.methods import noisy_labels
from snrtrain.methods.batch import Batch, Validation
from snrtrain.methods.patches import draw_integer
from snrtrain.recipe import Recipe

N_PICTURES = 3


class Sn2n:
    """The method on one archive. Images are divided by the largest magnitude of their volume, as at the scanner.

    Raises ConfigurationError where a split holds no pairs.
    """

    def __init__(self, recipe: Recipe, train: Sequence[Pair], held_out: Sequence[Pair], divisor: int) -> None:
        if not train or not held_out:
            raise ConfigurationError("a split of the archive holds no pairs; expected some, by prepare.py pairs")
        self._recipe, self._train, self._held_out, self._divisor = recipe, train, held_out, divisor
        self._largest = [float(pair.plain.max()) or 1.0 for pair in train]
        for pair in held_out:
            _check_held_out(pair, 2 * divisor)

    def batch(self, n_patches: int, generator: torch.Generator) -> Batch:
        """Patches of slices, and of one half what the other is to give."""
        drawn = [self._draw(generator) for _ in range(n_patches)]
        slices, label = (torch.stack(parts) for parts in zip(*drawn, strict=True))
        return Batch(slices, label[:, None], torch.ones(n_patches, 1, 1, 1))

    def settle(self, device: torch.device) -> bool:  # noqa: ARG002 - slices and halves are drawn by the processor
        """They never do."""
        return False

    def loss(self, answer: Tensor, batch: Batch) -> Tensor:
        """Mean squared error."""
        return nn.functional.mse_loss(answer, batch.target)

    def psnr(self, network: nn.Module, alpha: float = 0.0) -> float:
        """The mean over `noisy_labels.LEVELS`; see `curves`."""
        return noisy_labels.averaged(self.curves(network, (alpha,)))[alpha]

    def validation(self, network: nn.Module) -> Validation:
        """See `psnr`."""
        return Validation(self.psnr(network), {})

    def curves(self, network: nn.Module, alphas: Sequence[float]) -> noisy_labels.Curves:
        """PSNR in dB by added noise and alpha, the mean over held-out slices: told from noisy labels, no truth."""
        views = self._denoised(network, noisy_labels.LEVELS)
        found = noisy_labels.collected((view.added, view.psnrs(alphas)) for view in views)
        if not found:
            raise ConfigurationError("no validation slice of a pair shows an object; expected some")
        return found

    def pictures(self, network: nn.Module) -> list[list[Tensor]]:
        """Original, denoised and reference of a few held-out slices; without a reference, the original again."""
        views = zip(self._denoised(network, noisy_labels.LEVELS[:1]), range(N_PICTURES), strict=False)
        return [
            [torch.from_numpy(image) for image in (view.original, view.denoised, view.reference)] for view, _ in views
        ]

    @torch.no_grad()
    def _denoised(self, network: nn.Module, levels: Sequence[float]) -> Iterator["_View"]:
        """Slices spread over the held-out volumes, each at all levels."""
        device, reach = next(network.parameters()).device, self._recipe.n_frames // 2
        for number in range(self._recipe.n_validation):
            pair = self._held_out[number % len(self._held_out)]
            n_slices, *edges = pair.plain.shape
            e1, ro = (edge // self._divisor * self._divisor for edge in edges)
            # Slices in an order that spreads them whatever their number: golden section.
            at = int((0.5 + 0.618034 * (number // len(self._held_out))) % 1 * n_slices)
            around = mirrored(range(at - reach, at + reach + 1), n_slices)
            whole, noise = (np.array(image[around, :e1, :ro]) for image in complex_of(pair))
            scale = float(pair.plain.max()) or 1.0
            reference = pair.plain if pair.reference is None else pair.reference
            for added in levels:
                stack = np.abs(noisy_labels.noisier(whole, noise, added))
                given = torch.from_numpy(stack / scale)[None].to(device)
                answer = network(given).float().cpu()[0, 0].clamp(min=0).numpy() * scale
                middle = slice(reach, reach + 1)
                yield _View(
                    added, stack[reach], answer, noisy_labels.label(whole[middle], noise[middle], added)[0],
                    noise[reach], whole[reach], np.array(reference[at, :e1, :ro]),
                )  # fmt: skip

    def _draw(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Slices `(n_frames, size, size)` of one half, and the middle one `(size, size)` of the other."""
        number, size = draw_integer(len(self._train), generator), self._recipe.patch
        pair, scale = self._train[number], self._largest[number]
        halves = (pair.first, pair.second) if draw_integer(2, generator) else (pair.second, pair.first)
        n_slices, *edges = pair.first.shape
        if min(edges) < size:
            raise ConfigurationError(
                f"a slice of {pair.source} has {edges[0]} x {edges[1]} pixels; expected {size} x {size} or more, "
                "the recipe's patch"
            )
        at, reach = draw_integer(n_slices, generator), self._recipe.n_frames // 2
        top, left = (draw_integer(edge - size + 1, generator) for edge in edges)
        place = slice(top, top + size), slice(left, left + size)
        slices = halves[0][(mirrored(range(at - reach, at + reach + 1), n_slices), *place)] / scale
        label = halves[1][(at, *place)] / scale
        flips = [axis for axis in (-1, -2) if draw_integer(2, generator)]
        drawn = [
            sound(torch.from_numpy(image), half, pair.source)
            for image, half in zip((slices, label), halves, strict=True)
        ]
        return drawn[0].flip(flips), drawn[1].flip(flips)


@dataclass(frozen=True)
class _View:
    """A slice `(e1, ro)` with `added` sigma of noise: magnitudes; label, noise and whole as in `noisy_labels`."""

    added: float
    original: np.ndarray
    denoised: np.ndarray
    label: np.ndarray
    noise: np.ndarray
    whole: np.ndarray
    reference: np.ndarray

    def psnrs(self, alphas: Sequence[float]) -> dict[float, float]:
        """In dB by alpha."""
        images = self.original, self.denoised, self.label, self.noise, self.whole
        return noisy_labels.by_alpha(alphas, *images, self.added)


def complex_of(pair: Pair) -> tuple[np.ndarray, np.ndarray]:
    """Image of the whole scan, and of drawn noise. Raises ConfigurationError where the pair has none."""
    if pair.whole is None or pair.noise is None:
        raise ConfigurationError(
            f"the pair of {pair.source} has no image of drawn noise to be validated with; expected one that this "
            "version of prepare.py has made: delete its folder, and make it again"
        )
    return pair.whole, pair.noise


def _check_held_out(pair: Pair, least: int) -> None:
    """Raises ConfigurationError that names the file which a network cannot be validated on; least: pixels an edge."""
    for image in (pair.first, pair.second, pair.plain, pair.reference, *complex_of(pair)):
        if image is None:
            continue
        check_size(image, pair.source, least)
        if not bool(sound(torch.from_numpy(np.array(image)), image, pair.source).any()):
            raise ConfigurationError(f"{file_of(image, pair.source)} is empty; expected images to validate on")
