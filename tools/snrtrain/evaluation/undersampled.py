"""A 3D scan at R = 2 x 1 in simulation, to whose k-space more noise is added."""

import math
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from snrstream.recon.acquired import Acquired
from snrstream.recon.fft import centred_slice, to_kspace
from snrstream.recon.lattice import Lattice
from snrstream.recon.plan import Plan
from snrtrain.archive import volumes
from snrtrain.metrics import reference_level
from snrtrain.simulation import scanner
from snrtrain.simulation.coils import stack_sensitivities
from snrtrain.simulation.phantom import sampled_lines, white_noise

from .selection import middle_slices

ACCELERATION, N_ACS, N_CHANNELS = 2, 24, 12


@dataclass(frozen=True)
class Undersampled:
    """clean, noise, added: k-space `(channel, e2, e1, ro)` complex64 of all lines; both noises of SD 1 per part.

    reference: `(e2, e1, ro)` float32, the magnitude of the fully sampled image without noise.
    """

    name: str
    clean: Tensor
    noise: Tensor
    added: Tensor
    reference: Tensor

    def image(self, level: float) -> tuple[Tensor, Tensor, float]:
        """The reconstruction with `level` sigma of noise added.

        The scanner's: GRAPPA and maps from the noisy calibration lines; whitened by the noise that there is. Returns
        the image in SNR units, the g-map, and what turns the former into units of `reference`.
        """
        sd = math.sqrt(1 + level**2)
        kspace = (self.clean + self.noise + level * self.added) / sd
        _, n_e2, n_e1, n_ro = kspace.shape
        imaging, _ = sampled_lines(n_e1, ACCELERATION, N_ACS)
        lines = centred_slice(min(N_ACS, n_e1), n_e1)
        acquired = Acquired.of(imaging.expand(n_e2, -1), Lattice((ACCELERATION, 1)), n_ro)
        plan = Plan.of(kspace[:, :, lines], (0, lines.start), acquired)
        return plan.image(kspace * imaging[:, None]), plan.gmap, sd / acquired.scale


def scan_volume(folder: Path, name: str, n_slices: int, snr: float, seed: int) -> Undersampled:
    """The middle `n_slices` native slices of a volume, as partitions, with 12 coils without shading.

    snr: of bright tissue in the fully sampled image. Raises ConfigurationError where it is missing or too small.
    """
    stack = middle_slices(volumes.load(folder, name), n_slices, 0.0)
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    coils = stack_sensitivities(N_CHANNELS, stack.slices.shape[1:], stack.heights, rng)
    coils = coils / torch.linalg.vector_norm(coils, dim=0)
    image = scanner.complex_object(stack.slices, rng, stack.heights)
    image = image * (snr / reference_level(image.abs()))
    clean = to_kspace(coils * image, dims=(1, 2, 3)).to(torch.complex64)
    noise, added = (white_noise(tuple(clean.shape), rng) for _ in range(2))
    return Undersampled(name, clean, noise, added, image.abs())
