"""Raw scans of a known object: smooth phase, loop coils, correlated noise, undersampling.

Arrays are torch tensors with the axes `(channel, e1, ro)`; FFTs are orthonormal and centred, as in
`snrstream.recon.fft`. Every function that draws takes its generator: a seed fixes the scan.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import Generator
from torch import Tensor

from snrstream.recon.fft import to_kspace
from snrtrain.simulation.coils import grid, loop_sensitivities
from snrtrain.simulation.scan_file import DWELL_NOISE_US, DWELL_SCAN_US, RELATIVE_BANDWIDTH, PhantomScan

NOISE_SAMPLES = 16384  # 64 channels: 256 a channel, a whitening bias of 0.2 %

# Modified Shepp-Logan (Toft 1996): intensity, half axes, centre, angle in degrees.
SHEPP_LOGAN = (
    (1.0, 0.69, 0.92, 0.0, 0.0, 0),
    (-0.8, 0.6624, 0.874, 0.0, -0.0184, 0),
    (-0.2, 0.11, 0.31, 0.22, 0.0, -18),
    (-0.2, 0.16, 0.41, -0.22, 0.0, 18),
    (0.1, 0.21, 0.25, 0.0, 0.35, 0),
    (0.1, 0.046, 0.046, 0.0, 0.1, 0),
    (0.1, 0.046, 0.046, 0.0, -0.1, 0),
    (0.1, 0.046, 0.023, -0.08, -0.605, 0),
    (0.1, 0.023, 0.023, 0.0, -0.606, 0),
    (0.1, 0.023, 0.046, 0.06, -0.605, 0),
)


def shepp_logan(size: int, supersampling: int = 4) -> Tensor:
    """Modified Shepp-Logan phantom, float32 `(size, size)` in 0 ... 1, edges antialiased."""
    fine = size * supersampling
    axis = (torch.arange(fine, dtype=torch.float64) + 0.5) / fine * 2 - 1
    y, x = torch.meshgrid(-axis, axis, indexing="ij")
    image = torch.zeros(fine, fine, dtype=torch.float64)
    for intensity, a, b, x0, y0, degrees in SHEPP_LOGAN:
        c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        u, v = (x - x0) * c + (y - y0) * s, (y - y0) * c - (x - x0) * s
        image += intensity * ((u / a) ** 2 + (v / b) ** 2 <= 1)
    return F.avg_pool2d(image[None], supersampling)[0].clamp(min=0).float()


def object_phase(shape: tuple[int, ...], rng: Generator, strength: float = 1.0) -> Tensor:
    """Smooth phase in radians, float32 `(e1, ro)`: a random polynomial of degree 3.

    strength: SD in radians of each of the ten coefficients on -1 ... 1 (off-resonance, delays).
    """
    y, x = grid(shape)
    coefficients = rng.normal(0.0, strength, size=10)
    powers = [(i, j) for i in range(4) for j in range(4 - i)]
    phase = torch.zeros(shape, dtype=torch.float64)
    for c, (i, j) in zip(coefficients, powers, strict=True):
        phase += c * y**i * x**j
    return phase.float()


def noise_correlation(n_channels: int, rng: Generator, coupling: float = 0.3) -> Tensor:
    """A mixing matrix M `(channel, channel)` complex64: `M @ white` is noise with the covariance M M^H.

    coupling: the typical correlation between channels; the SDs spread by 20 %.
    """
    mix = rng.normal(size=(n_channels, n_channels)) + 1j * rng.normal(size=(n_channels, n_channels))
    mix = np.eye(n_channels) + coupling / math.sqrt(2 * n_channels) * mix
    mix *= rng.uniform(0.8, 1.2, size=(n_channels, 1))
    return torch.from_numpy(mix.astype(np.complex64))


def white_noise(shape: tuple[int, ...], rng: Generator) -> Tensor:
    """Complex64 noise with an SD of 1 per real and 1 per imaginary part."""
    parts = rng.standard_normal((2, *shape), dtype=np.float32)
    return torch.complex(torch.from_numpy(parts[0]), torch.from_numpy(parts[1]))


def sampled_lines(n_e1: int, acceleration: int, n_acs: int) -> tuple[Tensor, Tensor]:
    """Which lines are imaging lines and which are ACS, as two bool tensors `(e1,)`.

    Every `acceleration`-th line from the centre outwards, so that the centre is acquired, and
    `n_acs` contiguous lines around it; the two may overlap. At R=1 there are no ACS lines.
    """
    line = torch.arange(n_e1)
    imaging = (line - n_e1 // 2) % acceleration == 0
    start = n_e1 // 2 - n_acs // 2
    acs = (line >= start) & (line < start + n_acs) & (acceleration > 1)
    return imaging, acs


def simulate_scan(
    magnitude: Tensor, rng: Generator, n_channels: int = 16, acceleration: int = 1, n_acs: int = 24,
    snr: float = 20.0, oversampling: int = 1, n_repetitions: int = 1,
) -> PhantomScan:  # fmt: skip
    """Scan a magnitude object `(e1, ro)` float32.

    snr: object signal of magnitude 1, where the coils' root sum of squares is 1, over the noise SD
    per real part, at R=1. Infinite: no noise in the lines, and the object keeps its magnitude.
    """
    noisy = math.isfinite(snr)
    truth = torch.polar(magnitude * (snr if noisy else 1.0), object_phase(tuple(magnitude.shape), rng))
    sensitivities = loop_sensitivities(n_channels, tuple(magnitude.shape), rng)
    side = (oversampling - 1) * magnitude.shape[1]
    air = (side // 2 + (side % 2), side // 2)  # keeps the centre, n // 2, central
    clean = to_kspace(F.pad(sensitivities * truth, air))
    mixing = noise_correlation(n_channels, rng)
    white = white_noise((n_repetitions, *clean.shape), rng) if noisy else torch.zeros(n_repetitions, *clean.shape)
    # Mixing whitened channels gives the covariance mixing @ mixing^H that the noise scan reveals.
    kspace = torch.einsum("dc,rcyx->rdyx", mixing, clean + white)
    level = math.sqrt(DWELL_SCAN_US / DWELL_NOISE_US * RELATIVE_BANDWIDTH)
    noise = level * (mixing @ white_noise((n_channels, NOISE_SAMPLES), rng))
    imaging, acs = sampled_lines(magnitude.shape[0], acceleration, n_acs)
    return PhantomScan(kspace, noise, imaging, acs, truth, sensitivities, acceleration)
