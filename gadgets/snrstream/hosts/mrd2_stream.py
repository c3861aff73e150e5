"""MRD v2 streams in a file or a pipe, by the package `mrd-python` (import name `mrd`), needed for these alone."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from typing import Any

import ismrmrd
import mrd
from ismrmrd import xsd
from mrd._binary import CURRENT_BINARY_FORMAT_VERSION, CodedInputStream, read_fixed_int32, string_serializer

from ..errors import ProtocolError, ScanError, SnrstreamError
from ..wire.v2 import MAGIC
from ..wire.v2.header import header_of
from ..wire.v2.items import acquisition_of, image_item
from .pipe_ends import Sink

log = logging.getLogger(__name__)

LARGEST = 1 << 30  # bytes of one array or text


class Mrd2Reader:
    """A `StreamReader` of MRD v2; waveforms pass as they are.

    Parameters
    ----------
    source : BufferedReader
        The stream, from its first byte on.
    name : str
        What to call it in errors.

    Raises
    ------
    ProtocolError
        For a stream that cannot be read, or has no header.
    """

    def __init__(self, source: BufferedReader, name: str) -> None:
        self._name = name
        with _reading(name):
            self._reader = _Reader(source, name)
            header = self._reader.read_header()
        if header is None:
            raise ProtocolError(f"the MRD v2 stream of {name} has no header; expected one")
        self._header = header
        self.header_xml = xsd.ToXML(header_of(header), "UTF-8").encode()

    def items(self) -> Iterator[Any]:
        """The data, once. Raises ProtocolError for what is neither acquisition nor waveform."""
        data = iter(self._reader.read_data())
        while not self._at_end():
            with _reading(self._name):
                try:
                    item = next(data, None)
                except EOFError:
                    log.warning("%s ended inside an item: that item is lost", self._name)
                    break
            match item:
                case None:
                    return
                case mrd.StreamItem.Acquisition():
                    yield acquisition_of(item.value)
                case mrd.StreamItem.WaveformUint32():
                    yield item
                case _:
                    found = type(item).__name__
                    raise ProtocolError(f"{self._name}: {found} in an MRD v2 stream; expected acquisitions")
        log.warning("%s ended without the mark of its end: images are made of what has come", self._name)

    def writer(self, sink: Sink) -> "Mrd2Writer":
        """Images leave as MRD v2 too, behind the same header."""
        return Mrd2Writer(sink, self._header)

    def _at_end(self) -> bool:
        with _reading(self._name):
            return self._reader.at_end()


class Mrd2Writer:
    """A `StreamWriter` of MRD v2."""

    def __init__(self, sink: Sink, header: mrd.Header) -> None:
        self._writer = mrd.BinaryMrdWriter(sink)
        self._writer.write_header(header)
        self._flush()

    def send(self, item: Any) -> None:
        """Raises ProtocolError for what cannot be written."""
        if isinstance(item, ismrmrd.Image):
            item = image_item(item)
        elif not isinstance(item, mrd.StreamItem):
            raise ProtocolError(f"a {type(item).__name__} cannot be written as MRD v2; expected images")
        self._writer.write_data([item])  # as a list: generators overrun mrd's buffer where it is just full
        self._flush()

    def close(self) -> None:
        """The end mark, which tells the reader that nothing is missing."""
        self._writer.write_data([])  # or else, after a scan without images, mrd raises and leaves the mark out
        self._writer.close()

    def _flush(self) -> None:
        self._writer._stream.flush()  # mrd itself keeps up to 64 KiB until more comes


class _Reader(mrd.BinaryMrdReader):  # type: ignore[misc]  # mrd-python has no types
    """mrd's reader, on a stream that does not wait for more than is needed."""

    def __init__(self, source: BufferedReader, name: str) -> None:
        mrd.protocols.MrdReaderBase.__init__(self)
        self._stream = _PromptInput(source, name)
        if bytes(self._stream.read_view(len(MAGIC))) != MAGIC:
            raise ProtocolError(f"{name} is neither a stream of ISMRMRD messages nor one of MRD v2")
        version = read_fixed_int32(self._stream)
        if version != CURRENT_BINARY_FORMAT_VERSION or string_serializer.read(self._stream) != self.schema:
            raise ProtocolError(
                f"the MRD v2 stream of {name} has another schema than the installed mrd-python; expected that of the "
                "version that wrote it"
            )

    def at_end(self) -> bool:
        """Whether nothing comes any more. Waits until that is known."""
        return self._stream.at_end()


class _PromptInput(CodedInputStream):  # type: ignore[misc]  # mrd-python has no types
    """mrd's own asks for 64 KiB at once, and waits until they are there: an image would wait for later readouts."""

    def __init__(self, source: BufferedReader, name: str) -> None:
        self._offset = self._last_read_count = 0
        super().__init__(source)
        self._name = name

    def at_end(self) -> bool:
        """Whether nothing comes any more. Waits until that is known."""
        if self._offset == self._last_read_count:
            try:
                self._fill_buffer(1)
            except EOFError:
                return True
        return False

    def read_view(self, count: int) -> memoryview:
        """Raises ProtocolError for more than `LARGEST`."""
        view: memoryview = super().read_view(self._bounded(count))
        return view

    def read_bytearray(self, count: int) -> bytearray:
        """Raises ProtocolError for more than `LARGEST`."""
        data: bytearray = super().read_bytearray(self._bounded(count))
        return data

    def _bounded(self, count: int) -> int:
        if not 0 <= count <= LARGEST:
            found = f"the MRD v2 stream of {self._name} announces {count} bytes"
            raise ProtocolError(f"{found}; expected at most {LARGEST}")
        return count

    def _fill_buffer(self, min_count: int = 0) -> None:
        rest = self._last_read_count - self._offset
        self._buffer[:rest] = self._buffer[self._offset : self._last_read_count]
        self._offset, self._last_read_count = 0, rest
        while self._last_read_count < min_count:
            n_bytes = self._stream.readinto1(self._view[self._last_read_count :])
            if n_bytes == 0:
                raise EOFError
            self._last_read_count += n_bytes


@contextmanager
def _reading(name: str) -> Iterator[None]:
    try:
        yield
    except SnrstreamError:
        raise
    except EOFError:
        raise ProtocolError(f"the MRD v2 stream of {name} ends in the middle; expected the rest of an item") from None
    except OSError as exc:
        raise ScanError(f"{name} cannot be read: {exc.strerror or exc}") from None
    except Exception as exc:  # noqa: BLE001 - whatever mrd makes of hostile bytes
        text = f"{type(exc).__name__}: {' '.join(str(exc).split())}"
        raise ProtocolError(f"the MRD v2 stream of {name} cannot be read: {text}") from None
