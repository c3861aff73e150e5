"""What people are told of the lines of an image."""

import numpy as np

from ..wire.header import Encoding
from .line_names import LineNames
from .line_store import LineStore


def told_of_flags(n_lent: int, n_unflagged: int) -> tuple[str, ...]:
    """Warnings of lines that were taken for more than their flags say.

    Parameters
    ----------
    n_lent : int
        Image lines that are flagged as calibration lines alone.
    n_unflagged : int
        Calibration lines without a flag.
    """
    told: tuple[str, ...] = ()
    if n_lent:
        told += (f"{n_lent} image lines carry the flag of calibration lines alone: they were taken for both",)
    if n_unflagged:
        told += (
            f"{n_unflagged} lines lie between the image lines and carry no flag: they fill the centre of "
            "k-space and were taken for calibration lines",
        )
    return told


def told_of_missing(missing: np.ndarray, n_lines: int, names: LineNames) -> tuple[str, ...]:
    """A warning of image lines that lack.

    Parameters
    ----------
    missing : ndarray
        `(line, 2)` int.
    n_lines : int
        That came.
    names : LineNames
        What they are called.
    """
    if len(missing) == 0:
        return ()
    n_all = len(missing) + n_lines
    return (f"{len(missing)} of {n_all} image lines never arrived: {names.listed(missing)}",)


def told_of_averages(image: LineStore, calibration: LineStore, n_averages: int) -> tuple[str, ...]:
    """Warnings of lines that came less often than others, or than the header tells, or too often.

    Parameters
    ----------
    image, calibration : LineStore
        The lines.
    n_averages : int
        That the header tells.
    """
    told: tuple[str, ...] = ()
    fewest = image.fewest_averages
    if fewest < n_averages:
        told += (f"some lines have {fewest} averages; the header lets expect {n_averages}",)
    elif fewest < image.most_averages:
        told += (f"some lines have {fewest} averages, others {image.most_averages}; expected as many of all",)
    if image.n_doubled or calibration.n_doubled:
        n_doubled = max(image.n_doubled, calibration.n_doubled)
        told += (f"{n_doubled} lines were acquired again in the same average: the latest of each was used",)
    return told


def told_of_limits(lines: np.ndarray, encoding: Encoding, names: LineNames) -> tuple[str, ...]:
    """A warning of lines beyond the header's limits.

    Parameters
    ----------
    lines : ndarray
        `(line, 2)` int, of the image and of its calibration.
    encoding : Encoding
        What the header tells of k-space.
    names : LineNames
        What they are called, and how they are counted.
    """
    known = np.array(encoding.limits_known) & (np.array(names.size) > 1)
    low, high = np.array(encoding.first) + names.shift, np.array(encoding.last) + names.shift
    outside = known & ((lines < low) | (lines > high))
    if not outside.any():
        return ()
    beyond = np.unique(lines[outside.any(axis=1)], axis=0)
    return (f"{len(beyond)} lines lie beyond the header's limits: {names.listed(beyond)}",)
