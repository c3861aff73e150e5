"""What a network takes off an image must be noise, whose mean over many pixels is next to nothing."""

import math

import numpy as np
import torch
import torch.nn.functional as F

WIDTH = 8.0  # pixels, SD of the window: by measurement, docs/adr/0035-local-means.md
STEP = 4  # pixels an edge that are averaged first: as good, and much faster
REACH = 3 * WIDTH / STEP
MEAN_SD = 1 / (2 * WIDTH * math.sqrt(math.pi))  # of white noise of SD 1 under the window
SIGNIFICANT = 2.0  # SDs: what noise may be


def keep_local_means(image: np.ndarray, denoised: np.ndarray, gmap: np.ndarray) -> np.ndarray:
    """The denoised image with what was taken off its local means, and is more than noise can be, given back.

    Where the SNR is below 2 a network may take dark for more likely than bright, and an image gets a shade that is not
    there. With r the local mean of (image - denoised) / g and s its SD if it is noise, r (1 - (2 s / |r|)^2) is given
    back where |r| > 2 s.

    Parameters
    ----------
    image, denoised : ndarray
        `(frame, e1, ro)` complex64, in SNR units.
    gmap : ndarray
        The same shape, float32.

    Returns
    -------
    ndarray
        The same shape, complex64.
    """
    taken = torch.from_numpy((image - denoised) / np.where(gmap > 0, gmap, np.float32(1)))
    height, width = taken.shape[-2:]
    parts = torch.stack([taken.real, taken.imag]).flatten(0, 1)[:, None]
    size = -(-height // STEP) * STEP, -(-width // STEP) * STEP
    inside = F.pad(torch.ones(1, 1, height, width), (0, size[1] - width, 0, size[0] - height))
    parts = F.pad(parts, (0, size[1] - width, 0, size[0] - height))
    means = _blurred(F.avg_pool2d(parts, STEP)) / _blurred(F.avg_pool2d(inside, STEP))
    energy = means.unflatten(0, (2, -1)).square().sum(0).clamp(min=1e-12)
    means = means * (1 - (SIGNIFICANT * MEAN_SD) ** 2 / energy).clamp(min=0).repeat(2, 1, 1, 1)
    back = F.interpolate(means, size=size, mode="bilinear", align_corners=False)[:, 0, :height, :width]
    real, imag = back.unflatten(0, (2, -1)) * torch.from_numpy(gmap)
    answer: np.ndarray = denoised + torch.complex(real, imag).numpy()
    return answer


def _blurred(maps: torch.Tensor) -> torch.Tensor:
    """`(N, 1, H, W)` under the window, of which 0 lies beyond the ends."""
    reach = math.ceil(REACH)
    window = torch.exp(-torch.arange(-reach, reach + 1).square() / (2 * (WIDTH / STEP) ** 2))
    window = window / window.sum()
    maps = F.conv2d(maps, window.view(1, 1, -1, 1), padding=(reach, 0))
    return F.conv2d(maps, window.view(1, 1, 1, -1), padding=(0, reach))
