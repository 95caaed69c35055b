"""What assembly does with embeddings: heads, evaluation images, near-duplicates in buckets."""

import functools
import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from openmofi.dataset.duplicates import settle as settle_duplicates
from openmofi.dataset.duplicates.embedding_pairs import embedding_pairs
from openmofi.errors import InputError
from openmofi.images import decode_image, perceptual_hash
from openmofi.models.encoder import load_encoder
from openmofi.models.importing import import_model
from openmofi.storage import open_store
from openmofi.versions import read_manifest
from support.assembly import assemble, dropped, embedded, kept, pool_of
from support.heads import write_head
from support.models import write_model
from support.tables import Pair, Pool, labelled, noise_jpeg, without, write_pool


@pytest.fixture
def pool(root: Path) -> Pool:
    pairs = [labelled(seed, ("peru", 0.4)) for seed in range(4)]
    pairs += [Pair(b"broken", status="corrupt_image"), labelled(5)]
    made = pool_of(root, *pairs)
    return embedded(made, {"a": [(0.9, 0), (0.5, 0), (0.1, 0), None, None, (0.1, 0)]})


def test_a_head_drops_what_is_out_of_its_bounds_or_has_no_score(
    pool: Pool, knowledge_base: str, tmp_path: Path
) -> None:
    file = write_head(tmp_path / "h.safetensors", [1.0, 0.0])
    made = assemble(pool, knowledge_base, heads={"risk": {"file": str(file), "max": 0.5}})
    assert dropped(made) == {
        "a/0": "image_score",
        "a/3": "image_score",  # its embedding failed
        "a/4": "corrupt_image",
        "a/5": "no_entity",  # which is asked after the score
    }
    card = made.store.get(made.content["card"]).decode()
    row = card.partition("<b>image_score</b>")[2].partition("</div>")[0]
    assert '<h3 class="step">image scores</h3>' in card
    assert '<span class="lose">-2</span>' in row
    digest = made.content["heads"]["risk"].pop("digest")
    assert made.content["heads"] == {"risk": {"output": "0", "min": None, "max": 0.5}}
    assert len(digest) == 32
    without_labels = assemble(
        pool,
        knowledge_base,
        require_entities=False,
        heads={"risk": {"file": str(file), "max": 0.5}},
    )
    assert dropped(without_labels)["a/3"] == "image_score"
    assert dropped(assemble(pool, knowledge_base)) == {"a/4": "corrupt_image", "a/5": "no_entity"}


def test_a_picture_with_text_counts_as_one_before_its_score_does(
    root: Path, knowledge_base: str, tmp_path: Path
) -> None:
    both = labelled(1, ("peru", 0.4), boxes=[(0.9, 0.05)])
    made = embedded(pool_of(root, both, labelled(2, ("peru", 0.4))), {"a": [(1, 0), (0, 0.5)]})
    file = write_head(tmp_path / "h.safetensors", [1.0, 0.0])
    heads = {"risk": {"file": str(file), "max": 0.5}}
    assert dropped(assemble(made, knowledge_base, heads=heads)) == {"a/0": "text_region"}


def test_a_heads_content_is_in_the_recipe_and_its_place_is_not(
    pool: Pool, knowledge_base: str, tmp_path: Path
) -> None:
    def with_head(file: Path, **rule: Any) -> str:
        heads = {"risk": {"file": str(file), "max": 0.5, **rule}}
        return assemble(pool, knowledge_base, heads=heads).digest

    file = write_head(tmp_path / "h.safetensors", [1.0, 0.0])
    moved = tmp_path / "moved.safetensors"
    moved.write_bytes(file.read_bytes())
    other = write_head(tmp_path / "other.safetensors", [1.0, 0.25])
    assert with_head(moved) == with_head(file)
    assert len({with_head(file), with_head(other), with_head(file, max=0.6)}) == 3


@pytest.mark.parametrize(
    ("rule", "match"),
    [
        ({}, "a head needs min or max"),
        ({"min": 1, "max": 0}, "min 1.0 is above max 0.0"),
        ({"min": 0, "output": 1}, "has no output 1; it has 1: 0"),
        ({"min": 0, "file": "/nowhere"}, "head not found: /nowhere"),
        ({"min": 0, "file": "{other}"}, "was fitted on the model fff"),
        ({"min": 0, "file": "{wide}"}, "embeddings of 3 numbers, and these have 2"),
    ],
)
def test_a_wrong_head_is_one_line(
    pool: Pool, knowledge_base: str, tmp_path: Path, rule: dict[str, Any], match: str
) -> None:
    files = {
        "file": write_head(tmp_path / "h.safetensors", [1.0, 0.0]),
        "other": write_head(tmp_path / "o.safetensors", [1.0, 0.0], encoder="f" * 32),
        "wide": write_head(tmp_path / "w.safetensors", [1.0, 0.0, 0.0]),
    }
    named = rule.get("file", "{file}").format(**files)
    with pytest.raises(InputError, match=match):
        assemble(pool, knowledge_base, heads={"risk": {**rule, "file": named}})


@pytest.mark.parametrize(
    "config",
    [
        {"heads": {"h": {"file": "unread", "min": 0}}},
        {"evaluation_cosine": 0.9},
        {"duplicates": {"embedding_cosine": 0.9}},
    ],
)
def test_embeddings_that_are_needed_and_not_given_are_named(
    pool: Pool, knowledge_base: str, config: dict[str, Any]
) -> None:
    with pytest.raises(InputError, match="no image_embeddings were given"):
        assemble(without(pool, "image_embeddings"), knowledge_base, **config)


def faint(seed: int, quality: int) -> bytes:
    """Nearly one grey: what a codec makes of it decides its perceptual hash."""
    noise = np.random.default_rng(seed).integers(125, 131, (48, 48, 3), dtype=np.uint8)
    sink = io.BytesIO()
    Image.fromarray(noise).save(sink, "JPEG", quality=quality)
    return sink.getvalue()


class Evaluated:
    """A pool embedded by a real model, and an evaluation set with a copy of its second picture."""

    def __init__(self, root: Path, tmp_path: Path) -> None:
        self.folder = tmp_path / "evaluation"
        (self.folder / "grey").mkdir(parents=True)
        copy = faint(1, 20)
        (self.folder / "grey" / "0.jpg").write_bytes(copy)
        (self.folder / "grey" / "1.jpg").write_bytes(b"does not decode")
        pictures = [noise_jpeg(1), faint(1, 95), noise_jpeg(2)]
        hashes = [perceptual_hash(decode_image(one)) for one in (copy, pictures[1])]
        assert (hashes[0] ^ hashes[1]).bit_count() > 4
        self.model = import_model(str(root), source=str(write_model(tmp_path / "model")))
        vectors = load_encoder(self.model).encode_images([decode_image(one) for one in pictures])
        pairs = [Pair(one, f"picture {row}") for row, one in enumerate(pictures)]
        digest = read_manifest(self.model, "model").digest
        shards = {"a": pairs[:1], "b": pairs[1:]}
        split = {"a": vectors[:1].tolist(), "b": vectors[1:].tolist()}
        self.pool = embedded(write_pool(root, shards), split, dim=vectors.shape[1], model=digest)

    def dropped(self, **config: Any) -> dict[str, str]:
        pool = without(self.pool, "mentions", "entity_scores")
        sets = {"evaluation_sets": [str(self.folder)], "require_entities": False}
        self.made = assemble(pool, "", **sets, **config)
        return dropped(self.made)


def test_a_near_copy_of_an_evaluation_image_is_found_by_embedding_alone(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Evaluated(root, tmp_path)
    assert one.dropped() == {}
    assert one.dropped(evaluation_cosine=0.999) == {"b/0": "evaluation_overlap"}
    assert one.made.content["config"]["evaluation_cosine"] == 0.999
    # The vectors were kept: with other options, no model is needed.
    monkeypatch.setattr("openmofi.models.encoder.load_encoder", None)
    assert one.dropped(evaluation_cosine=0.998) == {"b/0": "evaluation_overlap"}
    (cached,) = open_store(str(root)).list("evaluation_embeddings/")
    (digest,) = one.made.content["checked_against"]
    assert cached.key.endswith(f"/{digest}.npy")


def test_the_model_that_embedded_the_pool_must_be_there(root: Path, tmp_path: Path) -> None:
    one = Evaluated(root, tmp_path)
    digest = read_manifest(one.model, "model").digest
    open_store(str(root)).delete(f"manifests/model/{digest}.json")
    with pytest.raises(InputError, match=rf"evaluation_cosine needs .*{digest}.json is not there"):
        one.dropped(evaluation_cosine=0.9)


def test_without_an_evaluation_set_its_cosine_compares_nothing(
    pool: Pool, knowledge_base: str
) -> None:
    assert len(kept(assemble(pool, knowledge_base, evaluation_cosine=0.9))) == 4


def grouped(pairs: int) -> npt.NDArray[np.float64]:
    """Every second vector is near the one before it, the others are far."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(pairs, 32))
    near = vectors + 0.05 * rng.normal(size=vectors.shape)
    both = np.stack([vectors, near], axis=1).reshape(2 * pairs, 32)
    return both / np.linalg.norm(both, axis=1, keepdims=True)


def test_buckets_over_shards_drop_what_one_search_drops(
    root: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    vectors: list[Any] = grouped(40).tolist()
    vectors[7] = None  # nobody can say that it is near
    pictures = [Pair(noise_jpeg(seed, side=8), f"{seed}") for seed in range(80)]
    shards = {"a": slice(0, 33), "b": slice(33, 80)}
    made = write_pool(root, {name: pictures[part] for name, part in shards.items()})
    made = embedded(made, {name: vectors[part] for name, part in shards.items()}, dim=32)
    made = without(made, "mentions", "entity_scores", "text_regions")
    rule = {"perceptual_bits": None, "embedding_cosine": 0.97}
    whole = assemble(made, "", require_entities=False, duplicates=rule)
    names = [f"a/{row}" for row in range(33)] + [f"b/{row}" for row in range(47)]
    expected = {names[row]: "duplicate_embedding" for row in range(1, 80, 2) if row != 7}
    assert dropped(whole) == expected
    small = functools.partial(embedding_pairs, bucket_rows=2, memory_bytes=30 * 2 * 32)
    monkeypatch.setattr(settle_duplicates, "embedding_pairs", small)
    capfd.readouterr()
    again = assemble(made, "", require_entities=False, duplicates=rule, seed=1)
    assert "80 embeddings are compared in 35 buckets" in capfd.readouterr().err
    assert dropped(again) == expected
