import dataclasses
import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from openmofi.entities.build import build_knowledge_base
from openmofi.entities.config import LinkConfig
from openmofi.entities.knowledge_base import load_knowledge_base
from openmofi.entities.link import STAGE_VERSION, LinkStage, link_entities, scoring_of
from openmofi.entities.linker import EntityLinker
from openmofi.entities.terms import term_hashes
from openmofi.errors import InputError
from openmofi.keys import hash_json
from openmofi.records import MENTIONS
from openmofi.stage import ShardInput
from openmofi.versions import TableVersion, read_table_version
from openmofi.work import align
from support.entities import GEORGIA, samples_uri, write_csv

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
    mentions: dict[tuple[object, ...], list[dict[str, object]]] = {}
    for link in table.to_pylist():
        alt_text, title, _ = TEXTS[link["row"]]
        text = alt_text if link["field"] == "alt_text" else title or ""
        assert text[link["start"] : link["end"]] == link["surface"]
        mentions.setdefault((link["row"], link["field"], link["start"]), []).append(link)
    assert len(mentions) == 7
    for links in mentions.values():
        assert [link["rank"] for link in links] == list(range(len(links)))
        scores = [link["context_score"] for link in links]
        assert scores == sorted(scores, reverse=True)
        assert sum(scores) == pytest.approx(1, abs=1e-6)
        assert sum(link["prior"] for link in links) == pytest.approx(1, abs=1e-6)


def test_counts_add_up(tmp_path: Path, base_uri: str) -> None:
    samples = samples_uri(tmp_path / "root", {"00000": TEXTS})
    _, version = linked(link_entities(samples, base_uri))
    assert version.counts == {"linked": 4, "no_mention": 1, "skipped": 1}
    assert version.totals == {"mentions": 7, "candidates": 10, "ambiguous": 3}


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
    table, _ = linked(link_entities(samples, base_uri))
    rounded = [
        [link["row"], link["field"], link["start"], link["end"], link["entity_id"], link["rank"],
         round(link["prior"], 4), round(link["context_score"], 4)]
        for link in table.to_pylist()
    ]  # fmt: skip
    assert (STAGE_VERSION, hash_json(rounded)) == (1, "50e9e57752c2b247245100aab5188a1b"), (
        "links of a fixed shard changed: if on purpose, raise STAGE_VERSION and pin anew"
    )


def test_a_stage_can_be_pickled_to_a_worker(tmp_path: Path, base_uri: str) -> None:
    settings = LinkConfig()
    stage = LinkStage(
        base_uri, "d", fields=("alt_text",), scoring=scoring_of(settings), max_candidates=5
    )
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


# --- the arithmetic, against a slow twin ----------------------------------------------------------


def test_posteriors_equal_the_formula_written_out(base_uri: str) -> None:
    base = load_knowledge_base(base_uri)
    scoring = dataclasses.replace(scoring_of(LinkConfig()), rounds=3, mention_weight=0.7)
    text = "Georgia: Georgia, near Tbilisi, in the south of Europe"
    links = EntityLinker(base, scoring, max_candidates=9).link([text])

    dense = np.zeros((len(base), len(base.vectors.terms)))
    for row in range(len(base)):
        begin, end = base.vectors.starts[row : row + 2]
        dense[row, base.vectors.columns[begin:end]] = base.vectors.values[begin:end]
    rows = {name: i for i, name in enumerate(base.entities.column("entity_id").to_pylist())}
    country, state, city = rows["Q230"], rows["Q1428"], rows["Q994"]

    def words(*names: str) -> np.ndarray:
        total = np.zeros(dense.shape[1])
        for name in names:
            tokens = base.matcher.match([name]).tokens
            for term in base.vectors.find_terms(term_hashes(tokens, base.vectors.stops)[0]):
                if term >= 0:
                    total[term] += base.vectors.idf[term]
        return total

    posterior = {country: 1 / 3, state: 2 / 3}
    for _ in range(3):
        context = words("near", "Tbilisi", "south", "Europe") + 0.7 * dense[city]
        logits = {
            row: scoring.prior_weight * np.log(prior)
            + scoring.context_weight * (dense[row] @ context) / np.linalg.norm(context)
            for row, prior in ((country, 1 / 3), (state, 2 / 3))
        }
        total = sum(np.exp(value) for value in logits.values())
        posterior = {row: float(np.exp(value) / total) for row, value in logits.items()}
    got = dict(zip(links.entities.tolist(), links.scores.tolist(), strict=True))
    assert got[country] == pytest.approx(posterior[country], abs=1e-6)
    assert got[state] == pytest.approx(posterior[state], abs=1e-6)


def test_the_other_mentions_are_settled_together(base_uri: str) -> None:
    base = load_knowledge_base(base_uri)
    scoring = scoring_of(LinkConfig())
    together = EntityLinker(base, scoring, max_candidates=1).link(["Georgia", "Tbilisi"], [0, 0])
    apart = EntityLinker(base, scoring, max_candidates=1).link(["Georgia", "Tbilisi"])
    ids = [base.entity_ids(links.entities).to_pylist() for links in (together, apart)]
    assert ids == [["Q230", "Q994"], ["Q1428", "Q994"]]


def test_batches_do_not_change_links(base_uri: str) -> None:
    base = load_knowledge_base(base_uri)
    linker = EntityLinker(base, scoring_of(LinkConfig()), max_candidates=5)
    texts = [text for text, _, _ in TEXTS] * 900  # more than one batch
    links = linker.link(texts)
    alone = linker.link(texts[: len(TEXTS)])
    assert links.found == 900 * alone.found
    assert links.mentions.max() == links.found - 1
    last = links.texts >= len(texts) - len(TEXTS)
    np.testing.assert_array_equal(links.entities[last], alone.entities)
    np.testing.assert_allclose(links.scores[last], alone.scores, rtol=1e-12)


@pytest.mark.parametrize(
    "text",
    ["", "🦊🦊🦊", "مرحبا بالعالم", "\x00\x01\x02 Georgia\x1b", "Georgia " * 150_000],
    ids=["empty", "emoji", "right-to-left", "control", "a megabyte"],
)
def test_odd_texts_are_linked_or_left(base_uri: str, text: str) -> None:
    base = load_knowledge_base(base_uri)
    linker = EntityLinker(base, scoring_of(LinkConfig()), max_candidates=1)
    links = linker.link([text])
    assert links.found == text.count("Georgia")
    spans = zip(links.starts[:5].tolist(), links.ends[:5].tolist(), strict=True)
    assert all(text[start:end] == "Georgia" for start, end in spans)
