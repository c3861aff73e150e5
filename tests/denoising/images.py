"""Images to denoise."""

import ismrmrd
import numpy as np

from snrstream.items import ReconImage
from snrstream.recon.spectrum import Spectrum
from tests.scans import random_complex


def random_image(shape=(1, 13, 18), seed=0) -> np.ndarray:
    return random_complex(*shape, seed=seed)


def recon_image(seed=0, shape=(1, 13, 18), position=(0.0, 0.0, 0.0), normal=(0.0, 0.0, 1.0), **counters) -> ReconImage:
    """counters: slice, repetition and so on. position: of the slice in mm."""
    image = random_image(shape, seed)
    head = ismrmrd.AcquisitionHeader()
    for name, value in {
        "position": position,
        "read_dir": (1, 0, 0),
        "phase_dir": (0, 1, 0),
        "slice_dir": normal,
    }.items():
        getattr(head, name)[:] = value
    for name, value in counters.items():
        setattr(head.idx, name, value)
    return ReconImage(
        image,
        np.ones(image.shape, np.float32),
        Spectrum.white(image.shape),
        (1.0, 1.0, 1.0),
        head,
        meta={"kept": "1"},
    )
