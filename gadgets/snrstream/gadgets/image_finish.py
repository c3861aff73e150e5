"""Gadget: reconstructed images to ISMRMRD images that consoles, viewers and DICOM writers understand."""

import logging
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

import ismrmrd
import numpy as np

from ..errors import printable
from ..image_kind import ImageKind
from ..items import Item, ReconImage
from ..output.image_values import lowest
from ..output.orientation import AXES
from .gadget import Gadget, Scan
from .pixel_axes import Axes, Placement, directions_are_forward, placed

log = logging.getLogger(__name__)

UINT16_MAX = 65535
ENOUGH_PIXELS = 4096  # for the percentile of a window


@dataclass(frozen=True)
class Parameters:
    """What the images that leave hold.

    Images that are not in SNR units have a scale of their own, a power of ten that fits the first of them with signal.
    """

    output: Annotated[
        Literal["complex", "magnitude"],
        "complex sends complex images and float maps, unscaled; magnitude sends uint16 magnitudes times scale, and "
        "g-maps times gmap_scale",
    ] = "magnitude"
    scale: Annotated[float, "pixel value of a magnitude, or of an SNR map, that stands for 1; 1e-6 to 1e6"] = 10.0
    gmap_scale: Annotated[float, "pixel value of a g-map, in magnitude output, that stands for 1; 1e-6 to 1e6"] = 100.0
    gmap: Annotated[bool, "whether to send the g-map of each original image, as series 20"] = True
    snr_map: Annotated[bool, "whether to send the SNR map of each original image, as series 300"] = False
    axes: Annotated[
        Axes,
        "along what the pixel axes run: patient, along the directions of the header, which hold for a forward FFT on "
        "Siemens' scans without Pulseq and for an inverse one on others; forward or inverse, the same but told by you; "
        "kspace, as reconstructed and as Gadgetron's own images",
    ] = "patient"

    def __post_init__(self) -> None:
        if not (1e-6 <= self.scale <= 1e6 and 1e-6 <= self.gmap_scale <= 1e6):
            raise ValueError(f"scale is {self.scale}, gmap_scale {self.gmap_scale}; expected numbers from 1e-6 to 1e6")


def start(scan: Scan, parameters: Parameters) -> Gadget:
    """Make one or more `ismrmrd.Image`s of each `ReconImage`, numbered from 1 in each series.

    Images of one number belong together: denoised images and residuals come later, but in the order of their originals.
    """
    return _Finisher(parameters, directions_are_forward(scan.header))


class _Finisher(Gadget):
    def __init__(self, parameters: Parameters, is_forward: bool) -> None:
        self._parameters, self._is_forward = parameters, is_forward
        self._numbers: Counter[int] = Counter()
        self._windows: dict[int, tuple[float, float]] = {}  # of originals, for the images beside them
        self._raw_scale: float | None = None
        self._faults: set[str] = set()

    def take(self, item: Item) -> Iterable[Item]:
        return self._images(item) if isinstance(item, ReconImage) else (item,)

    def _images(self, item: ReconImage) -> Iterator[ismrmrd.Image]:
        parameters, scale = self._parameters, self._parameters.scale
        if not item.snr_units:
            scale = self._raw_scale or _raw_scale(item.image)
            self._raw_scale = scale if item.image.any() else self._raw_scale  # an empty image says nothing of the next
        yield self._finished(item, item.image, item.kind, scale)
        if item.kind is not ImageKind.ORIGINAL:
            return
        if parameters.gmap:
            yield self._finished(item, item.gmap, ImageKind.G_MAP, parameters.gmap_scale)
        if parameters.snr_map:
            # Another's g-map may be 0 where nothing was measured, and the image is not.
            snr = np.divide(np.abs(item.image), item.gmap, out=np.zeros_like(item.gmap), where=item.gmap > 0)
            yield self._finished(item, snr, ImageKind.SNR_MAP, scale)

    def _finished(self, recon: ReconImage, pixels: np.ndarray, kind: ImageKind, scale: float) -> ismrmrd.Image:
        number = self._numbers[kind.series] = self._numbers[kind.series] + 1
        output = self._parameters.output
        scale = scale if output == "magnitude" else 1.0
        beside = kind in (ImageKind.DENOISED, ImageKind.STAND_IN, ImageKind.SNR_MAP)
        window = self._windows.get(number) if beside else None
        if window is None:
            low, high = _window(pixels, kind)
            window = _whole(low, high, scale) if output == "magnitude" else (low, high if high > low else low + 1)
        if kind is ImageKind.ORIGINAL:
            self._windows[number] = window
        elif kind in (ImageKind.DENOISED, ImageKind.STAND_IN):
            self._windows.pop(number, None)
        placement = placed(recon, self._parameters.axes, self._is_forward)
        for fault in placement.faults:
            if fault not in self._faults:
                log.warning(fault)
        self._faults.update(placement.faults)
        return _finish(recon, placement, pixels, kind, scale, number, output, window)


def _raw_scale(image: np.ndarray) -> float:
    """The power of ten that brings the largest magnitude to between 1000 and 10,000: raw units may be of any size."""
    largest = float(np.abs(image).max())
    exponent = 3 - math.floor(math.log10(largest)) if largest > 0 else 0
    return 10.0 ** min(max(exponent, -30), 30)


def _finish(
    recon: ReconImage,
    placement: Placement,
    pixels: np.ndarray,
    kind: ImageKind,
    scale: float,
    number: int,
    output: str,
    window: tuple[float, float],
) -> ismrmrd.Image:
    warnings, pixels = recon.warnings + placement.faults, placement.pixels(pixels)
    if output == "magnitude":
        scaled = np.rint(np.abs(pixels) * np.float32(scale))
        n_clipped = int(np.count_nonzero(scaled > UINT16_MAX))
        if n_clipped:
            text = f"{n_clipped} pixels exceed {UINT16_MAX} at scale {scale:g} and were clipped"
            log.warning("series %d image %d: %s", kind.series, number, text)
            warnings += (text,)
        pixels = np.minimum(scaled, UINT16_MAX).astype(np.uint16)
    image = ismrmrd.Image(_head(recon, placement, kind, number, pixels), data=pixels[None])
    image.meta = _meta(recon, placement, kind, number, scale, warnings, window)
    return image


def _window(pixels: np.ndarray, kind: ImageKind) -> tuple[float, float]:
    """Lowest and highest value of `(e2, e1, ro)` to show: up to what 99.5 % of the pixels stay under, see `lowest`."""
    step = max(1, pixels.size // ENOUGH_PIXELS)
    while math.gcd(step, pixels.shape[1] * pixels.shape[2]) > 1:  # or a sample would be of some columns alone
        step += 1
    high = float(np.percentile(np.abs(pixels.ravel()[::step]), 99.5))
    return lowest(kind, high), high


def _whole(low: float, high: float, scale: float) -> tuple[int, int]:
    """A window for whole pixel values, which are `scale` times these: whole numbers of even distance."""
    first = round(low * scale)
    return first, first + max(2, 2 * math.ceil((high * scale - first) / 2))


def _head(
    recon: ReconImage, placement: Placement, kind: ImageKind, number: int, pixels: np.ndarray
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
        image_type=ismrmrd.IMTYPE_COMPLEX if complex_pixels else ismrmrd.IMTYPE_MAGNITUDE,
        image_index=number,
        image_series_index=kind.series,
    )


def _meta(
    recon: ReconImage,
    placement: Placement,
    kind: ImageKind,
    number: int,
    scale: float,
    warnings: tuple[str, ...],
    window: tuple[float, float],
) -> ismrmrd.Meta:
    """The attributes in the dialects of Gadgetron and of Siemens' consoles, all ASCII."""
    alpha = f", alpha {recon.meta['SNRSTREAM_alpha']}" if "SNRSTREAM_alpha" in recon.meta else ""
    comment = f"snrstream {kind.description}{alpha}, x{scale:g}"
    before = recon.meta.get("GADGETRON_ImageProcessingHistory", [])
    meta = {
        **recon.meta,
        "DataRole": "Quantitative" if kind.quantitative else "Image",
        "SeriesDescriptionAdditional": f"_{kind.description}",
        "SequenceDescriptionAdditional": f"_{kind.description}",
        "ImageComments": comment,
        "ImageComment": comment,
        "GADGETRON_DataRole": kind.data_role,
        "GADGETRON_ScaleRatio": f"{scale:g}",
        "GADGETRON_ImageComment": comment,
        "GADGETRON_SeqDescription": f"_{kind.description}",
        "GADGETRON_ImageProcessingHistory": [*before, "snrstream", *recon.history],
        "Keep_image_geometry": "1",
        AXES: placement.axes,
        "ImageRowDir": [f"{x:.9g}" for x in recon.head.read_dir],
        "ImageColumnDir": [f"{x:.9g}" for x in recon.head.phase_dir],
        "WindowCenter": f"{(window[0] + window[1]) / 2:.6g}",
        "WindowWidth": f"{window[1] - window[0]:.6g}",
        "image_index": str(number),
    }
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
