"""What the stage makes of whole mention tables, against a loop; and whose weight it takes."""

import math
from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from openmofi import records
from openmofi.config import parse_config
from openmofi.errors import InputError
from openmofi.labeling.config import LabelConfig
from openmofi.labeling.embed import embeddings_table, read_embeddings
from openmofi.labeling.score import ScoreStage
from openmofi.labeling.texts import EntityTexts
from openmofi.records import Status

IDS = ["E1", "E2", "E3", "E4", "E5", "É"]


class Shard:
    """What the stage reads of a shard."""

    def __init__(self, **tables):
        self.table = tables.get


def mention(row, number, *candidates, field="alt_text"):
    """Rows of a mention from (entity, context, span) by rank."""
    return [
        {
            "row": row, "field": field, "mention": number, "start": span[0], "end": span[1],
            "surface": "word", "entity_id": entity, "prior": 0.5, "agreement": 0.0,
            "context_score": context, "rank": rank, "reasons": "",
        }
        for rank, (entity, context, span) in enumerate(candidates)
    ]  # fmt: skip


def vectors(generator, count):
    """Unit vectors whose cosines are multiples of a half."""
    return generator.choice(np.array([-0.5, 0.5], np.float16), (count, 4))


def score(folder, mentions, embeddings, texts, weight):
    """The output of the stage."""
    stage = ScoreStage({}, {}, Path(), image_weight=weight)
    stage.entities = EntityTexts(pa.array(IDS), texts)
    table = records.from_rows(mentions, records.MENTIONS)
    return stage.process(Shard(mentions=table, image_embeddings=embeddings))


def by_loop(mentions, embeddings, texts, weight):
    """Cosine, posterior and settled by (row, entity)."""
    images, position = read_embeddings(embeddings)
    groups = defaultdict(list)
    for one in mentions:
        if position[one["row"]] >= 0:
            image = images[position[one["row"]]]
            text = texts[IDS.index(one["entity_id"])]
            cosine = sum(float(a) * float(b) for a, b in zip(image, text, strict=True))
            groups[one["row"], one["mention"]].append((one, cosine))
    found = {}
    for (row, _), candidates in groups.items():
        odds = [math.log(one["context_score"]) + weight * cosine for one, cosine in candidates]
        total = sum(math.exp(value) for value in odds)
        keys = [
            (-value, -cosine, one["rank"], one["entity_id"])
            for value, (one, cosine) in zip(odds, candidates, strict=True)
        ]
        for value, key, (one, cosine) in zip(odds, keys, candidates, strict=True):
            _, posterior, settled = found.get((row, one["entity_id"]), (0, 0.0, False))
            found[row, one["entity_id"]] = (
                cosine,
                max(posterior, math.exp(value) / total),
                settled or key == min(keys),
            )
    return found


def random_mentions(generator, rows):
    """Some rows have none; spans differ within a mention; entities stand in several."""
    mentions = []
    for row in range(rows):
        for number in range(generator.integers(0, 4)):
            entities = generator.permutation(IDS)[: generator.integers(1, 6)]
            candidates = [
                (str(entity), int(generator.integers(1, 5)) / 4, (int(start), 10))
                for entity, start in zip(entities, generator.integers(0, 9, 9), strict=False)
            ]
            mentions += mention(row, number, *candidates)
    return mentions


@pytest.mark.parametrize("weight", [0, 2, 20])
@pytest.mark.parametrize("seed", range(6))
def test_whole_tables_equal_a_loop(tmp_path, seed, weight):
    generator = np.random.default_rng(seed)
    mentions = random_mentions(generator, 20)
    texts, images = vectors(generator, len(IDS)), vectors(generator, 20)
    usable = generator.random(20) < 0.8
    statuses = [Status.OK if one else Status.FAILED for one in usable]
    embeddings = embeddings_table(statuses, images * usable[:, None])
    output = score(tmp_path, mentions, embeddings, texts, weight)
    expected = by_loop(mentions, embeddings, texts, weight)
    rows = output.table.to_pylist()
    assert len(rows) == len(expected)
    for row in rows:
        cosine, posterior, settled = expected[row["row"], row["entity_id"]]
        assert row["clip_score"] == cosine
        assert row["posterior"] == pytest.approx(posterior, rel=1e-6)
        assert row["settled"] == settled
    groups = {(m["row"], m["mention"]) for m in mentions if usable[m["row"]]}
    assert output.totals["mentions"] == len(groups)
    assert sum(output.counts.values()) == 20


BIRD, MACHINE, PERSON = "E1", "E2", "E3"


def of_one_image(folder, *mentions, weight=20.0):
    """Posterior and settled by entity; the image is the bird, half of it the machine."""
    texts = np.full((len(IDS), 4), -0.5, np.float16)
    texts[:3] = np.array([[1, 1, 1, 1], [1, 1, 1, -1], [1, 1, -1, -1]], np.float16) / 2
    embeddings = embeddings_table([Status.OK], np.full((1, 4), 0.5, np.float16))
    output = score(folder, [row for one in mentions for row in one], embeddings, texts, weight)
    found = {row["entity_id"]: row for row in output.table.to_pylist()}
    return {one: (row["posterior"], row["settled"]) for one, row in found.items()}, output


def test_an_entity_of_two_mentions_has_its_best(tmp_path):
    both = [(MACHINE, 0.5, (0, 5)), (BIRD, 0.5, (0, 5))]
    found, _ = of_one_image(tmp_path, mention(0, 0, *both), mention(0, 1, (MACHINE, 0.9, (9, 14))))
    assert found == {BIRD: (pytest.approx(1, abs=1e-4), True), MACHINE: (1, True)}


def test_a_head_is_settled_against_the_longer_name(tmp_path):
    # "crane operator": the person, or the crane alone.
    whole = mention(0, 0, (PERSON, 0.5, (2, 16)), (BIRD, 0.25, (2, 7)), (MACHINE, 0.25, (2, 7)))
    found, output = of_one_image(tmp_path, whole, weight=math.log(4))
    # Odds 0.5, 0.25 · 4 and 0.25 · 2.
    assert found == {
        PERSON: (pytest.approx(0.25), False),
        BIRD: (pytest.approx(0.5), True),
        MACHINE: (pytest.approx(0.25), False),
    }
    assert output.totals == {"candidates": 3, "mentions": 1, "overruled": 1}


def test_mentions_of_one_number_in_two_samples_are_two(tmp_path):
    mentions = [*mention(0, 0, (BIRD, 0.5, (0, 5))), *mention(1, 0, (MACHINE, 0.5, (0, 5)))]
    embeddings = embeddings_table([Status.OK] * 2, np.full((2, 4), 0.5, np.float16))
    output = score(tmp_path, mentions, embeddings, np.full((len(IDS), 4), 0.5, np.float16), 20)
    assert output.table.column("posterior").to_pylist() == [1, 1]
    assert output.table.column("settled").to_pylist() == [True, True]


def test_a_sample_without_embedding_has_no_row(tmp_path):
    embeddings = embeddings_table([Status.FAILED], np.zeros((1, 4), np.float16))
    texts = np.full((len(IDS), 4), 0.5, np.float16)
    output = score(tmp_path, mention(0, 0, (BIRD, 1.0, (0, 5))), embeddings, texts, 20)
    assert (output.table.num_rows, output.counts) == (0, {"skipped": 1})
    assert output.table.schema.equals(records.ENTITY_SCORES)


def test_the_weight_can_change_the_result():
    assert LabelConfig(image_weight=5).semantic() != LabelConfig().semantic()
    assert LabelConfig(image_weight=0).semantic() != LabelConfig().semantic()


@pytest.mark.parametrize("weight", [-1, float("nan"), float("inf"), "much"])
def test_a_weight_that_is_none_is_refused(weight):
    with pytest.raises(InputError, match="label: 'image_weight'"):
        parse_config(LabelConfig, {"image_weight": weight}, where="label")


def test_ids_are_as_arrow_sorts_them():
    assert pa.array(IDS).sort().to_pylist() == sorted(IDS) == IDS
