"""Causes that a sample's own facts decide, in the order in which they are tried."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import compute

from openmofi.dataset.assembly.image_rules import BoundedHead, refused
from openmofi.dataset.causes import Cause
from openmofi.dataset.config import RightsRule
from openmofi.records import Status
from openmofi.tombstones import Tombstones

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class RowDecisions:
    """What turns facts into causes and labels.

    Args:
        min_score: Cosine from which a label counts.
        min_context: Likelihood by the text from which it does.
        require_entities: Whether a sample without a label goes.
        rights: What may be used.
        heads: With their bounds, in the order of the facts' scores.
        tombstones: What was taken down.
    """

    min_score: float
    min_context: float = 0
    require_entities: bool = True
    rights: RightsRule = field(default_factory=RightsRule)
    heads: Sequence[BoundedHead] = ()
    tombstones: Tombstones = field(default_factory=Tombstones)


def row_causes(
    facts: pa.Table, labelled: Flags, decided: RowDecisions
) -> Iterator[tuple[str, Flags]]:
    """Causes with the samples that they apply to; the first of a sample is its own.

    Args:
        facts: Of one shard, by `facts.FACTS`.
        labelled: Which samples have a label that counts.
        decided: The decisions.
    """
    for status, where in _values(facts["status"]).items():
        if status != Status.OK:
            yield str(status), where
    if decided.tombstones:
        columns = (facts[name] for name in ("uid", "image_id", "url_hash"))
        yield Cause.TAKEN_DOWN, decided.tombstones.hits(*columns)
    yield Cause.EVALUATION_OVERLAP, np.asarray(facts["held_out"])
    if decided.rights.licences is not None:
        yield Cause.LICENCE, ~_licensed(facts["licence"], decided.rights.licences)
    if decided.rights.drop_no_ai:
        yield Cause.NO_AI, np.asarray(facts["no_ai"].fill_null(False))
    for cause in (Cause.TEXT_FAILED, Cause.TEXT_REGION, Cause.TEXT_DEPENDENT):
        yield cause, np.asarray(compute.equal(facts["text"], str(cause)).fill_null(False))
    if decided.heads:
        heads = facts["heads"].combine_chunks()
        scores = heads.flatten().to_numpy().reshape(-1, len(decided.heads))
        embedded = heads.value_lengths().to_numpy() > 0
        yield Cause.IMAGE_SCORE, refused(decided.heads, scores, embedded)
    if decided.require_entities:
        yield Cause.NO_ENTITY, ~labelled


def _licensed(licences: pa.ChunkedArray, patterns: Sequence[str]) -> Flags:
    """Which licences one of the patterns names, in any case; none is named by "" alone."""
    wanted = [pattern.strip().casefold() for pattern in patterns]
    allowed = np.full(len(licences), False)
    for licence, where in _values(licences).items():
        name = (licence or "").strip().casefold()
        named = any(fnmatchcase(name, one) for one in wanted) if name else "" in wanted
        allowed[where] = named
    return allowed


def _values(column: pa.ChunkedArray) -> Mapping[str | None, Flags]:
    """Where each distinct value of a column of texts stands."""
    encoded = column.combine_chunks().dictionary_encode(null_encoding="encode")
    codes = encoded.indices.to_numpy()
    return {name: codes == code for code, name in enumerate(encoded.dictionary.to_pylist())}
