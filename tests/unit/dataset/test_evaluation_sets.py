"""Scope: evaluation sets in every layout: what is dropped for them, and what is recorded."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from openmofi.errors import InputError
from openmofi.evaluation_data.hash_list import hash_list_text
from openmofi.evaluation_data.layouts import read_evaluation_data
from support.assembly import assemble, dropped, embedded, pool_of
from support.evaluation_layouts import KNOWN_LAYOUTS, known_coco
from support.tables import Pool, labelled, noise_jpeg

LEARNED = 9  # seed of the picture that is beside those that are tested on


@pytest.fixture
def crawl(root: Path) -> Pool:
    """Samples of the pictures 1, 2 and 3, of the one to learn from, and of one in no set."""
    return pool_of(root, *(labelled(seed, ("peru", 0.4)) for seed in (1, 2, 3, LEARNED, 10)))


def pictures() -> list[bytes]:
    """A copy of picture 1, others that are like 2 and 3, and one that no sample is like."""
    return [noise_jpeg(1), noise_jpeg(2, quality=55), noise_jpeg(3, quality=60), noise_jpeg(4)]


@pytest.mark.parametrize("write", KNOWN_LAYOUTS)
def test_what_is_tested_on_is_dropped_and_what_is_learned_from_stays(
    crawl: Pool, knowledge_base: str, tmp_path: Path, write: Callable[..., Path]
) -> None:
    data = write(tmp_path / "set", pictures(), noise_jpeg(LEARNED))
    made = assemble(crawl, knowledge_base, evaluation_sets=[str(data)])
    assert dropped(made) == {f"a/{row}": "evaluation_overlap" for row in range(3)}
    assert made.content["checked_against"] == [read_evaluation_data(data).images.digest]


def test_captions_may_be_given_by_their_file(
    crawl: Pool, knowledge_base: str, tmp_path: Path
) -> None:
    folder = known_coco(tmp_path / "set", pictures(), noise_jpeg(LEARNED))
    ways = [folder, folder / "dataset_coco.json", folder.as_uri()]
    made = [assemble(crawl, knowledge_base, evaluation_sets=[str(way)]) for way in ways]
    assert len({one.uri for one in made}) == 1


def test_sets_of_several_layouts_are_all_kept_clear_of(
    crawl: Pool, knowledge_base: str, tmp_path: Path
) -> None:
    sets = [
        write(tmp_path / write.__name__, [noise_jpeg(seed)] * 2, noise_jpeg(LEARNED))
        for seed, write in enumerate(KNOWN_LAYOUTS[1:], start=1)
    ]
    made = assemble(crawl, knowledge_base, evaluation_sets=[str(one) for one in sets])
    assert dropped(made) == {f"a/{row}": "evaluation_overlap" for row in range(3)}
    assert len(made.content["checked_against"]) == 3


def test_hashes_of_a_set_are_kept_for_the_next_assembly(
    crawl: Pool, knowledge_base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = KNOWN_LAYOUTS[0](tmp_path / "set", pictures(), noise_jpeg(LEARNED))
    first = assemble(crawl, knowledge_base, evaluation_sets=[str(data)])
    monkeypatch.setattr("openmofi.evaluation_data.hash_list.decode_image", None)
    near = {"evaluation_sets": [str(data)], "evaluation_bits": 3}
    assert dropped(assemble(crawl, knowledge_base, **near)) == dropped(first)
    (kept_hashes,) = first.store.list("evaluation_hashes/")
    assert kept_hashes.key.endswith(f"/{first.content['checked_against'][0]}.npy")


@pytest.mark.parametrize("write", KNOWN_LAYOUTS)
def test_a_list_of_hashes_does_what_the_pictures_do(
    crawl: Pool, knowledge_base: str, tmp_path: Path, write: Callable[..., Path]
) -> None:
    data = write(tmp_path / "set", pictures(), noise_jpeg(LEARNED))
    whole = assemble(crawl, knowledge_base, evaluation_sets=[str(data)])
    listed = tmp_path / "list.txt"
    listed.write_text(hash_list_text(read_evaluation_data(data).images)[0])
    shutil.rmtree(data)
    for made_of_pictures in ("manifests/dataset/", "tables/dataset_facts/", "evaluation_hashes/"):
        for info in list(whole.store.list(made_of_pictures)):
            whole.store.delete(info.key)
    made = assemble(crawl, knowledge_base, evaluation_sets=[str(listed)])
    assert dropped(made) == {f"a/{row}": "evaluation_overlap" for row in range(3)}
    assert made.content["checked_against"] == whole.content["checked_against"]
    assert made.content["content_digest"] == whole.content["content_digest"]


def test_a_list_has_no_pictures_to_compare_by_embedding(
    crawl: Pool, knowledge_base: str, tmp_path: Path
) -> None:
    data = KNOWN_LAYOUTS[0](tmp_path / "set", pictures(), noise_jpeg(LEARNED))
    listed = tmp_path / "list.txt"
    listed.write_text(hash_list_text(read_evaluation_data(data).images)[0])
    pool = embedded(crawl, {"a": [[1, 0]] * 5})
    with pytest.raises(InputError, match=r"list\.txt is a list of hashes; name the set's folder"):
        assemble(pool, knowledge_base, evaluation_sets=[str(listed)], evaluation_cosine=0.9)
