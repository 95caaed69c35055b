"""Every rule by what it keeps; the counts."""

from dataclasses import replace
from pathlib import Path

import pytest

from openmofi.dataset.versions.version import Dataset
from openmofi.images import image_id
from openmofi.storage import open_store
from support.assembly import assemble, dropped, kept, pool_of, remade, table
from support.tables import Candidate, Pair, labelled, noise_jpeg, without, write_pool


def test_labels_are_the_entities_above_the_cut_best_first(root: Path, knowledge_base: str) -> None:
    pool = pool_of(
        root,
        labelled(1, ("peru", 0.3), ("lagos", 0.4), ("chad", 0.1)),
        labelled(2, ("peru", 0.25)),  # at the cut
        labelled(3, ("peru", 0.2)),
    )
    made = assemble(pool, knowledge_base, min_score=0.25)
    assert kept(made) == {"a/0": ["lagos", "peru"], "a/1": ["peru"]}
    assert dropped(made) == {"a/2": "no_entity"}


def test_labels_are_exactly_what_text_and_image_have_settled_on(
    root: Path, knowledge_base: str
) -> None:
    # The greatest cosine is not always what was settled on: the text has a say.
    cosine = [Candidate("georgia_us", 0.31, 0.2), Candidate("georgia_country", 0.35, 0.8, False)]
    again = [Candidate("georgia_country", 0.35, 0.8)]
    weak = [Candidate("georgia_us", 0.2, 0.9), Candidate("georgia_country", 0.3, 0.1, False)]
    nothing = [Candidate("peru", 0.4, 0.5, False), Candidate("chad", 0.4, 0.5, False)]
    pool = pool_of(
        root,
        Pair(noise_jpeg(1), "one", mentions=[cosine]),
        Pair(noise_jpeg(2), "two", mentions=[weak]),
        Pair(noise_jpeg(3), "three", mentions=[cosine, again]),
        Pair(noise_jpeg(4), "four", mentions=[nothing]),
    )
    made = assemble(pool, knowledge_base, min_score=0.25)
    assert kept(made) == {"a/0": ["georgia_us"], "a/2": ["georgia_country", "georgia_us"]}
    assert dropped(made) == {"a/1": "no_entity", "a/3": "no_entity"}


def test_a_label_may_be_too_unlikely_by_the_text(root: Path, knowledge_base: str) -> None:
    pool = pool_of(
        root,
        Pair(noise_jpeg(1), "one", mentions=[[Candidate("peru", 0.4, 0.5)]]),  # at the cut
        Pair(noise_jpeg(2), "two", mentions=[[Candidate("peru", 0.4, 0.4)]]),
        # In one of two mentions likely enough.
        Pair(
            noise_jpeg(3),
            "three",
            mentions=[[Candidate("peru", 0.4, 0.1)], [Candidate("peru", 0.4, 0.6, False)]],
        ),
    )
    made = assemble(pool, knowledge_base, min_score=0.25, min_context_score=0.5)
    assert kept(made) == {"a/0": ["peru"], "a/2": ["peru"]}
    assert dropped(made) == {"a/1": "no_entity"}


def test_every_sample_has_one_cause_and_the_counts_add_up(root: Path, knowledge_base: str) -> None:
    good = [labelled(seed, ("peru", 0.4)) for seed in range(5)]
    pairs = [
        *good,
        good[0],  # the same pair again
        replace(good[1], image=noise_jpeg(1, quality=60)),  # saved again
        labelled(11, ("peru", 0.4), boxes=[(0.9, 0.05)]),
        labelled(12, ("peru", 0.4), boxes=[(0.9, 0.05)], text_status="failed"),
        labelled(13, ("peru", 0.4), boxes=[(0.9, 0.9)]),
        labelled(14, ("chad", 0.4)),
        labelled(15),
        Pair(b"broken", status="corrupt_image"),
        labelled(16, ("peru", 0.4), status="too_small"),
    ]
    pool = write_pool(root, {"a": pairs[:8], "b": pairs[8:]})
    made = assemble(pool, knowledge_base, min_images_per_entity=5)
    assert made.content["counts"] == {
        "kept": 6,
        "corrupt_image": 1,
        "too_small": 1,
        "text_region": 1,
        "text_failed": 1,
        "no_entity": 1,
        "duplicate_exact": 1,
        "duplicate_perceptual": 1,
        "rare_entity": 1,
    }
    assert made.content["totals"] == {
        "large_text": 1,
        "labels": 6,
        "entities": 1,
        "classes": 1,
        "with_text": 2,  # one of them failed
        "dropped_by_any_text": 2,
    }
    assert made.content["splits"] == {"train": 6, "validation": 0}
    assert len(kept(made)) + len(dropped(made)) == len(pairs)


@pytest.mark.parametrize(("second_look", "cause"), [(True, "text_region"), (False, None)])
def test_a_box_of_any_size_counts_once_it_was_looked_at_again(
    root: Path, knowledge_base: str, second_look: bool, cause: str | None
) -> None:
    pairs = [labelled(1, ("peru", 0.4), boxes=[(0.9, 0.9)]), labelled(2, ("peru", 0.4))]
    pool = remade(
        write_pool(root, {"a": pairs}),
        "text_regions",
        digests={"detector": "d"},
        config={"second_look": second_look},
    )
    made = assemble(pool, knowledge_base)
    assert dropped(made).get("a/0") == cause
    assert made.content["config"]["text"]["max_area"] == (1.0 if second_look else 0.2)


def test_the_earliest_duplicate_wins_and_keeps_all_labels(root: Path, knowledge_base: str) -> None:
    first = labelled(1, ("peru", 0.3))
    near = noise_jpeg(1, quality=50)
    shards = {
        "a": [labelled(7, ("chad", 0.4)), first],
        "b": [
            replace(first, text="same bytes", mentions=[[Candidate("lagos", 0.5)]]),
            replace(first, image=near, mentions=[[Candidate("norway", 0.4)]]),
            replace(first, image=near, text="and once more", mentions=[[Candidate("peru", 0.45)]]),
        ],
    }
    made = assemble(write_pool(root, shards), knowledge_base)
    assert kept(made) == {"a/0": ["chad"], "a/1": ["lagos", "peru", "norway"]}
    assert dropped(made) == {
        "b/0": "duplicate_exact",
        "b/1": "duplicate_perceptual",
        "b/2": "duplicate_exact",  # of b/1, which goes with a/1
    }
    exact = assemble(write_pool(root, shards), knowledge_base, duplicates={"perceptual_bits": None})
    assert kept(exact) == {"a/0": ["chad"], "a/1": ["lagos", "peru"], "b/1": ["peru", "norway"]}


def test_near_embeddings_are_duplicates_when_asked(root: Path, knowledge_base: str) -> None:
    pool = pool_of(
        root,
        labelled(1, ("peru", 0.3), embedding=(1, 0, 0, 0)),
        labelled(2, ("peru", 0.3), embedding=(0, 1, 0, 0)),
        labelled(3, ("chad", 0.3), embedding=(0.995, 0.1, 0, 0)),
    )
    assert len(kept(assemble(pool, knowledge_base))) == 3
    made = assemble(pool, knowledge_base, duplicates={"embedding_cosine": 0.98})
    assert kept(made) == {"a/0": ["chad", "peru"], "a/1": ["peru"]}
    assert dropped(made) == {"a/2": "duplicate_embedding"}


def test_images_of_an_evaluation_set_are_dropped(
    root: Path, knowledge_base: str, tmp_path: Path
) -> None:
    folder = tmp_path / "evaluation" / "peru"
    folder.mkdir(parents=True)
    (folder / "0.jpg").write_bytes(noise_jpeg(1))
    (folder / "1.jpg").write_bytes(noise_jpeg(2, quality=55))
    (folder / "2.jpg").write_bytes(b"does not decode")
    pool = pool_of(root, *(labelled(seed, ("peru", 0.4)) for seed in (1, 2, 3)))
    made = assemble(pool, knowledge_base, evaluation_sets=[str(folder.parent)])
    assert dropped(made) == {"a/0": "evaluation_overlap", "a/1": "evaluation_overlap"}
    assert len(made.content["checked_against"][0]) == 32
    bytes_only = assemble(
        pool, knowledge_base, evaluation_sets=[str(folder.parent)], evaluation_bits=None
    )
    assert dropped(bytes_only) == {"a/0": "evaluation_overlap"}


def test_what_was_taken_down_is_dropped_and_changes_the_recipe(
    root: Path, knowledge_base: str
) -> None:
    pairs = [labelled(seed, ("peru", 0.4)) for seed in (1, 2)]
    pool = pool_of(root, *pairs)
    before = assemble(pool, knowledge_base)
    listed = f"# asked for by its owner\n{image_id(pairs[0].image)}  # by mail\n"
    open_store(str(root)).put("tombstones/2026-11.txt", listed.encode())
    after = assemble(pool, knowledge_base)
    assert after.uri != before.uri
    assert dropped(after) == {"a/0": "taken_down"}


def test_entities_need_enough_images_and_lose_their_labels_alone(
    root: Path, knowledge_base: str
) -> None:
    pool = pool_of(
        root,
        labelled(1, ("peru", 0.4), ("chad", 0.5)),
        labelled(2, ("peru", 0.4)),
        labelled(3, ("chad", 0.1), ("lagos", 0.4)),
    )
    made = assemble(pool, knowledge_base, min_images_per_entity=2)
    assert kept(made) == {"a/0": ["peru"], "a/1": ["peru"]}
    assert dropped(made) == {"a/2": "rare_entity"}


def test_labels_per_image_are_limited_to_the_best(root: Path, knowledge_base: str) -> None:
    pool = pool_of(root, labelled(1, ("peru", 0.3), ("chad", 0.5), ("lagos", 0.4)))
    made = assemble(pool, knowledge_base, max_labels_per_image=2)
    assert kept(made) == {"a/0": ["chad", "lagos"]}


def test_a_cap_drops_images_that_no_entity_below_it_needs(root: Path, knowledge_base: str) -> None:
    pairs = [labelled(seed, ("peru", 0.4)) for seed in range(12)]
    pairs += [labelled(20 + seed, ("peru", 0.4), ("chad", 0.4)) for seed in range(2)]
    made = assemble(pool_of(root, *pairs), knowledge_base, max_images_per_entity=4)
    labels = list(kept(made).values())
    assert sum("chad" in one for one in labels) == 2
    assert 4 <= sum("peru" in one for one in labels) <= 6
    assert set(dropped(made).values()) == {"entity_cap"}


def test_duplicates_that_stay_share_a_split(root: Path, knowledge_base: str) -> None:
    pairs = []
    for seed in range(30):
        pairs += [
            labelled(seed, ("peru", 0.4)),
            replace(labelled(seed, ("peru", 0.4)), image=noise_jpeg(seed, quality=50)),
        ]
    made = assemble(
        pool_of(root, *pairs), knowledge_base, duplicates={"drop": False}, validation_share=0.4
    )
    rows = table(made, Dataset(made).shards[0].kept_key)
    splits = [row["split"] for row in rows]
    assert len(splits) == 60
    assert splits[0::2] == splits[1::2]
    assert 10 <= splits.count("validation") <= 40
    assert made.content["splits"] == {
        "train": splits.count("train"),
        "validation": splits.count("validation"),
    }


def test_the_raw_data_set_takes_every_usable_pair(root: Path) -> None:
    pairs = [labelled(1, ("peru", 0.4)), labelled(2), labelled(1, ("peru", 0.4))]
    pairs.append(Pair(b"broken", status="corrupt_image"))
    pool = without(
        pool_of(root, *pairs), "mentions", "image_embeddings", "entity_scores", "text_regions"
    )
    made = assemble(pool, "", require_entities=False)
    assert kept(made) == {"a/0": [], "a/1": []}
    assert dropped(made) == {"a/2": "duplicate_exact", "a/3": "corrupt_image"}
    assert table(made, made.content["vocabulary"]) == []


def test_without_requiring_entities_labels_are_still_given(root: Path, knowledge_base: str) -> None:
    pool = pool_of(root, labelled(1, ("peru", 0.4)), labelled(2, ("peru", 0.1)))
    made = assemble(pool, knowledge_base, require_entities=False)
    assert kept(made) == {"a/0": ["peru"], "a/1": []}
