"""The ISMRMRD header of a Cartesian scan, in as many words as the reconstruction needs."""

TEMPLATE = """<?xml version="1.0"?>
<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">
 <acquisitionSystemInformation><relativeReceiverNoiseBandwidth>1</relativeReceiverNoiseBandwidth>
 </acquisitionSystemInformation>
 <experimentalConditions><H1resonanceFrequency_Hz>123000000</H1resonanceFrequency_Hz></experimentalConditions>
 <encoding>
  <encodedSpace>{encoded}</encodedSpace>
  <reconSpace>{recon}</reconSpace>
  <encodingLimits>
   <kspace_encoding_step_1>{e1}</kspace_encoding_step_1>
   <kspace_encoding_step_2>{e2}</kspace_encoding_step_2>
   <average>{average}</average>
  </encodingLimits>
  <trajectory>cartesian</trajectory>
  <parallelImaging><accelerationFactor><kspace_encoding_step_1>{r[0]}</kspace_encoding_step_1>
   <kspace_encoding_step_2>{r[1]}</kspace_encoding_step_2></accelerationFactor>
   <calibrationMode>{mode}</calibrationMode></parallelImaging>
 </encoding>
</ismrmrdHeader>"""

Size = tuple[int, int, int]
Length = tuple[float, float, float]


def cartesian_header(
    encoded: Size,
    encoded_fov_mm: Length,
    recon: Size,
    recon_fov_mm: Length,
    acceleration: tuple[int, int] = (1, 1),
    limits: tuple[tuple[int, int], tuple[int, int]] | None = None,
    mode: str = "embedded",
    n_averages: int = 1,
) -> str:
    """XML. Sizes are (x, y, z). acceleration: (R1, R2). mode: of calibration.

    limits: (centre, last) line number along e2 and along e1; all lines without.
    """
    (e2, last_e2), (e1, last_e1) = limits or tuple((n // 2, n - 1) for n in (encoded[2], encoded[1]))
    return TEMPLATE.format(
        encoded=_space(encoded, encoded_fov_mm), recon=_space(recon, recon_fov_mm), r=acceleration, mode=mode,
        e1=_limit(e1, last_e1), e2=_limit(e2, last_e2), average=_limit(0, n_averages - 1),
    )  # fmt: skip


def _space(matrix: Size, fov_mm: Length) -> str:
    return f"<matrixSize>{_xyz(matrix)}</matrixSize><fieldOfView_mm>{_xyz(fov_mm)}</fieldOfView_mm>"


def _xyz(values: Size | Length) -> str:
    return "".join(f"<{axis}>{value}</{axis}>" for axis, value in zip("xyz", values, strict=True))


def _limit(centre: int, last: int) -> str:
    return f"<minimum>0</minimum><maximum>{last}</maximum><center>{centre}</center>"
