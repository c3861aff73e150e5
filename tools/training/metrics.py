"""Image quality against a known truth."""

import torch
from torch import Tensor

MASK_LEVEL = 0.1  # of bright tissue: what lies above it is object
PEAK_QUANTILE = 0.999


def object_mask(reference: Tensor) -> Tensor:
    """Bool mask of the object in a reference magnitude `(..., H, W)`."""
    values = reference.flatten()
    inside = values[values > 0.1 * _quantile(values, 0.995)]
    return reference > MASK_LEVEL * _quantile(inside, 0.8)


def magnitude_psnr(image: Tensor, reference: Tensor, mask: Tensor) -> float:
    """PSNR in dB of |image| against |reference| inside `mask`; peak: the reference's 99.9th percentile."""
    error = (image.abs() - reference.abs())[mask].double().square().mean()
    peak = _quantile(reference.abs().flatten(), PEAK_QUANTILE)
    return float(10 * torch.log10(peak**2 / error))


def _quantile(values: Tensor, q: float) -> Tensor:
    """`torch.quantile` without its limit of 16 million values."""
    rank = min(len(values), max(1, round(q * len(values))))
    return values.kthvalue(rank).values
