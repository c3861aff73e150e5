"""Acquired lines on their way into k-space: the readouts of one image, or of one calibration."""

from collections import Counter

import ismrmrd
import numpy as np
import torch
from torch import Tensor

from ..errors import ScanError
from ..recon.fft import gridded_readouts
from ..wire.acquisitions import head_of
from .readout import forward
from .readout_blocks import averaged, energy_of
from .readout_echo import Echoes, ReadoutEcho, name_of

AT_ONCE = 512  # readouts whose oversampling is removed together
MOST_BYTES = 12 << 30
LARGEST = 1e12  # of whitened samples and of those in units of their own; squares of more are lost to float32


class LineStore:
    """Lines (e2, e1) with their readouts, oversampling removed as they come in.

    Parameters
    ----------
    n_encoded : int
        Samples of a full readout.
    n_pixels : int
        Those of one without oversampling.
    echoes : dict, optional
        Kept here for all lines of a scan: where the echo is in readouts whose center_sample cannot be right.
    """

    def __init__(self, n_encoded: int, n_pixels: int, echoes: Echoes | None = None) -> None:
        self.n_encoded, self.n_pixels = n_encoded, n_pixels
        self.readout: tuple[int, int] | None = None  # samples, and the one at k = 0
        self._told: tuple[int, int] | None = None  # the same before the echo was looked for
        self._echo = ReadoutEcho(n_encoded, {} if echoes is None else echoes)
        self.n_channels = 0
        self._dwell_us = 0.0
        self._order: dict[tuple[int, int, int], int] = {}  # (e2, e1, average) to the place of its latest readout
        self._lines: np.ndarray | None = None  # these, in order, once asked for
        self._n_readouts = 0
        self._pending: list[np.ndarray] = []
        self._blocks: list[Tensor] = []

    def __len__(self) -> int:
        return len(self._order)

    @property
    def n_doubled(self) -> int:
        """Readouts of a line that came again in the same average; the latest counts."""
        return self._n_readouts - len(self._order)

    @property
    def fewest_averages(self) -> int:
        """Of any line."""
        return min(Counter(key[:2] for key in self._order).values(), default=0)

    @property
    def most_averages(self) -> int:
        """Of any line."""
        return max(Counter(key[:2] for key in self._order).values(), default=0)

    @property
    def n_bytes(self) -> int:
        """Of all readouts, oversampling removed."""
        return 8 * self._n_readouts * self.n_channels * self.n_pixels

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was taken for k = 0 instead of center_sample, once the lines have been taken."""
        return self._echo.warnings(self.readout)

    def fits(self, other: "LineStore") -> bool:
        """Whether lines of another store may stand in for lacking ones: same channels, readout and dwell time.

        Parameters
        ----------
        other : LineStore
            Those that may.
        """
        mine = self.n_channels, self._told, self._dwell_us
        return mine == (other.n_channels, other._told, other._dwell_us)

    @property
    def lines(self) -> np.ndarray:
        """Pairs (e2, e1) as int64 `(line, 2)`, each once, in rising order."""
        if self._lines is None:
            self._lines = np.array(sorted({key[:2] for key in self._order}), np.int64).reshape(-1, 2)
        return self._lines

    def add(self, line: tuple[int, int], acquisition: ismrmrd.Acquisition) -> None:
        """Keep the readout of a line.

        Parameters
        ----------
        line : tuple of int
            (e2, e1), as the acquisition counts them.
        acquisition : ismrmrd.Acquisition
            Of which the samples that are not discarded count.

        Raises
        ------
        ScanError
            Where the acquisition does not fit the ones before it, or the encoded readout.
        """
        head = head_of(acquisition)
        if head.discard_pre + head.discard_post >= acquisition.data.shape[1]:
            raise ScanError(
                f"{name_of(head)} has {acquisition.data.shape[1]} samples, of which {head.discard_pre} before and "
                f"{head.discard_post} after are to be discarded; expected some to be left"
            )
        data, centre = forward(head, acquisition.data, self.n_encoded)
        n_channels, n_samples = data.shape
        if n_samples == 0 or n_channels == 0:
            raise ScanError(f"{name_of(head)} has {n_channels} channels of {n_samples} samples; expected some")
        if n_samples == self.n_encoded and centre != n_samples // 2:  # there is no room for another
            self._echo.unlikely, centre = head.center_sample, n_samples // 2
        if self._told is None:
            self._begin(head, n_channels, n_samples, centre)
        if n_channels != self.n_channels:
            raise ScanError(f"{name_of(head)} has {n_channels} channels; the image began with {self.n_channels}")
        if self._told is not None and self._told != (n_samples, centre):
            raise ScanError(
                f"{name_of(head)} has {n_samples} samples around sample {centre}; the image began with {self._told[0]} "
                f"around {self._told[1]}"
            )
        if head.sample_time_us != self._dwell_us:
            raise ScanError(
                f"{name_of(head)} has a dwell time of {head.sample_time_us:g} us; the image began with "
                f"{self._dwell_us:g}"
            )
        flat = data.reshape(-1).view(np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            energy = flat.dot(flat)
        if not energy < LARGEST**2:  # which NaN is not either
            what = "NaN or infinite samples" if not np.isfinite(flat).all() else f"samples beyond {LARGEST:g}"
            raise ScanError(f"{name_of(head)} holds {what}; expected finite ones of less")
        if self.n_bytes + 8 * n_channels * self.n_pixels > MOST_BYTES:
            raise ScanError(f"an image has more than {MOST_BYTES >> 30} GiB of k-space; expected less")
        self._order[(*line, head.idx.average)] = self._n_readouts
        self._lines = None
        self._n_readouts += 1
        self._pending.append(data)
        if len(self._pending) == AT_ONCE:
            self._flush()

    def take(self, rows: dict[tuple[int, int], int], n_rows: int) -> tuple[Tensor, Tensor]:
        """Give the readouts of lines away. The store is empty afterwards.

        Parameters
        ----------
        rows : dict of tuple of int to int
            The lines (e2, e1) that are wanted, and the row of each.
        n_rows : int
            Of the result.

        Returns
        -------
        kspace : Tensor
            `(channel, n_rows, ro)` complex64: a line of several averages is their mean; rows without a line are zero.
        line_sd : Tensor
            `(n_rows,)` float32, the noise's SD in each row: 1, less for a mean, 0 for rows without a line.

        Raises
        ------
        ScanError
            Where they would take too much memory.
        """
        if 8 * n_rows * self.n_channels * self.n_pixels > MOST_BYTES:
            raise ScanError(
                f"k-space of {self.n_channels} channels, {n_rows} lines and {self.n_pixels} samples takes "
                f"{8 * n_rows * self.n_channels * self.n_pixels >> 30} GiB; expected at most {MOST_BYTES >> 30}"
            )
        self._flush()
        places = sorted((place, rows[key[:2]]) for key, place in self._order.items() if key[:2] in rows)
        return averaged(self._blocks, places, (self.n_channels, n_rows, self.n_pixels))

    def copy(self, rows: dict[tuple[int, int], int], n_rows: int) -> Tensor:
        """Some lines as `take` places them, any one average, which stay here.

        Parameters
        ----------
        rows : dict of tuple of int to int
            The lines (e2, e1) that are wanted, and the row of each; those that are not here are left out.
        n_rows : int
            Of the result.

        Returns
        -------
        Tensor
            `(channel, n_rows, ro)` complex64, rows without a line zero.
        """
        self._flush()
        kspace = torch.zeros(self.n_channels, n_rows, self.n_pixels, dtype=torch.complex64)
        together = torch.cat(self._blocks, dim=1)
        for (e2, e1, _), place in self._order.items():
            if (e2, e1) in rows:
                kspace[:, rows[e2, e1]] = together[:, place]
        return kspace

    def energy(self) -> tuple[np.ndarray, np.ndarray]:
        """The signal's energy in each line, around the echo.

        Returns
        -------
        lines : ndarray
            `(line, 2)` int64: pairs (e2, e1), each once, in rising order.
        energy : ndarray
            `(line,)` float64, the mean of all readouts of a line.
        """
        self._flush()
        of_readouts = energy_of(self._blocks)
        lines = self.lines
        row = {line: n for n, line in enumerate(map(tuple, lines.tolist()))}
        rows = np.array([row[key[:2]] for key in self._order])
        total = np.bincount(rows, of_readouts[list(self._order.values())], len(lines))
        return lines, total / np.bincount(rows, minlength=len(lines))

    def move(self, by: tuple[int, int]) -> None:
        """Count the lines otherwise.

        Parameters
        ----------
        by : tuple of int
            What is added to (e2, e1).
        """
        self._order = {(z + by[0], y + by[1], average): n for (z, y, average), n in self._order.items()}
        self._lines = None

    def _begin(self, head: ismrmrd.AcquisitionHeader, n_channels: int, n_samples: int, centre: int) -> None:
        self._told = self.readout = n_samples, centre
        self.n_channels, self._dwell_us = n_channels, head.sample_time_us
        self._echo.begin(head, n_samples, centre)

    def _flush(self) -> None:
        if not self._pending or self.readout is None:
            return
        lines = np.stack(self._pending, axis=1)
        if not self._blocks:
            self.readout = self.readout[0], self._echo.sought(lines, *self.readout)
        self._blocks.append(gridded_readouts(torch.from_numpy(lines), self.readout[1], self.n_encoded, self.n_pixels))
        self._pending = []
