"""Scans made of an array of k-space: a header, and the acquisitions of any lines in any order."""

from collections.abc import Iterable, Iterator
from typing import Any

import ismrmrd
import numpy as np
from ismrmrd import xsd

from snrstream.wire.header import parse_header
from snrtrain.benchmarks.header import cartesian_header

NO_HEADER = xsd.ismrmrdHeader(  # for gadgets that ask nothing of it
    experimentalConditions=xsd.experimentalConditionsType(H1resonanceFrequency_Hz=123_000_000)
)


def header(
    shape: tuple[int, int, int],
    acceleration: tuple[int, int] = (1, 1),
    recon: tuple[int, int, int] | None = None,
    fov_mm: tuple[float, float, float] | None = None,
    **others: Any,
) -> xsd.ismrmrdHeader:
    """For k-space of `shape` (e2, e1, ro), of 1 mm pixels. recon, fov_mm: reconSpace (x, y, z).

    others: as `cartesian_header` takes them.
    """
    encoded = shape[2], shape[1], shape[0]
    recon = recon or encoded
    return parse_header(cartesian_header(encoded, encoded, recon, fov_mm or recon, acceleration, **others))


def acquisitions(
    kspace: np.ndarray,
    lines: Iterable[tuple[int, int]],
    flags: Iterable[int] = (),
    end: bool = True,
    shift: tuple[int, int] = (0, 0),
    **idx: int,
) -> Iterator[ismrmrd.Acquisition]:
    """The `lines` (e2, e1) of `(channel, e2, e1, ro)`, each with `flags`; the last ends its slice if `end`.

    shift: of the lines' numbers against their places in `kspace`. idx: further counters, such as repetition=1.
    """
    lines = list(lines)
    for number, (z, y) in enumerate(lines):
        acquisition = ismrmrd.Acquisition.from_array(
            np.ascontiguousarray(kspace[:, z, y]), sample_time_us=5.0, center_sample=kspace.shape[-1] // 2,
            read_dir=(1, 0, 0), phase_dir=(0, 1, 0), slice_dir=(0, 0, 1),
        )  # fmt: skip
        acquisition.idx.kspace_encode_step_2, acquisition.idx.kspace_encode_step_1 = z + shift[0], y + shift[1]
        for name, value in idx.items():
            setattr(acquisition.idx, name, value)
        for flag in flags:
            acquisition.set_flag(flag)
        if end and number == len(lines) - 1:
            acquisition.set_flag(ismrmrd.ACQ_LAST_IN_SLICE)
        yield acquisition


def changed(
    acquisitions: Iterable[ismrmrd.Acquisition], number: int, data: np.ndarray | None = None, **fields: Any
) -> list[ismrmrd.Acquisition]:
    """The acquisitions, one of them with other fields in its head or other data."""
    out = list(acquisitions)
    head = out[number].getHead()
    for name, value in fields.items():
        setattr(head, name, value)
    out[number] = ismrmrd.Acquisition(head, data=out[number].data if data is None else data)
    return out


def random_complex(*shape: int, seed: int = 0) -> np.ndarray:
    """Normal numbers of SD 1 per part, complex64."""
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)
