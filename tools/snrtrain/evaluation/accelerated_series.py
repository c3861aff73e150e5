"""A series of one slice, scanned again and again in simulation with fewer lines, by the scanner's reconstruction."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from snrstream.errors import ConfigurationError
from snrstream.recon.acquired import Acquired
from snrstream.recon.fft import centred_slice, to_kspace
from snrstream.recon.lattice import Lattice
from snrstream.recon.plan import Plan, fit_kernel, maps_of_calibration
from snrstream.recon.unmixing import power
from snrtrain.simulation.coils import loop_sensitivities
from snrtrain.simulation.phantom import object_phase, sampled_lines, white_noise

N_CHANNELS, N_ACS = 32, 32


@dataclass(frozen=True)
class AcceleratedSeries:
    """clean: `(frame, channel, 1, e1, ro)` complex64, k-space of the acquired lines, zero between them, without noise.

    lines: bool `(e1,)`, which they are. truth: `(frame, e1, ro)` float32, the magnitude of the fully sampled images
    without noise, by the same coil maps, in units of `replica`.
    """

    clean: Tensor
    lines: Tensor
    truth: Tensor
    plan: Plan

    @property
    def gmap(self) -> Tensor:
        """`(e1, ro)` float32, of all frames."""
        return self.plan.gmap[0]

    def replica(self, rng: Generator) -> Tensor:
        """The series with noise of its own, `(frame, e1, ro)` complex64 in SNR units: SD g per part."""
        images = []
        for clean in self.clean:
            kspace = clean.clone()
            kspace[:, :, self.lines] += white_noise(tuple(kspace[:, :, self.lines].shape), rng)
            images.append(self.plan.image(kspace)[0])
        return torch.stack(images)


def scan(magnitude: np.ndarray, region: np.ndarray, snr: float, acceleration: int, rng: Generator) -> AcceleratedSeries:
    """Scan frames `(frame, e1, ro)` float32 with loop coils around them, every `acceleration`-th line.

    snr: of the mean in `region`, bool of the same shape, if it were fully sampled. Kernel and coil maps, one of each
    for all frames, are those of calibration lines of the mean frame, which have unit noise as the others. Raises
    ConfigurationError where there are too few coils for it, ScanError where there are too few lines to calibrate.
    """
    if acceleration > N_CHANNELS:
        raise ConfigurationError(f"R is {acceleration}; expected {N_CHANNELS}, as many as coils, or less")
    shape = magnitude.shape[1], magnitude.shape[2]
    coils = loop_sensitivities(N_CHANNELS, shape, rng)
    phase = object_phase(shape, rng)
    received = torch.from_numpy(magnitude) * power(coils).sqrt()
    level = snr / float(received[torch.from_numpy(region)].mean())
    coils = coils * torch.polar(torch.full(shape, level), phase)
    full = torch.stack([to_kspace(coils * frame)[:, None] for frame in torch.from_numpy(magnitude)])
    rows = centred_slice(min(N_ACS, shape[0]), shape[0])
    acs = full.mean(dim=0)[:, :, rows]
    acs = acs + white_noise(tuple(acs.shape), rng)
    size, start, lattice = (1, shape[0]), (0, rows.start), Lattice((acceleration, 1))
    maps = maps_of_calibration(acs, start, size)
    kernel = fit_kernel(acs, start, size, lattice) if acceleration > 1 else None
    lines, _ = sampled_lines(shape[0], acceleration, N_ACS)
    acquired = Acquired.of(lines[None], lattice, shape[1])
    plan = Plan.with_maps(maps, acquired, kernel)
    whole = Plan.with_maps(maps, Acquired.of(torch.ones(size, dtype=torch.bool), Lattice((1, 1)), shape[1]))
    truth = acquired.scale * torch.stack([whole.image(frame)[0].abs() for frame in full])
    full *= lines[:, None]
    return AcceleratedSeries(full, lines, truth, plan)
