"""The fully sampled block of k-space that a calibration goes by."""

import logging
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ..errors import ScanError
from ..items import Calibration, CalibrationBlock
from ..recon.fft import acquired_share
from ..recon.sampling import central_block, central_window
from .line_store import LineStore

log = logging.getLogger(__name__)

FEWEST_SAMPLES = 16
MOST_LINES = 64  # along e1 and e2; more take time and make neither kernels nor maps better
# Of the noise power, that the strongest line should have. By 1.25, kernel and maps of 32 channels lose a tenth of the
# signal of a bright image, and noise alone, the strongest of thousands of lines of 200 samples, may have 1.4.
LEAST_POWER = 1.5
WHITENED_POWER = 0.5  # data that is fainter than unit noise was not whitened


def is_dark(kspace: Tensor, line_sd: Tensor, sample_sd: Tensor) -> bool:
    """Whether prewhitened lines hold noise alone.

    Parameters
    ----------
    kspace : Tensor
        `(channel, e2, e1, ro)` complex64, the lines.
    line_sd : Tensor
        `(e2, e1)` float32: the noise's SD in each line; 0 where there is none.
    sample_sd : Tensor
        `(ro,)` float32: the same along the readout.
    """
    acquired = line_sd > 0
    of_channels = kspace.abs().square().mean(dim=3).cpu()
    live = of_channels.flatten(1).any(dim=1)  # dead coil elements hold no noise either
    power = of_channels[live].mean(dim=0)[acquired]
    strongest = float((power / (2 * line_sd[acquired].square() * sample_sd.square().mean())).max())
    return WHITENED_POWER <= strongest < LEAST_POWER


def told_if_dark(dark: bool, what: str) -> tuple[str, ...]:
    """A warning where calibration lines hold noise alone, for bright images may be reconstructed by them.

    Parameters
    ----------
    dark : bool
        Whether they do: see `is_dark`.
    what : str
        The lines' name in the text.

    Returns
    -------
    tuple of str
        The warning, or nothing.
    """
    if not dark:
        return ()
    return (f"{what} hold hardly more than noise: images that are reconstructed by them may lose signal",)


def find_calibration_block(
    lines: LineStore,
    image: LineStore,
    size: tuple[int, int],
    name: Callable[[np.ndarray], str],
    device: torch.device,
    snr_units: bool = True,
) -> Calibration:
    """The largest block of calibration lines around k = 0, its central part if large.

    Which lines these are is found at once; they are put together when the calibration is first used, for a scan may
    bring one with each image, and use few of them.

    Parameters
    ----------
    lines : LineStore
        The calibration lines; they are given away once the block is asked for.
    image : LineStore
        Lines of the image, which stand in for those that are missing between calibration lines.
    size : tuple of int
        Lines (e2, e1) of k-space, with k = 0 at size // 2.
    name : callable
        What messages call lines `(line, 2)`.
    device : torch.device
        Where the block is to lie.
    snr_units : bool
        Whether the data is prewhitened, so that noise is told from signal.

    Returns
    -------
    Calibration
        `kspace`: `(channel, e2, e1, ro)` complex64, with the warnings for images that use it.

    Raises
    ------
    ScanError
        Where k = 0 is not acquired.
    """
    acquired = np.zeros(size, bool)
    own = lines.lines
    acquired[tuple(own.T)] = True
    n_lines, called = int(acquired.sum()), name(own)
    if lines.fits(image):
        between = image.lines
        low, high = own.min(axis=0), own.max(axis=0)
        between = between[np.all((low <= between) & (between <= high), axis=1)]
        acquired[tuple(between.T)] = True
    z, y = _around_centre(acquired, called, name)
    warnings: tuple[str, ...] = ()
    if (z.stop - z.start) * (y.stop - y.start) < (n_lines if size[0] == 1 else n_lines // 2):  # ellipses lose corners
        warnings += (f"calibration lines {called} have gaps: not all were used",)
    n_samples = lines.readout[0] if lines.readout is not None else 0
    if n_samples < min(FEWEST_SAMPLES, lines.n_encoded):
        warnings += (f"calibration readouts have {n_samples} samples; expected at least {FEWEST_SAMPLES}",)
    z, y = (central_window(full, n, MOST_LINES) for full, n in zip((z, y), size, strict=True))
    places = [(e2, e1) for e2 in range(z.start, z.stop) for e1 in range(y.start, y.stop)]
    rows = {place: row for row, place in enumerate(places)}
    stored = set(map(tuple, own.tolist()))
    lacking = {place: row for place, row in rows.items() if place not in stored}
    others = image.copy(lacking, len(rows)) if lacking else None

    def found() -> CalibrationBlock:
        kspace, sd = lines.take(rows, len(rows))
        if others is not None:
            kspace = kspace + others
        shape = z.stop - z.start, y.stop - y.start
        kspace = kspace.reshape(len(kspace), *shape, -1)
        line_sd = torch.where(sd > 0, sd, 1).reshape(shape)  # of the image come lines of one average
        dark = snr_units and _are_dark(kspace, line_sd, lines)
        told = warnings + told_if_dark(dark, f"calibration lines {called}")
        for text in told:
            log.warning(text)
        return CalibrationBlock(kspace.to(device), (z.start, y.start), told, dark)

    return Calibration(found)


def copied_block(
    image: LineStore,
    lines: np.ndarray,
    size: tuple[int, int],
    name: Callable[[np.ndarray], str],
    device: torch.device,
    snr_units: bool = True,
) -> Calibration:
    """The largest block around k = 0 of lines of an image, where none is flagged for calibration.

    Parameters
    ----------
    image : LineStore
        Holds the lines, and keeps them.
    lines : ndarray
        `(line, 2)` int, those that may calibrate.
    size, name, device, snr_units
        As `find_calibration_block` takes them.

    Raises
    ------
    ScanError
        Where k = 0 is not among the lines.
    """
    acquired = np.zeros(size, bool)
    acquired[tuple(lines.T)] = True
    z, y = _around_centre(acquired, name(lines), name)
    z, y = (central_window(full, n, MOST_LINES) for full, n in zip((z, y), size, strict=True))
    places = [(e2, e1) for e2 in range(z.start, z.stop) for e1 in range(y.start, y.stop)]
    kspace = image.copy({place: row for row, place in enumerate(places)}, len(places))
    kspace = kspace.reshape(len(kspace), z.stop - z.start, y.stop - y.start, -1)
    dark = snr_units and _are_dark(kspace, torch.ones(kspace.shape[1:3]), image)
    told = told_if_dark(dark, f"calibration lines {name(lines)}")
    for text in told:
        log.warning(text)
    return Calibration.of(kspace.to(device), (z.start, y.start), told, dark)


def _around_centre(acquired: np.ndarray, called: str, name: Callable[[np.ndarray], str]) -> tuple[slice, slice]:
    z, y = central_block(acquired)
    if z.stop == z.start:
        centre = name(np.array([[n // 2 for n in acquired.shape]]))
        raise ScanError(
            f"calibration lines {called} do not hold the centre of k-space, {centre}; expected a block around it"
        )
    return z, y


def _are_dark(kspace: Tensor, line_sd: Tensor, lines: LineStore) -> bool:
    if lines.readout is None:
        return False
    return is_dark(kspace, line_sd, acquired_share(*lines.readout, lines.n_encoded, lines.n_pixels).sqrt())
