"""The API's generated client, made strict.

Not `kfp.Client`: that one asks the server when it is made, prints, writes to the home folder, and
has no field for MLflow's plug-in.
"""

import json
from typing import Any

from pipelines.cluster.endpoint import Endpoint


class HalfAnswerError(Exception):
    """An answer that is no JSON, or not the JSON that was asked for."""


def make_client(endpoint: Endpoint) -> Any:
    """The client of an endpoint, which reads the token anew for every call. Nothing is sent."""
    import kfp_server_api

    configuration = kfp_server_api.Configuration()
    configuration.host = endpoint.url
    configuration.retries = False  # ours: the client can't know what may be sent twice
    if endpoint.ca_file:
        configuration.ssl_ca_cert = endpoint.ca_file

    def refresh(settings: Any) -> None:
        if token := endpoint.bearer():
            settings.api_key["authorization"] = token

    refresh(configuration)
    configuration.api_key_prefix["authorization"] = "Bearer"
    configuration.refresh_api_key_hook = refresh
    return _strict_client()(configuration)


def _strict_client() -> Any:
    import kfp_server_api

    class Strict(kfp_server_api.ApiClient):  # type: ignore[misc]
        """The generated client takes an answer that is no JSON for an empty object."""

        def request(self, *arguments: Any, **options: Any) -> Any:
            try:
                answer = super().request(*arguments, **options)
            except kfp_server_api.ApiException as error:
                # It decodes this next, whatever it is: nothing, or another encoding.
                error.body = (error.body or b"").decode("utf-8", errors="replace").encode()
                raise
            if options.get("_preload_content", True):
                answer.data = answer.data.decode("utf-8", errors="replace").encode()
            return answer

        def deserialize(self, response: Any, response_type: Any) -> Any:
            try:
                found = json.loads(response.data)
                if not isinstance(found, dict):
                    raise HalfAnswerError("no object")
                return super().deserialize(response, response_type)
            except (ValueError, TypeError, AttributeError, KeyError):
                raise HalfAnswerError("no JSON of this call") from None

    return Strict
