"""Calls of the Pipelines API (v2beta1): time-outs, retries, errors in one line."""

import json
import time
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from typing import Any

from pipelines.cluster.client import HalfAnswerError, make_client
from pipelines.cluster.endpoint import Endpoint
from pipelines.cluster.errors import ClusterError, NotThereError, TakenError, UncertainError

CONNECT_S, READ_S = 10.0, 60.0
TRIES = 5
_LONGEST_PAUSE_S = 60.0
_PAGE = 100
_MOST_PAGES = 1000
_SHOWN = 300


class Api:
    """The API at an endpoint. Nothing is sent before the first call.

    Args:
        endpoint: Where, and who asks.
        sleep: Waits between tries.
        read_s: How long an answer may take, in seconds.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        sleep: Callable[[float], None] = time.sleep,
        read_s: float = READ_S,
    ) -> None:
        self.endpoint = endpoint
        self.sleep = sleep
        self._timeout = (min(CONNECT_S, read_s), read_s)
        self._client: Any = None

    def service(self, name: str) -> Any:
        """A group of calls, such as ``RunServiceApi``."""
        import kfp_server_api

        if self._client is None:
            self._client = make_client(self.endpoint)
        return getattr(kfp_server_api, name)(self._client)

    def read(self, what: str, service: str, call: str, *arguments: Any, **options: Any) -> Any:
        """Make a call that may be made twice, until it is answered.

        Args:
            what: What it does, for messages: ``reading run 12``.
            service: Such as ``RunServiceApi``.
            call: Such as ``run_service_get_run``.
            *arguments: Its arguments.
            **options: Its options.

        Raises:
            ClusterError: Refused, or still unanswered after the last try.
        """
        return self._call(what, service, call, arguments, options, repeatable=True)

    def write(self, what: str, service: str, call: str, *arguments: Any, **options: Any) -> Any:
        """Make a call that must not be made twice; arguments as in `read`.

        It is tried again only where the server can't have taken it: no connection, or 429.

        Raises:
            UncertainError: The answer was lost. The caller has to look whether it was done.
            ClusterError: Refused.
        """
        return self._call(what, service, call, arguments, options, repeatable=False)

    def pages(
        self, what: str, service: str, call: str, field: str, **options: Any
    ) -> Iterator[Any]:
        """All items of a list, page by page; ``field`` names them in the answer."""
        token, seen = "", set[str]()
        for _ in range(_MOST_PAGES):
            answer = self.read(what, service, call, page_token=token, page_size=_PAGE, **options)
            yield from getattr(answer, field) or []
            token = answer.next_page_token or ""
            if not token:
                return
            if token in seen:
                break
            seen.add(token)
        raise ClusterError(f"{what}: the pages of {self.endpoint.url} do not end")

    def multi_user(self) -> bool:
        """Whether the server keeps its users apart by namespace."""
        answer = self.read(
            "asking for the server's state", "HealthzServiceApi", "healthz_service_get_healthz"
        )
        return bool(answer.multi_user)

    def text(self, what: str, path: str) -> str:
        """The answer to a GET that is no JSON, such as a log.

        Args:
            what: For messages.
            path: Below the endpoint, quoted.
        """
        self.service("HealthzServiceApi")

        def get() -> Any:
            answer = self._client.call_api(
                path,
                "GET",
                auth_settings=["Bearer"],
                _preload_content=False,
                _return_http_data_only=True,
                _request_timeout=self._timeout,
            )
            return answer.data.decode("utf-8", errors="replace")

        return str(self._repeat(what, get, repeatable=True))

    def _call(
        self, what: str, service: str, call: str, arguments: Any, options: Any, *, repeatable: bool
    ) -> Any:
        function = getattr(self.service(service), call)

        def make() -> Any:
            return function(*arguments, **options, _request_timeout=self._timeout)

        return self._repeat(what, make, repeatable=repeatable)

    def _repeat(self, what: str, make: Callable[[], Any], *, repeatable: bool) -> Any:
        import urllib3
        from kfp_server_api.exceptions import ApiException

        for attempt in range(1, TRIES + 1):
            last, pause = attempt == TRIES, min(2.0 ** (attempt - 1), _LONGEST_PAUSE_S)
            try:
                return make()
            except ApiException as error:
                unanswered = error.status == 0 or error.status >= 500
                again = error.status == 429 or (unanswered and repeatable)
                if last or not again:
                    self._refuse(what, error, uncertain=unanswered and not repeatable)
                pause = _asked_pause(error, pause)
            except (urllib3.exceptions.HTTPError, HalfAnswerError, OSError) as error:
                unsent = isinstance(
                    error,
                    urllib3.exceptions.NewConnectionError | urllib3.exceptions.ConnectTimeoutError,
                )
                if last or not (unsent or repeatable):
                    self._unreachable(what, error, uncertain=not (unsent or repeatable))
            self.sleep(pause)
        raise AssertionError("unreachable")

    def _refuse(self, what: str, error: Any, *, uncertain: bool) -> None:
        """Raise what a status means, with the server's own words."""
        if error.status == 0:
            self._unreachable(what, error, uncertain=uncertain)
        said, url = self._words(error), self.endpoint.url
        detail = f": {said}" if said else ""
        if uncertain:
            raise UncertainError(f"{what}: {url} failed ({error.status}){detail}") from None
        if error.status == 401:
            raise ClusterError(
                f"{what}: {url} refuses {self.endpoint.credential()} (401){detail}; give "
                "one of audience pipelines.kubeflow.org that has not expired, in "
                "OPENMOFI_KFP_TOKEN or by KF_PIPELINES_SA_TOKEN_PATH"
            ) from None
        if error.status == 403:
            raise ClusterError(
                f"{what}: {url} does not allow it to {self.endpoint.credential()} (403){detail}; "
                "see --namespace, and the roles there"
            ) from None
        if error.status == 404:
            raise NotThereError(f"{what}: not found at {url} (404){detail}") from None
        if error.status == 409:
            raise TakenError(f"{what}: {url} has one already, or another (409){detail}") from None
        if error.status == 429:
            raise ClusterError(
                f"{what}: {url} asks to come back later (429), after {TRIES} tries{detail}"
            ) from None
        if 300 <= error.status < 400:
            raise ClusterError(
                f"{what}: {url} sends us elsewhere ({error.status}), to log in as a rule: give a "
                "token in OPENMOFI_KFP_TOKEN, or the address of the API itself"
            ) from None
        tries = f", {TRIES} times" if error.status >= 500 else ""
        raise ClusterError(f"{what}: {url} answers {error.status}{tries}{detail}") from None

    def _unreachable(self, what: str, error: BaseException, *, uncertain: bool) -> None:
        url, reason = self.endpoint.url, self._hidden(_reason(error))
        if uncertain:
            raise UncertainError(f"{what}: the answer of {url} was lost ({reason})") from None
        if isinstance(error, HalfAnswerError):
            raise ClusterError(
                f"{what}: {url} answers, but not as a Pipelines API ({reason}): is it the address "
                "of a login page?"
            ) from None
        raise ClusterError(f"{what}: {url} can't be reached ({reason})") from None

    def _words(self, error: Any) -> str:
        body = error.body
        text = body.decode("utf-8", errors="replace") if isinstance(body, bytes) else body or ""
        try:
            found = json.loads(text)
        except ValueError:
            found = {"message": text}
        keys = ("message", "error", "error_message")
        words = next((str(found[k]) for k in keys if found.get(k)), "") if found else ""
        return self._hidden(" ".join(words.split())[:_SHOWN])

    def _hidden(self, text: str) -> str:
        """Without the token, in case a proxy sends back what it was sent."""
        secret = self.endpoint.bearer()
        return text.replace(secret, "…") if secret else text


def _asked_pause(error: Any, otherwise: float) -> float:
    """What ``Retry-After`` asks for, in seconds or as a date, within bounds."""
    value = (error.headers or {}).get("Retry-After", "")
    if value.isdigit():
        return min(float(value), _LONGEST_PAUSE_S)
    try:
        wait = parsedate_to_datetime(value).timestamp() - time.time()
    except ValueError:
        return otherwise
    return max(0.0, min(wait, _LONGEST_PAUSE_S))


def _reason(error: BaseException) -> str:
    text = str(error)
    known = {
        "Name or service not known": "no such host",
        "Temporary failure in name resolution": "no such host",
        "Connection refused": "connection refused",
        "timed out": "no answer in time",
        "CERTIFICATE_VERIFY_FAILED": "its certificate is not trusted; see SSL_CERT_FILE",
        "IncompleteRead": "cut short",
        "Connection aborted": "cut short",
        "closed connection": "cut short",
    }
    for part, words in known.items():
        if part in text:
            return words
    return " ".join(text.split())[:_SHOWN] or type(error).__name__
