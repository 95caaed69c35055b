"""What Kubeflow Pipelines' v2beta1 API does, in memory.

Every body is held against the models of `kfp_server_api`: an unknown key, a wrong type or an enum's
unknown value is a 400, as the real server's protocol buffers would have it. Behaviour follows
kfp's API server of 2.17: unique version names, duplicate schedules allowed, runs deleted with
their schedule unless orphaned, namespaces by account.
"""

import json
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import yaml

from support.kfp_models import RefusalError, checked

_START = datetime(2026, 11, 29, tzinfo=UTC)


@dataclass
class Fault:
    """What happens to requests that match.

    Args:
        kind: A status; or ``held`` (no answer, nothing done), ``late`` (done, no answer in time),
            ``lost`` (done, closed), ``cut`` (done, half an answer), ``garbage`` (done, no JSON).
        request: Pattern of ``METHOD /path``.
        times: For how many of them.
        skip: How many pass before.
        headers: Of the answer.
        body: Of the answer, for a status.
    """

    kind: int | str
    request: str = ""
    times: int = 1
    skip: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: str = '{"message": "by script"}'


@dataclass
class KfpServer:
    """State, faults, and what was seen.

    Args:
        users: Namespaces of each token, for a server with several users; None for one without.
    """

    users: dict[str, set[str]] | None = None
    url: str = ""
    stores: dict[str, dict[str, dict[str, Any]]] = field(
        default_factory=lambda: {
            kind: {} for kind in ("pipelines", "versions", "experiments", "runs", "recurringruns")
        }
    )
    logs: dict[tuple[str, str], str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    enabled_at_once: int = 0
    after_write: Callable[[str], None] = lambda request: None
    lock: threading.RLock = field(default_factory=threading.RLock)
    released: threading.Event = field(default_factory=threading.Event)

    def all(self, kind: str) -> list[dict[str, Any]]:
        """What is stored, the oldest first."""
        return list(self.stores[kind].values())

    def writes(self) -> list[str]:
        """Requests that may have changed something."""
        return [request for request in self.requests if not request.startswith("GET")]

    def add(self, kind: str, key: str, item: dict[str, Any]) -> dict[str, Any]:
        """Store with an id of its own and the next second."""
        number = sum(len(store) for store in self.stores.values())
        item[key] = str(uuid.uuid4())
        item["created_at"] = (_START + timedelta(seconds=number)).isoformat()
        self.stores[kind][item[key]] = item
        return item

    def one(self, kind: str, key: str) -> dict[str, Any]:
        """By id, or 404."""
        if key not in self.stores[kind]:
            raise RefusalError(404, f"{kind} {key} not found")
        return self.stores[kind][key]

    def end_run(self, run_id: str, state: str, *tasks: dict[str, Any], message: str = "") -> None:
        """Give a run a state and its steps."""
        run = self.stores["runs"][run_id]
        run["state"] = state
        run["run_details"] = {"task_details": list(tasks)}
        if message:
            run["error"] = {"code": 13, "message": message}


def _matching(items: list[dict[str, Any]], query: dict[str, str], *keys: str) -> dict[str, Any]:
    """A page of a list: filter, parents, order and size."""
    for key in keys:
        if query.get(key):
            items = [item for item in items if item.get(key) == query[key]]
    if query.get("filter"):
        wanted = checked("V2beta1Filter", json.loads(query["filter"]))
        for predicate in wanted["predicates"]:
            values = (
                predicate["string_values"]["values"]
                if predicate["operation"] == "IN"
                else [predicate["string_value"]]
            )
            items = [item for item in items if item.get(predicate["key"], "") in values]
    if query.get("sort_by", "").endswith(" desc"):
        items = items[::-1]
    start, size = int(query.get("page_token") or 0), int(query.get("page_size") or 20)
    token = str(start + size) if start + size < len(items) else ""
    return {"items": items[start : start + size], "token": token}


class Calls:
    """What the API does."""

    def __init__(self, server: KfpServer, token: str) -> None:
        self.server, self.token = server, token

    def may(self, namespace: str | None) -> None:
        users = self.server.users
        if users is None:
            if namespace:
                raise RefusalError(400, "In single-user mode there are no namespaces")
            return
        if self.token not in users:
            raise RefusalError(401, "Request header error: there is no user identity header")
        if not namespace:
            raise RefusalError(400, "Namespace is empty")
        if namespace not in users[self.token]:
            raise RefusalError(403, f"User is not authorized in namespace {namespace}")

    def listed(self, kind: str, name: str, query: dict[str, str], *keys: str) -> dict[str, Any]:
        namespace = query.get("namespace")
        if not namespace and query.get("experiment_id"):
            namespace = self.experiment_namespace(query["experiment_id"])
        self.may(namespace)
        page = _matching(self.server.all(kind), query, *keys)
        return {name: page["items"], "next_page_token": page["token"]}

    def experiment_namespace(self, experiment_id: str) -> str:
        return str(self.server.one("experiments", experiment_id).get("namespace") or "")

    def create_pipeline(self, body: dict[str, Any]) -> dict[str, Any]:
        checked("V2beta1Pipeline", body)
        self.may(body.get("namespace"))
        if any(p["name"] == body["name"] for p in self.server.all("pipelines")):
            raise RefusalError(409, "The name already exists")
        return self.server.add("pipelines", "pipeline_id", body)

    def create_experiment(self, body: dict[str, Any]) -> dict[str, Any]:
        checked("V2beta1Experiment", body)
        self.may(body.get("namespace"))
        known = self.server.all("experiments")
        if any(e["display_name"] == body["display_name"] for e in known):
            raise RefusalError(409, "The name already exists")
        return self.server.add("experiments", "experiment_id", body)

    def upload(self, query: dict[str, str], text: str) -> dict[str, Any]:
        pipeline = self.server.one("pipelines", query["pipelineid"])
        self.may(pipeline.get("namespace"))
        siblings = [
            v["name"]
            for v in self.server.all("versions")
            if v["pipeline_id"] == query["pipelineid"]
        ]
        if query["name"] in siblings:
            raise RefusalError(409, "Failed to create a pipeline version")
        documents = list(yaml.safe_load_all(text))
        item = {"pipeline_id": query["pipelineid"], "name": query["name"]}
        item |= {"display_name": query["display_name"], "pipeline_spec": documents[0]}
        return self.server.add("versions", "pipeline_version_id", item)

    def create_run(self, body: dict[str, Any]) -> dict[str, Any]:
        checked("V2beta1Run", body)
        self.may(self.experiment_namespace(body["experiment_id"]))
        self.of_version(body)
        namespace = self.experiment_namespace(body["experiment_id"])
        body |= {"state": "PENDING", "storage_state": "AVAILABLE"}
        made = self.server.add("runs", "run_id", body)
        self.server.logs.setdefault((made["run_id"], "namespace"), namespace)
        return made

    def of_version(self, body: dict[str, Any]) -> None:
        reference = body["pipeline_version_reference"]
        version = self.server.one("versions", reference["pipeline_version_id"])
        spec = version["pipeline_spec"]["root"]["inputDefinitions"]["parameters"]
        given = body["runtime_config"]["parameters"]
        if unknown := set(given) - set(spec):
            raise RefusalError(400, f"unknown parameters {sorted(unknown)}")
        needed = {key for key, item in spec.items() if not item.get("isOptional")}
        if missing := needed - set(given):
            raise RefusalError(400, f"missing parameters {sorted(missing)}")

    def create_schedule(self, body: dict[str, Any]) -> dict[str, Any]:
        checked("V2beta1RecurringRun", body)
        self.may(body.get("namespace"))
        self.server.one("experiments", body["experiment_id"])
        self.of_version(body)
        if not 1 <= int(body["max_concurrency"]) <= 10:
            raise RefusalError(400, "max_concurrency must be in [1, 10]")
        cron = (body["trigger"].get("cron_schedule") or {}).get("cron", "0 0 0 * * *")
        if len(cron.split()) != 6:
            raise RefusalError(400, f"Expected 6 fields, found {cron!r}")
        body["status"] = "ENABLED" if body["mode"] == "ENABLE" else "DISABLED"
        return self.server.add("recurringruns", "recurring_run_id", body)

    def act_on_run(self, run_id: str, verb: str) -> dict[str, Any]:
        run = self.run(run_id)
        if verb == "retry" and run["state"] not in ("FAILED", "CANCELED"):
            raise RefusalError(500, "Workflow must be Failed/Error to retry")
        run["state"] = {"retry": "RUNNING", "terminate": "CANCELED"}[verb]
        return {}

    def run(self, run_id: str) -> dict[str, Any]:
        run = self.server.one("runs", run_id)
        self.may(self.experiment_namespace(run["experiment_id"]))
        return run

    def act_on_schedule(self, schedule_id: str, verb: str) -> dict[str, Any]:
        schedule = self.server.one("recurringruns", schedule_id)
        self.may(schedule.get("namespace"))
        schedule["status"] = {"enable": "ENABLED", "disable": "DISABLED"}[verb]
        return {}

    def delete_schedule(self, schedule_id: str, query: dict[str, str]) -> dict[str, Any]:
        self.may(self.server.one("recurringruns", schedule_id).get("namespace"))
        del self.server.stores["recurringruns"][schedule_id]
        if query.get("propagation_policy") != "ORPHAN":
            for run in self.server.all("runs"):
                if run.get("recurring_run_id") == schedule_id:
                    del self.server.stores["runs"][run["run_id"]]
        return {}


Route = Callable[[Calls, dict[str, str], Any, tuple[str, ...]], Any]
ROUTES: list[tuple[str, Route]] = [
    (r"GET healthz", lambda c, q, b, m: {"multi_user": c.server.users is not None}),
    (r"POST pipelines", lambda c, q, b, m: c.create_pipeline(b)),
    (r"POST pipelines/upload_version", lambda c, q, b, m: c.upload(q, b)),
    (r"POST experiments", lambda c, q, b, m: c.create_experiment(b)),
    (r"POST runs", lambda c, q, b, m: c.create_run(b)),
    (r"POST recurringruns", lambda c, q, b, m: c.create_schedule(b)),
    (r"GET experiments", lambda c, q, b, m: c.listed("experiments", "experiments", q, "namespace")),
    (r"GET runs", lambda c, q, b, m: c.listed("runs", "runs", q, "experiment_id")),
    (r"GET runs/([^/:]+)", lambda c, q, b, m: c.run(m[0])),
    (r"POST runs/([^/:]+):(retry|terminate)", lambda c, q, b, m: c.act_on_run(m[0], m[1])),
    (
        r"GET recurringruns",
        lambda c, q, b, m: c.listed(
            "recurringruns", "recurringRuns", q, "experiment_id", "namespace"
        ),
    ),
    (
        r"POST recurringruns/([^/:]+):(enable|disable)",
        lambda c, q, b, m: c.act_on_schedule(m[0], m[1]),
    ),
    (r"DELETE recurringruns/([^/:]+)", lambda c, q, b, m: c.delete_schedule(m[0], q)),
    (
        r"GET pipelines/([^/]+)/versions/([^/]+)",
        lambda c, q, b, m: c.server.one("versions", m[1]),
    ),
]


def _by_name(calls: Calls, query: dict[str, str], body: Any, match: tuple[str, ...]) -> Any:
    calls.may(query.get("namespace"))
    for pipeline in calls.server.all("pipelines"):
        if pipeline["name"] == match[0]:
            return pipeline
    raise RefusalError(404, f"pipeline {match[0]} not found")


def _versions(calls: Calls, query: dict[str, str], body: Any, match: tuple[str, ...]) -> Any:
    pipeline = calls.server.one("pipelines", match[0])
    calls.may(pipeline.get("namespace"))
    items = [v for v in calls.server.all("versions") if v["pipeline_id"] == match[0]]
    page = _matching(items, query)
    return {"pipeline_versions": page["items"], "next_page_token": page["token"]}


ROUTES.append((r"GET pipelines/names/([^/]+)", _by_name))
ROUTES.append((r"GET pipelines/([^/]+)/versions", _versions))
