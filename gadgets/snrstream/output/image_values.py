"""What the pixels of an image that leaves the chain mean: its kind, unit and physical values.

A stored pixel p stands for (p - `GADGETRON_ScaleOffset`) / `GADGETRON_ScaleRatio` (0 and 1 where these are absent): SNR
units for images and SNR maps, rad for phases, the noise amplification (>= 1 inside the object) for g-maps.
"""

import math
import re

import ismrmrd
import numpy as np

from ..errors import ScanError
from ..image_kind import ImageKind, ImagePart

LEAST_AMPLIFIED = 1.01  # a g-map of less shows no amplification but rounding


def meta_values(image: ismrmrd.Image, key: str) -> list[str]:
    """The non-empty values of one meta attribute, as stripped strings; [] where it is absent.

    A value is a string off the wire, but may be a number, None or a list before it went there.
    """
    value = image.meta.get(key)
    values = value if isinstance(value, (list, tuple)) else [value]
    return [text for item in values if item is not None and (text := str(item).strip())]


def meta_number(image: ismrmrd.Image, key: str) -> float | None:
    """The first value of a meta attribute as a finite float, None where it is absent.

    Raises
    ------
    ScanError
        The attribute is there but is no finite number.
    """
    values = meta_values(image, key)
    if not values:
        return None
    try:
        number = float(values[0])
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ScanError(f"{label_of(image)}: meta {key} is {values[0]!r}, expected a number")
    return number


def label_of(image: ismrmrd.Image) -> str:
    """How error messages call an image."""
    return f"series {image.image_series_index}, image {image.image_index}"


def kind_of(image: ismrmrd.Image) -> ImageKind:
    """Kind by `GADGETRON_DataRole` and by what our own denoised images say, for maps else by their series number.

    `GFACTOR`, `Gfactor` and `g-map` are one word. A series 2 that does not say that it is denoised is not taken to be.
    """
    words = {re.sub("[^A-Z]", "", text.upper()) for text in meta_values(image, "GADGETRON_DataRole")}
    for kind in (ImageKind.G_MAP, ImageKind.SNR_MAP, ImageKind.RESIDUAL):
        if words & {re.sub("[^A-Z]", "", word.upper()) for word in (kind.data_role, kind.name)}:
            return kind
    if "IMAGE" not in words:
        for kind in (ImageKind.G_MAP, ImageKind.SNR_MAP):
            if image.image_series_index == kind.series:
                return kind
    denoised = meta_values(image, "SNRSTREAM_denoised")
    if denoised == ["false"]:
        return ImageKind.STAND_IN
    return ImageKind.DENOISED if denoised or meta_values(image, "SNRSTREAM_model") else ImageKind.ORIGINAL


def scale_ratio(image: ismrmrd.Image) -> float | None:
    """Stored pixel value per physical unit, None where the image does not say.

    Raises
    ------
    ScanError
        The ratio is no positive number.
    """
    ratio = meta_number(image, "GADGETRON_ScaleRatio")
    if ratio is not None and ratio <= 0:
        raise ScanError(f"{label_of(image)}: meta GADGETRON_ScaleRatio is {ratio:g}, expected a positive number")
    return ratio


def scale_offset(image: ismrmrd.Image) -> float:
    """Stored pixel value of the physical value 0.

    Raises
    ------
    ScanError
        The image says, but no number.
    """
    return meta_number(image, "GADGETRON_ScaleOffset") or 0.0


def unit_of(image: ismrmrd.Image) -> str:
    """Unit of `physical_values`: "" for g-maps, "rad" for phase, "SNR", or "a.u." where nothing says so."""
    if kind_of(image) is ImageKind.G_MAP:
        return ""
    if ImagePart.of(image.image_type) is ImagePart.PHASE:
        # Half of all phases are negative, which an unsigned integer can only be by an offset.
        is_unknown = np.issubdtype(image.data.dtype, np.unsignedinteger) and not scale_offset(image)
        return "a.u." if is_unknown else "rad"
    if meta_values(image, "SNRSTREAM_snr_units") == ["false"]:
        return "a.u."
    # Integer pixels were scaled by somebody; without the ratio nobody can tell by how much.
    is_integer = np.issubdtype(image.data.dtype, np.integer)
    return "a.u." if is_integer and scale_ratio(image) is None else "SNR"


def physical_values(image: ismrmrd.Image) -> np.ndarray:
    """Physical pixel values; the magnitude where the image is complex.

    Returns
    -------
    values
        `(channel, z, y, x)` float64, in the image's `unit_of`.

    Raises
    ------
    ScanError
        The image has no pixels, or some that are not finite.
    """
    pixels: np.ndarray = image.data
    if pixels.size == 0:
        raise ScanError(f"{label_of(image)} has shape {pixels.shape}, expected at least one pixel")
    n_bad = pixels.size - int(np.count_nonzero(np.isfinite(pixels)))
    if n_bad:
        raise ScanError(f"{label_of(image)}: {n_bad} of {pixels.size} pixels are NaN or infinite, expected none")
    if np.iscomplexobj(pixels):
        pixels = np.abs(pixels.astype(np.complex128))
    return (pixels.astype(np.float64) - scale_offset(image)) / (scale_ratio(image) or 1.0)


def display_window(image: ismrmrd.Image) -> tuple[float, float]:
    """Window centre and width in physical values, for a viewer.

    From meta `WindowCenter` and `WindowWidth`, which are in the unit of the image's own pixels; else
    what `quantile_range` spans.

    Raises
    ------
    ScanError
        As `physical_values`, `scale_ratio` and `meta_number`.
    """
    center, width = meta_number(image, "WindowCenter"), meta_number(image, "WindowWidth")
    if center is not None and width is not None and width > 0:
        ratio = scale_ratio(image) or 1.0
        return (center - scale_offset(image)) / ratio, width / ratio
    low, high = quantile_range(image)
    return (low + high) / 2, high - low


def quantile_range(image: ismrmrd.Image) -> tuple[float, float]:
    """Physical values that show an image well: from `lowest` to the 99.5 % quantile.

    From the 0.5 % quantile where there are negative values. Never empty.

    Raises
    ------
    ScanError
        As `physical_values`.
    """
    values = physical_values(image)
    low, high = (float(edge) for edge in np.quantile(values, (0.005, 0.995)))
    if values.min() >= 0:
        low = lowest(kind_of(image), high)
    if high <= low:
        high = max(float(values.max()), low + 1)
    return low, high


def lowest(kind: ImageKind, high: float) -> float:
    """The physical value that is shown black, where `high` is shown white: 0, but 1 for a g-map that exceeds it.

    Where nothing was accelerated, g is 1 in all of the object, and would be as black as the background.
    """
    return 1.0 if kind is ImageKind.G_MAP and high > LEAST_AMPLIFIED else 0.0
