"""Candidates to scores: cosines, what their mentions settle on, and the ranks in each image."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from openmofi.entities.kernels_hash import fixed
from openmofi.errors import ShardError
from openmofi.labeling.kernels_scores import (
    Pairs,
    cosines_of_pairs,
    distinct_pairs,
    rank_pairs,
    spread_over_pairs,
)
from openmofi.labeling.settle import settle
from openmofi.labeling.texts import EntityTexts
from openmofi.records import ENTITY_SCORES, checked

Ints = npt.NDArray[np.int64]


def score_candidates(
    mentions: pa.Table,
    vectors: npt.NDArray[np.float32],
    position: Ints,
    entities: EntityTexts,
    *,
    image_weight: float,
) -> tuple[pa.Table, dict[str, int]]:
    """Score the candidates of every mention of a sample that has a vector.

    Args:
        mentions: With the columns row, mention, entity_id, context_score and rank of
            `openmofi.records.MENTIONS`; more are not read. Fastest sorted by row and mention.
        vectors: Unit vectors of images ``[ok rows, dim]``.
        position: ``[samples]`` each sample's row of ``vectors``, or -1.
        entities: Unit vectors of the entities' texts.
        image_weight: Of a cosine, see `openmofi.labeling.settle.settle`.

    Returns:
        The table ``entity_scores``, and its totals: candidates (pairs of sample and entity),
        mentions, and mentions in which the image overruled the text.

    Raises:
        ShardError: A mention names a row that is no sample, or an entity without a text.
    """
    mentions, rows = _usable(mentions, position)
    found = entities.rows(mentions.column("entity_id").combine_chunks())
    if len(found) and found.min() < 0:
        unknown = mentions.column("entity_id")[int(found.argmin())].as_py()
        raise ShardError(f"mentions name entity '{unknown}', whose text was not embedded")
    pairs = distinct_pairs(rows, found)
    cosines = pair_cosines(vectors, position[pairs.rows], entities.vectors, pairs.entities)
    ranks = _integers(mentions, "rank")
    settled = settle(
        _numbers(rows, mentions),
        mentions.column("context_score").to_numpy(),
        cosines[pairs.places],
        ranks,
        found,
        image_weight,
    )
    posteriors, best = spread_over_pairs(pairs.places, *settled, len(cosines))
    totals = {
        "candidates": len(cosines),
        "mentions": int(settled.best.sum()),
        "overruled": int((settled.best & (ranks > 0)).sum()),
    }
    return _ranked(pairs, entities.ids, cosines, posteriors, best), totals


def pair_cosines(
    images: npt.NDArray[np.float32],
    image_rows: Ints,
    texts: npt.NDArray[np.float16],
    text_rows: Ints,
) -> npt.NDArray[np.float32]:
    """Cosines of pairs.

    Args:
        images: Unit vectors ``[I, dim]``.
        image_rows: ``[pairs]``; those of one image should stand together.
        texts: Unit vectors ``[E, dim]``, may be memory mapped.
        text_rows: ``[pairs]``.

    Returns:
        ``float32[pairs]``, within -1 and 1.

    Raises:
        ShardError: The vectors differ in width.
        IndexError: A row is not there.
    """
    if not len(image_rows):
        return np.zeros(0, np.float32)
    if images.shape[1] != texts.shape[1]:
        raise ShardError(
            f"images have vectors of {images.shape[1]} numbers, entity texts of {texts.shape[1]}"
        )
    if image_rows.max() >= len(images) or text_rows.max() >= len(texts):
        raise IndexError("a pair names a row that is not there")  # compiled code would read on
    bits = np.asarray(texts).view(np.uint16)
    return cosines_of_pairs(fixed(images), image_rows, fixed(bits), text_rows)


def _usable(mentions: pa.Table, position: Ints) -> tuple[pa.Table, Ints]:
    """The mentions of samples with a vector, by row and mention, and their rows."""
    columns = ["row", "mention", "entity_id", "context_score", "rank"]
    mentions = mentions.select(columns)
    rows, numbers = _integers(mentions, "row"), _integers(mentions, "mention")
    if len(rows) and rows.max() >= len(position):
        raise ShardError(f"mentions name row {rows.max()} of {len(position)} samples")
    usable = position[rows] >= 0
    steps = np.diff(rows)
    if ((steps < 0) | ((steps == 0) & (np.diff(numbers) < 0))).any():
        order = np.lexsort((numbers, rows))
        order = order[usable[order]]
        return mentions.take(pa.array(order)), rows[order]
    if usable.all():
        return mentions, rows
    return mentions.filter(pa.array(usable)), rows[usable]


def _numbers(rows: Ints, mentions: pa.Table) -> Ints:
    """A number for each mention that no other sample's mention has."""
    numbers = _integers(mentions, "mention")
    numbers += rows * (int(numbers.max(initial=0)) + 1)
    return numbers


def _integers(table: pa.Table, column: str) -> Ints:
    return np.array(table.column(column), np.int64)


def _ranked(
    pairs: Pairs,
    ids: pa.Array,
    cosines: npt.NDArray[np.float32],
    posteriors: npt.NDArray[np.float32],
    settled: npt.NDArray[np.bool_],
) -> pa.Table:
    """The table ``entity_scores``, by row and rank."""
    order, ranks = rank_pairs(pairs.rows, cosines, settled)
    columns = {
        "row": pairs.rows,  # pairs are put in order within their rows
        "entity_id": ids.take(pa.array(pairs.entities[order])),
        "clip_score": cosines[order],
        "rank": ranks,
        "posterior": posteriors[order],
        "settled": settled[order],
    }
    return checked(pa.table(columns), ENTITY_SCORES)
