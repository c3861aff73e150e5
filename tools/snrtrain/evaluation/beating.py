"""What `cardiac` scans: simulated hearts, or a series of a scanner's with a mask."""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from snrstream.errors import ConfigurationError
from snrtrain.archive import series, volumes
from snrtrain.simulation import heart

from . import rois

KINDS = {"cine": heart.cine, "bolus": heart.bolus}


@dataclass(frozen=True)
class Beating:
    """What is scanned. magnitude, labels: `(frame, e1, ro)`. measured: `(frame,)` bool, those that count."""

    scan: str
    acceleration: int
    magnitude: np.ndarray
    labels: Tensor
    measured: Tensor


def hearts(options: argparse.Namespace) -> Iterator[Beating]:
    """The simulated ones, scan by scan. Raises ConfigurationError where they are too small to be measured."""
    accelerations = {"cine": options.cine_acceleration, "bolus": options.bolus_acceleration}
    for kind in options.scans:
        for number in range(options.hearts):
            rng = np.random.default_rng([options.seed, number])
            drawn = KINDS[kind]((options.matrix, options.matrix), options.frames, rng)
            labels, measured = torch.from_numpy(drawn.labels), torch.from_numpy(drawn.measured)
            if not all((labels[measured] == label).any() for label in (heart.BLOOD, heart.MYOCARDIUM)):
                raise ConfigurationError(
                    f"{kind} has no frame with blood and myocardium to measure: --frames {options.frames}, --matrix "
                    f"{options.matrix}; expected more"
                )
            yield Beating(kind, accelerations[kind], drawn.magnitude, labels, measured)


def of_series(options: argparse.Namespace) -> tuple[Beating, str]:
    """The series with its mask, and the name of its file. Raises ConfigurationError where they cannot be used."""
    names = [options.name] if options.name else volumes.names_in(options.series)
    if len(names) > 1:
        raise ConfigurationError(f"folder {options.series} has {', '.join(names)}; expected one, or --name")
    loaded = series.load(options.series, names[0])
    n_slices = loaded.shape[2]
    number = n_slices // 2 if options.slice is None else options.slice
    if number >= n_slices:
        raise ConfigurationError(f"--slice is {number}; expected 0 ... {n_slices - 1}")
    frames = series.frames(loaded, number)
    labels = rois.of_series(options.roi, (*frames.shape[1:], n_slices, len(frames)), number)
    first = rois.found_in(labels)[0]
    if not frames[labels.numpy() == first].any():
        raise ConfigurationError(f"--roi {options.roi} has label {first} where the series is dark; expected signal")
    scan = f"{names[0]}, slice {number}"
    always = torch.ones(len(frames), dtype=torch.bool)
    return Beating(scan, options.cine_acceleration, frames, labels, always), f"{names[0]}{volumes.ENDING}"
