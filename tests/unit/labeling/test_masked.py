"""Masked scores: what a caption loses when the text goes."""

from dataclasses import dataclass

import numpy as np
import pytest

from openmofi.images import decode_image
from openmofi.labeling.config import EmbedConfig, MaskConfig
from openmofi.labeling.masked import STAGE_VERSION, MaskStage, regions_to_mask
from openmofi.records import MASKED_SCORES
from openmofi.stage import run_stage
from openmofi.storage import open_store
from openmofi.versions import read_table_version
from openmofi.work import align
from support.assembly import embedded, remade
from support.labeling import ToyEncoder, quarters_png, read_tables
from support.masks import regions
from support.tables import Pair, write_pool

REFUSED = Pair(b"no image", "refused", status="corrupt_image")
LAST_QUARTER = [4, 4, 7, 4, 7, 7, 4, 7]


class Reader(ToyEncoder):
    """A text such as "0 3" says which quarters of a picture are bright."""

    def encode_texts(self, texts, *, batch_size=64):
        bright = [[str(quarter) in text for quarter in range(4)] for text in texts]
        vectors = np.where(bright, np.float32(0.5), np.float32(-0.5))
        vectors[["overflow" in text for text in texts]] = np.inf
        return vectors


@dataclass
class ToyMaskStage(MaskStage):
    def setup(self):
        self.encoder = Reader()


def toy_run(folder, pairs, boxes, *, vectors=None, **config):
    pool = write_pool(folder, {"a": pairs})
    seen = [
        None
        if pair.status != "ok"
        else np.where(ToyEncoder.preprocess.pixels(decode_image(pair.image))[..., 0] > 0, 0.5, -0.5)
        .ravel()
        .tolist()
        for pair in pairs
    ]
    pool = embedded(pool, {"a": vectors or seen}, dim=4)
    pool = remade(pool, "text_regions", digests={}, tables={"a": regions(*boxes)})
    tables = {
        kind: read_table_version(getattr(pool, kind)[0], kind)[1]
        for kind in ("samples", "image_embeddings", "text_regions")
    }
    stage = ToyMaskStage("", "toy", "regions", MaskConfig(**config), EmbedConfig(batch_size=2))
    uri = run_stage(stage, open_store(pool.root), align(tables))
    return read_tables(uri, "masked_scores")


@pytest.fixture(scope="module")
def fixed(tmp_path_factory):
    """Pictures whose first quarter is the thing shown and whose last quarter is its lettering."""
    image = quarters_png(0, 3)
    text = [(LAST_QUARTER, 0.9, 0.2)]
    pairs = [
        Pair(image, "0", extension="png"),  # says what is shown
        Pair(image, "3", extension="png"),  # says what is written
        Pair(image, "0 3", extension="png"),
        Pair(image, "  ", extension="png"),
        REFUSED,
        Pair(image, "0", extension="png"),  # without a box
        Pair(image, "overflow", extension="png"),
    ]
    boxes = [text, text, text, text, text, [], text]
    return toy_run(tmp_path_factory.mktemp("fixed"), pairs, boxes)


def test_a_caption_of_the_lettering_loses_its_fit_and_one_of_the_thing_does_not(fixed):
    _, table = fixed
    shown, written, both = table.to_pylist()[:3]
    assert table.schema.equals(MASKED_SCORES, check_metadata=False)
    # Unmasked, three of four quarters agree with either: cosine (3 - 1) / 4.
    assert (shown["caption_score"], written["caption_score"]) == (0.5, 0.5)
    assert (shown["masked_score"], written["masked_score"]) == (1, 0)
    assert (both["caption_score"], both["masked_score"]) == (1, 0.5)
    assert shown["masked_area"] == 16 / 64


def test_every_sample_has_one_status_and_only_ok_has_numbers(fixed):
    version, table = fixed
    rows = table.to_pylist()
    assert [row["status"] for row in rows] == ["ok"] * 3 + ["skipped"] * 3 + ["failed"]
    assert version.counts == {"failed": 1, "ok": 3, "skipped": 3}
    assert all(value is None for row in rows[3:] for value in list(row.values())[:3])


def test_output_on_a_fixed_shard_is_pinned_to_the_stage_version(fixed):
    version, _ = fixed
    assert (STAGE_VERSION, version.shards[0].content_digest) == (
        1,
        "0c55bee966db6e67fc2772508b70a28e",
    ), "output has changed: raise STAGE_VERSION in labeling/masked.py and pin the new digest"


def test_a_picture_without_an_embedding_has_failed(tmp_path):
    pairs = [Pair(quarters_png(0), "0", extension="png")] * 2
    boxes = [[(LAST_QUARTER, 0.9, 0.2)]] * 2
    _, table = toy_run(tmp_path, pairs, boxes, vectors=[None, [0.5, -0.5, -0.5, -0.5]])
    assert table.column("status").to_pylist() == ["failed", "ok"]


def test_a_shard_without_a_region_has_its_rows(tmp_path):
    _, table = toy_run(tmp_path, [Pair(quarters_png(0), "0"), REFUSED], [[], []])
    assert table.column("status").to_pylist() == ["skipped", "skipped"]


def test_regions_count_by_a_loop_over_boxes():
    rng = np.random.default_rng(0)
    rows = [
        [
            (rng.uniform(0, 50, 8).tolist(), float(c), float(a))
            for c, a in zip(rng.random(n), rng.random(n) ** 3, strict=True)
        ]
        for n in rng.integers(0, 4, 50)
    ]
    options = MaskConfig(min_confidence=0.4, min_area=0.01, max_area=0.5)
    polygons, ends = regions_to_mask(regions(*rows), options)
    expected = [
        [corners for corners, c, a in boxes if c >= 0.4 and 0.01 <= a <= 0.5] for boxes in rows
    ]
    assert ends.tolist() == np.cumsum([len(boxes) for boxes in expected]).tolist()
    flat = [corners for boxes in expected for corners in boxes]
    np.testing.assert_allclose(polygons.reshape(-1, 8), flat, rtol=1e-6)
    assert 0 < len(flat) < sum(map(len, rows))


def test_limits_are_inclusive_in_the_tables_own_type():
    one = regions([(LAST_QUARTER, 0.3, 0.2), (LAST_QUARTER, 0.299, 0.1), (LAST_QUARTER, 0.9, 0.21)])
    assert regions_to_mask(one, MaskConfig(max_area=0.2))[1].tolist() == [1]
