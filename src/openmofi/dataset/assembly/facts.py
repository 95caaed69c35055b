"""What is known of every sample by its own rows alone: one narrow table a shard.

Scores and flags, and no decision that a threshold of assembly moves: another one reads the table
again and makes nothing anew. Only the text rule's answer is in it, and what depends on it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from openmofi.dataset.assembly.held_out import HeldOut
from openmofi.dataset.assembly.image_rules import ImageRules
from openmofi.dataset.assembly.label_facts import label_facts, no_labels
from openmofi.dataset.assembly.text_policies import TextFacts, no_text, text_facts
from openmofi.errors import ShardError
from openmofi.records import checked
from openmofi.textregions.rule import TextRule
from openmofi.tombstones import url_hashes

_TEXT = pa.string()

# Row-aligned with ``samples``. Two lists rather than one of structs, which have no content digest.
FACTS = pa.schema(
    [
        pa.field("uid", _TEXT, nullable=False),
        pa.field("image_id", _TEXT),
        pa.field("url_hash", _TEXT),  # see tombstones.url_hash
        pa.field("phash", pa.uint64()),
        pa.field("licence", _TEXT),
        pa.field("no_ai", pa.bool_()),
        pa.field("status", _TEXT, nullable=False),  # of ingest
        pa.field("text", _TEXT),  # the cause for which the text rule would drop it
        pa.field("with_text", pa.bool_(), nullable=False),  # by the text rule, whatever its policy
        pa.field("text_dependent", pa.bool_()),  # with text, and that policy would drop it
        pa.field("large_text", pa.bool_(), nullable=False),
        pa.field("held_out", pa.bool_(), nullable=False),  # an evaluation set holds it too
        pa.field("heads", pa.list_(pa.float32()), nullable=False),  # scores; none: not embedded
        pa.field("entities", pa.list_(_TEXT), nullable=False),  # those settled on
        pa.field("scores", pa.list_(pa.float32()), nullable=False),  # of each, cosines
        pa.field("contexts", pa.list_(pa.float32()), nullable=False),  # of each, by the text
        pa.field("candidates", pa.list_(pa.uint8()), nullable=False),  # by score_bins, of all
        pa.field("masked_score", pa.float32()),  # null unless it has text and a score
    ]
)
_COPIED = ("uid", "image_id", "phash", "licence", "no_ai", "status")


@dataclass(frozen=True, eq=False)
class RowRules:
    """What decides the facts of a sample, beside its rows.

    Args:
        text: The rule; None: pictures with text are not looked for.
        images: What is known by embedding.
        held_out: What evaluation tests on.
    """

    text: TextRule | None = None
    images: ImageRules = field(default_factory=ImageRules)
    held_out: HeldOut = field(default_factory=HeldOut)


def shard_facts(tables: Callable[[str], pa.Table | None], rules: RowRules) -> pa.Table:
    """Zip the tables of one shard.

    Args:
        tables: A shard's part of the table of a kind, or None where it was not given.
        rules: What decides.

    Returns:
        By `FACTS`.

    Raises:
        ShardError: A table does not fit ``samples``.
    """
    samples = tables("samples")
    assert samples is not None, "assembly needs samples"
    rows = samples.num_rows
    columns = {name: samples[name] for name in _COPIED if name in samples.column_names}
    columns.setdefault("no_ai", pa.nulls(rows, pa.bool_()))  # of an older crawl
    columns["url_hash"] = url_hashes(samples["url"].to_pylist())
    columns |= _text_columns(_text(tables, rules, rows))
    near, heads = _of_embedding(_aligned(tables, "image_embeddings", rows), rules.images, rows)
    near |= rules.held_out.flags(samples["image_id"], samples["phash"])
    columns |= {"held_out": pa.array(near), "heads": heads}
    mentions, scores = tables("mentions"), tables("entity_scores")
    labelled = mentions is not None and scores is not None
    found = label_facts(rows, mentions, scores) if labelled else no_labels(rows)
    columns |= found._asdict()
    return checked(pa.table({name: columns[name] for name in FACTS.names}), FACTS)


def _aligned(tables: Callable[[str], pa.Table | None], kind: str, rows: int) -> pa.Table | None:
    table = tables(kind)
    if table is not None and table.num_rows != rows:
        raise ShardError(
            f"{kind} has {table.num_rows} rows and samples {rows}; they were made from different "
            "pools"
        )
    return table


def _text(tables: Callable[[str], pa.Table | None], rules: RowRules, rows: int) -> TextFacts:
    regions = _aligned(tables, "text_regions", rows)
    if rules.text is None or regions is None:
        return no_text(rows)
    return text_facts(regions, _aligned(tables, "masked_scores", rows), rules.text)


def _text_columns(found: TextFacts) -> dict[str, pa.Array]:
    rows = len(found.with_text)
    return {
        "text": pa.array(found.cause, _TEXT),
        "with_text": pa.array(found.with_text),
        "text_dependent": (
            pa.nulls(rows, pa.bool_()) if found.dependent is None else pa.array(found.dependent)
        ),
        "large_text": pa.array(found.large),
        "masked_score": pa.array(found.scores, mask=np.isnan(found.scores)),
    }


def _of_embedding(
    embeddings: pa.Table | None, images: ImageRules, rows: int
) -> tuple[np.ndarray, pa.Array]:
    """Which images are near an evaluation set's, and lists of the heads' scores."""
    if embeddings is None or not images.needed:
        near = np.zeros(rows, np.bool_)
        return near, pa.ListArray.from_arrays(
            pa.array(np.zeros(rows + 1, np.int32)), pa.array([], pa.float32())
        )
    near, scores, embedded = images.known(embeddings)
    starts = np.cumsum([0, *(embedded * scores.shape[1])]).astype(np.int32)
    return near, pa.ListArray.from_arrays(pa.array(starts), pa.array(scores.ravel()))
