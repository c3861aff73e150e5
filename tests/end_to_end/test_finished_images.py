"""Images that are finished stay, whatever ends the scan: they are written, the fault is told, the status is 1."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import ismrmrd
import numpy as np
import pydicom
import pytest

import snrstream
from snrstream.cli.main import main
from snrstream.errors import ScanError
from snrstream.gadgets import coil_combine
from snrstream.gadgets.gadget import Gadget
from snrstream.hosts.conversation import Options
from snrstream.wire.encoder import encode
from snrstream.wire.messages import Close, Header
from snrtrain.benchmarks import small_scan
from tests.processes import forked
from tests.sessions import answers_to

from .conftest import ENVIRONMENT
from .test_faults import OPENING, inside
from .test_stream import read_images

N_FINISHED, N_SERIES = 2, 3
PIPELINE = ["--pipeline", "grappa_snr"]


def acquisitions(n_repetitions: int) -> list[ismrmrd.Acquisition]:
    """Noise, and the lines of so many repetitions, whose last ones end them."""
    noise, *_ = small_scan.acquisitions()
    repetitions = (small_scan.acquisitions(number, number) for number in range(n_repetitions))
    return [noise, *(a for lines in repetitions for a in lines if not a.is_flag_set(ismrmrd.ACQ_IS_NOISE_MEASUREMENT))]


def write(path: Path, lines: list[ismrmrd.Acquisition]) -> Path:
    with ismrmrd.Dataset(str(path), "dataset") as dataset:
        dataset.write_xml_header(small_scan.HEADER)
        for line in lines:
            dataset.append_acquisition(line)
    return path


@pytest.fixture
def whole(tmp_path) -> Path:
    """A scan of three repetitions."""
    return write(tmp_path / "whole.h5", acquisitions(3))


@pytest.fixture(params=[np.nan, np.inf], ids=["NaN", "infinite"])
def broken(request, tmp_path) -> Path:
    """The same, with a sample in its last line that is not finite."""
    lines = acquisitions(3)
    lines[-1].data[0, 3] = request.param
    return write(tmp_path / "broken.h5", lines)


@pytest.fixture(scope="module")
def expected() -> list[bytes]:
    """The pixels of the images of two repetitions."""
    return [image.data.tobytes() for image in answers_to([*OPENING, *acquisitions(N_FINISHED)])]


def pixels(folder: Path) -> list[bytes]:
    """In the order in which the images were made."""
    series = read_images(folder)
    assert sorted(series) == ["image_1", "image_20", "image_300"]
    return [series[name][n].data.tobytes() for n in range(N_FINISHED) for name in ("image_1", "image_20", "image_300")]


def assert_kept(folder: Path, expected: list[bytes]) -> None:
    assert sorted(pixels(folder)) == sorted(expected) and len(expected) == N_FINISHED * N_SERIES
    assert {len(found) for found in read_images(folder).values()} == {N_FINISHED}
    datasets = [pydicom.dcmread(path) for path in (folder / "dicom").iterdir()]
    assert len(datasets) == N_FINISHED * N_SERIES and (folder / "preview.png").is_file()


class Failing(Gadget):
    """Fails at the third image."""

    def __init__(self, gadget: Gadget, error: Exception) -> None:
        self._gadget, self._error, self._n_taken = gadget, error, 0

    def take(self, item):
        self._n_taken += 1
        if self._n_taken > N_FINISHED:
            raise self._error
        return self._gadget.take(item)


@contextlib.contextmanager
def failing_gadget(error: Exception) -> Iterator[None]:
    real = coil_combine.start
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coil_combine, "start", lambda scan, parameters: Failing(real(scan, parameters), error))
        yield


def test_a_sample_that_is_not_finite(broken, expected, tmp_path, capfd) -> None:
    out = tmp_path / "out"
    assert main(["recon", str(broken), *PIPELINE, "--output", str(out)]) == 1
    told = capfd.readouterr()
    assert told.out == f"6 images (series 1, 20, 300) in {out}: images.h5, dicom/, preview.png\n"
    last = told.err.splitlines()[-1]
    assert "holds NaN or infinite samples" in last and last.endswith("the images are of what came before")
    assert_kept(out, expected)


def test_a_sample_that_is_not_finite_through_a_server(broken, expected, tmp_path, capfd) -> None:
    out = tmp_path / "out"
    with inside(Options()) as (_, port):
        assert main(["send", str(broken), *PIPELINE, "--port", str(port), "--output", str(out)]) == 1
        told = capfd.readouterr()
    assert told.out == f"6 images (series 1, 20, 300) in {out}: images.h5, dicom/, preview.png\n"
    last = told.err.splitlines()[-1]
    assert "ERROR: " in last and "holds NaN or infinite samples" in last and "6 images received" in last
    assert_kept(out, expected)


def test_a_sample_that_is_not_finite_in_a_pipe_that_is_written_to_files_too(broken, expected, tmp_path) -> None:
    with snrstream.open_scan(broken) as scan:
        stream = b"".join(map(encode, [Header(scan.header_xml), *scan.acquisitions(), Close()]))
    out = tmp_path / "out"
    command = forked("-m", "snrstream", "recon", "--from-stream", *PIPELINE, "--output", str(out))
    done = subprocess.run(command, input=stream, capture_output=True, env=ENVIRONMENT)
    assert done.returncode == 1 and done.stderr.splitlines()[-1].endswith(b"the images are of what came before")
    assert all(image in done.stdout for image in expected) and not done.stdout.endswith(encode(Close()))
    assert_kept(out, expected)


def test_a_sample_that_is_not_finite_in_python(broken, whole) -> None:
    images = snrstream.iter_images(broken, "grappa_snr")
    found = [next(images), next(images)]
    with pytest.raises(ScanError, match="NaN or infinite samples"):
        next(images)
    with pytest.raises(ScanError, match="NaN or infinite samples"):
        snrstream.reconstruct(broken, "grappa_snr")
    all_three = snrstream.reconstruct(whole, "grappa_snr")
    assert len(all_three) == 3 and all(np.array_equal(a.image, b.image) for a, b in zip(found, all_three, strict=False))
    with pytest.raises(snrstream.errors.UnknownPipeline):
        snrstream.iter_images(whole, "nope")  # before an image is asked for


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ScanError("no more"), "snrstream: no more: the images are of what came before"),
        (RuntimeError("broken"), "snrstream: internal error, please report it: RuntimeError: broken"),
        (MemoryError(), "snrstream: internal error, please report it: MemoryError: "),
    ],
    ids=["error", "defect", "memory"],
)
def test_a_gadget_that_fails(error, told, whole, expected, tmp_path, capfd) -> None:
    with failing_gadget(error):
        assert main(["recon", str(whole), *PIPELINE, "--output", str(tmp_path / "out")]) == 1
    assert capfd.readouterr().err.splitlines()[-1].strip() == told.strip()
    assert_kept(tmp_path / "out", expected)


def test_a_gadget_that_fails_in_a_server(whole, expected, tmp_path, capfd) -> None:
    with failing_gadget(RuntimeError("broken")), inside(Options()) as (_, port):
        to = ["--port", str(port), "--output", str(tmp_path / "out")]
        assert main(["send", str(whole), *PIPELINE, *to]) == 1
        assert "RuntimeError: broken (" in capfd.readouterr().err.splitlines()[-1]
    assert_kept(tmp_path / "out", expected)


def test_a_failure_ahead_of_the_first_image_leaves_no_folder(whole, tmp_path, capfd) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coil_combine, "start", lambda scan, parameters: 1 / 0)
        assert main(["recon", str(whole), *PIPELINE, "--output", str(tmp_path / "out")]) == 1
    assert "ZeroDivisionError" in capfd.readouterr().err and not (tmp_path / "out").exists()
