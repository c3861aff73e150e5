"""The folder of a reconstruction: what is read back is what was written, and no output costs another."""

import errno
from pathlib import Path

import h5py
import ismrmrd
import numpy as np
import pydicom
import pytest
from ismrmrd import xsd
from PIL import Image

from snrstream.cli.main import main
from snrstream.errors import ConfigurationError, OutputsMissing, ScanError
from snrstream.output import files
from snrstream.output.files import write_outputs

SCAN = Path(__file__).parents[2] / "data" / "brain_16ch_r3.h5"


@pytest.fixture(scope="module")
def header_xml():
    with ismrmrd.Dataset(SCAN, "dataset", mode="r") as dataset:
        return dataset.read_xml_header()


@pytest.fixture(scope="module")
def header(header_xml):
    return xsd.CreateFromDocument(header_xml)


def make_image(pixels, series=1, meta=None, **head):
    image = ismrmrd.Image.from_array(
        np.asarray(pixels),
        transpose=False,
        field_of_view=(256, 256, 3),
        position=(1, 2, 3),
        read_dir=(0, 1, 0),
        phase_dir=(0, 0, -1),
        slice_dir=(1, 0, 0),
        image_series_index=series,
        **head,
    )
    image.meta = ismrmrd.Meta(meta or {})
    return image


def some_images(seed=0):
    rng = np.random.default_rng(seed)
    meta = {"GADGETRON_ScaleRatio": "10", "SNRSTREAM_warning": ["first", "second & <third>"], "µ": "ü"}
    return [
        make_image(rng.integers(0, 65536, (6, 8)).astype(np.uint16), 1, meta, image_index=1),
        make_image(rng.integers(0, 65536, (6, 8)).astype(np.uint16), 1, image_index=2, repetition=1),
        make_image(rng.standard_normal((2, 3, 6, 8)).astype(np.complex64), 2, {"a": "b"}, image_index=1),
        make_image(rng.uniform(1, 3, (6, 8)).astype(np.float32), 20, {"GADGETRON_DataRole": "Gfactor"}),
    ]


def snapshot(folder):
    """Every file below a folder with its bytes."""
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("as_text", [False, True])
def test_images_read_back_as_they_were(tmp_path, header_xml, header, as_text):
    images = some_images()
    write_outputs(images, header_xml.decode() if as_text else header_xml, header, tmp_path / "out")
    with ismrmrd.Dataset(tmp_path / "out" / "images.h5", "dataset", mode="r") as dataset:
        assert dataset.read_xml_header() == header_xml
        assert sorted(dataset.list()) == ["image_1", "image_2", "image_20", "xml"]
        assert dataset.number_of_images("image_1") == 2
        read = [dataset.read_image(*key) for key in (("image_1", 0), ("image_1", 1), ("image_2", 0), ("image_20", 0))]
    for image, again in zip(images, read, strict=True):
        assert again.data.dtype == image.data.dtype
        np.testing.assert_array_equal(again.data, image.data)
        assert again.meta == image.meta
        head = image.getHead()
        head.attribute_string_len = len(image.attribute_string.encode())
        assert again.getHead() == head


def test_the_header_knows_the_length_of_the_attributes(tmp_path, header_xml, header):
    """libismrmrd reads as many bytes of attributes as the header says; the images given are not touched."""
    images = some_images()
    before = [bytes(image.getHead()) for image in images]
    write_outputs(images, header_xml, header, tmp_path)
    assert [bytes(image.getHead()) for image in images] == before
    with h5py.File(tmp_path / "images.h5") as file:
        for group in ("image_1", "image_2", "image_20"):
            stored = file["dataset"][group]
            lengths = [len(text) for text in stored["attributes"]]
            assert list(stored["header"]["attribute_string_len"]) == lengths
        assert len(file["dataset/image_1/attributes"][0]) > 100


def test_dicom_and_preview_are_there(tmp_path, header_xml, header):
    images = some_images()
    write_outputs(images, header_xml, header, tmp_path / "a" / "b")
    folder = tmp_path / "a" / "b"
    assert sorted(path.name for path in folder.iterdir()) == ["dicom", "images.h5", "preview.png"]
    datasets = [pydicom.dcmread(path) for path in sorted((folder / "dicom").iterdir())]
    assert [int(dataset.SeriesNumber) for dataset in datasets] == [999001, 999001, *[999002] * 6, 999020]
    np.testing.assert_array_equal(datasets[0].pixel_array, images[0].data[0, 0])
    with Image.open(folder / "preview.png") as picture:
        assert picture.height >= 384 and picture.mode == "RGB"


def test_outputs_of_an_earlier_run_are_replaced_as_a_whole(tmp_path, header_xml, header):
    write_outputs(some_images(), header_xml, header, tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    earlier = snapshot(tmp_path)
    write_outputs(some_images(seed=1)[:1], header_xml, header, tmp_path)
    later = snapshot(tmp_path)
    assert sorted(map(str, later)) == [
        "dicom/series001_image0001.dcm",
        "images.h5",
        "notes.txt",
        "preview.png",
    ]
    same = {str(path) for path, content in later.items() if earlier.get(path) == content}
    assert same == {"notes.txt"}


def bad_images():
    """Images, what cannot be made of them, and why."""
    nan = np.ones((6, 8), np.float32)
    nan[0, 0] = np.nan
    flat = make_image(np.ones((6, 8), np.uint16))
    flat.field_of_view[:] = (256, 0, 3)
    return {
        "NaN": (
            [make_image(nan, 20)],
            ("dicom", "preview.png"),
            "no dicom and no preview.png in .*: series 20, image 0: 1 of 48 pixels are NaN",
        ),
        "geometry": ([flat], ("dicom",), "no dicom in .*: series 1, image 0: field_of_view is "),
        "no HDF5 type": ([make_image(np.ones((6, 8), np.int64))], ("images.h5",), "int64 pixels"),
    }


@pytest.mark.parametrize("case", list(bad_images()))
def test_an_output_that_cannot_be_made_costs_no_other(case, tmp_path, header_xml, header):
    """And none of an earlier run stays beside the others: it would be taken for one of this run."""
    images, names, message = bad_images()[case]
    write_outputs(some_images(), header_xml, header, tmp_path / "old")
    earlier = snapshot(tmp_path / "old")
    there = sorted({"dicom", "images.h5", "preview.png"} - {*names})
    for folder in (tmp_path / "old", tmp_path / "new"):
        with pytest.raises(OutputsMissing, match=message) as error:
            write_outputs(images, header_xml, header, folder)
        assert error.value.names == names
        assert sorted(path.name for path in folder.iterdir()) == there
    later = snapshot(tmp_path / "old")
    assert later.keys() == snapshot(tmp_path / "new").keys() and not earlier.items() & later.items()
    if "images.h5" in there:
        with ismrmrd.Dataset(tmp_path / "new" / "images.h5", "dataset", mode="r") as dataset:
            (series,) = {f"image_{image.image_series_index}" for image in images}
            np.testing.assert_array_equal(dataset.read_image(series, 0).data, images[0].data)


def test_without_any_output_the_folder_stays_as_it_was(tmp_path, header_xml, header):
    none = [make_image(np.ones((6, 8), np.int64)), make_image(np.full((6, 8), np.nan, np.float32), 20)]
    write_outputs(some_images(), header_xml, header, tmp_path / "old")
    before = snapshot(tmp_path)
    for images, match in ((none, "has int64 pixels, which images.h5 has no type for"), ([], "no images to write")):
        for folder in (tmp_path / "old", tmp_path / "new"):
            with pytest.raises(ScanError, match=match):
                write_outputs(images, header_xml, header, folder)
    assert snapshot(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert sorted(path.name for path in (tmp_path / "old").iterdir()) == ["dicom", "images.h5", "preview.png"]


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left on device"), ValueError("of pydicom's")])
def test_images_do_not_wait_for_dicom(failure, tmp_path, header_xml, header, monkeypatch):
    """They are whole and in place before the first DICOM file is made, and stay where that fails, in whatever way."""
    real, seen = files.write_dicom, []
    write_outputs(some_images(), header_xml, header, tmp_path)

    def fails(images, header, folder):
        with ismrmrd.Dataset(tmp_path / "images.h5", "dataset", mode="r") as dataset:
            seen.append(dataset.read_image("image_1", 0).data)
        assert not (tmp_path / "dicom").exists() and not (tmp_path / "preview.png").exists()
        real(images[:1], header, folder)
        raise failure

    monkeypatch.setattr(files, "write_dicom", fails)
    images = some_images(seed=1)
    with pytest.raises(OutputsMissing, match=f"no dicom in .*{failure.args[-1]}"):
        write_outputs(images, header_xml, header, tmp_path)
    np.testing.assert_array_equal(seen, [images[0].data])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images.h5", "preview.png"]


@pytest.mark.parametrize("refused", ["images.h5", "preview.png"])
def test_a_move_that_fails(refused, tmp_path, header_xml, header, monkeypatch):
    """The disk refuses it: that output is missing. The earlier ones go with the first that can be moved."""
    write_outputs(some_images(), header_xml, header, tmp_path)
    before, rename = snapshot(tmp_path), Path.rename

    def refuse(self, target):
        if self.name == refused and Path(target).parent == tmp_path:
            raise OSError(errno.EIO, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OutputsMissing, match=f"no {refused} in .*Input/output error"):
        write_outputs(some_images(seed=1), header_xml, header, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted({"dicom", "images.h5", "preview.png"} - {refused})
    assert not before.items() & snapshot(tmp_path).items()


def test_where_no_output_can_be_moved_the_earlier_ones_come_back(tmp_path, header_xml, header, monkeypatch):
    write_outputs(some_images(), header_xml, header, tmp_path)
    before, rename = snapshot(tmp_path), Path.rename

    def refuse(self, target):
        if not self.name.startswith("earlier_") and Path(target).parent == tmp_path:
            raise OSError(errno.EIO, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(ConfigurationError, match=r"cannot write outputs to .*Input/output error"):
        write_outputs(some_images(seed=1), header_xml, header, tmp_path)
    assert snapshot(tmp_path) == before


def test_a_folder_that_cannot_be_is_a_configuration_error(tmp_path, header_xml, header):
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ConfigurationError, match=r"cannot write outputs to .*expected a folder$") as error:
            write_outputs(some_images(), header_xml, header, folder)
        assert "\n" not in str(error.value)
    assert snapshot(tmp_path) == {Path("file"): b"mine"}


def test_files_of_others_are_never_deleted(tmp_path, header_xml, header):
    (tmp_path / "dicom").mkdir()
    (tmp_path / "dicom" / "IM_0001.dcm").write_text("the only copy")
    with pytest.raises(ConfigurationError, match=r"dicom holds files that .* \(IM_0001\.dcm, 1 in all"):
        write_outputs(some_images(), header_xml, header, tmp_path)
    assert snapshot(tmp_path) == {Path("dicom/IM_0001.dcm"): b"the only copy"}


@pytest.mark.parametrize("name", ["scan.h5", "IM_0001", "folder"])
def test_outputs_do_not_go_among_files_of_another_kind(name, tmp_path, header_xml, header):
    if name == "folder":
        (tmp_path / name).mkdir()
    else:
        (tmp_path / name).write_text("mine")
    before = snapshot(tmp_path)
    with pytest.raises(ConfigurationError, match=rf"holds files that .* \({name}, 1 in all\); expected a new folder"):
        write_outputs(some_images(), header_xml, header, tmp_path)
    assert snapshot(tmp_path) == before and [path.name for path in tmp_path.iterdir()] == [name]


def test_hidden_files_and_parts_of_earlier_outputs_are_no_files_of_another_kind(tmp_path, header_xml, header):
    write_outputs(some_images(), header_xml, header, tmp_path)
    (tmp_path / "images.h5").unlink()
    (tmp_path / ".DS_Store").touch()
    write_outputs(some_images(), header_xml, header, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".DS_Store", "dicom", "images.h5", "preview.png"]


def test_recon_refuses_a_folder_of_scans_before_it_reconstructs(tmp_path, capsys):
    for name in ("a.h5", "b.h5"):
        (tmp_path / name).write_bytes(SCAN.read_bytes())
    before = snapshot(tmp_path)
    assert main(["recon", str(tmp_path / "a.h5"), "--output", str(tmp_path)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        f"snrstream: output folder {tmp_path} holds files that snrstream did not write (a.h5, 2 in all)"
    )
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("name", ["images.h5", "preview.png"])
def test_a_folder_in_the_place_of_a_file_is_named(name, tmp_path, header_xml, header):
    (tmp_path / name).mkdir()
    with pytest.raises(ConfigurationError, match=f"{name} is a folder, expected a file"):
        write_outputs(some_images(), header_xml, header, tmp_path)


@pytest.mark.parametrize("make", [Path.touch, lambda path: path.symlink_to("nowhere")], ids=["file", "link"])
def test_a_file_in_the_place_of_the_dicom_folder_is_named(make, tmp_path, header_xml, header):
    make(tmp_path / "dicom")
    with pytest.raises(ConfigurationError, match="dicom is a file, expected a folder"):
        write_outputs(some_images(), header_xml, header, tmp_path)
