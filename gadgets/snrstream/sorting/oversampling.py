"""Oversampling of the readout: how much there is, and whether it was removed before the data came."""

import dataclasses

import ismrmrd

from ..errors import ScanError
from ..wire.header import Encoding


def has_oversampling(encoding: Encoding) -> bool:
    """Whether the header tells of more samples than pixels along the readout.

    Raises
    ------
    ScanError
        Where reconSpace is wider than the encoded space.
    """
    return pixels_without_oversampling(encoding) < encoding.encoded_matrix[0]


def as_acquired(encoding: Encoding, head: ismrmrd.AcquisitionHeader) -> Encoding:
    """The encoding without readout oversampling where an image line lacks it, which the header does not tell.

    Such a line reaches half the pixels from k = 0, to both sides or, of an asymmetric echo, to one.

    Parameters
    ----------
    encoding : Encoding
        As the header has it.
    head : ismrmrd.AcquisitionHeader
        Of the first image line.
    """
    n_pixels = pixels_without_oversampling(encoding)
    n_samples = head.number_of_samples - head.discard_pre - head.discard_post
    centre = head.center_sample - head.discard_pre
    if not 0 < centre < n_samples:  # nobody knows it
        centre = n_samples // 2
    reach = max(centre, n_samples - centre)
    if n_samples > n_pixels or abs(reach - n_pixels / 2) > 1:
        return encoding
    return dataclasses.replace(
        encoding,
        encoded_matrix=(n_pixels, *encoding.encoded_matrix[1:]),
        encoded_fov_mm=(encoding.recon_fov_mm[0], *encoding.encoded_fov_mm[1:]),
    )


def pixels_without_oversampling(encoding: Encoding) -> int:
    """Pixels of a readout over the field of view of the reconstruction, in the size they were encoded.

    Parameters
    ----------
    encoding : Encoding
        As the header has it, sizes in mm.

    Raises
    ------
    ScanError
        Where reconSpace is wider than the encoded space.
    """
    nx, fov, wanted = encoding.encoded_matrix[0], encoding.encoded_fov_mm[0], encoding.recon_fov_mm[0]
    if wanted > 1.01 * fov:
        raise ScanError(
            f"reconSpace is {wanted:g} mm wide along the readout, the encoded one {fov:g} mm; expected less"
        )
    return max(1, min(nx, round(nx * wanted / fov)))
