"""Labels that samples could get, joined by loops; and the bins of scores."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openmofi.dataset.assembly.label_facts import label_facts, no_labels
from openmofi.dataset.assembly.score_bins import SCORE_BINS, bins_of, histogram
from openmofi.errors import ShardError
from openmofi.records import ENTITY_SCORES, MENTIONS, from_rows

ROWS = 4
ENTITIES = ("a", "b", "é", "c")
KEYS = st.tuples(st.integers(0, ROWS - 1), st.sampled_from(ENTITIES))
SCORES = st.dictionaries(KEYS, st.tuples(st.floats(-1, 1, width=32), st.booleans()))
CONTEXTS = st.lists(st.tuples(KEYS, st.floats(0, 1, width=32)), max_size=20)
_MENTION = {"field": "alt_text", "start": 0, "end": 1, "surface": "a", "prior": 0.5, "mention": 0}


def tables(scores: Any, contexts: Any) -> Any:
    mentions = [
        {"row": row, "entity_id": entity, "context_score": context, **_MENTION}
        | {"agreement": 0.0, "rank": 0, "reasons": ""}
        for (row, entity), context in contexts
    ]
    scored = [
        {"row": row, "entity_id": entity, "clip_score": score, "settled": settled}
        | {"rank": 0, "posterior": 0.5}
        for (row, entity), (score, settled) in scores.items()
    ]
    return from_rows(mentions, MENTIONS), from_rows(scored, ENTITY_SCORES)


@settings(max_examples=150, deadline=None)
@given(SCORES, CONTEXTS)
def test_labels_are_joined_as_by_loops(scores: Any, contexts: Any) -> None:
    found = label_facts(ROWS, *tables(scores, contexts))
    labels: list[dict[str, tuple[float, float]]] = [{} for _ in range(ROWS)]
    candidates: list[list[int]] = [[] for _ in range(ROWS)]
    for (row, entity), (score, settled) in scores.items():
        named = [context for key, context in contexts if key == (row, entity)]
        if settled and named:
            labels[row][entity] = (score, max(named))
        counts = histogram(np.array([score], np.float32))
        candidates[row].append(int(np.flatnonzero(counts)[0]))
    columns = (one.to_pylist() for one in (found.entities, found.scores, found.contexts))
    told = [
        {entity: (score, context) for entity, score, context in zip(*lists, strict=True)}
        for lists in zip(*columns, strict=True)
    ]
    assert told == labels
    assert [sorted(one) for one in found.candidates.to_pylist()] == [sorted(c) for c in candidates]


def test_without_links_every_sample_has_empty_lists() -> None:
    for column in no_labels(3):
        assert column.to_pylist() == [[], [], []]


def test_a_row_beyond_the_shard_fails_it() -> None:
    mentions, scores = tables({(3, "a"): (0.5, True)}, [])
    with pytest.raises(ShardError, match="entity_scores name row 3, and samples have 3 rows"):
        label_facts(3, mentions, scores)


def test_bins_are_those_of_the_histogram_at_every_edge() -> None:
    edges = SCORE_BINS.astype(np.float32)
    scores = np.concatenate(
        [edges, np.nextafter(edges, np.float32(2)), np.nextafter(edges, np.float32(-2)), [-7, 7]]
    ).astype(np.float32)
    counted = np.bincount(bins_of(scores), minlength=len(SCORE_BINS) - 1)
    assert counted.tolist() == histogram(scores).tolist()
    assert counted.sum() == len(scores)
