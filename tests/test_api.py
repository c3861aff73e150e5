"""`import snrstream`: images in this process, as the command line makes them."""

import subprocess
import sys
from pathlib import Path

import ismrmrd
import numpy as np
import pytest
import torch

import snrstream
from snrstream import ImageKind, ReconImage
from snrstream.cli.main import main
from tests.end_to_end.conftest import ENVIRONMENT
from tests.piped_scan import PipedScan


@pytest.fixture(scope="module")
def brain(raw_scan) -> Path:
    return raw_scan("brain_16ch_r3")


@pytest.fixture(scope="module")
def images(brain) -> list[ReconImage]:
    return snrstream.reconstruct(brain, "grappa_snr")


def test_the_arrays_are_those_of_the_files(brain, images, tmp_path) -> None:
    """Bit for bit: `image_finish` of grappa_snr leaves them as they are."""
    assert main(["recon", str(brain), "--pipeline", "grappa_snr", "--output", str(tmp_path)]) == 0
    with ismrmrd.Dataset(str(tmp_path / "images.h5"), "dataset", mode="r") as dataset:
        original, gmap = (dataset.read_image(f"image_{series}", 0) for series in (1, 20))
    (image,) = images
    assert image.kind is ImageKind.ORIGINAL and image.snr_units and image.warnings == ()
    assert image.image.dtype == np.complex64 and image.gmap.dtype == np.float32
    np.testing.assert_array_equal(image.image, original.data[0])
    np.testing.assert_array_equal(image.gmap, gmap.data[0])
    nx, ny, nz = image.image.shape[::-1]
    fov = [n * mm for n, mm in zip((nx, ny, nz), image.voxel_mm, strict=True)]
    np.testing.assert_allclose(fov, list(original.field_of_view), rtol=1e-6)  # float32
    assert list(image.head.position) == list(original.position)


def test_settings_are_as_those_of_the_command_line(brain) -> None:
    for alpha in ("1", 1.0, 1):
        original, second = snrstream.reconstruct(str(brain), settings={"alpha": alpha})
        assert second.kind is ImageKind.STAND_IN
        np.testing.assert_array_equal(second.image, original.image)
    original, second = snrstream.reconstruct(brain, "grappa_denoise", settings={"alpha": 0.5, "scale": 3})
    assert second.kind is ImageKind.DENOISED and second.meta["SNRSTREAM_alpha"] == "0.5"
    with pytest.raises(snrstream.SnrstreamError, match="unknown property 'alfa' for grappa_denoise; .* denoise: model"):
        snrstream.reconstruct(brain, settings={"alfa": 0.5})


def test_a_pipeline_of_ones_own_and_an_opened_scan(brain, images, tmp_path) -> None:
    path = tmp_path / "mine.xml"
    path.write_text('<configuration><gadget name="noise_adjust"/><gadget name="accumulate"/></configuration>')
    with snrstream.open_scan(brain) as scan:
        for _ in range(2):
            (image,) = snrstream.reconstruct(scan, path)
        assert scan.header.encoding and scan.header_xml.startswith(b"<?xml") and scan.n_acquisitions == 60
    assert image.image.shape == images[0].image.shape == (1, 128, 128)


def test_streams_are_scans_too(brain, images, tmp_path) -> None:
    path = tmp_path / "kept.mrd"
    path.write_bytes(PipedScan.of(brain).version_1(0))
    (image,) = snrstream.reconstruct(path, "grappa_snr")
    np.testing.assert_array_equal(image.image, images[0].image)


def test_noise_alone_gives_no_images(brain) -> None:
    assert snrstream.reconstruct(brain, "default_measurement_dependencies") == []


@pytest.mark.parametrize(
    ("scan", "pipeline", "error", "text"),
    [
        ("nowhere.h5", "grappa_snr", "ScanError", "nowhere.h5 does not exist"),
        (None, "nope", "UnknownPipeline", "unknown pipeline 'nope'; known: "),
        (None, "nope/nope.xml", "ConfigurationError", "does not exist; expected a name or an XML file"),
    ],
)
def test_errors_are_of_one_kind(brain, scan, pipeline, error, text) -> None:
    with pytest.raises(getattr(snrstream.errors, error), match=text) as caught:
        snrstream.reconstruct(scan or brain, pipeline)
    assert isinstance(caught.value, snrstream.SnrstreamError)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"scan": None}, "scan is of <class 'NoneType'>; expected a path"),
        ({"scan": b"scan.h5"}, "scan is of <class 'bytes'>"),
        ({"pipeline": None}, "pipeline is of <class 'NoneType'>; expected a text or a Path"),
        ({"gadgets": 5}, "gadgets is of <class 'int'>; expected a text or a Path"),
        ({"gadgets": "\0"}, "folder of gadgets .* cannot be read: embedded null"),
        ({"settings": None}, "settings are, or are named by, <class .NoneType.>; expected {.alpha"),
        ({"settings": "alpha=0"}, "settings are, or are named by, <class .str.>"),
        ({"settings": {1: 2}}, "settings are, or are named by, <class .int.>"),
        ({"settings": {"alpha": None}}, "property alpha is 'None'; expected a number"),
        ({"settings": {"alpha": 10**5000}}, "alpha is inf; expected a number from 0 to 1"),
        ({"settings": {"alpha": 0, "Alpha": 1}}, "property alpha is set twice; expected once"),
    ],
    ids=range(11),
)
def test_arguments_of_other_types(brain, arguments, text) -> None:
    with pytest.raises(snrstream.SnrstreamError, match=text):
        snrstream.reconstruct(**{"scan": brain, **arguments})


def test_a_pipeline_with_nothing_ahead_of_image_finish(brain, tmp_path) -> None:
    path = tmp_path / "finish.xml"
    path.write_text('<configuration><gadget name="image_finish"/></configuration>')
    with pytest.raises(snrstream.errors.ConfigurationError, match="finish.xml has no gadget before image_finish"):
        snrstream.reconstruct(brain, path)


@pytest.mark.parametrize("kind", ["h5", "mrd"])
def test_a_scan_that_is_closed_or_read_twice_at_once(brain, tmp_path, kind) -> None:
    path = brain
    if kind == "mrd":
        path = tmp_path / "kept.mrd"
        path.write_bytes(PipedScan.of(brain).version_1(0))
    with snrstream.open_scan(path) as scan:
        first = scan.items()
        next(first)
        second = scan.items()
        next(second)
        assert len([*first]) == len([*second]) == 59  # acquisitions, behind the first
        third = scan.items()
        next(third)
    with pytest.raises(snrstream.SnrstreamError, match="closed"):
        snrstream.reconstruct(scan, "grappa_snr")


def test_a_stream_that_is_closed_while_it_is_read(brain, tmp_path) -> None:
    path = tmp_path / "kept.mrd"
    path.write_bytes(PipedScan.of(brain).version_1(0))
    with snrstream.open_scan(path) as scan:
        items = scan.items()
        next(items)
    with pytest.raises(snrstream.SnrstreamError, match="kept.mrd cannot be read: .*closed file"):
        list(items)


def test_the_process_keeps_its_number_of_threads(brain) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        snrstream.reconstruct(brain, "grappa_snr")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_the_import_is_light_and_knows_its_names() -> None:
    code = """
import sys, snrstream
heavy = {"torch", "onnxruntime", "numba", "numpy", "h5py", "ismrmrd", "pydicom"} & set(sys.modules)
assert not heavy, heavy
assert set(snrstream.__all__) <= set(dir(snrstream))
assert snrstream.errors.ScanError.__mro__[1] is snrstream.SnrstreamError
for name in snrstream.__all__:
    getattr(snrstream, name)
try:
    snrstream.nothing
except AttributeError as exc:
    print(exc)
"""
    done = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert done.stdout.strip() == "module 'snrstream' has no attribute 'nothing'"
    assert (Path(snrstream.__file__).parent / "py.typed").is_file()


def test_gadgets_of_ones_own(brain, tmp_path, capsys) -> None:
    """The example's, between those of snrstream, for Python and for the command line."""
    folder = Path(__file__).resolve().parents[1] / "examples" / "gadgets"
    pipeline = tmp_path / "mine.xml"
    names = ("noise_adjust", "accumulate", "grappa", "coil_combine", "mask_noise", "image_finish")
    pipeline.write_text(f"<configuration>{''.join(f'<gadget name={name!r}/>' for name in names)}</configuration>")
    (image,) = snrstream.reconstruct(brain, pipeline, gadgets=folder, settings={"snr": 7})
    assert 0 < np.count_nonzero(image.image) < image.image.size
    assert np.all(np.abs(image.image)[image.image != 0] >= 7 * image.gmap[image.image != 0])
    command = ["recon", str(brain), "--pipeline", str(pipeline), "--output", str(tmp_path / "out")]
    assert main([*command, "--gadgets", str(folder)]) == 0
    assert main(command) == 1
    assert "unknown gadget 'mask_noise'" in capsys.readouterr().err
    assert main([*command, "--gadgets", str(tmp_path / "nowhere")]) == 1
    assert "nowhere cannot be read" in capsys.readouterr().err.splitlines()[-1]
    assert main(["serve", "--port", "0", "--gadgets", str(tmp_path / "nowhere")]) == 1
