"""The chain as the external module of a Gadgetron: started as Gadgetron starts it, spoken to as it speaks."""

import itertools
import socket
import struct
from pathlib import Path

import ismrmrd
import numpy as np
import pytest

from snrstream.chain.chain import parse_chain
from snrstream.hosts.link import Link
from snrstream.wire.decoder import Decoder
from snrstream.wire.header import parse_header
from snrstream.wire.messages import Close, ConfigText, Header
from snrstream.wire.scan_file import ScanFile
from snrtrain.benchmarks import small_scan

from .conftest import exchange

GADGETS = "".join(f'<gadget name="{name}"/>' for name in ("accumulate", "grappa", "coil_combine"))
FINISH = '<gadget name="image_finish"><property name="output" value="complex"/></gadget>'
ON_ITS_AXES = FINISH.replace(
    "</gadget>", '<property name="axes" value="kspace"/></gadget>'
)  # of Gadgetron's own images


def test_a_scan_through_the_module(module, raw_scan) -> None:
    configuration = f'<configuration><gadget name="noise_adjust"/>{GADGETS}{FINISH}</configuration>'
    with ScanFile(raw_scan("brain_16ch_r3")) as scan:
        acquisitions = list(scan.acquisitions())
        images = exchange(module, configuration, scan.header_xml, acquisitions)
        expected = list(parse_chain(configuration, "test").run(acquisitions, parse_header(scan.header_xml)))
    assert len(images) == 2
    for image, wanted in zip(images, expected, strict=True):
        assert image.data.tobytes() == wanted.data.tobytes() and image.meta == wanted.meta


def test_an_image_leaves_before_the_next_repetition_is_sent(module, raw_scan) -> None:
    """Gadgetron's own gadgets behind the module wait for it, and so does who looks at the screen."""
    configuration = f'<configuration><gadget name="noise_adjust"/>{GADGETS}{FINISH}</configuration>'.encode()
    link = Link(module, "module", patience=30)
    answers = iter(link)
    with ScanFile(raw_scan("brain_16ch_r3")) as scan:
        acquisitions = list(scan.acquisitions())
        for message in [ConfigText(configuration), Header(scan.header_xml), *acquisitions]:
            link.send(message)
    first = [next(answers) for _ in range(2)]
    for acquisition in acquisitions[1:]:
        acquisition.idx.repetition = 1
        link.send(acquisition)
    link.send(Close())
    second = list(answers)
    assert [[image.repetition for image in images] for images in (first, second)] == [[0, 0], [1, 1]]
    assert np.array_equal(first[0].data, second[0].data)


def test_a_gadgetron_that_reads_nothing_before_it_has_sent_everything(module) -> None:
    """More goes back than the buffers between the two can hold: as many acquisitions, whitened, as were sent."""
    noise, line = itertools.islice(small_scan.acquisitions(), 2)
    large = ismrmrd.Acquisition(line.getHead(), np.zeros((0, 0), np.complex64), np.zeros((0, 0), np.float32))
    large.resize(number_of_samples=8192, active_channels=len(noise.data))
    large.data[:] = 1
    configuration = ConfigText(b'<configuration><gadget name="noise_adjust"/></configuration>')
    link = Link(module, "module", patience=20)
    for message in [configuration, Header(small_scan.HEADER), noise, *itertools.repeat(large, 200), Close()]:
        link.send(message)
    assert len(list(link)) == 200 and 200 * large.data.nbytes >= 50 << 20


@pytest.fixture
def recorded(test_data) -> tuple[Path, Path]:
    """A session of Gadgetron with a module after its NoiseAdjust, and its own result."""
    capture = test_data / "captures" / "gadgetron_to_module_acquisitions.bin"
    reference = test_data / "gadgetron_4.7.2" / "phantom_14ch_r3_noise.npz"
    return capture, reference


def test_what_gadgetron_sends_after_its_own_noise_adjustment(recorded, module) -> None:
    capture, reference = recorded
    _, header, *items, _ = Decoder().receive(capture.read_bytes())
    acquisitions = [item for item in items if isinstance(item, ismrmrd.Acquisition)]
    images = exchange(module, f"<configuration>{GADGETS}{ON_ITS_AXES}</configuration>", header.xml, acquisitions)
    theirs = np.load(reference)
    region = np.abs(theirs["snr"]) > 20
    ours, wanted = np.abs(images[0].data[0, 0])[region], np.abs(theirs["image"])[region]
    assert np.linalg.norm(ours - wanted) / np.linalg.norm(wanted) <= 0.005


def test_a_failure_is_gadgetrons_error_message(module, raw_scan) -> None:
    """Message 8 comes, and only after all input was taken, and then CLOSE."""
    with ScanFile(raw_scan("brain_16ch_r3")) as scan:
        link = Link(module, "module")
        configuration = ConfigText(b'<configuration><gadget name="nope"/></configuration>')
        for message in [configuration, Header(scan.header_xml), *scan.acquisitions(), Close()]:
            link.send(message)
    data = b""
    while chunk := module.recv(65536):
        data += chunk
    number, length = struct.unpack_from("<HQ", data)
    assert number == 8
    assert b"snrstream: " in data[10 : 10 + length] and b"unknown gadget 'nope'" in data[10 : 10 + length]
    assert data[10 + length :] == struct.pack("<H", 4)


def test_the_module_ends_when_gadgetron_dies(module, raw_scan) -> None:
    """The fixture waits for its end; gadgetron's own reader would wait for ever."""
    with ScanFile(raw_scan("brain_16ch_r3")) as scan:
        link = Link(module, "module")
        configuration = f"<configuration>{GADGETS}{FINISH}</configuration>".encode()
        for message in [ConfigText(configuration), Header(scan.header_xml), *list(scan.acquisitions())[:5]]:
            link.send(message)
    module.shutdown(socket.SHUT_RDWR)
