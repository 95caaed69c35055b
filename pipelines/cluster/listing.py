"""Finding what is in the server's lists: filters, experiments, the namespace."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from openmofi.errors import InputError
from pipelines.cluster.api import Api
from pipelines.cluster.endpoint import pod_namespace
from pipelines.cluster.errors import TakenError, UncertainError

EXPERIMENTS_API = "ExperimentServiceApi"


def exactly(key: str, value: str) -> str:
    """A filter for one field's value, as the API reads it."""
    predicate = {"operation": "EQUALS", "key": key, "string_value": value}
    return json.dumps({"predicates": [predicate]})


def one_of(key: str, values: Sequence[str]) -> str:
    """A filter for a field that has one of several values."""
    predicate = {"operation": "IN", "key": key, "string_values": {"values": list(values)}}
    return json.dumps({"predicates": [predicate]})


def user_namespace(api: Api, given: str) -> str:
    """The namespace to name in calls: of a server with several users; empty on others.

    Args:
        api: The API.
        given: What the user says; else a pod's own is meant.

    Raises:
        InputError: One is needed, or there are none here.
    """
    if api.multi_user():
        namespace = given or pod_namespace()
        if not namespace:
            raise InputError(f"{api.endpoint.url} has several users: name your --namespace")
        return namespace
    if given:
        raise InputError(f"{api.endpoint.url} keeps no users apart: leave out --namespace")
    return ""


def within(namespace: str) -> dict[str, str]:
    """The option that names a namespace to the API, where there is one."""
    return {"namespace": namespace} if namespace else {}


def find_experiment(api: Api, name: str, namespace: str) -> str:
    """An experiment's id, or empty.

    Raises:
        InputError: It is archived: the server starts nothing in it.
    """
    listed = api.pages(
        f"looking for experiment {name}",
        EXPERIMENTS_API,
        "experiment_service_list_experiments",
        "experiments",
        filter=exactly("display_name", name),
        **within(namespace),
    )
    for experiment in listed:
        if experiment.display_name == name:
            if experiment.storage_state == "ARCHIVED":
                raise InputError(f"experiment {name} is archived: restore it, or name another")
            return str(experiment.experiment_id)
    return ""


def make_experiment(api: Api, name: str, namespace: str) -> str:
    """An experiment's id; it is made where it is missing."""
    found = find_experiment(api, name, namespace)
    if found:
        return found
    import kfp_server_api

    wanted = kfp_server_api.V2beta1Experiment(display_name=name, namespace=namespace or None)
    call = "experiment_service_create_experiment"
    what = f"making experiment {name}"
    return made_or_found(
        api,
        what,
        lambda: api.write(what, EXPERIMENTS_API, call, wanted).experiment_id,
        lambda: find_experiment(api, name, namespace),
    )


def made_or_found(api: Api, what: str, make: Callable[[], Any], find: Callable[[], str]) -> str:
    """An id of what is made; where the answer was lost, or others were first, what is there."""
    try:
        made = make()
    except (TakenError, UncertainError):
        made = find()
        if not made:
            raise
    if not made:
        raise UncertainError(f"{what}: {api.endpoint.url} gave no id")
    return str(made)
