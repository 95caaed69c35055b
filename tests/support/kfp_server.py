"""An HTTP server that speaks Kubeflow Pipelines' v2beta1 API, with faults by script."""

import contextlib
import email.parser
import email.policy
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from support.kfp_calls import ROUTES, Calls, Fault, KfpServer
from support.kfp_models import RefusalError

_HELD_S = 5.0


class _Handler(BaseHTTPRequestHandler):
    kfp: KfpServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: Any) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def do_DELETE(self) -> None:
        self._serve("DELETE")

    def _serve(self, method: str) -> None:
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        request = f"{method} {parts.path}"
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        kfp = self.kfp
        with kfp.lock:
            kfp.requests.append(request)
            kfp.tokens.append(token)
            fault = self._fault(request)
            if fault and isinstance(fault.kind, int):
                return self._answer(fault.kind, fault.body.encode(), fault.headers)
            if fault and fault.kind == "held":
                answer = (200, b"")
            else:
                answer = self._done(request, dict(parse_qsl(parts.query)), data, token)
        if fault:
            return self._spoil(str(fault.kind), *answer)
        return self._answer(*answer)

    def _fault(self, request: str) -> Fault | None:
        for fault in self.kfp.faults:
            if fault.times and re.search(fault.request, request):
                if fault.skip:
                    fault.skip -= 1
                    continue
                fault.times -= 1
                return fault
        return None

    def _done(
        self, request: str, query: dict[str, str], data: bytes, token: str
    ) -> tuple[int, bytes]:
        kfp, calls = self.kfp, Calls(self.kfp, token)
        log = re.fullmatch(r"GET /apis/v1alpha1/runs/([^/]+)/nodes/([^/]+)/log", request)
        if log:
            missing = json.dumps({"error_message": f"pod {log[2]} not found", "error_details": ""})
            return 200, kfp.logs.get((log[1], log[2]), missing).encode()
        try:
            for pattern, call in ROUTES:
                match = re.fullmatch(pattern.replace(" ", " /apis/v2beta1/", 1), request)
                if match:
                    answer = call(calls, query, self._body(data), match.groups())
                    kfp.after_write(request) if not request.startswith("GET") else None
                    on = [s for s in kfp.all("recurringruns") if s["status"] == "ENABLED"]
                    kfp.enabled_at_once = max(kfp.enabled_at_once, len(on))
                    return 200, json.dumps(answer).encode()
            raise RefusalError(404, f"no such call: {request}")
        except RefusalError as refusal:
            return refusal.status, json.dumps({"code": 3, "message": str(refusal)}).encode()

    def _body(self, data: bytes) -> Any:
        kind = self.headers.get("Content-Type") or ""
        if not kind.startswith("multipart/"):
            return json.loads(data) if data else {}
        head = f"Content-Type: {kind}\r\n\r\n".encode()
        message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + data)
        return next(iter(message.iter_parts())).get_payload(decode=True).decode()

    def _spoil(self, kind: str, status: int, body: bytes) -> None:
        self.close_connection = kind != "garbage"
        if kind in ("held", "late"):
            self.kfp.released.wait(_HELD_S)
        elif kind == "cut":
            self._answer(status, body[: len(body) // 2], {}, length=len(body))
        elif kind == "garbage":
            self._answer(200, b"<html>Log in</html>")

    def _answer(
        self, status: int, body: bytes, headers: dict[str, str] | None = None, length: int = -1
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length < 0 else length))
        self.end_headers()
        self.wfile.write(body)


class _Quiet(ThreadingHTTPServer):
    def handle_error(self, *_: Any) -> None:
        """A client that went away is what some tests are about."""


@contextlib.contextmanager
def serving_kfp(users: dict[str, set[str]] | None = None) -> Iterator[KfpServer]:
    """A server for as long as the context is open."""
    kfp = KfpServer(users)
    handler = type("Handler", (_Handler,), {"kfp": kfp})
    server = _Quiet(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    kfp.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield kfp
    finally:
        kfp.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
