"""What an image says about itself, in DICOM words: type, series, comments, and who made its pixels."""

import ismrmrd
from ismrmrd.xsd import ismrmrdHeader
from pydicom.dataset import Dataset

from ...image_kind import ImageKind, ImagePart
from ...version import __version__
from ..image_values import kind_of, meta_values, unit_of
from .attributes import lookup, text
from .pixels import StoredPixels

# Reconstructed from what was acquired; all others are made of such images.
_AS_ACQUIRED = ImageKind.ORIGINAL, ImageKind.STAND_IN

LONGEST_DERIVATION, CUT = 1024, " ..."
# Meta attributes of a denoised image, `SNRSTREAM_` before each, and the words for them.
_AUDIT = {
    "model": "denoised by ",
    "model_sha256": "model sha256 ",
    "alpha": "alpha ",
    "strength": "strength ",
    "backend": "run by ",
    "device": "on ",
    "frames": "frames ",
    "frames_used": "frames used ",
}


def add_description(dataset: Dataset, image: ismrmrd.Image, header: ismrmrdHeader | None, pixels: StoredPixels) -> None:
    """Image type, series description, comments and derivation, from the image's meta attributes."""
    kind = kind_of(image)
    # "M" and its like are no defined terms of the classic MR image (dciodvfy warns), but what scanners write there and
    # what converters such as dcm2niix look for. Some of these drop all that is DERIVED.
    origin = "ORIGINAL" if kind in _AS_ACQUIRED else "DERIVED"
    image_type = [origin, "PRIMARY", ImagePart.of(image.image_type).dicom]
    # dcm2niix finds a P only where another value follows. ND is Siemens' word for images without distortion correction.
    dataset.ImageType = [*image_type, kind.image_type or "ND"]
    dataset.SeriesDescription = _series_description(image, header)
    scale = f"stored value = {pixels.factor:g} x {unit_of(image) or 'value'}"
    if pixels.offset:
        scale += f" + {pixels.offset:g}"
    comments = _first(image, "ImageComments", "ImageComment", "GADGETRON_ImageComment")
    warnings = [f"WARNING: {warning}" for warning in meta_values(image, "SNRSTREAM_warning")]
    dataset.ImageComments = text("; ".join([scale, *warnings, *comments]), 10240)
    derivation = _derivation(image)
    shortened = text(derivation, LONGEST_DERIVATION)
    if len(shortened) < len(derivation):
        shortened = text(derivation, LONGEST_DERIVATION - len(CUT)) + CUT
    dataset.DerivationDescription = shortened


def _series_description(image: ismrmrd.Image, header: ismrmrdHeader | None) -> str:
    """Protocol, snrstream, and what the chain made of it: no name that the scanner gives. The end survives a cut."""
    additional = _first(
        image, "SeriesDescriptionAdditional", "SequenceDescriptionAdditional", "GADGETRON_SeqDescription"
    )
    suffix = text("_".join(["snrstream", *(value.strip("_") for value in additional)]), 64)
    protocol = text(lookup(header, "measurementInformation.protocolName"), max(0, 63 - len(suffix.encode())))
    return "_".join(part for part in (protocol, suffix) if part)


def _derivation(image: ismrmrd.Image) -> str:
    """Who made these pixels. What must not be lost comes first: the text is cut at `LONGEST_DERIVATION`.

    A model's fallbacks are among the warnings.
    """
    parts = [f"snrstream {__version__}"]
    if meta_values(image, "SNRSTREAM_denoised") == ["false"]:
        parts.append("not denoised")
    if kind_of(image) is ImageKind.RESIDUAL:
        parts.append("original minus denoised")
    for key, words in _AUDIT.items():
        values = meta_values(image, f"SNRSTREAM_{key}")
        if values:
            parts.append(words + ", ".join(values))
    parts += [f"WARNING: {warning}" for warning in meta_values(image, "SNRSTREAM_warning")]
    history = meta_values(image, "GADGETRON_ImageProcessingHistory")
    if history:
        parts.append("history " + " > ".join(history))
    return "; ".join(parts)


def _first(image: ismrmrd.Image, *keys: str) -> list[str]:
    return next((values for key in keys if (values := meta_values(image, key))), [])
