"""SNRAware: supervised, on clean scans with the noise of their reconstruction (arXiv 2503.18162)."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from snrstream.denoising.contracts import mirrored
from snrstream.errors import ConfigurationError
from snrtrain import metrics
from snrtrain.archive.archive import Entry, check_size, file_of, sound
from snrtrain.methods import losses
from snrtrain.methods.batch import Batch, Validation
from snrtrain.methods.choices import PatchRange, neighbours
from snrtrain.methods.noise_process import NoiseRange, draw_kspace_filter, unit_noise
from snrtrain.methods.patches import Patch, Patches, from_channels, to_channels
from snrtrain.recipe import CHOICES, Recipe

VALIDATION_SNRS = (5.0, 10.0, 20.0)
VALIDATION_NOISES = CHOICES["validated_by"]
N_PICTURES = 3


@dataclass(frozen=True)
class _Scan:
    """A noisy validation image: patch, the frame that is judged, and whether it sees none that come after it."""

    patch: Patch
    frame: int
    causal: bool


class Snraware:
    """The method on one archive. Raises ConfigurationError where it holds no entry with the recipe's frames."""

    def __init__(self, recipe: Recipe, train: Sequence[Entry], held_out: Sequence[Entry], divisor: int) -> None:
        self._recipe, self._divisor = recipe, divisor
        train, held_out = (_with_frames(entries, recipe.frames) for entries in (train, held_out))
        patch = PatchRange(
            recipe.patch, recipe.n_frames, (recipe.amplitude_min, recipe.amplitude_max), recipe.p_own,
            recipe.p_uniform_g, whole=recipe.frames == "any",
        )  # fmt: skip
        self._lengths = _lengths(train, recipe.n_frames) if patch.whole else [recipe.n_frames]
        generator = torch.Generator().manual_seed(recipe.seed + 1)
        self._scans = [self._scan(number, held_out, generator) for number in range(recipe.n_validation)]
        self._patches = Patches(train, patch, NoiseRange.of(recipe))

    def batch(self, n_patches: int, generator: torch.Generator) -> Batch:
        """Patches to which noise is added, and without it.

        Where the recipe's frames are `any`, all patches of a batch have the same number of frames, a power of 2 up to
        the recipe's n_frames, each as often, and there are fewer of them the more frames they have.
        """
        recipe = self._recipe
        if recipe.frames != "any":
            return self._batch(self._patches.draw(n_patches, generator))
        length, chance = torch.rand(2, generator=generator).tolist()
        n_frames = self._lengths[int(length * len(self._lengths))]
        patches = self._patches.draw(max(1, n_patches // n_frames), generator, n_frames)
        return self._batch(patches, chance < recipe.p_causal)

    def settle(self, device: torch.device) -> bool:
        """Draw batches on `device`, if it is a GPU with room for the training data; whether it is."""
        return self._patches.settle(device)

    def loss(self, answer: Tensor, batch: Batch) -> Tensor:
        """Charbonnier + perpendicular + gradient L1, on images whose noise has been scaled to SD 1."""
        recipe = self._recipe
        prediction, target = answer / batch.gmap, batch.target / batch.gmap
        loss = losses.charbonnier(prediction, target, recipe.charbonnier_epsilon)
        loss = loss + recipe.gradient_weight * losses.gradient_l1(prediction, target)
        if recipe.inputs == "complex_gmap":
            loss = loss + recipe.perpendicular_weight * losses.perpendicular(prediction, target)
        return loss

    def psnr(self, network: nn.Module, alpha: float = 0.0) -> float:
        """Of the magnitude in the object, under the noise that the recipe validates by."""
        return self._psnrs(network, alpha, self._recipe.validated_by)[0]

    def validation(self, network: nn.Module) -> Validation:
        """Under white noise and under the method's own, each also with the paper's peak; chosen by the recipe's."""
        told = {}
        for noise in VALIDATION_NOISES:
            told[f"{noise}_psnr"], told[f"{noise}_psnr_2048"] = self._psnrs(network, 0.0, noise)
        return Validation(told[f"{self._recipe.validated_by}_psnr"], told)

    def _psnrs(self, network: nn.Module, alpha: float, noise: str) -> tuple[float, float]:
        """Means in dB: in the object, and over all pixels by the paper's peak."""
        values = []
        for scan, denoised in self._denoised(network, self._scans if noise == "white" else self._filtered()):
            clean, noisy = scan.patch.clean[scan.frame], scan.patch.noisy[scan.frame]
            original = noisy if denoised.is_complex() else noisy.abs()
            image = (alpha * original + (1 - alpha) * denoised).abs()
            inside = metrics.magnitude_psnr(image, clean.abs(), metrics.object_mask(clean.abs()))
            values.append((inside, metrics.snr_units_psnr(image, clean)))
        inside, everywhere = (sum(of_kind) / len(values) for of_kind in zip(*values, strict=True))
        return inside, everywhere

    def pictures(self, network: nn.Module) -> list[list[Tensor]]:
        """Noisy, denoised and clean magnitudes of a few validation scans."""
        rows = []
        for (scan, denoised), _ in zip(self._denoised(network, self._scans), range(N_PICTURES), strict=False):
            noisy, clean = scan.patch.noisy[scan.frame], scan.patch.clean[scan.frame]
            rows.append([noisy.abs(), denoised.abs(), clean.abs()])
        return rows

    @torch.no_grad()
    def _denoised(self, network: nn.Module, scans: Iterable[_Scan]) -> Iterator[tuple[_Scan, Tensor]]:
        """Each validation scan with its judged frame as the network has it: complex, or a magnitude."""
        device = next(network.parameters()).device
        for scan in scans:
            patch = Patch(scan.patch.noisy[None], scan.patch.clean[None], scan.patch.gmap[None])
            answer = self._batch(patch, scan.causal).to(device).answer(network).float().cpu()
            image = from_channels(answer)[0] if answer.shape[1] == 2 else answer[0, 0]
            yield scan, image[scan.frame]

    def _filtered(self) -> Iterator[_Scan]:
        """The validation scans under the recipe's noise process, all of it filtered.

        Drawn anew each time, the same by its seed, so that it takes no memory.
        """
        limits = replace(NoiseRange.of(self._recipe), p_white=0.0)
        generator = torch.Generator().manual_seed(self._recipe.seed + 2)
        for scan in self._scans:
            clean, gmap = scan.patch.clean, scan.patch.gmap[0]
            size = (gmap.shape[0], gmap.shape[1])
            window = draw_kspace_filter(size, limits, generator)
            noise = [unit_noise(size, window, generator) for _ in clean]
            yield _Scan(Patch(clean + gmap * torch.stack(noise), clean, scan.patch.gmap), scan.frame, scan.causal)

    def _batch(self, patches: Patch, causal: bool = False) -> Batch:
        """Of patches `(N, frame, e1, ro)`; causal: whether a network that can is to see no frame after another."""
        noisy, clean, gmap = patches.noisy, patches.clean, patches.gmap[:, None].contiguous()
        if not self._recipe.gmap_known:
            gmap = torch.ones_like(gmap)
        mask = gmap.new_full((1,), float(causal)) if self._recipe.frames == "any" else None
        if self._recipe.inputs == "magnitude_gmap":
            return Batch(torch.cat([noisy.abs()[:, None], gmap], dim=1), clean.abs()[:, None], gmap, mask)
        return Batch(torch.cat([to_channels(noisy), gmap], dim=1), to_channels(clean), gmap, mask)

    def _scan(self, number: int, held_out: Sequence[Entry], generator: torch.Generator) -> _Scan:
        """White noise on a whole image of an unseen subject: tissue SNR 5, 10, 20 in turn; g = 1 or a map."""
        entry = held_out[number % len(held_out)]
        n_frames = len(entry.clean)
        at = int(torch.randint(n_frames, (), generator=generator))
        wanted = (
            min(self._recipe.n_frames, neighbours(entry)) if self._recipe.frames == "any" else self._recipe.n_frames
        )
        causal = entry.axis == "time" and self._recipe.p_causal > 0  # as in a stream
        first = max(0, min(at - wanted // 2, n_frames - wanted))
        frames = mirrored(range(first, first + wanted), n_frames)
        e1, ro = (edge // self._divisor * self._divisor for edge in entry.clean.shape[1:])
        check_size(entry.clean, entry.source, self._divisor)
        clean = torch.from_numpy(np.stack([entry.clean[frame, :e1, :ro] for frame in frames]))
        if not bool(sound(clean, entry.clean, entry.source)[at - first].any()):
            raise ConfigurationError(
                f"frame {at} of {file_of(entry.clean, entry.source)} is empty; expected an image to validate on"
            )
        clean = clean * (VALIDATION_SNRS[number % len(VALIDATION_SNRS)] / entry.snr)
        gmap = torch.ones(e1, ro)
        if number % 2 == 0:
            other = held_out[(number // 2) % len(held_out)]
            drawn = torch.from_numpy(np.array(other.gmaps[(number // 2) % len(other.gmaps)]))
            drawn = sound(drawn, other.gmaps, other.source)
            gmap = F.interpolate(drawn[None, None], size=(e1, ro), mode="bilinear", align_corners=True)[0, 0]
        noisy = torch.stack([frame + gmap * unit_noise((e1, ro), None, generator) for frame in clean])
        return _Scan(Patch(noisy, clean, gmap.expand(clean.shape)), at - first, causal)


def _with_frames(entries: Sequence[Entry], frames: str) -> Sequence[Entry]:
    """Those whose frames are what the network takes for such; all where it takes each by itself, or any."""
    chosen = entries if frames in ("none", "any") else [entry for entry in entries if entry.axis == frames]
    if not chosen:
        what = "" if frames in ("none", "any") else f" whose frames are of {frames}, as the recipe has them"
        raise ConfigurationError(f"a split of the archive holds no scan{what}; expected some, by prepare.py")
    return chosen


def _lengths(entries: Sequence[Entry], most: int) -> list[int]:
    """Numbers of frames of which there are patches: powers of 2, few enough for a GPU to plan for each."""
    most = min(most, max(map(neighbours, entries)))
    return [1 << power for power in range(most.bit_length())]
