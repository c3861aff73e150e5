"""What an image is: the one list of kinds, with their series and words."""

from enum import Enum


class ImageKind(Enum):
    """A kind of image that leaves the chain.

    series: number of its series, `image_series_index`: those of Gadgetron's Generic_Cartesian_Grappa_SNR, with 2 for
    denoised images and 3 for their residuals. data_role: `GADGETRON_DataRole`, as Gadgetron's own series bear it.
    description: for people. image_type: its word in DICOM's ImageType, empty where there is none. quantitative: whether
    its values are a measurement of their own.
    """

    ORIGINAL = 1, "Image", "original", "", False
    DENOISED = 2, "Image", "denoised", "DENOISED", False
    STAND_IN = 2, "Image", "not denoised", "", False  # the original once more, in the place of a denoised image
    RESIDUAL = 3, "Residual", "residual", "RESIDUAL", False  # original minus denoised
    G_MAP = 20, "Gfactor", "g-factor", "GFACTOR", True
    SNR_MAP = 300, "SNR_MAP", "SNR map", "SNR_MAP", True

    def __init__(self, series: int, data_role: str, description: str, image_type: str, quantitative: bool) -> None:
        self.series = series
        self.data_role = data_role
        self.description = description
        self.image_type = image_type
        self.quantitative = quantitative
