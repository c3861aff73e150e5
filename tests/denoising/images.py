"""Images to denoise."""

import ismrmrd
import numpy as np

from snrstream.items import ReconImage
from snrstream.recon.spectrum import Spectrum


def random_image(shape=(1, 13, 18), seed=0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)


def recon_image(seed=0, shape=(1, 13, 18)) -> ReconImage:
    image = random_image(shape, seed)
    return ReconImage(
        image,
        np.ones(image.shape, np.float32),
        Spectrum.white(image.shape),
        (1.0, 1.0, 1.0),
        ismrmrd.AcquisitionHeader(),
        meta={"kept": "1"},
    )
