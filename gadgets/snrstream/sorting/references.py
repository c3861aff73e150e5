"""Calibration lines that refer to another encoding of the header than the images: a reference scan of its own."""

import dataclasses
import logging

import ismrmrd
import torch
from ismrmrd import xsd

from ..errors import ScanError
from ..items import Calibration, CalibrationBlock
from ..wire.acquisitions import REVERSED, acquisition_of, head_of
from ..wire.header import Encoding, cartesian_encoding
from .oversampling import as_acquired, has_oversampling, pixels_without_oversampling
from .placement import Placer
from .scan_image import ScanImage

log = logging.getLogger(__name__)

TOLERANCE = 0.01  # of a field of view
MOST_BYTES = 2 << 30

Place = tuple[int, ...]  # slice, contrast, phase, set


def encoding_of(header: xsd.ismrmrdHeader, head: ismrmrd.AcquisitionHeader) -> Encoding:
    """The encoding that a line refers to, with or without readout oversampling as the line has it.

    Parameters
    ----------
    header : ismrmrdHeader
        Of the scan.
    head : ismrmrd.AcquisitionHeader
        Of the line.

    Raises
    ------
    ScanError
        Where the header has no such encoding, or one that cannot be used.
    """
    encoding = cartesian_encoding(header, head.encoding_space_ref)
    return as_acquired(encoding, head) if has_oversampling(encoding) else encoding


class References:
    """Keeps such lines until an image of their slice has none of its own.

    They serve where lines of both encodings lie equally far apart, so that a kernel of the one fits the other. Their
    matrix may be smaller and their centre another; along the readout their resolution and field of view may differ.

    Parameters
    ----------
    header : ismrmrdHeader
        Of the scan.

    Attributes
    ----------
    fault : str
        Why lines were left out; empty where none were.
    """

    def __init__(self, header: xsd.ismrmrdHeader) -> None:
        self.fault = ""
        self._header = header
        self._lines: dict[int, dict[Place, list[ismrmrd.Acquisition]]] = {}  # by encoding
        self._encodings: dict[int, Encoding | None] = {}  # None where its lines are of no use
        self._used: set[int] = set()  # slices
        self._n_bytes = 0

    def add(self, acquisition: ismrmrd.Acquisition, of_images: int, encoding: Encoding) -> str:
        """Keep a line.

        Parameters
        ----------
        acquisition : ismrmrd.Acquisition
            A calibration line.
        of_images : int
            The number of the encoding that the images refer to.
        encoding : Encoding
            It.

        Returns
        -------
        str
            A warning where lines of this encoding, of which this is the first, are of no use; else empty.

        Raises
        ------
        ScanError
            Where more come than memory can hold.
        """
        head = head_of(acquisition)
        number, idx = head.encoding_space_ref, head.idx
        if number not in self._encodings:
            text = self._begun(head, of_images, encoding)
            if text:
                return text
        if self._encodings[number] is None or idx.slice in self._used:
            return ""
        self._n_bytes += acquisition.data.nbytes
        if self._n_bytes > MOST_BYTES:
            raise ScanError(f"calibration lines of encoding {number} exceed {MOST_BYTES >> 20} MiB; expected less")
        place = idx.slice, idx.contrast, idx.phase, idx.set
        self._lines.setdefault(number, {}).setdefault(place, []).append(acquisition)
        return ""

    def pop(self, number: int) -> list[ismrmrd.Acquisition]:
        """Give away the lines of an encoding, for it turns out to be one of images."""
        return [line for lines in self._lines.pop(number, {}).values() for line in lines]

    def calibration(
        self, place: Place, encoding: Encoding, size: tuple[int, int], device: torch.device, snr_units: bool
    ) -> Calibration | None:
        """The calibration of an image that has none of its own; its lines are given away.

        Parameters
        ----------
        place : tuple of int
            Slice, contrast, phase and set of the image. Lines of another contrast of the slice do where its own lack.
        encoding : Encoding
            Of the image.
        size : tuple of int
            Lines (e2, e1) of the image's k-space, which may have more than the header tells.
        device, snr_units
            As `ScanImage.calibration` takes them.
        """
        for number, kept in self._lines.items():
            own = self._encodings[number]
            fitting = [other for other in kept if other == place] or [other for other in kept if other[0] == place[0]]
            if not fitting or own is None or _unlike(own, encoding):
                continue
            lines = kept.pop(fitting[0])
            self._used.add(place[0])
            self._n_bytes -= sum(line.data.nbytes for line in lines)
            try:
                seen = _seen_by(own, encoding)
                image = ScanImage(seen, Placer(seen))
                for line in lines:
                    if _is_within(head_of(line), own, encoding):
                        image.add(_cropped(line, image.encoding.encoded_matrix[0]))
                log.info("calibration lines of encoding %d serve images of slice %d", number, place[0])
                found = image.calibration(device, snr_units)
                return None if found is None else _moved(found, image.size, size)
            except ScanError as exc:
                self.fault = f"calibration lines of encoding {number} were left out: {exc}"
                log.warning(self.fault)
        return None

    def _begun(self, head: ismrmrd.AcquisitionHeader, of_images: int, encoding: Encoding) -> str:
        number, own, fault = head.encoding_space_ref, None, ""
        try:
            own = encoding_of(self._header, head)
            fault = _unlike(own, encoding)
        except ScanError as exc:
            fault = str(exc)
        self._encodings[number] = None if fault else own
        if fault:
            self.fault = f"calibration lines of encoding {number} do not fit images of encoding {of_images}: {fault}"
        return f"{self.fault}; they were left out" if fault else ""


def _unlike(own: Encoding, images: Encoding) -> str:
    """Why lines of one encoding cannot calibrate images of another; empty where they can."""
    for axis in (1, 2):
        if own.encoded_matrix[axis] == images.encoded_matrix[axis] == 1:
            continue
        mine, theirs = own.encoded_fov_mm[axis], images.encoded_fov_mm[axis]
        if abs(mine / theirs - 1) > TOLERANCE:
            return f"their field of view is {mine:g} mm along e{axis}, that of the images {theirs:g} mm"
    mine, theirs = own.encoded_fov_mm[0], images.recon_fov_mm[0]
    if mine < (1 - TOLERANCE) * theirs:
        return f"their field of view is {mine:g} mm along the readout; the images want {theirs:g} mm"
    return ""


def _seen_by(own: Encoding, images: Encoding) -> Encoding:
    """What lines are in the k-space of the images: their own numbers and readouts, the size of the images."""
    fov = max(own.encoded_fov_mm[0], images.recon_fov_mm[0])
    n_samples = round(pixels_without_oversampling(images) * fov / images.recon_fov_mm[0])
    return dataclasses.replace(
        images,
        encoded_matrix=(n_samples, *images.encoded_matrix[1:]),
        encoded_fov_mm=(fov, *images.encoded_fov_mm[1:]),
        centre=own.centre,
        first=own.first,
        last=own.last,
        n_averages=own.n_averages,
    )


def _moved(calibration: Calibration, size: tuple[int, int], to: tuple[int, int]) -> Calibration:
    """The calibration of k-space of one size in that of another."""
    by = to[0] // 2 - size[0] // 2, to[1] // 2 - size[1] // 2
    if by == (0, 0):
        return calibration

    def found() -> CalibrationBlock:
        block = calibration.block
        return dataclasses.replace(block, start=(block.start[0] + by[0], block.start[1] + by[1]))

    return Calibration(found)


def _is_within(head: ismrmrd.AcquisitionHeader, own: Encoding, images: Encoding) -> bool:
    """Whether the k-space of the images holds the line."""
    numbers = head.idx.kspace_encode_step_1, head.idx.kspace_encode_step_2
    return all(
        0 <= number - own.centre[2 - axis] + images.encoded_matrix[axis] // 2 < images.encoded_matrix[axis]
        for axis, number in zip((1, 2), numbers, strict=True)
    )


def _cropped(acquisition: ismrmrd.Acquisition, n_samples: int) -> ismrmrd.Acquisition:
    """The line, with samples discarded that lie beyond the resolution of the images."""
    old = head_of(acquisition)
    before, after = n_samples // 2, n_samples - n_samples // 2  # of k = 0, and from it on
    if old.flags & REVERSED:
        before, after = after - 1, before + 1
    pre = max(old.discard_pre, old.center_sample - before)
    post = max(old.discard_post, acquisition.data.shape[1] - old.center_sample - after)
    if (pre, post) == (old.discard_pre, old.discard_post):
        return acquisition
    head = acquisition.getHead()
    head.discard_pre, head.discard_post = pre, post
    return acquisition_of(head, acquisition.data, acquisition.traj)
