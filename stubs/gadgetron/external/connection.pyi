import socket
from collections.abc import Callable, Iterator
from typing import Any

class SocketWrapper:
    socket: socket.socket
    read: Callable[[int], Any]
    def write(self, byte_array: bytes | bytearray | memoryview) -> None: ...
    def close(self) -> None: ...

class RawBytes:
    config: bytes
    header: bytes

class Connection:
    socket: SocketWrapper
    raw_bytes: RawBytes
    config: Any
    header: Any
    def __iter__(self) -> Iterator[Any]: ...
    def send(self, item: Any) -> None: ...
    def add_reader(self, slot: int, reader: Callable[[Any], Any]) -> None: ...
    def add_writer(self, accepts: Callable[[Any], bool], writer: Callable[[Any, Any], None]) -> None: ...
