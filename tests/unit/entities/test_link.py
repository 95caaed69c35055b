import pickle
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from openmofi.cli import main
from openmofi.entities.build import build_knowledge_base
from openmofi.entities.config import LinkConfig
from openmofi.entities.link import STAGE_VERSION, LinkStage, link_entities
from openmofi.errors import InputError
from openmofi.keys import hash_json
from openmofi.records import MENTIONS
from openmofi.stage import ShardInput
from openmofi.versions import TableVersion, read_table_version
from openmofi.work import align
from support.entities import GEORGIA, LINKING, samples_uri, write_csv

TEXTS: list[tuple[str, str | None, str]] = [
    ("Flag of Georgia, photographed in Tbilisi", None, "ok"),
    ("Flag of Georgia, photographed in Atlanta", None, "ok"),
    ("Flag of Georgia", "Streets of Tbilisi", "ok"),
    ("A stock photo of nothing at all", None, "ok"),
    ("Georgia", None, "corrupt_image"),
    ("", "the Peach State", "ok"),
]


@pytest.fixture
def base_uri(tmp_path: Path) -> str:
    table = write_csv(tmp_path / "kb.csv", GEORGIA)
    return build_knowledge_base(str(tmp_path / "root"), csv=str(table))


def linked(uri: str) -> tuple[pa.Table, TableVersion]:
    store, version = read_table_version(uri, "mentions")
    with store.local_file(version.shards[0].table_key) as path:
        return pq.read_table(path), version


def best(table: pa.Table, row: int) -> dict[str, str]:
    return {
        link["surface"]: link["entity_id"]
        for link in table.to_pylist()
        if link["row"] == row and link["rank"] == 0
    }


def test_the_rest_of_the_text_settles_a_homonym(tmp_path: Path, base_uri: str) -> None:
    samples = samples_uri(tmp_path / "root", {"00000": TEXTS})
    table, _ = linked(link_entities(samples, base_uri))
    assert best(table, 0) == {"Georgia": "Q230", "Tbilisi": "Q994"}
    assert best(table, 1) == {"Georgia": "Q1428", "Atlanta": "Q23556"}


def test_the_title_speaks_for_the_alt_text(tmp_path: Path, base_uri: str) -> None:
    samples = samples_uri(tmp_path / "root", {"00000": TEXTS})
    table, _ = linked(link_entities(samples, base_uri))
    assert best(table, 2)["Georgia"] == "Q230"
    alone, _ = linked(link_entities(samples, base_uri, config={"fields": ["alt_text"]}))
    assert best(alone, 2)["Georgia"] == "Q1428"  # by the prior
    assert set(alone.column("field").to_pylist()) == {"alt_text"}


def test_offsets_scores_and_ranks_hold(tmp_path: Path, base_uri: str) -> None:
    samples = samples_uri(tmp_path / "root", {"00000": TEXTS})
    table, _ = linked(link_entities(samples, base_uri))
    assert table.schema.remove_metadata() == MENTIONS
    mentions: dict[tuple[int, int], list[dict[str, object]]] = {}
    for link in table.to_pylist():
        alt_text, title, _ = TEXTS[link["row"]]
        text = alt_text if link["field"] == "alt_text" else title or ""
        assert text[link["start"] : link["end"]] == link["surface"]
        mentions.setdefault((link["row"], link["mention"]), []).append(link)
    assert len(mentions) == 7
    for links in mentions.values():
        assert len({(link["field"], link["start"], link["end"]) for link in links}) == 1
        assert [link["rank"] for link in links] == list(range(len(links)))
        scores = [link["context_score"] for link in links]
        assert scores == sorted(scores, reverse=True)
        assert sum(scores) == pytest.approx(1, abs=1e-6)
        assert sum(link["prior"] for link in links) == pytest.approx(1, abs=1e-6)


def test_counts_add_up(tmp_path: Path, base_uri: str) -> None:
    samples = samples_uri(tmp_path / "root", {"00000": TEXTS})
    _, version = linked(link_entities(samples, base_uri))
    assert version.counts == {"linked": 4, "no_mention": 1, "skipped": 1}
    assert version.totals == {
        "mentions": 7, "candidates": 10, "ambiguous": 3,
        # of, in, of, in, of, of, a, of, nothing, at, all, the; stock photo
        "dropped_function_word": 12, "dropped_chatter": 1, "dropped_number": 0,
        "dropped_adjective": 0, "dropped_direction": 0, "dropped_verb": 0, "dropped_not_shown": 0,
    }  # fmt: skip


def test_mentions_are_numbered_in_each_sample(tmp_path: Path, base_uri: str) -> None:
    samples = samples_uri(tmp_path / "root", {"00000": TEXTS})
    table, _ = linked(link_entities(samples, base_uri))
    numbers = {
        (link["row"], link["mention"]): (link["field"], link["surface"])
        for link in table.to_pylist()
    }
    assert numbers == {
        (0, 0): ("alt_text", "Georgia"),
        (0, 1): ("alt_text", "Tbilisi"),
        (1, 0): ("alt_text", "Georgia"),
        (1, 1): ("alt_text", "Atlanta"),
        (2, 0): ("alt_text", "Georgia"),
        (2, 1): ("title", "Tbilisi"),
        (5, 0): ("title", "Peach State"),
    }


def test_a_mention_says_what_spoke_for_its_candidates(tmp_path: Path, base_uri: str) -> None:
    samples = samples_uri(tmp_path / "root", {"00000": TEXTS})
    table, _ = linked(link_entities(samples, base_uri))
    told = {
        (link["row"], link["surface"], link["entity_id"]): (link["reasons"], link["agreement"] > 0)
        for link in table.to_pylist()
    }
    # Each text has words with and without a capital, so a capital inside says "a name".
    assert told[0, "Georgia", "Q230"] == ("name,case_fits", True)
    assert told[0, "Tbilisi", "Q994"] == ("name,case_fits,only_candidate", False)
    assert told[5, "Peach State", "Q1428"] == ("only_candidate", False)


def test_what_each_rule_dropped_is_in_the_totals(tmp_path: Path) -> None:
    base = build_knowledge_base(
        str(tmp_path / "root"), csv=str(write_csv(tmp_path / "kb.csv", LINKING))
    )
    texts = ["two dogs", "a red barn", "the left", "dogs can swim", "great joy", "stock photo"]
    samples = samples_uri(tmp_path / "root", {"0": [(text, None, "ok") for text in texts]})
    _, version = linked(link_entities(samples, base))
    dropped = {
        name.removeprefix("dropped_"): count
        for name, count in version.totals.items()
        if name.startswith("dropped_")
    }
    assert dropped == {
        "function_word": 3, "chatter": 1, "number": 1, "adjective": 0, "direction": 1, "verb": 1,
        "not_shown": 1,
    }  # fmt: skip


def test_only_the_best_candidates_are_kept(tmp_path: Path, base_uri: str) -> None:
    samples = samples_uri(tmp_path / "root", {"00000": TEXTS})
    table, _ = linked(link_entities(samples, base_uri, config={"max_candidates": 1}))
    full, _ = linked(link_entities(samples, base_uri))
    firsts = [link for link in full.to_pylist() if link["rank"] == 0]
    assert table.to_pylist() == firsts


def test_finished_shards_are_reused_and_said_so(
    tmp_path: Path, base_uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    samples = samples_uri(tmp_path / "root", {"00000": TEXTS, "00001": TEXTS[:2]})
    first = link_entities(samples, base_uri)
    capsys.readouterr()
    assert link_entities(samples, base_uri) == first
    assert "2 reused, 0 to do" in capsys.readouterr().err
    grown = samples_uri(
        tmp_path / "root", {"00000": TEXTS, "00001": TEXTS[:2], "00002": TEXTS[1:2]}
    )
    assert link_entities(grown, base_uri) != first
    assert "2 reused, 1 to do" in capsys.readouterr().err


def test_two_processes_make_the_same_table(tmp_path: Path, base_uri: str) -> None:
    shards = {f"{number:05d}": TEXTS[number:] for number in range(3)}
    digests = []
    for root, workers in (("one", 1), ("two", 2)):
        samples = samples_uri(tmp_path / root, shards)
        _, version = read_table_version(
            link_entities(samples, base_uri, workers=workers), "mentions"
        )
        digests.append([entry.content_digest for entry in version.shards])
    assert digests[0] == digests[1]


def test_the_output_on_a_fixed_shard_is_pinned(tmp_path: Path, base_uri: str) -> None:
    samples = samples_uri(tmp_path / "root", {"00000": TEXTS})
    # All that the sums are made of, so that other defaults are no other sums.
    config = {
        "prior_weight": 0.7, "popularity_weight": 0.7, "context_weight": 12.0,
        "mention_weight": 0.7, "rounds": 2, "name_weight": 1.6, "case_weight": 1.2,
        "kind_weights": {}, "singular_share": 0.5, "head_share": 0.03,
    }  # fmt: skip
    table, _ = linked(link_entities(samples, base_uri, config=config))
    rounded = [
        [link["row"], link["field"], link["start"], link["end"], link["entity_id"], link["rank"],
         link["mention"], link["reasons"],
         *(round(link[name], 4) for name in ("prior", "agreement", "context_score"))]
        for link in table.to_pylist()
    ]  # fmt: skip
    assert (STAGE_VERSION, hash_json(rounded)) == (2, "baa78636d421db175bd005f52fe96da0"), (
        "links of a fixed shard changed: if on purpose, raise STAGE_VERSION and pin anew"
    )


def test_a_stage_can_be_pickled_to_a_worker(tmp_path: Path, base_uri: str) -> None:
    stage = LinkStage(base_uri, {"knowledge_base": "d"}, LinkConfig(fields=("alt_text",)))
    copy = pickle.loads(pickle.dumps(stage))
    copy.setup()
    store, version = read_table_version(samples_uri(tmp_path / "root", {"00000": TEXTS}), "samples")
    [work] = align({"samples": version})
    assert copy.process(ShardInput(store, work, "key")).table.num_rows > 0


def test_unknown_keys_are_refused(tmp_path: Path, base_uri: str) -> None:
    samples = samples_uri(tmp_path / "root", {"00000": TEXTS})
    with pytest.raises(InputError, match="unknown key 'top_k'"):
        link_entities(samples, base_uri, config={"top_k": 3})
    with pytest.raises(InputError, match="fields"):
        link_entities(samples, base_uri, config={"fields": ["caption"]})


def test_what_a_stage_cannot_load_is_one_line(
    tmp_path: Path, base_uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    samples = samples_uri(tmp_path / "root", {"0": TEXTS, "1": TEXTS[1:]})
    settings = tmp_path / "link.yaml"
    command = ["entities", "run", "--samples", samples, "--kb", base_uri, "--config", str(settings)]
    for text, message, workers in (
        ("encoder: some/encoder", "no dense vectors", 2),
        (f"{{mentions: both, recognizer: {tmp_path}/absent}}", "absent", 1),
    ):
        settings.write_text(text)
        capsys.readouterr()
        assert main([*command, "--workers", str(workers)]) == 2
        said = [line for line in capsys.readouterr().err.splitlines() if "openmofi: " in line]
        assert len(said) == 1
        assert message in said[0]
    assert not (tmp_path / "root" / "manifests" / "mentions").exists()
