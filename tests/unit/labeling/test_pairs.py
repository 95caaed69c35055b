import json
import math

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from openmofi.cli import main
from openmofi.images import decode_image
from openmofi.labeling.pairs import LABELS
from openmofi.models.encoder import load_encoder_folder
from openmofi.shards import write_tar
from support.labeling import read_tables, write_csv
from support.models import write_model
from support.tables import noise_jpeg

ENTITIES = [
    ("E1", "crane", "large wading bird"),
    ("E2", "crane", "machine that lifts heavy objects"),
    ("E3", "cat", ""),
]
CAPTIONS = {"a": "A crane.", "b": "A cat and a crane.", "c": "Nothing here.", "d": "A crane."}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder of two tars, a knowledge base, a model, and what links their captions."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "pairs").mkdir()
    samples = [
        (key, {"txt": text.encode(), "jpg": noise_jpeg(n) if key != "d" else b"no image"})
        for n, (key, text) in enumerate(CAPTIONS.items())
    ]
    write_tar(folder / "pairs" / "00000.tar", samples[:2])
    write_tar(folder / "pairs" / "00001.tar", [*samples[2:], ("e", {"txt": b"A cat."})])
    source = write_csv(folder / "entities.csv", ENTITIES)
    assert main(["kb", "build", "--csv", source, "--out", str(folder / "kb")]) == 0
    write_model(folder / "model")
    link = ["entities", "link", "--pairs", str(folder / "pairs"), "--kb", str(folder / "kb")]
    assert main([*link, "--out", str(folder / "mentions.parquet")]) == 0
    assert main([*command(folder), "--out", str(folder / "labels.parquet")]) == 0
    return folder


def command(folder, **other):
    given = {"pairs": "pairs", "mentions": "mentions.parquet", "kb": "kb", "model": "model"} | other
    paths = [[f"--{name}", str(folder / path)] for name, path in given.items()]
    return ["labeling", "label", *(word for pair in paths for word in pair)]


def rows_of(path):
    return pq.read_table(path).to_pylist()


def test_every_candidate_of_every_image_has_its_cosine(made):
    encoder = load_encoder_folder(made / "model")
    texts = [f"{name}, {text}" if text else name for _, name, text in ENTITIES]
    entities = dict(zip([one for one, _, _ in ENTITIES], encoder.encode_texts(texts), strict=True))
    images = dict(
        zip(
            "ab",
            encoder.encode_images(list(map(decode_image, map(noise_jpeg, (0, 1))))),
            strict=True,
        )
    )
    found = {(r["key"], r["entity_id"]): r["clip_score"] for r in rows_of(made / "labels.parquet")}
    assert found.keys() == {("a", "E1"), ("a", "E2"), ("b", "E1"), ("b", "E2"), ("b", "E3")}
    for (key, entity), score in found.items():
        assert score == pytest.approx(float(images[key] @ entities[entity]), abs=2e-3)


def test_homonyms_settle_by_text_and_image_with_the_models_own_scale(made):
    scale = load_encoder_folder(made / "model").logit_scale
    mentions = {
        r["entity_id"]: r["score"] for r in rows_of(made / "mentions.parquet") if r["key"] == "a"
    }
    rows = {r["entity_id"]: r for r in rows_of(made / "labels.parquet") if r["key"] == "a"}
    weights = {one: mentions[one] * math.exp(scale * rows[one]["clip_score"]) for one in rows}
    for one, row in rows.items():
        assert row["posterior"] == pytest.approx(weights[one] / sum(weights.values()), rel=1e-3)
    best = max(weights, key=weights.__getitem__)
    assert [one for one, row in rows.items() if row["settled"]] == [best]
    assert rows[best]["rank"] == 0


def test_the_file_says_what_it_was_made_with(made):
    table = pq.read_table(made / "labels.parquet")
    made_with = json.loads(table.schema.metadata[b"openmofi"])
    assert table.schema.equals(LABELS, check_metadata=False)
    assert made_with["model"] == load_encoder_folder(made / "model").digest
    assert made_with["label"]["template"] == "{name}, {description}"
    assert made_with["kind"] == "labels"


def test_what_does_not_decode_is_counted_and_not_in_the_file(made, tmp_path, capsys):
    assert main([*command(made), "--out", str(tmp_path / "again.parquet")]) == 0
    line = capsys.readouterr().out.strip()
    assert line.endswith("5 scores of 2 images; seen 4 = labeled 2 + failed 1 + no_candidates 1")


def test_options_are_taken_from_files(made, tmp_path):
    (tmp_path / "label.yaml").write_text("template: 'a photo of {name}'\nimage_weight: 0\n")
    (tmp_path / "embed.yaml").write_text("batch_size: 2\n")
    options = [
        "--config",
        str(tmp_path / "label.yaml"),
        "--embed-config",
        str(tmp_path / "embed.yaml"),
    ]
    assert main([*command(made), *options, "--out", str(tmp_path / "out.parquet")]) == 0
    rows = [r for r in rows_of(tmp_path / "out.parquet") if r["key"] == "a"]
    assert rows[0]["clip_score"] == pytest.approx(rows[1]["clip_score"])
    mentions = {
        r["entity_id"]: r["score"] for r in rows_of(made / "mentions.parquet") if r["key"] == "a"
    }
    for row in rows:
        assert row["posterior"] == pytest.approx(mentions[row["entity_id"]], rel=1e-5)


def test_mentions_without_numbers_are_told_apart_by_their_spans(made, tmp_path):
    table = pq.read_table(made / "mentions.parquet").drop_columns(
        ["mention", "agreement", "reasons"]
    )
    pq.write_table(table, tmp_path / "mentions.parquet")
    arguments = command(made, mentions=tmp_path / "mentions.parquet")
    assert main([*arguments, "--out", str(tmp_path / "out.parquet")]) == 0
    assert rows_of(tmp_path / "out.parquet") == rows_of(made / "labels.parquet")


def test_mentions_of_other_images_are_left_out_and_told(made, tmp_path, capsys):
    table = pq.read_table(made / "mentions.parquet")
    stranger = table.slice(0, 1).set_column(1, "key", pa.array(["zzz"])).cast(table.schema)
    pq.write_table(pa.concat_tables([table, stranger]), tmp_path / "mentions.parquet")
    arguments = command(made, mentions=tmp_path / "mentions.parquet")
    assert main([*arguments, "--out", str(tmp_path / "out.parquet")]) == 0
    # "e" has a caption and no image
    assert "2 candidates of" in capsys.readouterr().err
    assert rows_of(tmp_path / "out.parquet") == rows_of(made / "labels.parquet")


def test_when_no_image_decodes_there_is_no_score(made, tmp_path):
    (tmp_path / "pairs").mkdir()
    write_tar(tmp_path / "pairs" / "00000.tar", [("a", {"txt": b"A crane.", "jpg": b"broken"})])
    arguments = command(made, pairs=tmp_path / "pairs")
    assert main([*arguments, "--out", str(tmp_path / "out.parquet")]) == 0
    assert rows_of(tmp_path / "out.parquet") == []


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"pairs": "nowhere"}, "no tar shard found in"),
        ({"mentions": "nowhere.parquet"}, "mentions not found"),
        ({"mentions": "entities.csv"}, "entities.csv is not a readable Parquet file"),
        ({"mentions": "labels.parquet"}, "labels.parquet lacks the column 'start'"),
        ({"kb": "nowhere"}, "nowhere"),
        ({"model": "nowhere"}, "nowhere"),
    ],
)
def test_what_is_wrong_is_told_in_one_line_and_nothing_is_written(
    made, tmp_path, capsys, other, message
):
    assert main([*command(made, **other), "--out", str(tmp_path / "out.parquet")]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert message in error
    assert list(tmp_path.iterdir()) == []


def test_a_model_without_a_scale_needs_a_weight(made, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("openmofi.models.encoder.ClipEncoder.logit_scale", None)
    assert main([*command(made), "--out", str(tmp_path / "out.parquet")]) == 2
    assert "no logit scale; set image_weight" in capsys.readouterr().err


def test_scores_are_those_of_the_stages(made, tmp_path, capsys):
    """By hand and in a store, the same numbers."""

    def run(*words):
        assert main(list(map(str, words))) == 0
        return capsys.readouterr().out.strip().splitlines()[-1]

    root = tmp_path / "root"
    group = run("ingest", "plan", "--root", root, "--source", made / "pairs", "--groups", 1)
    samples = run("ingest", "run", group)
    model = run("models", "import", "--root", root, "--source", made / "model")
    base = run("kb", "build", "--csv", made / "entities.csv", "--root", root)
    mentions = run("entities", "run", "--samples", samples, "--kb", base)
    embeddings = run("labeling", "embed", "--samples", samples, "--model", model)
    scores = run(
        *("labeling", "score", "--embeddings", embeddings, "--mentions", mentions),
        *("--kb", base, "--model", model),
    )
    _, table = read_tables(scores, "entity_scores")
    columns = ["entity_id", "clip_score", "rank", "posterior", "settled"]
    expected = table.select(columns).to_pylist()
    found = pq.read_table(made / "labels.parquet").select(columns).to_pylist()
    assert found == expected
