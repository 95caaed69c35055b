"""A proxy between a client and a real S3 server that fails as networks and stores do, on command.

It passes every request on as it came (the signature covers the proxy's own address, as the server
takes it from the Host header) and answers with what the server said. A `Fault` is used up by the
first request that it fits. Other servers of plain HTTP, such as MLflow's, may stand behind it, too.
"""

import contextlib
import http.client
import http.server
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_RESET = struct.pack("ii", 1, 0)  # linger for no time: closing sends RST


@dataclass(frozen=True)
class Fault:
    """What happens to one request. Without any field set it passes.

    ``status`` answers in the server's place. ``reset`` drops the connection before the server sees
    the request, ``cut_request`` after so many bytes of its body, ``lose_answer`` after the server
    has done it, ``cut_answer`` after so many bytes of the answer's body. ``damage_request`` and
    ``damage_answer`` change one byte in the middle of the body. ``delay_s`` holds the answer back.
    ``then`` is called before the server is asked. What is ``lasting`` is never used up.
    """

    method: str = ""
    path: str = ""  # must be a part of the request's path
    query: str = ""  # must be a part of the request's query
    lasting: bool = False
    then: Callable[[], None] | None = None
    status: int = 0
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    reset: bool = False
    cut_request: int | None = None
    lose_answer: bool = False
    cut_answer: int | None = None
    damage_request: bool = False
    damage_answer: bool = False
    delay_s: float = 0.0

    def fits(self, method: str, path: str) -> bool:
        asked = urlsplit(path)
        ours = self.path in asked.path and self.query in asked.query
        return ours and self.method in {"", method}


class FaultProxy:
    """A proxy on a loopback port: give it faults, and read what was asked."""

    def __init__(self, server: str) -> None:
        self.server = urlsplit(server).netloc
        self.requests: list[tuple[str, str]] = []
        self.hit = 0  # requests that a fault has met
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._port = 0
        self._closing = threading.Event()
        self._listener: _Listener | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def fail(self, *faults: Fault, times: int = 1) -> None:
        """Let the next requests that fit fail: the faults in turn, ``times`` over."""
        with self._lock:
            self._faults.extend(faults * times)

    def clear(self) -> None:
        """Forget the faults and what was asked."""
        with self._lock:
            self._faults.clear()
            self.requests.clear()
            self.hit = 0

    def methods(self) -> list[str]:
        return [method for method, _ in self.requests]

    def up(self) -> None:
        """Accept connections, always on the same port."""
        self._closing.clear()
        self._listener = _Listener(("127.0.0.1", self._port), _Handler)
        self._listener.proxy = self
        self._port = int(self._listener.server_address[1])
        threading.Thread(target=self._listener.serve_forever, args=(0.01,), daemon=True).start()

    def down(self) -> None:
        """Refuse connections."""
        if self._listener is not None:
            self._closing.set()
            self._listener.shutdown()
            self._listener.server_close()
            self._listener = None

    def take(self, method: str, path: str) -> Fault:
        """The fault for a request that came."""
        with self._lock:
            self.requests.append((method, path))
            fault = next((one for one in self._faults if one.fits(method, path)), None)
            if fault is None:
                return Fault()
            if not fault.lasting:
                self._faults.remove(fault)
            self.hit += 1
            return fault

    def wait(self, seconds: float) -> None:
        self._closing.wait(seconds)


@contextlib.contextmanager
def proxying(server: str) -> Iterator[FaultProxy]:
    """A proxy in front of ``server`` for the block's time."""
    proxy = FaultProxy(server)
    proxy.up()
    try:
        yield proxy
    finally:
        proxy.down()


class _Listener(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = True
    proxy: FaultProxy

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients that give up are what this is for."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Listener

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _serve(self) -> None:
        self.close_connection = True  # one request a connection: no fault hits a second one
        fault = self.server.proxy.take(self.command, self.path)
        body = self._body()
        if fault.then is not None:
            fault.then()
        if fault.reset:
            return self._reset()
        if fault.status:
            return self._answer(fault.status, fault.headers, fault.body, None)
        status, headers, answer = self._pass_on(_damaged(body, fault.damage_request), fault)
        self.server.proxy.wait(fault.delay_s)
        if fault.lose_answer or not status:
            return self._reset()
        return self._answer(status, headers, _damaged(answer, fault.damage_answer), fault)

    def _body(self) -> bytes:
        """What the client sends. An empty file comes in chunks: requests knows no length of it."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        del self.headers["Transfer-Encoding"]
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()  # nobody sends trailers
        self.headers["Content-Length"] = str(len(body))
        return body

    do_GET = do_PUT = do_POST = do_PATCH = do_HEAD = do_DELETE = _serve  # noqa: N815

    def _pass_on(self, body: bytes, fault: Fault) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(self.server.proxy.server)
        try:
            connection.putrequest(
                self.command, self.path, skip_host=True, skip_accept_encoding=True
            )
            for name, value in self.headers.items():
                connection.putheader(name, value)
            connection.endheaders()
            connection.send(body[: fault.cut_request])
            if fault.cut_request is not None:
                return 0, {}, b""
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()
        finally:
            connection.close()

    def _answer(
        self, status: int, headers: Mapping[str, str], body: bytes, fault: Fault | None
    ) -> None:
        self.send_response_only(status)
        ours = {"transfer-encoding", "connection"}
        if self.command != "HEAD":
            ours.add("content-length")
            self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            if name.lower() not in ours:
                self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: fault.cut_answer] if fault else body)

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def _damaged(body: bytes, wanted: bool) -> bytes:
    if not (wanted and body):
        return body
    middle = len(body) // 2
    return body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]
