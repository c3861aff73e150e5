"""One denoiser's answer to noisy images of a known truth, in figures."""

import math
import time
from dataclasses import dataclass

import numpy as np
from scipy import stats
from torch import Tensor

from snrtrain.metrics import magnitude_nrmse, magnitude_psnr, magnitude_ssim, snr_units_psnr

from .peers import Denoiser

ROUNDING = 1e-5  # of a figure


@dataclass(frozen=True)
class Scores:
    """PSNR in dB, SSIM, NRMSE, all of the magnitude inside the object; psnr_2048: SNRAware's, of the whole image."""

    psnr: float
    ssim: float
    nrmse: float
    psnr_2048: float

    @classmethod
    def of(cls, image: Tensor, clean: Tensor, mask: Tensor) -> "Scores":
        """Of an image against the `clean` one, both in SNR units and of one shape, where `mask` is true."""
        psnr, ssim, nrmse = (
            measure(image, clean, mask) for measure in (magnitude_psnr, magnitude_ssim, magnitude_nrmse)
        )
        return cls(psnr, ssim, nrmse, snr_units_psnr(image, clean))


def timed(denoise: Denoiser, images: Tensor, gmap: Tensor) -> tuple[Tensor, float]:
    """The result and the time in ms a frame."""
    start = time.perf_counter()
    result = denoise(images, gmap)
    return result, 1e3 * (time.perf_counter() - start) / len(images)


def paired_p(before: np.ndarray, after: np.ndarray) -> float:
    """Of the paired t-test, two-sided; 1 where all are equal but for rounding, NaN of a single pair."""
    if np.allclose(before, after, rtol=ROUNDING, atol=0):
        return 1.0
    return float(stats.ttest_rel(before, after).pvalue) if len(before) > 1 else math.nan
