"""A security token service for tests: it gives one key to whoever brings a token that it knows."""

import contextlib
import http.server
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

_ANSWER = """\
<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>{key}</AccessKeyId>
<SecretAccessKey>{secret}</SecretAccessKey><SessionToken>session</SessionToken>
<Expiration>{expiration}</Expiration></Credentials></AssumeRoleWithWebIdentityResult>
</AssumeRoleWithWebIdentityResponse>
"""


class StsServer:
    """Set ``lifetime_s`` and ``refused``; read the web identity ``tokens`` that came."""

    def __init__(self, key: str, secret: str) -> None:
        self.lifetime_s = 3600.0
        self.statuses: list[int] = []  # answered in turn, before it is right again
        self.refused: set[str] = set()
        self.tokens: list[str] = []
        self.paths: list[str] = []
        self.endpoint = ""
        self._key, self._secret = key, secret

    def answer(self, path: str, form: dict[str, list[str]]) -> tuple[int, str]:
        token = form.get("WebIdentityToken", [""])[0]
        self.tokens.append(token)
        self.paths.append(path)
        if self.statuses:
            return self.statuses.pop(0), ""
        if token in self.refused or form["Action"] != ["AssumeRoleWithWebIdentity"]:
            return 403, "<Error/>"
        end = datetime.now(UTC) + timedelta(seconds=self.lifetime_s)
        expiration = end.strftime("%Y-%m-%dT%H:%M:%S.000Z")
        return 200, _ANSWER.format(key=self._key, secret=self._secret, expiration=expiration)


@contextlib.contextmanager
def giving(key: str, secret: str) -> Iterator[StsServer]:
    """A service on a loopback port for the block's time."""
    sts = StsServer(key, secret)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            size = int(self.headers.get("Content-Length", 0))
            status, text = sts.answer(self.path, parse_qs(self.rfile.read(size).decode()))
            self.send_response_only(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        sts.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield sts
        server.shutdown()
