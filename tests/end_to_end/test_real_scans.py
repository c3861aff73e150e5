"""Scans of scanners, by `recon`, by `serve` and `send`, and by a pipe: the same images."""

import io

import pytest

from snrstream.chain.pipelines import named_chain
from snrstream.cli.main import main
from snrstream.hosts.conversation import Options
from snrstream.hosts.pipe_ends import Sink
from snrstream.hosts.pipes import reconstruct_pipe
from snrstream.hosts.scan_source import open_scan
from snrstream.hosts.stream_reader import open_reader
from snrstream.wire.encoder import encode
from snrstream.wire.messages import Close, Header

from .test_faults import inside
from .test_stream import assert_identical, read_images

PIPELINE = "grappa_snr"


@pytest.mark.parametrize("name", ["phantom_14ch_r3_noise", "brain_16ch_r4", "phantom_16ch_r1", "phantom_32ch_r1"])
def test_every_way_gives_the_same_images(test_data, name: str, tmp_path) -> None:
    path = test_data / f"{name}.h5"
    assert main(["recon", str(path), "--pipeline", PIPELINE, "--output", str(tmp_path / "file")]) == 0
    images = read_images(tmp_path / "file")
    with inside(Options()) as (_, port):
        to = ["--port", str(port), "--pipeline", PIPELINE, "--output", str(tmp_path / "sent")]
        assert main(["send", str(path), *to]) == 0
    assert_identical(read_images(tmp_path / "sent"), images)
    with open_scan(path) as scan, open(tmp_path / "piped", "wb") as sink:
        stream = b"".join(map(encode, [Header(scan.header_xml), *scan.acquisitions(), Close()]))
        reader = open_reader(io.BufferedReader(io.BytesIO(stream)), "stdin")
        piped = list(reconstruct_pipe(named_chain(PIPELINE), reader, Sink(sink.fileno())))
    by_series = {f"image_{series}": [] for series in sorted({image.image_series_index for image in piped})}
    for image in piped:
        by_series[f"image_{image.image_series_index}"].append(image)
    assert by_series.keys() == images.keys()
    for series, found in by_series.items():
        assert [image.data.tobytes() for image in found] == [image.data.tobytes() for image in images[series]]
        assert [image.attribute_string for image in found] == [image.attribute_string for image in images[series]]
