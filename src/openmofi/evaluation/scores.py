"""What a model scored on every query, kept in the store by (model, data, protocol)."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from openmofi.evaluation.retrieval import IntArray
from openmofi.keys import recipe_key
from openmofi.records import from_parquet, to_parquet
from openmofi.storage import Store

SUITE_VERSION = 2  # raised by hand when a score of the same vectors changes

_FACTS = b"openmofi.facts"  # in the file's metadata


@dataclass(frozen=True)
class Scores:
    """What one model did on every query.

    Attributes:
        columns: Name to [N] numbers, see `openmofi.evaluation.metrics`; NaN where an image is no
            query of that suite.
        predicted: [N] class it named; None if it reads no text or nobody asked.
        predicted_attacked: The same on the attacked pictures.
        facts: Numbers that are no means over queries, such as the penalty that a probe chose.
        groups: [N] what a bootstrap draws at once, see `openmofi.evaluation.bootstrap`; None:
            every query is its own.
    """

    columns: dict[str, npt.NDArray[np.float64]]
    predicted: IntArray | None = None
    predicted_attacked: IntArray | None = None
    facts: Mapping[str, float] = field(default_factory=dict)
    groups: IntArray | None = None


def merged(parts: Iterable[Scores]) -> Scores:
    """The scores of several suites as one; of predictions, the first."""
    columns: dict[str, npt.NDArray[np.float64]] = {}
    facts: dict[str, float] = {}
    predicted, attacked = None, None
    for part in parts:
        columns |= part.columns
        facts |= part.facts
        predicted = part.predicted if predicted is None else predicted
        attacked = part.predicted_attacked if attacked is None else attacked
    return Scores(columns, predicted, attacked, facts)


def read_scores(store: Store, model: str, data: str, protocol: str) -> Scores | None:
    """What a model scored on a set by a protocol (all by digest); None if it was never run."""
    key = _key(model, data, protocol)
    if not store.exists(key):
        return None
    table = from_parquet(store.get(key))
    arrays = {name: table.column(name).to_numpy() for name in table.column_names}
    predicted = arrays.pop("predicted", None)
    attacked = arrays.pop("predicted_attacked", None)
    groups = arrays.pop("groups", None)
    facts = json.loads((table.schema.metadata or {}).get(_FACTS, b"{}"))
    return Scores(arrays, predicted, attacked, facts, groups)


def write_scores(store: Store, model: str, data: str, protocol: str, scores: Scores) -> None:
    """Keep what a model scored, for `read_scores`."""
    arrays = dict[str, Any](scores.columns)
    for name in ("predicted", "predicted_attacked", "groups"):
        if getattr(scores, name) is not None:
            arrays[name] = getattr(scores, name)
    facts = json.dumps(dict(scores.facts), sort_keys=True).encode()
    table = pa.table(arrays).replace_schema_metadata({_FACTS: facts})
    store.put(_key(model, data, protocol), to_parquet(table))


def _key(model: str, data: str, protocol: str) -> str:
    digests = {"model": model, "data": data, "protocol": protocol}
    return f"evaluation/scores/{recipe_key('scores', SUITE_VERSION, {}, digests, [])}.parquet"
