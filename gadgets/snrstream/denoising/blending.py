"""Alpha-blending of an image with its denoised version."""

import numpy as np


def blend(original: np.ndarray, denoised: np.ndarray, alpha: float) -> np.ndarray:
    """`alpha * original + (1 - alpha) * denoised`, on complex data before the magnitude.

    alpha = 1 returns the original bit for bit, alpha = 0 the denoised image.

    Parameters
    ----------
    original, denoised
        Complex64, of any equal shapes.
    alpha
        0 to 1.

    References
    ----------
    Jung et al., "MR-self Noise2Noise", European Radiology (2022), eq. 1.
    """
    if alpha == 1.0:
        return original.copy()
    if alpha == 0.0:
        return denoised.copy()
    return (np.float32(alpha) * original + np.float32(1.0 - alpha) * denoised).astype(original.dtype)
