"""Scans made of an array of k-space: a header, and the acquisitions of any lines in any order."""

from collections.abc import Iterable, Iterator

import ismrmrd
import numpy as np
from ismrmrd import xsd

from snrstream.mrd.header import parse_header

HEADER = """<?xml version="1.0"?>
<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">
 <acquisitionSystemInformation><relativeReceiverNoiseBandwidth>1</relativeReceiverNoiseBandwidth>
 </acquisitionSystemInformation>
 <experimentalConditions><H1resonanceFrequency_Hz>123000000</H1resonanceFrequency_Hz></experimentalConditions>
 <encoding>
  <encodedSpace><matrixSize><x>{nx}</x><y>{ny}</y><z>{nz}</z></matrixSize>
   <fieldOfView_mm><x>{nx}</x><y>{ny}</y><z>{nz}</z></fieldOfView_mm></encodedSpace>
  <reconSpace><matrixSize><x>{recon[0]}</x><y>{recon[1]}</y><z>{recon[2]}</z></matrixSize>
   <fieldOfView_mm><x>{fov[0]}</x><y>{fov[1]}</y><z>{fov[2]}</z></fieldOfView_mm></reconSpace>
  <encodingLimits>
   <kspace_encoding_step_1><minimum>0</minimum><maximum>{last_e1}</maximum><center>{e1}</center></kspace_encoding_step_1>
   <kspace_encoding_step_2><minimum>0</minimum><maximum>{last_e2}</maximum><center>{e2}</center></kspace_encoding_step_2>
   <average><minimum>0</minimum><maximum>{last_average}</maximum><center>0</center></average>
  </encodingLimits>
  <trajectory>cartesian</trajectory>
  <parallelImaging><accelerationFactor><kspace_encoding_step_1>{r[0]}</kspace_encoding_step_1>
   <kspace_encoding_step_2>{r[1]}</kspace_encoding_step_2></accelerationFactor>
   <calibrationMode>{mode}</calibrationMode></parallelImaging>
 </encoding>
</ismrmrdHeader>"""


def header(
    shape: tuple[int, int, int],
    acceleration: tuple[int, int] = (1, 1),
    limits: tuple[tuple[int, int], tuple[int, int]] | None = None,
    mode: str = "embedded",
    n_averages: int = 1,
    recon: tuple[int, int, int] | None = None,
    fov_mm: tuple[float, float, float] | None = None,
) -> xsd.ismrmrdHeader:
    """For k-space of `shape` (e2, e1, ro), of 1 mm pixels. acceleration: (R1, R2).

    limits: (centre, last) line along e2 and along e1; all lines without. recon, fov_mm: reconSpace (x, y, z).
    """
    nz, ny, nx = shape
    (e2, last_e2), (e1, last_e1) = limits or ((nz // 2, nz - 1), (ny // 2, ny - 1))
    return parse_header(
        HEADER.format(
            nx=nx, ny=ny, nz=nz, r=acceleration, e1=e1, e2=e2, last_e1=last_e1, last_e2=last_e2, mode=mode,
            last_average=n_averages - 1, recon=recon or (nx, ny, nz), fov=fov_mm or recon or (nx, ny, nz),
        )
    )  # fmt: skip


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
