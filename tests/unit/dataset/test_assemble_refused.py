"""What assembly refuses, in one line and before anything is written."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from openmofi.errors import InputError
from openmofi.storage import open_store
from support.assembly import assemble, pool_of
from support.tables import Pool, labelled, without, write_pool


def refused(pool: Pool, kb: str, match: str, **config: Any) -> None:
    before = objects(pool)
    with pytest.raises(InputError, match=match):
        assemble(pool, kb, **config)
    assert objects(pool) == before


def objects(pool: Pool) -> set[str]:
    return {info.key for info in open_store(pool.root).list()}


def test_nothing_left_is_one_line_and_no_version_is_written(
    root: Path, knowledge_base: str
) -> None:
    pool = pool_of(root, labelled(1, ("peru", 0.1)))
    before = objects(pool)
    with pytest.raises(InputError, match=r"is left \(seen 1 = no_entity 1\); see min_score"):
        assemble(pool, knowledge_base)
    written = objects(pool) - before  # facts, of which another cut makes a version
    assert {key.split("/")[1] for key in written} == {"dataset_facts"}


@pytest.mark.parametrize("kinds", [["mentions"], ["entity_scores"], ["text_regions"]])
def test_a_missing_table_is_named(root: Path, knowledge_base: str, kinds: Sequence[str]) -> None:
    pool = without(pool_of(root, labelled(1, ("peru", 0.4))), *kinds)
    refused(pool, knowledge_base, f"no {kinds[0]} were given")


def test_tables_of_another_knowledge_base_are_refused(root: Path, knowledge_base: str) -> None:
    pool = write_pool(root, {"a": [labelled(1, ("peru", 0.4))]}, knowledge_base="0" * 32)
    refused(pool, knowledge_base, "mentions were made with knowledge base 0000")


def test_tables_of_other_shards_are_refused(root: Path, knowledge_base: str) -> None:
    one = write_pool(root, {"a": [labelled(1, ("peru", 0.4))]})
    other = write_pool(root, {"b": [labelled(1, ("peru", 0.4))]})
    mixed = replace(one, mentions=other.mentions)
    refused(mixed, knowledge_base, "shard 'a' is in one only")


def test_tables_of_another_length_are_refused(root: Path, knowledge_base: str) -> None:
    one = pool_of(root, labelled(1, ("peru", 0.4)))
    other = pool_of(root, labelled(1, ("peru", 0.4)), labelled(2, ("peru", 0.4)))
    mixed = replace(one, text_regions=other.text_regions)
    refused(mixed, knowledge_base, "text_regions has 2 rows and samples 1")


@pytest.mark.parametrize(
    ("config", "match"),
    [
        ({"treshold": 1}, "unknown key 'treshold'"),
        ({"text": {"min_area": 0.5, "max_area": 0.2}}, "min_area 0.5 is above max_area 0.2"),
        ({"max_images_per_entity": 1, "min_images_per_entity": 3}, "is below min_images_per"),
        ({"evaluation_sets": ["/nowhere"]}, "/nowhere is not a folder"),
    ],
)
def test_a_wrong_config_is_one_line(
    root: Path, knowledge_base: str, config: dict[str, Any], match: str
) -> None:
    refused(pool_of(root, labelled(1, ("peru", 0.4))), knowledge_base, match, **config)
