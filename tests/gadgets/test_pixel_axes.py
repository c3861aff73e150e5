"""Along what the pixel axes of outgoing images run, and what headers without directions give."""

from dataclasses import replace

import ismrmrd
import numpy as np
import pytest
from ismrmrd import xsd

from snrstream.chain.parameters import parse_parameters
from snrstream.gadgets import image_finish
from snrstream.gadgets.gadget import run as run_gadget
from snrstream.image_kind import ImageKind
from snrstream.items import ReconImage
from snrstream.output.dicom.geometry import image_planes
from snrstream.output.image_values import meta_values
from snrstream.output.orientation import edge_letters

from ..denoising.images import recon_image
from ..scans import header

AXIAL = {"read_dir": (1, 0, 0), "phase_dir": (0, 1, 0), "slice_dir": (0, 0, 1)}
SHAPE = (1, 8, 13)  # e1 even, ro odd


def scan_header(vendor: str | None = "SIEMENS", user: dict[str, str] | None = None, **measurement) -> xsd.ismrmrdHeader:
    made = header((1, 8, 13))
    made.acquisitionSystemInformation.systemVendor = vendor
    made.measurementInformation = xsd.measurementInformationType(
        patientPosition=xsd.patientPositionType("HFS"), **measurement
    )
    texts = [xsd.userParameterStringType(name=name, value=value) for name, value in (user or {}).items()]
    made.userParameters = xsd.userParametersType(userParameterString=texts)
    return made


def recon(shape=SHAPE, kind: ImageKind = ImageKind.ORIGINAL, position=(10, 20, 30), **directions) -> ReconImage:
    made = recon_image(shape=shape)
    head = ismrmrd.AcquisitionHeader()
    head.position[:] = position
    for name, vector in {**AXIAL, **directions}.items():
        getattr(head, name)[:] = vector
    return replace(made, head=head, voxel_mm=(2.0, 3.0, 4.0), kind=kind, meta={})


def finished(item: ReconImage, head: xsd.ismrmrdHeader, **properties: str) -> list[ismrmrd.Image]:
    parameters = parse_parameters(image_finish.Parameters, "image_finish", {"output": "complex", **properties})
    return list(run_gadget(image_finish, [item], head, parameters))


def is_turned(image: ismrmrd.Image, item: ReconImage) -> bool:
    as_it_was, turned = np.array_equal(image.data[0], item.image), np.array_equal(image.data[0], np.flip(item.image))
    assert as_it_was != turned
    return turned


@pytest.mark.parametrize(
    ("head", "turned"),
    [
        (scan_header("SIEMENS"), True),
        (scan_header("Siemens Healthineers"), True),
        (scan_header("siemens", sequenceName=r"%SiemensSeq%\gre"), True),
        (scan_header("GE MEDICAL SYSTEMS"), False),
        (scan_header("Philips"), False),
        (scan_header(None), False),
        (scan_header("SIEMENS", sequenceName=r"%CustomerSeq%\pulseq"), False),
        (scan_header("SIEMENS", protocolName="Pulseq_gre_2d"), False),
        (scan_header("SIEMENS", seriesDescription="PULSEQ tse"), False),
        (scan_header("SIEMENS", {"tFree": "pulseq/gre.seq"}), False),
        (scan_header("SIEMENS", {"pulseq_signature": "a0ff"}), False),
    ],
)
def test_the_patients_axes_are_those_of_the_forward_fft_on_siemens_product_scans(head, turned: bool) -> None:
    item = recon()
    for axes, expected in (("patient", turned), ("forward", True), ("inverse", False), ("kspace", False)):
        image = finished(item, head, axes=axes)[0]
        assert is_turned(image, item) == expected
        against = axes == "kspace" and turned
        assert image.meta["SNRSTREAM_axes"] == ("against" if against else "along")
        # Of the turned image, e1 is even, and the pixel floor(N / 2) another than before.
        assert tuple(image.position) == ((10, 23, 30) if expected else (10, 20, 30))
        assert tuple(image.read_dir) == AXIAL["read_dir"] and tuple(image.phase_dir) == AXIAL["phase_dir"]


def test_without_acquisition_system_nothing_is_turned() -> None:
    head = header((1, 8, 13))
    head.acquisitionSystemInformation = head.measurementInformation = None
    item = recon()
    assert not is_turned(finished(item, head)[0], item)


@pytest.mark.parametrize(
    ("output", "n_parts"), [("complex", 1), ("magnitude", 1), ("magnitude phase real imaginary", 4)]
)
@pytest.mark.parametrize("kind", list(ImageKind)[:4])
def test_whatever_leaves_is_turned_alike(kind: ImageKind, output: str, n_parts: int) -> None:
    item = recon(shape=(6, 8, 13), kind=kind)
    turned, as_it_was = (
        finished(item, scan_header(), axes=axes, output=output, snr_map="true") for axes in ("patient", "kspace")
    )
    n_maps = 2 if kind is ImageKind.ORIGINAL else 0
    assert len(turned) == (1 if kind is ImageKind.RESIDUAL else n_parts) + n_maps
    for a, b in zip(turned, as_it_was, strict=True):
        assert np.array_equal(a.data, b.data[:, ::-1, ::-1, ::-1]) and a.data.dtype == b.data.dtype
        assert tuple(a.position) == (10, 23, 34)
        assert a.meta["WindowCenter"] == b.meta["WindowCenter"]


@pytest.mark.parametrize("nz", [1, 6, 7])
def test_dicom_and_preview_show_one_place_in_the_patient_whatever_the_axes(nz: int) -> None:
    """Of images as reconstructed, which run against the header's directions, the same pixels lie in the same places."""
    item = recon(shape=(nz, 8, 13), read_dir=(0.6, 0.8, 0), phase_dir=(-0.8, 0.6, 0), slice_dir=(0, 0, -1))
    turned, as_it_was = (finished(item, scan_header(), axes=axes)[0] for axes in ("patient", "kspace"))
    places = []
    for image in (turned, as_it_was):
        z, y, x = np.indices(image.data.shape[1:])
        planes = image_planes(image)
        first, read, phase = (np.array([getattr(plane, name) for plane in planes]) for name in
                              ("first_pixel_mm", "read", "phase"))  # fmt: skip
        places.append(first[z] + x[..., None] * 2.0 * read[z] + y[..., None] * 3.0 * phase[z])
    np.testing.assert_allclose(places[0], places[1][::-1, ::-1, ::-1], atol=1e-5)
    left, right, top, bottom = edge_letters(turned)
    assert edge_letters(as_it_was) == (right, left, bottom, top) and left


def test_an_image_that_comes_back_is_not_turned_twice() -> None:
    """The attribute tells, as a string or as the list that Gadgetron's images have."""
    item = recon()
    for axes, turned in (("patient", False), ("kspace", True)):
        image = finished(item, scan_header(), axes=axes)[0]
        for said in (image.meta["SNRSTREAM_axes"], meta_values(image, "SNRSTREAM_axes")):
            again = replace(item, image=image.data[0], meta={"SNRSTREAM_axes": said})
            out = finished(again, scan_header())[0]
            assert is_turned(out, again) == turned
            assert np.array_equal(out.data[0], np.flip(item.image)) and out.meta["SNRSTREAM_axes"] == "along"


NAN = float("nan")


@pytest.mark.parametrize(
    ("directions", "fault"),
    [
        ({"read_dir": (0, 0, 0), "phase_dir": (0, 0, 0), "slice_dir": (0, 0, 0)}, "read_dir is [0, 0, 0], expected"),
        ({"phase_dir": (0, 0, 0)}, "phase_dir is [0, 0, 0], expected a direction of length 1"),
        ({"read_dir": (NAN, 0, 1)}, "read_dir is [nan, 0, 1], expected"),
        ({"phase_dir": (0, float("inf"), 1)}, "phase_dir is [0, inf, 1], expected"),
        ({"read_dir": (0, 1, 0)}, "have a scalar product of 1, expected orthogonal directions"),
        ({"phase_dir": (0.5, 1, 0)}, "scalar product of 0.447"),
    ],
)
def test_without_directions_images_are_axial_and_say_so(directions, fault: str, caplog) -> None:
    """Nothing is turned, for nothing says along what; one line in the log, and one in each image."""
    item = recon(position=(0, 0, 0), **directions)
    images = finished(item, scan_header(), snr_map="true")
    assert not is_turned(images[0], item)
    for image in images:
        (warning,) = meta_values(image, "SNRSTREAM_warning")
        assert fault in warning and warning.endswith("; an axial slice is assumed")
        (plane,) = image_planes(image)
        np.testing.assert_array_equal([plane.read, plane.phase], [(1, 0, 0), (0, 1, 0)])
        np.testing.assert_allclose(plane.first_pixel_mm, (-12, -12, 0))
        assert edge_letters(image) == ("", "", "", "")
    assert len(caplog.records) == 1 and fault in caplog.text


def test_slices_without_directions_and_positions_lie_one_behind_the_other() -> None:
    nowhere = {name: (0, 0, 0) for name in AXIAL}
    for slice_, position, z in ((0, (0, 0, 0), 0), (2, (0, 0, 0), 8), (2, (1, 2, 3), 3)):
        item = recon(position=position, **nowhere)
        item.head.idx.slice = slice_
        (plane,) = image_planes(finished(item, scan_header())[0])
        assert plane.first_pixel_mm[2] == z


@pytest.mark.parametrize(
    ("directions", "is_told"),
    [
        ({"read_dir": (2, 0, 0)}, False),
        ({"read_dir": (0.7071, 0.7072, 0), "phase_dir": (-0.7074, 0.7071, 0)}, False),  # printed with four digits
        ({"read_dir": (0.7, 0.72, 0), "phase_dir": (-0.71, 0.7, 0)}, True),
        ({"slice_dir": (NAN, 0, 0)}, False),  # of a slice it means nothing
    ],
)
def test_directions_that_are_nearly_right_are_straightened(directions, is_told: bool) -> None:
    item = recon(**directions)
    image = finished(item, scan_header())[0]
    assert is_turned(image, item) and np.isfinite(image.position).all()
    warnings = meta_values(image, "SNRSTREAM_warning")
    assert [warning.endswith("phase_dir is straightened") for warning in warnings] == [True] * is_told
    (plane,) = image_planes(image)
    np.testing.assert_allclose([np.linalg.norm(plane.read), np.linalg.norm(plane.phase), plane.read @ plane.phase],
                               [1, 1, 0], atol=1e-12)  # fmt: skip
    assert plane.read @ np.array(item.head.read_dir) > 0.99 * np.linalg.norm(item.head.read_dir)


@pytest.mark.parametrize(
    ("slice_dir", "expected", "fault"),
    [
        ((0, 0, -1), -1, ""),
        ((0, 0, 0), 1, "read x phase is taken instead"),
        ((0, NAN, -1), 1, "read x phase is taken instead"),
        ((1, 0, 0), 1, "read x phase is taken instead"),
        ((0, 0.1, -1), -1, "it is straightened"),
    ],
)
def test_partitions_follow_slice_dir_where_there_is_one(slice_dir, expected: int, fault: str) -> None:
    image = finished(recon(shape=(5, 8, 13), slice_dir=slice_dir), scan_header("GE"))[0]
    planes = image_planes(image)
    np.testing.assert_allclose(planes[1].first_pixel_mm - planes[0].first_pixel_mm, (0, 0, 4 * expected), atol=1e-5)
    warnings = meta_values(image, "SNRSTREAM_warning")
    assert len(warnings) == bool(fault) and fault in "".join(warnings)


def test_a_position_that_is_no_number_is_told_and_left_out() -> None:
    image = finished(recon(position=(NAN, 1, 2)), scan_header("GE"))[0]
    assert tuple(image.position) == (0, 0, 0)
    assert meta_values(image, "SNRSTREAM_warning") == [
        "position is [nan, 1, 2] mm, expected finite numbers; 0 is taken instead"
    ]
