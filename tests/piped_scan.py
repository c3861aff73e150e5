"""A scan of two repetitions as the streams that a pipe takes, and what ismrmrd's own reader finds in one."""

import io
from dataclasses import dataclass
from pathlib import Path

import ismrmrd
from ismrmrd.serialization import ProtocolDeserializer

from snrstream.wire.encoder import encode
from snrstream.wire.header import parse_header
from snrstream.wire.messages import Close, Header
from snrstream.wire.scan_file import ScanFile
from tests import mrd2_streams

CLOSE, END_MARK = encode(Close()), b"\0"


@dataclass(frozen=True)
class PipedScan:
    """Its noise is ahead of the first repetition."""

    header_xml: bytes
    repetitions: tuple[list[ismrmrd.Acquisition], list[ismrmrd.Acquisition]]

    @classmethod
    def of(cls, path: Path) -> "PipedScan":
        """The scan of a file, and its image acquisitions again as repetition 1."""
        with ScanFile(path) as file:
            first, second = list(file.acquisitions()), []
            for acquisition in first:
                if not acquisition.is_flag_set(ismrmrd.ACQ_IS_NOISE_MEASUREMENT):
                    again = ismrmrd.Acquisition.from_bytes(acquisition.to_bytes())
                    again.idx.repetition = 1
                    second.append(again)
            return cls(file.header_xml, (first, second))

    def version_1(self, *numbers: int) -> bytes:
        """These repetitions as ISMRMRD messages."""
        acquisitions = [one for number in numbers for one in self.repetitions[number]]
        return encode(Header(self.header_xml)) + b"".join(encode(one) for one in acquisitions) + CLOSE

    def version_2(self, *numbers: int) -> bytes:
        """These repetitions as MRD v2."""
        acquisitions = [one for number in numbers for one in self.repetitions[number]]
        return mrd2_streams.stream(parse_header(self.header_xml), acquisitions)


def header_and_images(data: bytes) -> tuple[bytes, list[ismrmrd.Image]]:
    """The header's XML, and the images, as ismrmrd reads them. Nothing may follow CLOSE."""
    file = io.BytesIO(data)
    header, *images = ProtocolDeserializer(file).deserialize()
    assert type(header).__name__ == "ismrmrdHeader" and file.read() == b""
    return data[6 : 6 + int.from_bytes(data[2:6], "little")], images
