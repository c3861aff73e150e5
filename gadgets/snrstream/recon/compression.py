"""Channel compression to fewer virtual channels, which keeps white noise white.

Source: Buehrer, Pruessmann, Boesiger and Kozerke, "Array compression for MRI with large coil arrays",
MRM 57:1131 (2007); Huang et al., "A software channel compression technique for faster reconstruction with many
channels", MRI 26:133 (2008).
"""

import torch
from torch import Tensor

from ..errors import ScanError


def compression_matrix(kspace: Tensor, n_channels: int) -> Tensor:
    """The orthonormal combinations of channels that hold most of the signal.

    The rows are the leading left singular vectors, conjugated: being orthonormal, they turn white noise into white
    noise of the same SD.

    Parameters
    ----------
    kspace : Tensor
        `(channel, ...)` complex64, prewhitened, the more of its centre the better.
    n_channels : int
        How many combinations, the virtual channels.

    Returns
    -------
    Tensor
        `(virtual, channel)` complex64.

    Raises
    ------
    ScanError
        For more virtual channels than there are.

    References
    ----------
    Buehrer et al., MRM 57:1131 (2007); Huang et al., MRI 26:133 (2008).
    """
    if n_channels > len(kspace):
        raise ScanError(f"scan has {len(kspace)} channels; {n_channels} virtual ones were asked for, expected no more")
    flat = kspace.flatten(1).to(torch.complex128)
    vectors: Tensor = torch.linalg.eigh(flat @ flat.mH).eigenvectors  # of rising eigenvalues
    return vectors.flip(1)[:, :n_channels].mH.to(torch.complex64).contiguous()


def compressed(matrix: Tensor, kspace: Tensor) -> Tensor:
    """K-space of the virtual channels.

    Parameters
    ----------
    matrix : Tensor
        `(virtual, channel)` complex64.
    kspace : Tensor
        `(channel, ...)` complex64, prewhitened.

    Returns
    -------
    Tensor
        `(virtual, ...)` complex64, its noise as white as before.
    """
    return (matrix @ kspace.flatten(1)).reshape(len(matrix), *kspace.shape[1:])


def kept_share(matrix: Tensor, kspace: Tensor) -> float:
    """How much of the signal's energy the virtual channels hold.

    Parameters
    ----------
    matrix : Tensor
        `(virtual, channel)` complex64.
    kspace : Tensor
        `(channel, ...)` complex64.

    Returns
    -------
    float
        0 to 1.
    """
    return float(compressed(matrix, kspace).abs().square().sum() / kspace.abs().square().sum())
