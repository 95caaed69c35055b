"""Masked scores over a store, with a real model: what is done again and what is not."""

import numpy as np
import pytest

from openmofi.cli import main
from openmofi.errors import InputError, ShardError
from openmofi.images import decode_image
from openmofi.labeling.config import EmbedConfig, MaskConfig
from openmofi.labeling.embed import embed_images
from openmofi.labeling.masked import score_masked_images
from openmofi.labeling.masking import cover_regions
from openmofi.models.encoder import load_encoder
from openmofi.models.importing import import_model
from openmofi.storage import open_store
from openmofi.versions import read_table_version
from support.assembly import remade
from support.labeling import read_tables
from support.masks import regions
from support.models import write_model
from support.tables import Pair, noise_jpeg, write_pool


class Laid:
    """A root with two groups of shards, embedded by a real model."""

    box = ([8, 8, 23, 8, 23, 15, 8, 15], 0.8, 0.1)
    faint = ([2, 20, 12, 20, 12, 26, 2, 26], 0.4, 0.07)
    boxes = {"a": [[box], [], [box, faint]], "b": [[faint]], "c": [[box], []]}  # noqa: RUF012

    def __init__(self, folder):
        shards = {
            name: [
                Pair(noise_jpeg(10 * ord(name) + row), f"crane {name} {row}")
                for row in range(len(rows))
            ]
            for name, rows in self.boxes.items()
        }
        self.pairs = [pair for pairs in shards.values() for pair in pairs]
        self.groups = [
            write_pool(folder / "root", {name: shards[name] for name in names})
            for names in ("ab", "c")
        ]
        self.groups = [
            remade(
                group,
                "text_regions",
                digests={"detector": "d"},
                tables={name: regions(*self.boxes[name]) for name in names},
            )
            for group, names in zip(self.groups, ("ab", "c"), strict=True)
        ]
        self.root = self.groups[0].root
        self.model = import_model(self.root, source=str(write_model(folder / "model")))
        self.embeddings = [embed_images(group.samples[0], self.model) for group in self.groups]
        # What the hand-made tables had as content differs, and would be two recipes.
        self.regions = [group.text_regions[0] for group in self.groups]

    def score(self, group=0, **config):
        return score_masked_images(
            self.groups[group].samples,
            [self.embeddings[group]],
            [self.regions[group]],
            self.model,
            config=config,
        )


@pytest.fixture(scope="module")
def laid(tmp_path_factory):
    return Laid(tmp_path_factory.mktemp("laid"))


@pytest.fixture(scope="module")
def scored(laid):
    return laid.score()


def test_scores_are_those_of_the_encoder_by_hand(laid, scored):
    _, table = read_tables(scored, "masked_scores")
    encoder = load_encoder(laid.model)
    for row, boxes in enumerate([*laid.boxes["a"], *laid.boxes["b"]]):
        found = table.slice(row, 1).to_pylist()[0]
        if not boxes:
            assert found["status"] == "skipped"
            continue
        image = decode_image(laid.pairs[row].image)
        corners = np.array([box[0] for box in boxes], np.float32).reshape(-1, 4, 2)
        hidden, share = cover_regions(image, corners)
        vectors = encoder.encode_images([image, hidden])
        expected = vectors @ encoder.encode_texts([laid.pairs[row].text])[0]
        scores = [found["caption_score"], found["masked_score"]]
        np.testing.assert_allclose(scores, expected, atol=2e-3)
        assert found["masked_area"] == pytest.approx(share)
        assert scores[0] != scores[1]


def test_only_pictures_with_a_region_are_embedded(laid, capsys):
    laid.score(batch_size=2, min_area=0.001)
    assert "masked_scores: 3 images" in capsys.readouterr().err


def test_speed_is_no_other_work_and_another_mask_is_and_nothing_else_runs(laid, scored, capsys):
    assert laid.score(batch_size=3, decode_workers=2, device="cpu") == scored
    assert "2 shards, 2 reused, 0 to do" in capsys.readouterr().err
    tables = {info.key for info in open_store(laid.root).list("tables/")}
    other = laid.score(min_confidence=0.5)
    said = capsys.readouterr().err
    assert other != scored
    assert "masked_scores: 2 images" in said  # what is only faint is not masked any more
    made = {info.key for info in open_store(laid.root).list("tables/")} - tables
    assert {key.split("/")[1] for key in made} == {"masked_scores"}


def test_a_group_finds_its_shards_in_the_tables_of_all(laid, scored, tmp_path):
    store = open_store(laid.root)
    whole = [read_table_version(uri, "image_embeddings")[1] for uri in laid.embeddings]
    assert {entry.shard for version in whole for entry in version.shards} == set("abc")
    both = score_masked_images(
        laid.groups[0].samples, laid.embeddings[::-1], [laid.regions[0]], laid.model
    )
    assert both == scored
    assert store.uri == laid.root


def test_a_tar_that_is_cut_short_is_told_and_the_others_are_whole(tmp_path):
    laid = Laid(tmp_path)
    store, version = read_table_version(laid.groups[0].samples[0], "samples")
    key = version.shards[0].tar_key
    whole = store.get(key)
    store.put(key, whole[:520])
    with pytest.raises(ShardError, match=r"'a' failed: .* is cut short at byte 520"):
        laid.score()
    store.put(key, whole)
    _, table = read_tables(laid.score(), "masked_scores")
    assert table.column("status").to_pylist() == ["ok", "skipped", "ok", "ok"]


def test_embeddings_of_another_model_are_refused(laid, tmp_path):
    other = import_model(laid.root, source=str(write_model(tmp_path, seed=2)))
    with pytest.raises(InputError, match=r"image_embeddings were made with model .* is given here"):
        score_masked_images(laid.groups[0].samples, [laid.embeddings[0]], [laid.regions[0]], other)


def test_tables_of_another_pool_are_refused(laid, tmp_path):
    longer = remade(
        laid.groups[0],
        "text_regions",
        digests={"detector": "d"},
        tables={"a": regions([], []), "b": regions([])},
    )
    with pytest.raises(InputError, match="shard 'a': text_regions has 2 rows and samples 3"):
        score_masked_images(
            laid.groups[0].samples, [laid.embeddings[0]], longer.text_regions, laid.model
        )
    with pytest.raises(InputError, match="shard 'a' is in one only"):
        score_masked_images(
            laid.groups[0].samples, [laid.embeddings[0]], [laid.regions[1]], laid.model
        )


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"min_confidnce": 0.2}, "mask: unknown key 'min_confidnce'; known here: batch_size"),
        ({"min_area": 0.5, "max_area": 0.2}, "min_area 0.5 is above max_area 0.2"),
        ({"device": "tpu9"}, "device 'tpu9'"),
    ],
)
def test_a_wrong_option_is_told_before_work_starts(laid, config, message):
    with pytest.raises(InputError, match=message):
        laid.score(**config)


def test_pixels_are_read_as_for_the_embeddings():
    recorded = {"scaled_decoding": False, "precision": "bfloat16"}
    options = MaskConfig(batch_size=7, device="cpu").embedding(recorded)
    assert options == EmbedConfig(batch_size=7, device="cpu", **recorded)


def test_the_command_prints_the_uri(laid, scored, tmp_path, capsys):
    options = tmp_path / "mask.yaml"
    options.write_text("batch_size: 2\n")
    command = ["labeling", "mask", "--samples", *laid.groups[0].samples]
    command += ["--embeddings", laid.embeddings[0], "--regions", laid.regions[0]]
    assert main([*command, "--model", laid.model, "--config", str(options)]) == 0
    assert capsys.readouterr().out.strip() == scored
