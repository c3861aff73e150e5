"""Losses between complex images, given as real and imaginary channels `(N, 2, H, W)`.

All are means over pixels, on data whose noise SD is 1, so that one weighting serves every scan.
"""

import torch
from torch import Tensor


def charbonnier(prediction: Tensor, target: Tensor, epsilon: float) -> Tensor:
    """Mean of `sqrt(|d|^2 + epsilon^2)`, d the complex difference; epsilon in noise SDs.

    SNRAware's epsilon^2 is 1e-6 (in effect L1); 0.5 is quadratic for errors below half a noise SD,
    where most of a denoised image lies, and so nearer to what PSNR measures.
    """
    squared = (prediction - target).square().sum(dim=1)
    return torch.sqrt(squared + epsilon**2).mean() - epsilon


def perpendicular(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean perpendicular loss (Terpstra et al., Med Image Anal 80:102509, 2022), as SNRAware uses it.

    `P = |Re X Im Y - Im X Re Y| / |X|` for the prediction X and the target Y: Y's distance from the
    line through X. P counts where the angle between them is within 90 degrees, else `2 |Y| - P`.
    """
    x_re, x_im = prediction.unbind(dim=1)
    y_re, y_im = target.unbind(dim=1)
    # Where X is near zero its phase means nothing, and the gradient would be as large as 1 / |X|.
    x_abs = torch.sqrt(x_re.square() + x_im.square() + 1e-2)
    distance = (x_re * y_im - x_im * y_re).abs() / x_abs
    within = x_re * y_re + x_im * y_im >= 0
    y_abs = torch.sqrt(y_re.square() + y_im.square())
    return torch.where(within, distance, 2 * y_abs - distance).mean()


def gradient_l1(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference of the finite differences along both axes."""
    difference = prediction - target
    return difference.diff(dim=-1).abs().mean() + difference.diff(dim=-2).abs().mean()
