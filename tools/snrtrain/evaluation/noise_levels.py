"""Test volumes at several levels of noise, reconstructed and denoised, beside what they should be."""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from snrstream.denoising.model import Model
from snrstream.errors import ConfigurationError
from snrtrain.archive.archive import Archive, file_in
from snrtrain.archive.volumes import ENDING
from snrtrain.metrics import magnitude_nrmse, magnitude_psnr, magnitude_ssim
from snrtrain.work import progress

from . import network, selection
from .undersampled import scan_volume

Measure = Callable[[Tensor, Tensor, Tensor], float]
SCORES: tuple[Measure, ...] = (magnitude_psnr, magnitude_ssim, magnitude_nrmse)
PSNR_ALONE = SCORES[:1]


@dataclass(frozen=True)
class Case:
    """original, denoised (alpha 0): complex64 `(slice, e1, ro)` in units of the magnitude `reference`, float32.

    file: that it was made of.
    """

    name: str
    file: str
    added: float
    original: Tensor
    denoised: Tensor
    reference: Tensor

    def blend(self, alpha: float) -> Tensor:
        """The original with the weight alpha, the denoised with the rest."""
        return alpha * self.original + (1 - alpha) * self.denoised

    def scores(self, images: Tensor, masks: Tensor, kept: Tensor, measures: Sequence[Measure] = SCORES) -> list[float]:
        """Means over the `kept` slices of images `(slice, e1, ro)`, inside their masks."""
        places = kept.nonzero().flatten().tolist()
        return [
            float(np.mean([measure(images[n], self.reference[n], masks[n]) for n in places])) for measure in measures
        ]


def cases(model: Model, options: argparse.Namespace) -> Iterator[Case]:
    """One volume after the other, at each noise level; of an archive, where `options` names one, as it is.

    Raises ConfigurationError where there are none.
    """
    return _simulated(model, options) if options.archive is None else _archived(model, options.archive)


def _simulated(model: Model, options: argparse.Namespace) -> Iterator[Case]:
    """One volume after the other, at each noise level."""
    (folder, names), denoise = selection.chosen(options), network.denoiser(model, "slice")
    scans = (scan_volume(folder, name, options.n_slices, options.snr, options.seed) for name in names)
    pairs = ((scan, level) for scan in scans for level in sorted(options.added))
    for scan, level in progress(pairs, total=len(names) * len(options.added), desc="reconstructions"):
        image, gmap, unit = scan.image(level)
        yield Case(scan.name, f"{scan.name}{ENDING}", level, image * unit, denoise(image, gmap) * unit, scan.reference)


def _archived(model: Model, folder: Path) -> Iterator[Case]:
    """The pairs of the test split that have a reference. Raises ConfigurationError where there are none."""
    if model.manifest.input != "magnitude_slices":
        raise ConfigurationError(
            f"model {model.manifest.name} takes {model.manifest.input}; an archive's pairs are for magnitude_slices"
        )
    denoise, n_found = network.denoiser(model, "slice"), 0
    pairs = Archive(folder, "test").pairs
    for pair in progress(pairs, desc="pairs"):
        if pair.reference is not None:
            n_found += 1
            image = torch.from_numpy(np.array(pair.plain)).to(torch.complex64)
            denoised = denoise(image, torch.ones(image.shape))
            name, file = f"{pair.subject} {n_found}", file_in(pair.source)
            yield Case(name, file, 0.0, image, denoised, torch.from_numpy(np.array(pair.reference)))
    if not n_found:
        raise ConfigurationError(f"archive {folder} has no pair with a reference in test/; expected some")
