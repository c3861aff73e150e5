"""Regions that a user has drawn: a label image, and what is measured inside each label.

Noise is the SD over replicas at each pixel, signal the mean over them; a region's are the means over its pixels. SNR =
signal / noise; CNR = 2 (S_a - S_b) / (noise_a + noise_b) (SNRAware: Xue et al. 2025, arXiv 2503.18162).
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from snrstream.errors import ConfigurationError
from snrtrain.archive import volumes

from . import tables

NIFTI = (".nii", ".nii.gz")


@dataclass(frozen=True)
class RoiRow:
    """One label of one image. mean, sd: of the magnitude, in SNR units. cnr: to the first label; NaN of itself."""

    image: str = tables.column("image")
    label: int = tables.column("label", "d")
    pixels: int = tables.column("pixels", "d")
    mean: float = tables.column("mean", ".2f")
    sd: float = tables.column("SD", ".3f")
    snr: float = tables.column("SNR", ".1f")
    cnr: float = tables.column("CNR to first label", ".1f")


def add_option(parser: argparse.ArgumentParser, size: str) -> None:
    """Give a sub-command the option that names the label image. size: what it has to be of, for people."""
    parser.add_argument(
        "--roi", type=Path, metavar="MASK", help=f"label image, NIfTI or .npy, {size}: 0 elsewhere, regions 1 ... n"
    )


def read(path: Path) -> np.ndarray:
    """The labels of a file, int64, with its own axes. Raises ConfigurationError for what is no label image."""
    if path.name.endswith(NIFTI):
        with volumes.reading(path) as image:
            data = np.asarray(image.dataobj)
    else:
        try:
            data = np.load(path, allow_pickle=False)
        except (OSError, EOFError, ValueError) as error:
            why = (
                f" cannot be read: {error.strerror}" if isinstance(error, OSError) and error.strerror else " is neither"
            )
            raise ConfigurationError(f"--roi {path}{why}; expected NIfTI or .npy with an array of numbers") from None
        if not isinstance(data, np.ndarray):
            raise ConfigurationError(f"--roi {path} holds several arrays; expected one of labels")
    if data.dtype.kind not in "biuf":
        raise ConfigurationError(f"--roi {path} has values of {data.dtype}; expected whole numbers, labels from 1 on")
    if not np.isfinite(data).all() or (data != np.round(data)).any() or (data < 0).any():
        raise ConfigurationError(f"--roi {path} has values that are no labels; expected whole numbers of 0 and more")
    return data.astype(np.int64)


def of_image(path: Path, shape: tuple[int, ...]) -> Tensor:
    """Labels int64 of an image `(e2, e1, ro)`. NIfTI's axes are `(ro, e1, e2)`; a single partition may lack its own.

    Raises ConfigurationError, also where the size is another, or there is no label.
    """
    labels = read(path)
    labels = labels.T if path.name.endswith(NIFTI) else labels
    if labels.shape == shape[1:] and shape[0] == 1:
        labels = labels[None]
    return _checked(path, labels, shape)


def of_series(path: Path, shape: tuple[int, int, int, int], number: int) -> Tensor:
    """Labels int64 `(frame, e1, ro)` of slice `number` of a series `(x, y, slice, phase)`, whose x is e1.

    `.npy`: `(frame, e1, ro)`, or `(e1, ro)` for all frames. NIfTI: as the series, which may lack phases, or slices and
    phases, or have one of either. Raises as `of_image`.
    """
    labels, (n_x, n_y, n_slices, n_phases) = read(path), shape
    if path.name.endswith(NIFTI) and labels.ndim <= 4:
        whole: np.ndarray = np.reshape(labels, labels.shape + (1,) * (4 - labels.ndim))
        if whole.shape[2] in (1, n_slices):
            labels = whole[:, :, number if whole.shape[2] > 1 else 0].transpose(2, 0, 1)
    if labels.shape in ((n_x, n_y), (1, n_x, n_y)):
        labels = np.broadcast_to(labels, (n_phases, n_x, n_y))
    return _checked(path, labels, (n_phases, n_x, n_y))


def _checked(path: Path, labels: np.ndarray, shape: tuple[int, ...]) -> Tensor:
    if labels.shape != shape:
        raise ConfigurationError(f"--roi {path} has the shape {labels.shape}; expected {shape}, that of the images")
    if not labels.any():
        raise ConfigurationError(f"--roi {path} has no label there; expected some pixels of 1 and more")
    return torch.from_numpy(np.ascontiguousarray(labels))


def found_in(labels: Tensor) -> list[int]:
    """The labels that there are, ascending."""
    return [label for label in labels.unique().tolist() if label]


def region(mean: Tensor, sd: Tensor, inside: Tensor) -> tuple[float, float]:
    """Signal and noise of a region: maps of mean and SD of one shape, bool `inside`."""
    return float(mean[inside].mean()), float(sd[inside].mean())


def cnr(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Of two regions, each signal and noise; negative where the second is brighter."""
    return 2 * (one[0] - other[0]) / (one[1] + other[1])


def rows(image: str, mean: Tensor, sd: Tensor, labels: Tensor) -> Iterator[RoiRow]:
    """One for each label. mean, sd: of an image's replicas, of the shape of `labels`."""
    first, *_ = known = found_in(labels)
    of_first = region(mean, sd, labels == first)
    for label in known:
        inside = labels == label
        here = region(mean, sd, inside)
        contrast = cnr(of_first, here) if label != first else float("nan")
        yield RoiRow(image, label, int(inside.sum()), *here, here[0] / here[1], contrast)
