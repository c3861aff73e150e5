"""Gadgetron's image arrays and images as images in SNR units: scaling divided out, and paired with their g-maps."""

import logging
import re
from collections.abc import Iterable, Iterator, Sequence

import ismrmrd
import numpy as np
import torch
from gadgetron.types.image_array import ImageArray
from ismrmrd import xsd

from ..errors import ScanError
from ..image_kind import ImageKind
from ..items import Item, ReconImage
from ..output.image_values import kind_of, label_of, meta_values, scale_ratio
from ..recon.spectrum import Spectrum
from ..wire.messages import Pause
from .gmaps import Counted, KeptGMaps
from .image_arrays import images_of

log = logging.getLogger(__name__)

SAME_FIELDS = ("version", "measurement_uid", "position", "read_dir", "phase_dir", "slice_dir",
               "patient_table_position", "acquisition_time_stamp", "physiology_time_stamp", "user_int",
               "user_float")  # fmt: skip
LINE_NUMBER = re.compile("[0-9]{1,5}")
SAME_COUNTERS = ("average", "slice", "contrast", "phase", "repetition", "set")


def recon_images(
    items: Iterable[Item | Pause], header: xsd.ismrmrdHeader, warnings: tuple[str, ...] = ()
) -> Iterator[Item | Pause]:
    """Complex images of one channel, whole arrays of them too, to `ReconImage`s; g-maps are kept for them.

    Gadgetron sends the g-map of an image ahead of it, and none where nothing was accelerated. A map is kept as long as
    a later image can need it (`KeptGMaps` states the bound), so that an endless series takes no more memory than a
    short one. Real images, whose noise is no longer that of SNR units, SNR maps and all other items pass, the maps of
    an array as images.
    Raises ScanError for images of several channels, and for pixels or attributes that cannot be read.
    """
    gmaps = KeptGMaps()
    accelerated = _is_accelerated(header)
    for item in items:
        for image, heads in _each(item):
            if not isinstance(image, ismrmrd.Image):
                yield image
            elif kind_of(image) is ImageKind.G_MAP:
                gmaps.add(heads, np.abs(_pixels(image)))
            elif kind_of(image) in (ImageKind.ORIGINAL, ImageKind.STAND_IN) and _is_complex(image):
                gmaps.passed(image)
                yield _recon_image(image, gmaps, accelerated, warnings)
            else:
                gmaps.passed(image)
                log.info(
                    "%s (%s) passes as it is: no complex image to work on", label_of(image), kind_of(image).description
                )
                yield image


def _each(item: Item | Pause) -> Iterable[tuple[Item | Pause, Sequence[Counted]]]:
    """Images of an array one by one, anything else as it is, with the headers that it would be the g-map of."""
    if isinstance(item, ImageArray):
        return images_of(item)
    return [(item, [item] if isinstance(item, ismrmrd.Image) else [])]


def _is_accelerated(header: xsd.ismrmrdHeader) -> bool:
    parallel = header.encoding[0].parallelImaging if header.encoding else None
    factors = parallel.accelerationFactor if parallel is not None else None
    return factors is not None and (factors.kspace_encoding_step_1, factors.kspace_encoding_step_2) != (1, 1)


def _is_complex(image: ismrmrd.Image) -> bool:
    """By its pixels: Gadgetron calls complex images magnitude images, and keeps magnitudes as complex numbers."""
    with np.errstate(invalid="ignore"):  # NaN is not zero
        return np.iscomplexobj(image.data) and bool(image.data.imag.any())


def _pixels(image: ismrmrd.Image) -> np.ndarray:
    """In SNR units, or as g-factors: `(e2, e1, ro)` complex64."""
    if len(image.data) != 1 or image.data.size == 0:
        raise ScanError(f"{label_of(image)} has shape {image.data.shape}; expected pixels of one channel, combined")
    with np.errstate(all="ignore"):
        pixels: np.ndarray = (image.data[0] / (scale_ratio(image) or 1)).astype(np.complex64)
    if not np.isfinite(pixels).all():
        raise ScanError(f"{label_of(image)} has pixels that are NaN or infinite; expected none")
    return pixels


def _recon_image(image: ismrmrd.Image, gmaps: KeptGMaps, accelerated: bool, warnings: tuple[str, ...]) -> ReconImage:
    pixels = _pixels(image)
    shape = pixels.shape
    gmap = gmaps.of(image, shape)
    own = meta_values(image, "SNRSTREAM_warning")  # of a module before this one, which was told of the same header
    warnings += tuple(text for text in own if text not in warnings)
    if gmap is None and accelerated:
        warnings += (f"no g-map came ahead of the image ({label_of(image)}, slice {image.slice}); not denoised",)
        log.warning(warnings[-1])
    return ReconImage(
        image=pixels,
        gmap=np.ones(shape, np.float32) if gmap is None else gmap,
        spectrum=_spectrum(image),
        voxel_mm=tuple(fov / n for fov, n in zip(image.field_of_view, shape[::-1], strict=True)),
        head=_head(image),
        meta={key: meta_values(image, key) for key in image.meta if key != "SNRSTREAM_warning"},
        warnings=warnings,
        snr_units=gmap is not None or not accelerated,
    )


def _head(image: ismrmrd.Image) -> ismrmrd.AcquisitionHeader:
    """What an image and the acquisition at the centre of its k-space have in common."""
    head = ismrmrd.AcquisitionHeader()
    for field in SAME_FIELDS:
        setattr(head, field, getattr(image, field))
    for counter in SAME_COUNTERS:
        setattr(head.idx, counter, getattr(image, counter))
    return head


def _spectrum(image: ismrmrd.Image) -> Spectrum:
    """Of the noise, by the lines that were acquired as Gadgetron's attributes tell: white where they do not."""
    profiles = []
    for size, encoded, axis in zip(
        image.data.shape[:0:-1], [*meta_values(image, "encoded_matrix"), "", "", ""], ("RO", "E1", "E2"), strict=False
    ):
        limits = [text for text in meta_values(image, f"sampling_limits_{axis}") if LINE_NUMBER.fullmatch(text)]
        profile = torch.ones(size)
        if encoded == str(size) and len(limits) == 3 and int(limits[0]) <= int(limits[2]) < size:
            profile = torch.zeros(size)
            profile[int(limits[0]) : int(limits[2]) + 1] = 1
        profiles.append(profile)
    ro, e1, e2 = profiles
    return Spectrum.of(e2[:, None] * e1, ro)
