"""Assembly against a twin that loops over dictionaries, over pools and rules at random."""

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from openmofi.dataset.assemble import assemble_dataset
from openmofi.dataset.causes import Cause
from openmofi.dataset.config import AssembleConfig
from openmofi.dataset.versions.version import Dataset, read_dataset
from openmofi.entities.build import build_knowledge_base
from openmofi.errors import InputError
from openmofi.evaluation_data.layouts import read_evaluation_data
from openmofi.images import decode_image, image_id, perceptual_hash
from openmofi.storage import open_store
from support.assembly import dropped, kept, table
from support.assembly_pools import random_forgotten, random_pool, random_rules, write_tables
from support.assembly_twin import Decisions, HeldOut, Sample, decide
from support.heads import write_head
from support.tables import noise_jpeg

ENTITIES = ("chad", "lagos", "norway", "peru")
POOLS = 60
TOMBSTONES = "tombstones/twin.txt"


class Workplace:
    """A knowledge base, an evaluation set and a head; a store for every pool."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        source = folder / "kb.csv"
        lines = [f"{one},{one.title()},,a place" for one in ENTITIES]
        source.write_text("entity_id,name,aliases,description\n" + "\n".join(lines) + "\n")
        self.knowledge_base = build_knowledge_base(str(folder / "kb"), csv=str(source))
        self.evaluation = folder / "evaluation"
        (self.evaluation / "peru").mkdir(parents=True)
        pictures = [noise_jpeg(900 + seed) for seed in range(3)]
        for number, picture in enumerate(pictures):
            (self.evaluation / "peru" / f"{number}.jpg").write_bytes(picture)
        self.held_out = HeldOut(
            ids={image_id(one) for one in pictures},
            hashes={perceptual_hash(decode_image(one)) for one in pictures},
        )
        assert set(read_evaluation_data(str(self.evaluation)).images.image_ids) == (
            self.held_out.ids
        )
        self.head = write_head(folder / "h.safetensors", [1.0, 0.0, 0.0, 0.0])

    def case(self, seed: int) -> tuple[list[Sample], dict[str, Any], list[str]]:
        """A pool, its rules and what was taken down."""
        samples = random_pool(seed, ENTITIES, self.held_out)
        config = random_rules(seed, entities_needed=seed % 4 != 0)
        if seed % 2:
            config["evaluation_sets"] = [str(self.evaluation)]
        if seed % 3 == 0:
            config["heads"] = {"risk": {"file": str(self.head), "max": 0.9, "min": -0.5}}
        return samples, config, random_forgotten(seed, samples)

    def decided(self, seed: int) -> Decisions:
        """By the twin."""
        samples, config, forgotten = self.case(seed)
        rules = AssembleConfig(**config)
        return decide(samples, rules, forgotten, self.held_out if rules.evaluation_sets else None)

    def assembled(self, seed: int) -> Dataset:
        samples, config, forgotten = self.case(seed)
        root = self.folder / f"store-{seed}"
        open_store(str(root)).put(TOMBSTONES, "\n".join(forgotten).encode())
        uri = assemble_dataset(
            **write_tables(root, samples), knowledge_base=self.knowledge_base, config=config
        )
        return read_dataset(uri)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    return Workplace(tmp_path_factory.mktemp("twin"))


def found(dataset: Dataset) -> Decisions:
    """What a version says."""
    labels = kept(dataset.manifest)
    splits = {
        f"{shard.shard}/{row['row']}": row["split"]
        for shard in dataset.shards
        for row in table(dataset.manifest, shard.kept_key)
    }
    causes = {**dict.fromkeys(labels, "kept"), **dropped(dataset.manifest)}
    return Decisions(causes, labels, splits)


@pytest.mark.parametrize("seed", range(POOLS))
def test_assembly_decides_as_its_twin_does(workplace: Workplace, seed: int) -> None:
    expected = workplace.decided(seed)
    if "kept" not in expected.causes.values():
        with pytest.raises(InputError, match="no sample is left"):
            workplace.assembled(seed)
        return
    made = workplace.assembled(seed)
    assert asdict(found(made)) == asdict(expected)
    assert made.content["counts"] == dict(sorted(Counter(expected.causes.values()).items()))


def test_the_pools_meet_every_rule(workplace: Workplace) -> None:
    decided = [workplace.decided(seed) for seed in range(POOLS)]
    causes = Counter(cause for one in decided for cause in one.causes.values())
    assert {str(cause) for cause in Cause} <= causes.keys()
    assert min(causes[str(cause)] for cause in Cause) >= 10
    assert sum("kept" in one.causes.values() for one in decided) > 0.8 * POOLS
    splits = Counter(split for one in decided for split in one.splits.values())
    assert min(splits.values()) > 80
    assert sum(len(labels) > 1 for one in decided for labels in one.labels.values()) > 30
