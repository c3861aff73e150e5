"""Readouts that are stored in blocks, one after the other: put into rows, and measured."""

from collections import Counter

import numpy as np
import torch
from torch import Tensor

from ..recon.echo import find_echo

AROUND_ECHO = 8  # samples to either side, which hold most of a line's signal


def averaged(blocks: list[Tensor], places: list[tuple[int, int]], shape: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
    """Put readouts into rows, the mean of those that share one.

    Parameters
    ----------
    blocks : list of Tensor
        `(channel, readout, ro)` complex64. The list is empty afterwards, and its memory free.
    places : list of tuple of int
        Of each readout that counts its number, through all blocks, and its row; in rising order.
    shape : tuple of int
        Of the result: channels, rows, samples.

    Returns
    -------
    kspace : Tensor
        `(channel, n_rows, ro)` complex64; rows without a readout are zero.
    sd : Tensor
        `(n_rows,)` float32, the noise's SD in each row: 1, less for a mean, 0 for rows without a readout.
    """
    n_rows = shape[1]
    averages = Counter(row for _, row in places)
    target = torch.tensor([row for _, row in places])
    sd = torch.zeros(n_rows)
    sd[torch.tensor(list(averages))] = torch.tensor([n**-0.5 for n in averages.values()])
    whole = len(blocks) == 1 and len(places) == blocks[0].shape[1] and len(averages) == len(places)
    if whole and n_rows == len(places) and bool((target == torch.arange(n_rows)).all()):
        return blocks.pop(), sd
    kspace = torch.zeros(shape, dtype=torch.complex64)
    source = torch.tensor([place for place, _ in places])
    start = 0
    while blocks:
        block = blocks.pop(0)
        here = (source >= start) & (source < start + block.shape[1])
        kspace.index_add_(1, target[here], block[:, source[here] - start])
        start += block.shape[1]
    if len(averages) < len(places):
        kspace *= sd.square()[:, None]  # one over the number of averages
    return kspace, sd


def energy_of(blocks: list[Tensor]) -> np.ndarray:
    """The signal's energy in each readout, around the echo that they have in common.

    Parameters
    ----------
    blocks : list of Tensor
        `(channel, readout, ro)` complex64. There is one at least.

    Returns
    -------
    ndarray
        `(readout,)` float64, of all blocks.
    """
    n_pixels = blocks[0].shape[-1]
    profile = sum(block.abs().square().sum(dim=(0, 1), dtype=torch.float64) for block in blocks)
    echo = find_echo(np.arange(n_pixels), np.asarray(profile))
    centre = n_pixels // 2 if echo is None else echo.line
    window = slice(max(0, centre - AROUND_ECHO), centre + AROUND_ECHO)
    energy: np.ndarray = torch.cat(
        [block[..., window].abs().square().sum(dim=(0, 2), dtype=torch.float64) for block in blocks]
    ).numpy()
    return energy
