"""A storage server for noise measurements: a real HTTP server with the two calls of its documented API."""

import contextlib
import http.server
import threading
import urllib.parse
from collections.abc import Iterator


class Storage(http.server.ThreadingHTTPServer):
    """Blobs by their tags, the latest first, as mrd-storage-server's README has it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.blobs: list[tuple[dict[str, str], bytes]] = []
        self.paths: list[str] = []
        self.answer: bytes | None = None
        self.status = 200
        self.location = ""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Storage

    def do_POST(self) -> None:
        path, tags = self._asked()
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if path != "/v1/blobs/data" or "subject" not in tags or any(len(value) > 128 for value in tags.values()):
            return self._say(400, b"")
        self.server.blobs.insert(0, (tags, body))
        self._say(201, b"{}")

    def do_GET(self) -> None:
        path, tags = self._asked()
        if self.server.answer is not None:
            return self._say(self.server.status, self.server.answer)
        for kept, body in self.server.blobs:
            if path == "/v1/blobs/data/latest" and tags.items() <= kept.items():
                return self._say(200, body)
        self._say(404, b"")

    def _asked(self) -> tuple[str, dict[str, str]]:
        self.server.paths.append(self.path)
        parts = urllib.parse.urlsplit(self.path)
        return parts.path, dict(urllib.parse.parse_qsl(parts.query, strict_parsing=True))

    def _say(self, status: int, body: bytes) -> None:
        self.send_response(status)
        if self.server.location:
            self.send_header("Location", self.server.location)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # a client that has had enough
            self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@contextlib.contextmanager
def serving() -> Iterator[Storage]:
    with Storage() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()
