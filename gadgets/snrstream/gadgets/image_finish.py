"""Gadget: reconstructed images to ISMRMRD images that consoles, viewers and DICOM writers understand."""

import logging
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated

import ismrmrd
import numpy as np

from ..errors import printable
from ..image_kind import NEXT_ENCODING, ImageKind, ImagePart
from ..items import Item, ReconImage
from ..output.image_values import lowest
from ..output.orientation import AXES
from ..output.whole_numbers import PHASE_OFFSET, SIGNED_OFFSET, UINT16_MAX, WholeNumbers, whole_numbers
from .gadget import Gadget, Scan
from .pixel_axes import Axes, Placement, directions_are_forward, placed

log = logging.getLogger(__name__)

COMPLEX = "complex"
ENOUGH_PIXELS = 4096  # for the percentile of a window


@dataclass(frozen=True)
class Parameters:
    """What the images that leave hold.

    Images that are not in SNR units have a scale of their own, a power of ten that fits the first of them with signal.
    """

    output: Annotated[
        str,
        "complex, for complex images and float maps, unscaled; or some of magnitude, real, imaginary and phase, with "
        "blanks between, for uint16. Magnitudes are multiplied by scale, as series 1 and 2; real and imaginary parts "
        "too, plus 32768, as series 401, 402 and 501, 502; phases by 2048 / pi, plus 2048, as series 601, 602; g-maps "
        "by gmap_scale",
    ] = "magnitude"
    scale: Annotated[float, "pixel value of a magnitude, a part or an SNR map that stands for 1; 1e-6 to 1e6"] = 10.0
    gmap_scale: Annotated[float, "pixel value of a g-map of uint16 that stands for 1; 1e-6 to 1e6"] = 100.0
    gmap: Annotated[bool, "whether to send the g-map of each original image, as series 20"] = True
    snr_map: Annotated[bool, "whether to send the SNR map of each original image, as series 300"] = False
    axes: Annotated[
        Axes,
        "along what the pixel axes run: patient, along the directions of the header, which hold for a forward FFT on "
        "Siemens' scans without Pulseq and for an inverse one on others; forward or inverse, the same but told by you; "
        "kspace, as reconstructed and as Gadgetron's own images",
    ] = "patient"

    def __post_init__(self) -> None:
        words = [part.word for part in ImagePart]
        if self.output != COMPLEX and (not self.parts or set(self.output.split()) - set(words)):
            expected = f"complex, or some of {', '.join(words)}, with blanks between"
            raise ValueError(f"output is {self.output!r:.100}; expected {expected}")
        if not (1e-6 <= self.scale <= 1e6 and 1e-6 <= self.gmap_scale <= 1e6):
            raise ValueError(f"scale is {self.scale}, gmap_scale {self.gmap_scale}; expected numbers from 1e-6 to 1e6")

    @property
    def parts(self) -> tuple[ImagePart, ...]:
        """What to send of each image; none where it goes as it is, complex."""
        return tuple(part for part in ImagePart if part.word in self.output.split())


_IN_PARTS = ImageKind.ORIGINAL, ImageKind.DENOISED, ImageKind.STAND_IN  # of other kinds only the magnitude tells


def start(scan: Scan, parameters: Parameters) -> Gadget:
    """Make one or more `ismrmrd.Image`s of each `ReconImage`, numbered from 1 in each series.

    Images of a second encoding of the header have another matrix, and series of their own: those of the first that
    comes plus 30.

    Images of one number belong together: denoised images and residuals come later, but in the order of their originals.
    """
    return _Finisher(parameters, directions_are_forward(scan.header))


class _Finisher(Gadget):
    def __init__(self, parameters: Parameters, is_forward: bool) -> None:
        self._parameters, self._is_forward = parameters, is_forward
        self._numbers: Counter[int] = Counter()
        self._encodings: list[int] = []  # that images came of, in the order of their series
        # Of originals, for the images beside them: by encoding, part and number.
        self._windows: dict[tuple[int, ImagePart, int], tuple[float, float]] = {}
        self._raw_scale: float | None = None
        self._faults: set[str] = set()

    def take(self, item: Item) -> Iterable[Item]:
        return self._images(item) if isinstance(item, ReconImage) else (item,)

    def _images(self, item: ReconImage) -> Iterator[ismrmrd.Image]:
        parameters, scale = self._parameters, self._parameters.scale
        if not item.snr_units:
            scale = self._raw_scale or _raw_scale(item.image)
            self._raw_scale = scale if item.image.any() else self._raw_scale  # an empty image says nothing of the next
        parts = parameters.parts if item.kind in _IN_PARTS else ()
        for part in parts or (ImagePart.MAGNITUDE,):
            yield self._finished(item, item.image, item.kind, scale, part)
        if item.kind is not ImageKind.ORIGINAL:
            return
        if parameters.gmap:
            yield self._finished(item, item.gmap, ImageKind.G_MAP, parameters.gmap_scale)
        if parameters.snr_map:
            # Another's g-map may be 0 where nothing was measured, and the image is not.
            snr = np.divide(np.abs(item.image), item.gmap, out=np.zeros_like(item.gmap), where=item.gmap > 0)
            yield self._finished(item, snr, ImageKind.SNR_MAP, scale)

    def _finished(
        self,
        recon: ReconImage,
        values: np.ndarray,
        kind: ImageKind,
        scale: float,
        part: ImagePart = ImagePart.MAGNITUDE,
    ) -> ismrmrd.Image:
        encoding = recon.head.encoding_space_ref
        if encoding not in self._encodings:
            self._encodings.append(encoding)
        series = kind.series + part.series_offset + NEXT_ENCODING * self._encodings.index(encoding)
        number = self._numbers[series] = self._numbers[series] + 1
        beside = kind in (ImageKind.DENOISED, ImageKind.STAND_IN, ImageKind.SNR_MAP)
        window = self._windows.get((encoding, part, number)) if beside else None
        if self._parameters.output == COMPLEX:
            low, high = window or _window(values, kind)
            window = low, high if high > low else low + 1
            pixels = WholeNumbers(values, 1.0, 0.0, 0)
        else:
            window = window or _window_of_part(values, kind, scale, part)
            pixels = whole_numbers(values, part, scale)
        if kind is ImageKind.ORIGINAL:
            self._windows[encoding, part, number] = window
        elif kind in (ImageKind.DENOISED, ImageKind.STAND_IN):
            self._windows.pop((encoding, part, number), None)
        placement = placed(recon, self._parameters.axes, self._is_forward)
        for fault in placement.faults:
            if fault not in self._faults:
                log.warning(fault)
        self._faults.update(placement.faults)
        return _finish(recon, placement, pixels, kind, part, (series, number), window)


def _raw_scale(image: np.ndarray) -> float:
    """The power of ten that brings the largest magnitude to between 1000 and 10,000: raw units may be of any size."""
    largest = float(np.abs(image).max())
    exponent = 3 - math.floor(math.log10(largest)) if largest > 0 else 0
    return 10.0 ** min(max(exponent, -30), 30)


def _finish(
    recon: ReconImage,
    placement: Placement,
    whole: WholeNumbers,
    kind: ImageKind,
    part: ImagePart,
    place: tuple[int, int],
    window: tuple[float, float],
) -> ismrmrd.Image:
    series, number = place
    warnings, pixels = recon.warnings + placement.faults, placement.pixels(whole.pixels)
    if whole.n_clipped:
        beyond = f"exceed {UINT16_MAX}" if part is ImagePart.MAGNITUDE else f"lie beyond 0 to {UINT16_MAX}"
        text = f"{whole.n_clipped} pixels {beyond} at scale {whole.ratio:g} and were clipped"
        log.warning("series %d image %d: %s", series, number, text)
        warnings += (text,)
    image = ismrmrd.Image(_head(recon, placement, part, place, pixels), data=pixels[None])
    image.meta = _meta(recon, placement, kind, part, number, whole, warnings, window)
    return image


def _window(pixels: np.ndarray, kind: ImageKind) -> tuple[float, float]:
    """Lowest and highest value of `(e2, e1, ro)` to show: up to what 99.5 % of the pixels stay under, see `lowest`."""
    step = max(1, pixels.size // ENOUGH_PIXELS)
    while math.gcd(step, pixels.shape[1] * pixels.shape[2]) > 1:  # or a sample would be of some columns alone
        step += 1
    high = float(np.percentile(np.abs(pixels.ravel()[::step]), 99.5))
    return lowest(kind, high), high


def _window_of_part(values: np.ndarray, kind: ImageKind, scale: float, part: ImagePart) -> tuple[int, int]:
    """Of whole numbers: of phases all, and 0 in the middle for what may be negative."""
    if part is ImagePart.PHASE:
        return 0, 2 * PHASE_OFFSET
    first, last = _whole(*_window(values, kind), scale)
    return (first, last) if part is ImagePart.MAGNITUDE else (SIGNED_OFFSET - last, SIGNED_OFFSET + last)


def _whole(low: float, high: float, scale: float) -> tuple[int, int]:
    """A window for whole pixel values, which are `scale` times these: whole numbers of even distance."""
    first = round(low * scale)
    return first, first + max(2, 2 * math.ceil((high * scale - first) / 2))


def _head(
    recon: ReconImage, placement: Placement, part: ImagePart, place: tuple[int, int], pixels: np.ndarray
) -> ismrmrd.ImageHeader:
    """Geometry, time and counters of the acquisition at the centre of k-space."""
    nz, ny, nx = pixels.shape
    dx, dy, dz = recon.voxel_mm
    complex_pixels = np.iscomplexobj(pixels)
    return ismrmrd.ImageHeader.from_acquisition(
        ismrmrd.Acquisition(recon.head, data=np.zeros((0, 0), np.complex64), trajectory=np.zeros((0, 0), np.float32)),
        version=1,
        field_of_view=(nx * dx, ny * dy, nz * dz),
        position=placement.position,
        image_type=ismrmrd.IMTYPE_COMPLEX if complex_pixels else part.image_type,
        image_index=place[1],
        image_series_index=place[0],
    )


def _meta(
    recon: ReconImage,
    placement: Placement,
    kind: ImageKind,
    part: ImagePart,
    number: int,
    whole: WholeNumbers,
    warnings: tuple[str, ...],
    window: tuple[float, float],
) -> ismrmrd.Meta:
    """The attributes in the dialects of Gadgetron and of Siemens' consoles, all ASCII."""
    alpha = f", alpha {recon.meta['SNRSTREAM_alpha']}" if "SNRSTREAM_alpha" in recon.meta else ""
    description = kind.description if part is ImagePart.MAGNITUDE else f"{kind.description} {part.word}"
    comment = f"snrstream {description}{alpha}, x{whole.ratio:g}" + (f" + {whole.offset:g}" if whole.offset else "")
    before = recon.meta.get("GADGETRON_ImageProcessingHistory", [])
    width = float(f"{window[1] - window[0]:g}")  # rounded before the centre is, so that a window from 0 begins there
    meta = {
        **recon.meta,
        "DataRole": "Quantitative" if kind.quantitative else "Image",
        "SeriesDescriptionAdditional": f"_{description}",
        "SequenceDescriptionAdditional": f"_{description}",
        "ImageComments": comment,
        "ImageComment": comment,
        "GADGETRON_DataRole": kind.data_role,
        "GADGETRON_ScaleRatio": f"{whole.ratio:.9g}",
        "GADGETRON_ImageComment": comment,
        "GADGETRON_SeqDescription": f"_{description}",
        "GADGETRON_ImageProcessingHistory": [*before, "snrstream", *recon.history],
        "Keep_image_geometry": "1",
        AXES: placement.axes,
        "ImageRowDir": [f"{x:.9g}" for x in recon.head.read_dir],
        "ImageColumnDir": [f"{x:.9g}" for x in recon.head.phase_dir],
        "WindowCenter": f"{window[0] + width / 2:.9g}",
        "WindowWidth": f"{width:g}",
        "image_index": str(number),
    }
    if whole.offset:
        meta["GADGETRON_ScaleOffset"] = f"{whole.offset:g}"
    if recon.head.sample_time_us > 0:
        meta["SNRSTREAM_dwell_us"] = f"{recon.head.sample_time_us:.6g}"
    correlation = [round(value, 2) for value in recon.spectrum.correlation]
    if any(correlation):
        e2, e1, ro = correlation
        meta["SNRSTREAM_noise_correlation"] = f"ro {ro:.2f}, e1 {e1:.2f}, e2 {e2:.2f}"
    if not recon.snr_units:
        meta["SNRSTREAM_snr_units"] = "false"
    if warnings:
        meta["SNRSTREAM_warning"] = list(warnings)
    return ismrmrd.Meta({k: _ascii(v) for k, v in meta.items()})


def _ascii(value: str | list[str]) -> str | list[str]:
    if isinstance(value, list):
        return [printable(text).encode("ascii", "replace").decode() for text in value]
    return printable(value).encode("ascii", "replace").decode()
