"""Bodies held against the models of `kfp_server_api`."""

import re
from typing import Any

import kfp_server_api


class RefusalError(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def checked(model: str, data: Any) -> Any:
    """Data, if a model of the API has it.

    Raises:
        RefusalError: 400, with the field.
    """
    if found := re.fullmatch(r"list\[(.*)\]", model):
        if not isinstance(data, list):
            raise RefusalError(400, f"{data!r} is no list")
        return [checked(found[1], item) for item in data]
    if found := re.fullmatch(r"dict\(str, (.*)\)", model):
        return {key: checked(found[1], value) for key, value in data.items()}
    simple = {"str": str, "bool": bool, "int": int, "datetime": str, "object": object}
    if model in simple:
        if not isinstance(data, simple[model]):
            raise RefusalError(400, f"{data!r} is no {model}")
        return data
    kind = getattr(kfp_server_api, model)
    if values := getattr(kind, "allowable_values", None):
        if data not in values:
            raise RefusalError(400, f"{data!r} is none of {values}")
        return data
    names = {json_name: name for name, json_name in kind.attribute_map.items()}
    for key, value in data.items():
        if key not in names:
            raise RefusalError(400, f"unknown field {key!r} in {model}")
        checked(kind.openapi_types[names[key]], value)
    return data
