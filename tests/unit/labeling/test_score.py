import json
from pathlib import Path

import numpy as np
import pytest

from openmofi.cli import main
from openmofi.entities.build import build_knowledge_base
from openmofi.errors import InputError
from openmofi.images import decode_image
from openmofi.labeling.embed import embed_images
from openmofi.labeling.score import STAGE_VERSION, ScoreStage, label_images
from openmofi.labeling.text_parts import text_keys, write_part
from openmofi.labeling.texts import write_entity_texts
from openmofi.models.encoder import load_encoder
from openmofi.models.folder import load_model
from openmofi.models.importing import import_model
from openmofi.stage import run_stage
from openmofi.versions import read_manifest, read_table_version
from openmofi.work import align
from support.labeling import read_tables, remove_tars, write_csv
from support.models import write_model
from support.tables import Candidate, Pair, noise_jpeg, write_pool

ENTITIES = [
    ("E1", "crane", "a large wading bird"),
    ("E2", "crane", "lifts heavy objects"),
    ("E3", "cat", ""),
    ("E4", "unmentioned", "occurs nowhere"),
]
TEXTS = {"E1": "crane, a large wading bird", "E2": "crane, lifts heavy objects", "E3": "cat"}


def mention(*entity_ids):
    return [Candidate(one, 0.0) for one in entity_ids]


PAIRS = [
    Pair(noise_jpeg(0), "a crane and a crane", [mention("E1", "E2"), mention("E2", "E1")]),
    Pair(noise_jpeg(1), "nothing known"),
    Pair(b"no image", "a cat", [mention("E3")], status="corrupt_image"),
    Pair(noise_jpeg(2), "a cat", [mention("E3")]),
]


class Laid:
    """A root with everything that `label_images` reads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        csv = write_csv(folder / "kb.csv", ENTITIES)
        self.root = str(folder / "root")
        self.kb = build_knowledge_base(self.root, csv=csv)
        digest = read_manifest(self.kb, "knowledge_base").digest
        pool = write_pool(Path(self.root), {"a": PAIRS}, knowledge_base=digest)
        self.samples, self.mentions = pool.samples[0], pool.mentions[0]
        self.model = import_model(self.root, source=str(write_model(folder / "model")))
        self.embeddings = embed_images(self.samples, self.model)

    def label(self, **changes) -> str:
        config = changes.pop("config", None)
        inputs = {
            "image_embeddings": self.embeddings,
            "mentions": self.mentions,
            "knowledge_base": self.kb,
            "model": self.model,
        }
        return label_images(**{**inputs, **changes}, config=config)


@pytest.fixture
def laid(tmp_path):
    return Laid(tmp_path)


def test_every_candidate_has_the_cosine_of_its_text_and_the_image(laid):
    version, table = read_tables(laid.label(), "entity_scores")
    encoder = load_encoder(laid.model)
    images = encoder.encode_images([decode_image(noise_jpeg(n)) for n in (0, 2)])
    texts = dict(zip(TEXTS, encoder.encode_texts(list(TEXTS.values())), strict=True))
    found = {(r["row"], r["entity_id"]): r["clip_score"] for r in table.to_pylist()}
    expected = {
        (0, "E1"): images[0] @ texts["E1"],
        (0, "E2"): images[0] @ texts["E2"],
        (3, "E3"): images[1] @ texts["E3"],
    }
    assert found == pytest.approx(expected, abs=2e-3)
    # The two mentions of the crane have their candidates in opposite orders.
    assert version.totals == {"candidates": 3, "mentions": 3, "overruled": 1}


def test_counts_add_up_to_all_samples(laid):
    version, _ = read_tables(laid.label(), "entity_scores")
    assert version.counts == {"no_candidates": 1, "ok": 2, "skipped": 1}


def test_only_texts_that_occur_are_encoded(laid, capsys):
    laid.label()
    assert "entity_texts: 3 texts, 0 reused, 3 to encode" in capsys.readouterr().err


def test_no_pixels_are_read(laid):
    assert remove_tars(laid.root) == 1
    _, table = read_tables(laid.label(), "entity_scores")
    assert table.num_rows == 3


def test_the_same_work_is_found_done(laid, capsys):
    first = laid.label()
    capsys.readouterr()
    assert laid.label(config={"batch_size": 1}) == first
    said = capsys.readouterr().err
    assert "1 shards, 1 reused, 0 to do" in said
    assert "entity_texts" not in said


def test_another_template_scores_again_and_encodes_only_its_own_texts(laid, capsys):
    first = laid.label()
    capsys.readouterr()
    assert laid.label(config={"template": "{name}"}) != first
    said = capsys.readouterr().err
    assert "0 reused, 1 to do" in said
    # The bare "cat" had stood for the entity without a description.
    assert "entity_texts: 2 texts, 1 reused, 1 to encode" in said


def test_another_knowledge_base_with_the_same_words_encodes_nothing(laid, tmp_path, capsys):
    laid.label()
    csv = write_csv(tmp_path / "other.csv", ENTITIES[:3])
    other = build_knowledge_base(laid.root, csv=csv)
    digest = read_manifest(other, "knowledge_base").digest
    linked = write_pool(Path(laid.root), {"a": PAIRS}, knowledge_base=digest).mentions[0]
    capsys.readouterr()
    laid.label(knowledge_base=other, mentions=linked)
    assert "entity_texts: 3 texts, 3 reused, 0 to encode" in capsys.readouterr().err


def test_a_table_of_another_model_is_refused(laid, tmp_path):
    other = import_model(laid.root, source=str(write_model(tmp_path / "other", seed=2)))
    with pytest.raises(InputError, match="'image_embeddings' was made with model"):
        laid.label(model=other)


def test_mentions_of_another_knowledge_base_are_refused(laid, tmp_path):
    other = build_knowledge_base(laid.root, csv=write_csv(tmp_path / "o.csv", ENTITIES[:2]))
    with pytest.raises(InputError, match="'mentions' was made with knowledge_base"):
        laid.label(knowledge_base=other)


def test_an_entity_that_the_knowledge_base_lacks_is_named(laid):
    digest = read_manifest(laid.kb, "knowledge_base").digest
    pairs = [Pair(noise_jpeg(0), "odd", [mention("E1", "E9")]), *PAIRS[1:]]
    pool = write_pool(Path(laid.root), {"a": pairs}, knowledge_base=digest)
    embeddings = embed_images(pool.samples[0], laid.model)
    with pytest.raises(InputError, match="entity 'E9' of the mentions is not in"):
        laid.label(mentions=pool.mentions[0], image_embeddings=embeddings)


def test_without_any_mention_the_table_is_empty_and_counted(laid):
    digest = read_manifest(laid.kb, "knowledge_base").digest
    pool = write_pool(Path(laid.root), {"a": [Pair(noise_jpeg(5), "x")]}, knowledge_base=digest)
    embeddings = embed_images(pool.samples[0], laid.model)
    uri = laid.label(mentions=pool.mentions[0], image_embeddings=embeddings)
    version, table = read_tables(uri, "entity_scores")
    assert (table.num_rows, version.counts) == (0, {"no_candidates": 1})


def test_the_models_own_weight_is_taken_unless_one_is_given(laid):
    _, own = read_tables(laid.label(), "entity_scores")
    scale = load_model(Path(laid.folder, "model")).logit_scale.exp().item()
    _, given = read_tables(laid.label(config={"image_weight": scale}), "entity_scores")
    np.testing.assert_allclose(own["posterior"], given["posterior"], rtol=1e-6)
    _, none = read_tables(laid.label(config={"image_weight": 0}), "entity_scores")
    assert none["posterior"].to_pylist() == [0.5, 0.5, 1]
    assert own["posterior"].to_pylist() != none["posterior"].to_pylist()


def test_the_command_prints_the_uri(laid, capsys):
    inputs = ["--embeddings", laid.embeddings, "--mentions", laid.mentions, "--kb", laid.kb]
    assert main(["labeling", "score", *inputs, "--model", laid.model]) == 0
    uri = capsys.readouterr().out.strip()
    assert json.loads(Path(uri.removeprefix("file://")).read_text())["kind"] == "entity_scores"
    assert uri == laid.label()


def test_output_on_a_fixed_shard_is_pinned_to_the_stage_version(tmp_path):
    # The text is sure of E1, and the image likes E2 better.
    sure = [Candidate("E1", 0, 0.875), Candidate("E2", 0, 0.0625), Candidate("E3", 0, 0.0625)]
    pairs = [
        Pair(noise_jpeg(0), "0", [sure], embedding=(0.5, 0.5, 0.5, 0.5)),
        Pair(noise_jpeg(1), "1", [mention("E3")], embedding=(0.5, -0.5, 0.5, -0.5)),
    ]
    pool = write_pool(tmp_path / "root", {"a": pairs})
    store, images = read_table_version(pool.image_embeddings[0], "image_embeddings")
    _, linked = read_table_version(pool.mentions[0], "mentions")
    signs = [[1, 1, 1, -1], [1, 1, 1, 1], [-1, -1, 1, 1]]
    keys = text_keys(["E1", "E2", "E3"])
    order = np.argsort(keys)
    write_part(store, "m", keys[order], np.array(signs, np.float16)[order] / 2)
    write_entity_texts(tmp_path, ["E1", "E2", "E3"], store, "m", keys)
    work = align({"image_embeddings": images, "mentions": linked})
    version, table = read_tables(
        run_stage(ScoreStage({}, {}, tmp_path, image_weight=2.0), store, work), "entity_scores"
    )
    assert table.column("clip_score").to_pylist() == [0.5, 1.0, 0.0, 0.0]
    assert table.column("entity_id").to_pylist() == ["E1", "E2", "E3", "E3"]
    assert table.column("settled").to_pylist() == [True, False, False, True]
    assert (STAGE_VERSION, version.shards[0].content_digest) == (
        3,
        "47c6db25a6ec0d6d5b3b545c05f3d330",
    ), "output has changed: raise STAGE_VERSION in labeling/score.py and pin the new digest"
