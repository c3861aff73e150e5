"""Clients that compress their lines, as `gadgetron_ismrmrd_client -P` does: through a server, a module and a pipe."""

import itertools
import socket
import struct
import subprocess

import ismrmrd
import numpy as np
import pytest

from snrstream.chain.chain import parse_chain
from snrstream.hosts.link import Link
from snrstream.wire.decoder import Decoder
from snrstream.wire.encoder import encode
from snrstream.wire.header import parse_header
from snrstream.wire.messages import Close, ConfigText, Header
from snrstream.wire.scan_file import ScanFile
from snrtrain.benchmarks import small_scan
from tests.compressed_lines import compressed
from tests.processes import forked

from .conftest import ENVIRONMENT

CONFIGURATION = (
    "<configuration>"
    + "".join(f'<gadget name="{name}"/>' for name in ("noise_adjust", "accumulate", "grappa", "coil_combine"))
    + '<gadget name="image_finish"><property name="output" value="complex"/></gadget></configuration>'
)


@pytest.fixture(params=["server", "module"])
def peer(request) -> socket.socket:
    """A server that a client dials, and the module that Gadgetron starts."""
    found = request.getfixturevalue(request.param)
    with found if request.param == "module" else socket.create_connection(found[:2], 60) as sock:
        yield sock


def answers(sock: socket.socket, header: bytes, data: bytes) -> list:
    link = Link(sock, "peer", patience=60)
    for message in (ConfigText(CONFIGURATION.encode()), Header(header)):
        link.send(message)
    sock.sendall(data + encode(Close()))
    sock.shutdown(socket.SHUT_WR)  # whoever can read no more finds no CLOSE
    return list(link)


def test_a_scan_of_compressed_lines(peer, raw_scan) -> None:
    """The images of what Gadgetron would have read, which are those of the scan as far as 24 bits tell."""
    with ScanFile(raw_scan("brain_16ch_r3")) as scan:
        lines, header = list(scan.acquisitions()), scan.header_xml
    messages = [compressed(line, 24) for line in lines]
    read = [line for message in messages for line in Decoder().receive(message)]
    chain = parse_chain(CONFIGURATION, "test")
    expected, plain = (list(chain.run(items, parse_header(header))) for items in (read, lines))
    got = answers(peer, header, b"".join(messages))
    assert len(got) == len(expected) == len(plain) == 2
    for ours, wanted, original in zip(got, expected, plain, strict=True):
        assert ours.data.tobytes() == wanted.data.tobytes()
        assert np.abs(ours.data - original.data).max() <= 1e-4 * np.abs(original.data).max()


def lines_of_zfp() -> bytes:
    """Two plain lines, then some in ZFP's compression, whose lengths are told by what only ZFP can read."""
    noise, plain, line = itertools.islice(small_scan.acquisitions(), 3)
    line.set_flag(ismrmrd.ACQ_COMPRESSION1)
    packed = struct.pack("<HI", 8, 3) * 500
    return encode(noise) + encode(plain) + 20 * (struct.pack("<H", 1008) + bytes(line.getHead()) + packed)


def test_another_compression_is_told_to_the_client_by_its_flag(peer) -> None:
    (answer,) = answers(peer, small_scan.HEADER, lines_of_zfp())
    assert "acquisition message is compressed (ACQ_COMPRESSION1, ZFP: the client's option -Z); expected" in answer.text


@pytest.mark.parametrize(("data", "status", "told"), [
    (b"".join(map(compressed, small_scan.acquisitions())), 0, b" acquisitions in, 3 images out"),
    (lines_of_zfp(), 1, b"is compressed (ACQ_COMPRESSION1, ZFP"),
], ids=["NHLBI", "ZFP"])  # fmt: skip
def test_a_pipe_of_compressed_lines(data: bytes, status: int, told: bytes) -> None:
    whole = encode(Header(small_scan.HEADER)) + data + encode(Close())
    command = forked("-m", "snrstream", "recon", "--from-stream", "--pipeline", "grappa_snr")
    done = subprocess.run(command, input=whole, capture_output=True, timeout=60, env=ENVIRONMENT)
    assert done.returncode == status and told in done.stderr, done.stderr.decode()
