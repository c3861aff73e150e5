"""The gadgets that shape an image's k-space: partial_fourier, kspace_filter, resize."""

import copy
import dataclasses
import logging

import ismrmrd
import numpy as np
import pytest
import torch

from snrstream.chain.parameters import parse_parameters
from snrstream.errors import ConfigurationError, ScanError
from snrstream.gadgets import kspace_filter, partial_fourier, resize, taper
from snrstream.gadgets.gadget import run as run_gadget
from snrstream.image_kind import ImageKind
from snrstream.items import ReconImage
from snrstream.recon.spectrum import Spectrum
from snrstream.wire.header import parse_header

HEADER = """<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">
<experimentalConditions><H1resonanceFrequency_Hz>63000000</H1resonanceFrequency_Hz></experimentalConditions>
<encoding><trajectory>cartesian</trajectory>
<encodedSpace><matrixSize><x>96</x><y>48</y><z>{nz}</z></matrixSize>
<fieldOfView_mm><x>320</x><y>192</y><z>{fz}</z></fieldOfView_mm></encodedSpace>
<reconSpace><matrixSize><x>{x}</x><y>{y}</y><z>{z}</z></matrixSize>
<fieldOfView_mm><x>{fx}</x><y>{fy}</y><z>{fz}</z></fieldOfView_mm></reconSpace>
<encodingLimits><kspace_encoding_step_1><minimum>0</minimum><maximum>47</maximum><center>24</center>
</kspace_encoding_step_1></encodingLimits></encoding></ismrmrdHeader>"""


def header(matrix=(48, 48, 1), fov=(160.0, 192.0, 5.0)):
    (x, y, z), (fx, fy, fz) = matrix, fov
    return parse_header(HEADER.format(x=x, y=y, z=z, fx=fx, fy=fy, fz=fz, nz=z))


def recon(shape=(1, 48, 48), voxel_mm=(160 / 48, 4.0, 5.0), lacking: int = 0, denoised: bool = False) -> ReconImage:
    """Of any content. lacking: how many lines at the low end of e1."""
    rng = np.random.default_rng(0)
    lines = torch.ones(shape[:2])
    lines[:, :lacking] = 0
    return ReconImage(
        image=(rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64),
        gmap=(1 + rng.random(shape)).astype(np.float32),
        spectrum=Spectrum.of(lines, torch.ones(shape[2])),
        voxel_mm=voxel_mm,
        head=ismrmrd.AcquisitionHeader(),
        history=("GRAPPA",),
        meta={"SNRSTREAM_alpha": "0.1"},
        kind=ImageKind.DENOISED if denoised else ImageKind.ORIGINAL,
    )


def passed(gadget, item: ReconImage, head=None, **properties) -> ReconImage:
    """What a gadget makes of one image, which it leaves as it was; its types are right and its axes agree."""
    kept = copy.deepcopy((item.image, item.gmap, item.meta))
    parameters = parse_parameters(gadget.Parameters, "gadget", properties)
    (out,) = run_gadget(gadget, [item], head or header(), parameters)
    assert np.array_equal(item.image, kept[0]) and np.array_equal(item.gmap, kept[1]) and item.meta == kept[2]
    assert (out.image.dtype, out.gmap.dtype) == (np.complex64, np.float32)
    assert out.image.shape == out.gmap.shape == (*out.spectrum.lines.shape, len(out.spectrum.samples))
    assert out.kind is item.kind and out.meta["SNRSTREAM_alpha"] == "0.1"
    return out


@pytest.mark.parametrize("denoised", [False, True])
@pytest.mark.parametrize(
    ("method", "name"),
    [("homodyne", "homodyne"), ("pocs", "POCS")],
)
def test_partial_fourier(method: str, name: str, denoised: bool) -> None:
    item = recon(lacking=12, denoised=denoised)
    out = passed(partial_fourier, item, method=method)
    assert out.history == ("GRAPPA", f"partial Fourier: {name}")
    assert not np.array_equal(out.image, item.image)
    assert abs(out.spectrum.correlation[1]) < 0.05 < item.spectrum.correlation[1]


@pytest.mark.parametrize("method", ["homodyne", "pocs"])
def test_partial_fourier_passes_what_is_not_cut(method: str) -> None:
    item, other = recon(), ismrmrd.Acquisition()
    parameters = partial_fourier.Parameters(method=method)
    out = list(run_gadget(partial_fourier, [other, item], header(), parameters))
    assert out[0] is other and out[1] is item


@pytest.mark.parametrize("denoised", [False, True])
def test_kspace_filter(denoised: bool) -> None:
    item = recon(denoised=denoised)
    out = passed(kspace_filter, item, e1="gaussian", ro="hanning", ro_width="1", e2="hanning")
    assert out.history == ("GRAPPA", "k-space filter: e1 gaussian 1.5, ro hanning 1")
    e2, e1, ro = out.spectrum.correlation
    assert e2 == 0 and 0 < e1 < 0.2 and ro > 0.5
    assert not np.array_equal(out.gmap, item.gmap)  # which is rough here, and blurred as the noise is


def test_kspace_filter_without_a_window_passes_the_image() -> None:
    item = recon()
    assert passed(kspace_filter, item) is item
    assert passed(kspace_filter, item, e2="gaussian") is item  # one partition


@pytest.mark.parametrize(
    ("gadget", "properties", "match"),
    [
        (partial_fourier, {"method": "magic"}, "method is 'magic'; expected one of pocs, homodyne"),
        (taper, {"share": "0"}, "share is 0.0; expected a number above 0, to 0.5"),
        (taper, {"share": "nan"}, "share is nan"),
        (partial_fourier, {"iterations": "0"}, "iterations is 0; expected 1 to 1000"),
        (kspace_filter, {"e1": "hamming"}, "e1 is 'hamming'; expected one of none, gaussian, hanning"),
        (kspace_filter, {"ro_width": "0.5"}, "ro_width is 0.5, ro is none; expected a window with it"),
        (kspace_filter, {"e1": "gaussian", "e1_width": "0"}, "e1_width of a gaussian is 0.0; expected a sigma"),
        (kspace_filter, {"e2": "hanning", "e2_width": "1.5"}, "e2_width of a hanning window is 1.5; expected a share"),
        (kspace_filter, {"e2": "hanning", "e2_width": "nan"}, "e2_width of a hanning window is nan"),
        (resize, {"size": "256"}, "unknown property 'size'; known: none"),
    ],
)
def test_bad_properties(gadget, properties: dict[str, str], match: str) -> None:
    with pytest.raises(ConfigurationError, match=match):
        parse_parameters(gadget.Parameters, "gadget", properties)


def test_resize_passes_an_image_that_fits() -> None:
    item, other = recon(), ismrmrd.Acquisition()
    out = list(run_gadget(resize, [other, item], header(), resize.Parameters()))
    assert out[0] is other and out[1] is item


@pytest.mark.parametrize("denoised", [False, True])
@pytest.mark.parametrize(
    ("matrix", "fov", "voxel_mm", "steps"),
    [
        ((96, 96, 1), (160.0, 192.0, 5.0), (160 / 96, 2.0, 5.0), ("zero-filled to 96 x 96",)),
        ((48, 42, 1), (160.0, 168.0, 5.0), (160 / 48, 4.0, 5.0), ("field of view cropped to 48 x 42",)),
        (
            (64, 60, 1),
            (160.0, 160.0, 5.0),
            (2.5, 192 / 72, 5.0),
            ("zero-filled to 64 x 72", "field of view cropped to 64 x 60"),
        ),
        ((32, 48, 1), (160.0, 192.0, 5.0), (5.0, 4.0, 5.0), ("k-space cropped to 32 x 48",)),
    ],
)
def test_resize(matrix, fov, voxel_mm, steps, denoised: bool) -> None:
    out = passed(resize, recon(denoised=denoised), header(matrix, fov))
    assert out.image.shape == matrix[::-1]
    assert out.voxel_mm == pytest.approx(voxel_mm)
    assert out.history == ("GRAPPA", *steps) and out.warnings == ()


def test_resize_of_partitions() -> None:
    item = recon((12, 24, 20), voxel_mm=(8.0, 8.0, 3.0))
    out = passed(resize, item, header((40, 48, 16), (160.0, 192.0, 32.0)))
    assert out.image.shape == (16, 48, 40)
    assert out.voxel_mm == pytest.approx((4.0, 4.0, 2.0))
    assert out.history[1:] == ("zero-filled to 40 x 48 x 18", "field of view cropped to 40 x 48 x 16")
    assert out.spectrum.correlation[2] == pytest.approx(0.64, abs=0.01)  # sinc(1/2)


def test_resize_keeps_the_thickness_of_a_slice() -> None:
    item = recon()
    assert passed(resize, item, header((48, 48, 1), (160.0, 192.0, 8.0))) is item


def test_resize_beyond_the_field_of_view() -> None:
    with pytest.raises(ScanError, match="field of view of 192 mm along y, the image 144 mm"):
        passed(resize, recon(voxel_mm=(160 / 48, 3.0, 5.0)), header())
    out = passed(resize, recon(), header((48, 48, 1), (160.0, 193.0, 5.0)))  # within the tolerance of 1 %
    assert out.image.shape == (1, 48, 48)


def test_resize_to_more_pixels_than_memory() -> None:
    with pytest.raises(ScanError, match="pixels along x; expected at most 8192"):
        passed(resize, recon(), header((65535, 65535, 1), (160.0, 192.0, 5.0)))
    with pytest.raises(ScanError, match="pixels along x; expected at most"):
        passed(resize, recon(), header((48, 48, 1), (1e-200, 192.0, 5.0)))


def test_partial_fourier_after_the_taper() -> None:
    tapered = dataclasses.replace(recon(lacking=12), tapered=True)
    with pytest.raises(ScanError, match="expected a pipeline without taper"):
        passed(partial_fourier, tapered)
    # A word in the history, which is for people, decides nothing.
    passed(partial_fourier, dataclasses.replace(recon(lacking=12), history=("image edges tapered",)))


def test_resize_of_a_slice_to_several_partitions() -> None:
    """There is one: a header may call it a volume."""
    several, one = (passed(resize, recon(), header((48, 48, n), (160.0, 192.0, 5.0))) for n in (2, 1))
    assert np.array_equal(several.image, one.image) and several.voxel_mm == one.voxel_mm
    volume = recon((17, 48, 48), voxel_mm=(160 / 48, 4.0, 5.0))
    with pytest.raises(ScanError, match="8192 x 8192 x 17 pixels over the image's field of view; expected at most"):
        passed(resize, volume, header((8192, 8192, 17), (160.0, 192.0, 85.0)))


def test_resize_tells_where_whole_pixels_do_not_fit(caplog) -> None:
    item = recon()
    # 192 mm are 26.6 pixels of 7.2 mm: 27 of 7.11 mm are 1.2 % off.
    head = header((48, 20, 1), (160.0, 144.4, 5.0))
    with caplog.at_level(logging.WARNING):
        out = list(run_gadget(resize, [item, item], head, resize.Parameters()))
    assert out[1].warnings == ("pixels are 7.111 mm along y; reconSpace expects 7.22 mm",)
    assert len(caplog.records) == 1 and out[1].image.shape == (1, 20, 48)
