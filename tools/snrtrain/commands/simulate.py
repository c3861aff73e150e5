"""Simulate raw scans of a known object: smooth phase, loop coils, correlated noise, undersampling.

    python tools/simulate.py phantom --output SCAN.h5 --acceleration 3 --channels 16 --snr 20
    python tools/simulate.py BRAIN.nii.gz --output SCAN.h5 --slice 80

A seed fixes the scan.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from snrstream.errors import ConfigurationError
from snrtrain.archive import volumes
from snrtrain.commands.parser import Parser
from snrtrain.simulation.phantom import shepp_logan, simulate_scan
from snrtrain.simulation.scan_file import write


def main(arguments: list[str] | None = None) -> None:
    """Write a simulated scan. Raises ConfigurationError where it cannot."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("object", help="'phantom' (Shepp-Logan) or a NIfTI volume")
    parser.add_argument("--output", type=Path, required=True, help="ISMRMRD file, replaced if it exists")
    parser.add_argument("--acceleration", type=int, default=1)
    parser.add_argument("--acs", type=int, default=24, help="embedded calibration lines at R > 1")
    parser.add_argument("--channels", type=int, default=16)
    parser.add_argument("--snr", type=float, default=20.0, help="of bright tissue at R=1; inf: no noise")
    parser.add_argument("--matrix", type=int, default=128, help="of the phantom")
    parser.add_argument("--slice", type=int, help="of the volume, default the middle one")
    parser.add_argument("--oversampling", type=int, default=1, help="of the readout")
    parser.add_argument("--repetitions", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    for name in ("acceleration", "acs", "channels", "matrix", "oversampling", "repetitions"):
        if getattr(options, name) < 1:
            raise ConfigurationError(f"--{name} is {getattr(options, name)}; expected 1 or more")
    if not options.snr > 0:
        raise ConfigurationError(f"--snr is {options.snr}; expected more than 0")

    scan = simulate_scan(
        _magnitude(options), np.random.default_rng(options.seed), options.channels, options.acceleration,
        options.acs, options.snr, options.oversampling, options.repetitions,
    )  # fmt: skip
    write(scan, options.output)
    print(f"{options.output}: {options.channels} channels, {int((scan.imaging | scan.acs).sum())} lines of "
          f"{len(scan.imaging)}, {options.repetitions} repetitions")  # fmt: skip


def _magnitude(options: argparse.Namespace) -> Tensor:
    if options.object == "phantom":
        return shepp_logan(options.matrix)
    path = Path(options.object)
    volume = volumes.load(path.parent, path.name.removesuffix(".nii.gz"))
    axis = int(np.argmax(volume.voxel_mm))
    index = volume.data.shape[axis] // 2 if options.slice is None else options.slice
    if not 0 <= index < volume.data.shape[axis]:
        raise ConfigurationError(f"--slice is {index}; expected 0 ... {volume.data.shape[axis] - 1}")
    return torch.from_numpy(volumes.plane(volume, axis, index))
