"""Noise covariance and g-map of a scan, step by step, by the numerics of `snrstream.recon` on plain arrays.

    python examples/noise_and_gmaps.py [OUT.png]

The shipped scan has every third line, and calibration lines at the centre. `snrstream.reconstruct` finds out by itself
how a scan is sampled; here it is spelt out.
"""

import sys
from pathlib import Path

import ismrmrd
import numpy as np
import torch
from PIL import Image

import snrstream
from snrstream.recon.acquired import Acquired
from snrstream.recon.fft import gridded_readouts
from snrstream.recon.lattice import Lattice
from snrstream.recon.noise import noise_covariance, prewhitening_matrix
from snrstream.recon.plan import Plan

SHIPPED = Path(__file__).parents[1] / "data" / "brain_16ch_r3.h5"
ACCELERATION = 3


def main(picture: str | Path = "gmap.png") -> tuple[torch.Tensor, torch.Tensor]:
    """Print figures of noise and g, and save the g-map. Returns image and g-map, both `(e2, e1, ro)`."""
    with snrstream.open_scan(SHIPPED) as scan:
        noise, *lines = scan.acquisitions()  # the noise measurement comes first
        encoding, system = scan.header.encoding[0], scan.header.acquisitionSystemInformation
    n_e1, first = encoding.encodedSpace.matrixSize.y, encoding.encodingLimits.kspace_encoding_step_1.center
    n_sampled, n_ro = encoding.encodedSpace.matrixSize.x, encoding.reconSpace.matrixSize.x

    covariance = noise_covariance(torch.from_numpy(noise.data))
    sd = covariance.diagonal().real.sqrt()
    correlation = (covariance / torch.outer(sd, sd)).abs() - torch.eye(len(sd))
    print(
        f"noise: {len(sd)} channels, SD {sd.min():.3g} to {sd.max():.3g}, correlated by up to {correlation.max():.2f}"
    )
    whiten = prewhitening_matrix(
        covariance, lines[0].sample_time_us, noise.sample_time_us, system.relativeReceiverNoiseBandwidth
    )

    # K-space and calibration lines (ACS), prewhitened and without readout oversampling: (channel, e2, e1, readout).
    kspace = torch.zeros(len(sd), 1, n_e1, n_ro, dtype=torch.complex64)
    acs, sampled = kspace.clone(), torch.zeros(1, n_e1, dtype=torch.bool)
    for line in lines:
        e1 = line.idx.kspace_encode_step_1 + n_e1 // 2 - first
        both = line.is_flag_set(ismrmrd.ACQ_IS_PARALLEL_CALIBRATION_AND_IMAGING)
        white = gridded_readouts(whiten @ torch.from_numpy(line.data), line.center_sample, n_sampled, n_ro)
        if both or line.is_flag_set(ismrmrd.ACQ_IS_PARALLEL_CALIBRATION):
            acs[:, 0, e1] = white
        if both or not line.is_flag_set(ismrmrd.ACQ_IS_PARALLEL_CALIBRATION):
            kspace[:, 0, e1], sampled[0, e1] = white, True
    start, *_, stop = acs.abs().sum((0, 1, 3)).nonzero().flatten().tolist()

    # Kernel, coil maps, unmixing coefficients: all that image and g-map need, for any number of images.
    acquired = Acquired.of(sampled, Lattice((ACCELERATION, 1)), n_ro)
    plan = Plan.of(acs[:, :, start : stop + 1].contiguous(), (0, start), acquired)
    image, gmap = plan.image(kspace), plan.gmap
    snr = image.abs() / gmap
    inside = gmap[snr > 5]  # in air, coil maps follow no object, and g tells nothing
    print(f"g inside: median {inside.median():.2f}, largest {inside.max():.2f}; largest SNR {snr.max():.0f}")
    Image.fromarray((gmap[0] * (255 / gmap.max())).numpy().astype(np.uint8)).save(picture)
    print(f"{picture} shows the g-map")
    return image, gmap


if __name__ == "__main__":
    main(*sys.argv[1:])
