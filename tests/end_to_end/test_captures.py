"""The recorded sessions of a real Gadgetron, replayed."""

import socket
import threading
from pathlib import Path

import ismrmrd
import numpy as np
import pytest

from snrstream.hosts.link import Link
from snrstream.wire.encoder import encode
from snrstream.wire.messages import ConfigFile, ConfigText, Dependency

from .test_gadgetron_agreement import require_agreement


@pytest.fixture
def captures(test_data: Path) -> Path:
    return test_data / "captures"


def answers(address: tuple[str, int], data: bytes) -> list:
    """What the server makes of a client's bytes, as they were recorded."""
    with socket.create_connection(address, timeout=60) as sock:
        sender = threading.Thread(target=sock.sendall, args=(data,))
        sender.start()
        received = list(Link(sock, "server", 60))
        sender.join()
    return received


@pytest.mark.parametrize("name", ["grappa_snr", "grappa_snr.xml"])
def test_a_recorded_client_gets_images_that_agree_with_gadgetrons(server, captures: Path, name: str) -> None:
    recorded = (captures / "client_scan.to_server.bin").read_bytes()
    opening = len(encode(ConfigFile("")))
    assert recorded[:2] == encode(ConfigFile(""))[:2]
    images = answers(server[:2], encode(ConfigFile(name)) + recorded[opening:])
    assert all(isinstance(image, ismrmrd.Image) for image in images)
    by_series = {image.image_series_index: np.flip(image.data[0, 0]) for image in images}  # of a Siemens: turned
    with np.load(captures.parent / "gadgetron_4.7.2" / "phantom_14ch_r3_noise.npz") as theirs:
        require_agreement(by_series, theirs)


def test_a_recorded_noise_query_is_answered_byte_for_byte(server, captures: Path) -> None:
    asked = (captures / "client_noise_query.to_server.bin").read_bytes()
    (answer,) = answers(server[:2], asked)
    assert isinstance(answer, Dependency)
    expected = (captures / "client_noise_query.from_server.bin").read_bytes()
    assert encode(answer) == expected[: len(encode(answer))] and len(expected) == len(encode(answer)) + 2


def test_a_gadgetron_that_dials_the_server_gets_what_its_own_module_gives(server, captures: Path) -> None:
    """By <connect>: the recorded stream with a chain of ours in place of the empty configuration."""
    gadgets = "".join(f'<gadget name="{name}"/>' for name in ("accumulate", "grappa", "coil_combine"))
    finish = '<gadget name="image_finish"><property name="output" value="complex"/>'
    finish += '<property name="axes" value="kspace"/></gadget>'
    recorded = (captures / "gadgetron_to_module_acquisitions.bin").read_bytes()
    length = int.from_bytes(recorded[2:6], "little")
    opening = encode(ConfigText(f"<configuration>{gadgets}{finish}</configuration>".encode()))
    images = answers(server[:2], opening + recorded[6 + length :])
    by_series = {image.image_series_index: image.data[0, 0] for image in images}
    with np.load(captures.parent / "gadgetron_4.7.2" / "phantom_14ch_r3_noise.npz") as theirs:
        snr = np.abs(by_series[1]) / by_series[20]
        require_agreement({**by_series, 300: snr}, theirs)
