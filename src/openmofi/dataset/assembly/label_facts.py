"""Labels that a sample could get: what text and image have settled on, with both scores."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from openmofi.dataset.assembly.score_bins import bins_of
from openmofi.errors import ShardError

Keys = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float32]


class LabelFacts(NamedTuple):
    """Of the samples of one shard, each a list column [rows]."""

    entities: pa.Array
    scores: pa.Array
    contexts: pa.Array
    candidates: pa.Array  # bins of the scores of all candidates, settled on or not


def no_labels(rows: int) -> LabelFacts:
    """Of samples that nothing was linked in."""
    starts = np.zeros(rows + 1, np.int32)
    kinds = (pa.string(), pa.float32(), pa.float32(), pa.uint8())
    return LabelFacts(*(_lists(starts, pa.array([], kind)) for kind in kinds))


def label_facts(rows: int, mentions: pa.Table, scores: pa.Table) -> LabelFacts:
    """Join the long tables of one shard.

    An entity of several mentions is as likely by the text as in the best of them.

    Args:
        rows: Samples in the shard.
        mentions: By `records.MENTIONS`: row, entity_id and context_score are read.
        scores: By `records.ENTITY_SCORES`.

    Raises:
        ShardError: A row number is beyond the shard.
    """
    scores = _by_row(scores, rows, "entity_scores")
    settled = scores.filter(scores["settled"])
    mentioned, named = _keys(mentions, settled)
    names, places = np.unique(mentioned, return_inverse=True)
    contexts = np.full(len(names), -np.inf, np.float32)
    np.maximum.at(contexts, places, mentions["context_score"].to_numpy())
    found = np.isin(named, names)  # what no mention names is no label
    labels = settled.filter(pa.array(found))
    starts = _starts(labels, rows)
    here = contexts[np.searchsorted(names, named[found])]
    return LabelFacts(
        entities=_lists(starts, labels["entity_id"].combine_chunks()),
        scores=_lists(starts, labels["clip_score"].combine_chunks()),
        contexts=_lists(starts, pa.array(here, pa.float32())),
        candidates=_lists(
            _starts(scores, rows), pa.array(bins_of(scores["clip_score"].to_numpy()))
        ),
    )


def _by_row(scores: pa.Table, rows: int, kind: str) -> pa.Table:
    numbers = scores["row"].to_numpy()
    if len(numbers) and not 0 <= numbers.min() <= numbers.max() < rows:
        raise ShardError(f"{kind} name row {numbers.max()}, and samples have {rows} rows")
    return scores.take(pa.array(np.argsort(numbers, kind="stable")))


def _keys(*tables: pa.Table) -> list[Keys]:
    """Of each table a number a row, the same for the same sample and entity."""
    chunks = [chunk for table in tables for chunk in table["entity_id"].chunks]
    names = pa.chunked_array(chunks, pa.string()).combine_chunks().dictionary_encode()
    codes = names.indices.to_numpy().astype(np.int64)
    rows = np.concatenate([table["row"].to_numpy() for table in tables]).astype(np.int64)
    keys = rows * max(len(names.dictionary), 1) + codes
    return np.split(keys, np.cumsum([table.num_rows for table in tables])[:-1])


def _starts(table: pa.Table, rows: int) -> npt.NDArray[np.int32]:
    """Where each sample's entries begin, and where the last one's end."""
    return np.searchsorted(table["row"].to_numpy(), np.arange(rows + 1)).astype(np.int32)


def _lists(starts: npt.NDArray[np.int32], values: pa.Array) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array(starts, pa.int32()), values)
