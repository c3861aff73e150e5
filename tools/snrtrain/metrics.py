"""Image quality against a known truth. Images are magnitudes, or complex ones whose magnitude counts."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

MASK_LEVEL = 0.1  # of bright tissue: what lies above it is object
PEAK_QUANTILE = 0.999
SNR_UNITS_PEAK = 2048.0
SSIM_SIGMA = 1.5  # pixels, as Wang et al. have it
EDGE_SHARE = 0.05  # of the object's pixels: those with the steepest reference
TISSUES = 3  # beside air, by their brightness


def object_mask(reference: Tensor) -> Tensor:
    """Bool mask of the object in a reference magnitude `(..., H, W)`; empty where there is no signal."""
    values = reference.flatten()
    inside = values[values > 0.1 * _quantile(values, 0.995)]
    if len(inside) == 0:
        return torch.zeros_like(reference, dtype=torch.bool)
    return reference > MASK_LEVEL * _quantile(inside, 0.8)


def tissue_level(magnitude: Tensor) -> float:
    """Bright tissue: the 80th percentile of the pixels above a tenth of the 99.5th percentile."""
    values = magnitude.flatten()
    values = values[:: max(1, len(values) >> 22)]  # torch's quantile takes no more than 16 million
    inside = values[values > 0.1 * torch.quantile(values, 0.995)]
    return float(torch.quantile(inside, 0.8)) if len(inside) else 1.0


def reference_level(magnitude: Tensor) -> float:
    """Median of the brightest 40 % of the object, which is the 80th percentile of the object."""
    return float(_quantile(magnitude[object_mask(magnitude)], 0.8))


def peak(reference: Tensor) -> float:
    """The 99.9th percentile of a reference's magnitude."""
    return float(_quantile(reference.abs().flatten(), PEAK_QUANTILE))


def magnitude_psnr(image: Tensor, reference: Tensor, mask: Tensor) -> float:
    """PSNR in dB of |image| against |reference| inside `mask`; peak: the reference's 99.9th percentile."""
    error = (image.abs() - reference.abs())[mask].double().square().mean()
    return float(10 * torch.log10(peak(reference) ** 2 / error))


def snr_units_psnr(image: Tensor, reference: Tensor) -> float:
    """SNRAware's PSNR in dB of |image| against |reference|, both in SNR units: its peak is 2048, whatever they hold.

    Of all pixels, air included, as nothing is said of a mask (Xue et al. 2025, arXiv 2503.18162). It tells the error in
    noise SDs: 66.2 dB is one noise SD.
    """
    error = (image.abs() - reference.abs()).double().square().mean()
    return float(10 * torch.log10(SNR_UNITS_PEAK**2 / error))


def magnitude_ssim(image: Tensor, reference: Tensor, mask: Tensor) -> float:
    """Mean SSIM inside `mask` of |image| against |reference|, `(..., H, W)`: see `ssim_map`."""
    return float(ssim_map(image, reference)[mask].mean())


def ssim_map(image: Tensor, reference: Tensor) -> Tensor:
    """SSIM of |image| against |reference|, `(..., H, W)`, slice by slice, at each pixel; data range: `peak`.

    Wang et al., IEEE TIP 13:600 (2004), by scikit-image, with the paper's Gaussian window.
    """
    from skimage.metrics import structural_similarity

    shape = (-1, *reference.shape[-2:])
    pairs = zip(image.abs().reshape(shape).numpy(), reference.abs().reshape(shape).numpy(), strict=True)
    data_range = peak(reference)
    maps = [
        structural_similarity(
            a, b, data_range=data_range, gaussian_weights=True, sigma=SSIM_SIGMA, use_sample_covariance=False, full=True
        )[1]
        for a, b in pairs
    ]
    return torch.from_numpy(np.stack(maps)).reshape(reference.shape)


def magnitude_nrmse(image: Tensor, reference: Tensor, mask: Tensor) -> float:
    """Root mean square error of |image| over the root mean square of |reference|, inside `mask`."""
    truth = reference.abs()[mask].double()
    return float((image.abs()[mask].double() - truth).norm() / truth.norm())


def dice(classes: Tensor, reference: Tensor, tissues: Sequence[int] = tuple(range(1, TISSUES + 1))) -> float:
    """Mean over the `tissues` of `2 |A and B| / (|A| + |B|)`, of two class maps of one shape; 1 where both lack it."""
    scores = []
    for tissue in tissues:
        a, b = classes == tissue, reference == tissue
        total = int(a.sum() + b.sum())
        scores.append(2 * int((a & b).sum()) / total if total else 1.0)
    return sum(scores) / len(scores)


def edges_kept(image: Tensor, reference: Tensor, mask: Tensor) -> float:
    """How steep |image| `(..., H, W)` is where |reference| is steepest inside `mask`: 1 as steep, below 1 blurred.

    Edges: the 5 % of the object with the largest gradient of the reference, smoothed by a Gaussian of one pixel. There
    the image's gradient is projected on the reference's, so that noise, which points anywhere, adds nothing on average:
    the sum of products over the sum of the reference's squares.
    """
    truth, found = reference.abs().double().numpy(), image.abs().double().numpy()
    smooth = ndimage.gaussian_filter(truth, [0] * (truth.ndim - 2) + [1, 1])
    steepness = np.where(mask.numpy(), np.hypot(*np.gradient(smooth, axis=(-2, -1))), -math.inf)
    n_edges = max(1, round(EDGE_SHARE * int(mask.sum())))
    edges = steepness >= np.partition(steepness, -n_edges, axis=None)[-n_edges]
    expected, got = (np.stack(np.gradient(x, axis=(-2, -1)))[:, edges] for x in (truth, found))
    return float((got * expected).sum() / (expected**2).sum())


def own_noise(truth: Tensor, mask: Tensor) -> float:
    """SD of the noise that a reference `(S, H, W)` itself carries, in its own units.

    From the diagonal second difference, blind to edges along the axes (Immerkaer, CVIU 64:300, 1996),
    by its median over the object, blind to the few pixels with structure.
    """
    difference = truth.abs().diff(n=2, dim=-1).diff(n=2, dim=-2) / 6  # weights 1 -2 1 twice: a norm of 6
    inside = mask[:, 1:-1, 1:-1]
    return float(difference.abs()[inside].median() / 0.6745)


def ceiling(noisy_psnr: float, clean: Tensor, own: float, mask: Tensor) -> float:
    """PSNR in dB of an oracle that knows the object, but not the noise of SD `own` that the reference itself carries.

    It weighs what it knows against what it sees: own * added / (own + added) in variances.
    """
    without_own = magnitude_psnr(clean.abs() + own, clean, mask)
    return noisy_psnr + 10 * math.log10(1 + 10 ** ((without_own - noisy_psnr) / 10))


def _quantile(values: Tensor, q: float) -> Tensor:
    """`torch.quantile` without its limit of 16 million values."""
    rank = min(len(values), max(1, round(q * len(values))))
    return values.kthvalue(rank).values
