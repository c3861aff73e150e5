"""A header with mistakes of all kinds, by every path: the same images, and each line once in the log and the images."""

import shutil
import subprocess
from pathlib import Path

import h5py
import pydicom
import pytest

import snrstream
from snrstream.cli.main import main
from snrstream.output.image_values import meta_values
from snrstream.wire.encoder import encode
from snrstream.wire.header import parse_header
from snrstream.wire.messages import Header
from snrstream.wire.scan_file import ScanFile
from snrtrain.benchmarks import small_scan
from tests.piped_scan import PipedScan, header_and_images
from tests.processes import forked

from .conftest import ENVIRONMENT, exchange, started_module
from .test_stream import assert_identical, read_images

MISTAKES = (
    ("<studyInformation>", "<subjectInformation><patientWeight_kg>unknown</patientWeight_kg><patientBirthdate>"
     "1970-00-00</patientBirthdate></subjectInformation><studyInformation>"),
    ("<studyTime>16:41:28", "<studyTime>164128"),
    ("<patientPosition>HFS", "<patientPosition>unknown"),
    ("<systemFieldStrength_T>2.89", "<systemFieldStrength_T>3T"),
    ("123206013", "123206012.99999999"),
    ("<y>128</y>", "<y>128.0</y>"),
    ("cartesian", "Cartesian"),
    ("<maximum>127</maximum>\n    <center>64", "<maximum>0</maximum>\n    <center>64"),
)  # fmt: skip
TOLD = (
    "patientWeight_kg", "patientBirthdate", "studyTime", "patientPosition", "systemFieldStrength_T",
    "kspace_encoding_step_1",
)  # fmt: skip


@pytest.fixture(scope="module")
def scan(raw_scan, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("mistakes") / "scan.h5"
    shutil.copy(raw_scan("brain_16ch_r3"), path)
    with h5py.File(path, "r+") as file:
        xml = file["dataset/xml"][0].decode()
        for right, wrong in MISTAKES:
            assert right in xml
            xml = xml.replace(right, wrong)
        file["dataset/xml"][0] = xml.encode()
    return path


@pytest.fixture(scope="module")
def warnings(scan: Path) -> tuple[str, ...]:
    with ScanFile(scan) as file:
        found = parse_header(file.header_xml).warnings
    assert len(found) == len(TOLD) and all(word in text for word, text in zip(TOLD, found, strict=True))
    return found


def assert_told_once(log: str, warnings: tuple[str, ...]) -> None:
    assert [log.count(text) for text in warnings] == [1] * len(warnings), log


@pytest.fixture(scope="module")
def from_file(scan: Path, tmp_path_factory) -> tuple[Path, str]:
    """The outputs of `recon`, and its log."""
    out = tmp_path_factory.mktemp("recon")
    command = forked("-m", "snrstream", "recon", str(scan), "--pipeline", "grappa_snr", "--output", str(out))
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out, done.stderr


def test_a_file(from_file, raw_scan, warnings, tmp_path) -> None:
    out, log = from_file
    assert_told_once(log, warnings)
    assert main(["recon", str(raw_scan("brain_16ch_r3")), "--pipeline", "grappa_snr", "--output", str(tmp_path)]) == 0
    right, wrong = read_images(tmp_path), read_images(out)
    assert right.keys() == wrong.keys()
    for images in wrong:
        (a,), (b,) = right[images], wrong[images]
        assert a.data.tobytes() == b.data.tobytes() and tuple(meta_values(b, "SNRSTREAM_warning")) == warnings
    for path in (out / "dicom").glob("*.dcm"):
        dataset = pydicom.dcmread(path)
        assert (dataset.PatientBirthDate, dataset.PatientPosition) == ("", "") and "PatientWeight" not in dataset
        assert (dataset.StudyTime, dataset.MagneticFieldStrength) == ("164128", 3)
        assert float(dataset.ImagingFrequency) == 123.206013 and "1970" not in str(dataset.ImageComments)


def test_a_server(server, scan, from_file, warnings, tmp_path) -> None:
    host, port, log = server
    to = ["--host", host, "--port", str(port), "--pipeline", "grappa_snr", "--output", str(tmp_path)]
    assert main(["send", str(scan), *to]) == 0
    assert_identical(read_images(tmp_path), read_images(from_file[0]))
    assert_told_once(log.read_text(), warnings)


def test_a_pipe(scan, from_file, warnings) -> None:
    command = forked("-m", "snrstream", "recon", "--from-stream", "--pipeline", "grappa_snr")
    done = subprocess.run(command, env=ENVIRONMENT, input=PipedScan.of(scan).version_1(0), capture_output=True)
    assert done.returncode == 0, done.stderr
    with ScanFile(scan) as file:
        header = encode(Header(file.header_xml))
    assert done.stdout.startswith(header)  # as it came, which ismrmrd's own reader would refuse
    images = header_and_images(encode(Header(small_scan.HEADER)) + done.stdout[len(header) :])[1]
    by_series = {f"image_{image.image_series_index}": [image] for image in images}
    assert_identical(by_series, read_images(from_file[0]))
    assert_told_once(done.stderr.decode(), warnings)


def test_a_module_of_gadgetron(scan, warnings, tmp_path) -> None:
    gadgets = ("noise_adjust", "accumulate", "grappa", "coil_combine", "image_finish")
    configuration = f"<configuration>{''.join(f'<gadget name={name!r}/>' for name in gadgets)}</configuration>"
    with ScanFile(scan) as file, started_module(tmp_path / "log") as (sock, _):
        images = exchange(sock, configuration, file.header_xml, list(file.acquisitions()))
    assert len(images) == 2
    assert all(tuple(meta_values(image, "SNRSTREAM_warning")) == warnings for image in images)
    assert_told_once((tmp_path / "log").read_text(), warnings)


def test_python(scan, warnings, caplog) -> None:
    (image,) = snrstream.reconstruct(scan, "grappa_snr")
    assert image.warnings == warnings
    assert_told_once(caplog.text, warnings)
