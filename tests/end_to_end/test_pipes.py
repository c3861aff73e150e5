"""`snrstream recon --from-stream` as a process: raw data in by a pipe, images out by a pipe."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import ismrmrd
import pytest

from snrstream.cli.main import main
from snrstream.wire.encoder import encode
from snrstream.wire.messages import Header
from tests.piped_scan import CLOSE, END_MARK, PipedScan, header_and_images
from tests.processes import forked

from .conftest import ENVIRONMENT
from .test_stream import assert_identical, read_images

COMMAND = ("recon", "--from-stream", "--pipeline")
PATIENCE_S = 120


@pytest.fixture(scope="module")
def scan(raw_scan) -> PipedScan:
    return PipedScan.of(raw_scan("brain_16ch_r3"))


def run(data: bytes, pipeline: str = "grappa_snr", **options: object) -> subprocess.CompletedProcess[bytes]:
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": ENVIRONMENT, **options}
    return subprocess.run(forked("-m", "snrstream", *COMMAND, pipeline), input=data, timeout=PATIENCE_S, **options)


def fails(data: bytes, match: str, **options: object) -> bytes:
    """What has come out before the failure, of which one line that holds `match` tells."""
    done = run(data, **options)
    lines = [line for line in done.stderr.decode().splitlines() if " INFO " not in line and " WARNING" not in line]
    assert done.returncode == 1 and len(lines) == 1, done.stderr.decode()
    assert lines[0].startswith("snrstream: ") and match in lines[0] and "internal error" not in lines[0]
    return done.stdout


@pytest.mark.parametrize("pipeline", ["grappa_snr", "grappa_denoise"])
def test_a_pipe_gives_the_images_of_the_file(scan, raw_scan, tmp_path, pipeline: str) -> None:
    assert main(["recon", str(raw_scan("brain_16ch_r3")), "--pipeline", pipeline, "--output", str(tmp_path)]) == 0
    done = run(scan.version_1(0), pipeline)
    assert done.returncode == 0, done.stderr.decode()
    header_xml, images = header_and_images(done.stdout)
    by_series: dict[str, list[ismrmrd.Image]] = {}
    for image in images:
        by_series.setdefault(f"image_{image.image_series_index}", []).append(image)
    assert header_xml == scan.header_xml
    assert_identical(by_series, read_images(tmp_path))
    assert b"60 acquisitions in, 3 images out" in done.stderr


@pytest.mark.parametrize(("version", "end"), [(PipedScan.version_1, CLOSE), (PipedScan.version_2, END_MARK)])
def test_an_image_leaves_before_the_next_repetition_is_sent(scan, version: Callable, end: bytes) -> None:
    """Every byte of the first repetition's images comes while the rest of the stream is held back."""
    first = version(scan, 0)
    second = version(scan, 1)[len(version(scan)) - len(end) :]  # without the header
    images = run(first).stdout[: -len(end)]
    assert len(images) > 200_000
    with _process() as process:
        process.stdin.write(first[: -len(end)])
        process.stdin.flush()
        assert process.stdout.read(len(images)) == images
        process.stdin.write(second)
        process.stdin.close()
        rest = process.stdout.read()
    assert process.returncode == 0 and len(rest) > 200_000 and rest.endswith(end)


def test_input_that_is_cut_off_gives_the_images_of_what_came(scan) -> None:
    """As raw data ends that was kept of a client that died: its last message is lost."""
    done = run(scan.version_1(0, 1)[:-1000])
    assert b"the stream ended inside this acquisition message" in done.stderr
    images = header_and_images(done.stdout)[1]
    assert len(images) == 6
    assert "1 of 43 image lines never arrived" in images[3].meta["SNRSTREAM_warning"]


def test_input_that_is_no_stream() -> None:
    assert fails(b"", "stdin is empty; expected a stream of ISMRMRD messages") == b""
    assert fails(b"hello, I am a text file\n", "stdin: unknown message id") == b""


def test_a_reader_that_is_gone(scan) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    fails(scan.version_1(0), "stdout cannot be written: Broken pipe", stdout=theirs)
    os.close(theirs)


def test_ends_that_are_no_pipe() -> None:
    """In a process that has not yet loaded anything else."""
    code = "from snrstream.hosts.pipe_ends import standard_pipes\n"
    code += "try: print('not in the stream', standard_pipes()[1].write(b'stream'))\nexcept Exception as exc: print(exc)"

    def ends(**options: object) -> tuple[bytes, bytes]:
        options = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE, "stdout": subprocess.PIPE, **options}
        done = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, timeout=PATIENCE_S, **options)
        return done.stdout, done.stderr

    assert ends() == (b"stream", b"not in the stream None\n")
    assert ends(preexec_fn=lambda: os.close(0)) == (b"stdin is closed; expected a pipe or a file\n", b"")
    ours, theirs = os.openpty()
    assert ends(stdin=theirs) == (b"stdin is a terminal; expected a pipe or a file\n", b"")
    ends(stdout=theirs)
    assert os.read(ours, 1000).strip() == b"stdout is a terminal; expected a pipe or a file"
    os.close(ours)
    os.close(theirs)


def test_a_stdout_that_is_closed(scan) -> None:
    fails(encode(Header(scan.header_xml)), "stdout is closed", preexec_fn=lambda: os.close(1))


def test_version_2_without_its_package_names_it_and_version_1_does_without(scan) -> None:
    code = "import sys; sys.modules['mrd'] = None; from snrstream.cli.main import main; sys.exit(main())"
    command = forked("-c", code, *COMMAND, "grappa_snr")
    done = subprocess.run(command, input=scan.version_2(0), capture_output=True, env=ENVIRONMENT)
    assert done.returncode == 1 and done.stdout == b""
    assert done.stderr.decode().splitlines() == [
        "snrstream: stdin is an MRD v2 stream, which needs the package mrd-python: pip install 'mrd-python>=2.1.1,<2.2'"
    ]
    done = subprocess.run(command, input=scan.version_1(0), capture_output=True, env=ENVIRONMENT)
    assert done.returncode == 0 and done.stdout.endswith(CLOSE)


def test_arguments_that_exclude_each_other(raw_scan, tmp_path, capfd) -> None:
    scan, output = str(raw_scan("brain_16ch_r3")), ["--output", str(tmp_path)]
    for arguments in ([scan, "--from-stream"], ["--from-stream", "--group", "dataset"]):
        assert main(["recon", *arguments]) == 1
        assert "expected no SCAN and no --group" in capfd.readouterr().err
    for arguments, missing in (([], "SCAN, --output"), (output, "SCAN"), ([scan], "--output")):
        assert main(["recon", *arguments]) == 1
        assert f"required: {missing} (see snrstream recon --help)" in capfd.readouterr().err


@contextmanager
def _process() -> Iterator[subprocess.Popen[bytes]]:
    """A run with pipes to hold; killed where it takes too long, so that a read from it ends."""
    pipe = subprocess.PIPE
    command = forked("-m", "snrstream", *COMMAND, "grappa_snr")
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, env=ENVIRONMENT) as process:
        watchdog = threading.Timer(PATIENCE_S, process.kill)
        watchdog.start()
        try:
            yield process
        finally:
            watchdog.cancel()
