"""From the drawn crawl to the training shards of every arm. All of it is found again if made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.claims.config import ClaimsConfig
from benchmarks.claims.permuted import permute_labels
from openmofi.dataset.assemble import assemble_dataset
from openmofi.dataset.training_shards import build_shards
from openmofi.demo.crawl import write_demo_crawl
from openmofi.entities.build import build_knowledge_base
from openmofi.entities.link import link_entities
from openmofi.ingest.run import ingest_pairs, plan_groups
from openmofi.labeling.embed import embed_images
from openmofi.labeling.score import label_images
from openmofi.progress import say
from openmofi.textregions.detect import detect_text
from openmofi.training.run import train_model

_SHARD = {"samples_per_shard": 500}
_HALVES = 2
# Seeds of arms are counted from zero, and no arm begins as the labeler did.
_LABELER_SEED = 1000


@dataclass(frozen=True)
class Place:
    """Where the experiment lies.

    Attributes:
        crawl: The drawn crawl.
        root: The store.
        workers: Processes of a stage.
    """

    crawl: Path
    root: str
    workers: int

    @property
    def evaluation(self) -> str:
        """The held-out images."""
        return str(self.crawl / "evaluation")


@dataclass(frozen=True)
class Curated:
    """What a curation made.

    Attributes:
        tables: Manifest URIs by kind of table, one a half of the pool.
        knowledge_base: Manifest URI.
        labeler: Manifest URI.
    """

    tables: Mapping[str, Sequence[str]]
    knowledge_base: str
    labeler: str


def draw_crawl(config: ClaimsConfig, place: Place) -> None:
    """Pictures, alt texts, knowledge base and held-out images."""
    crawl = config.crawl
    write_demo_crawl(
        place.crawl,
        pairs=crawl.pairs,
        seed=crawl.seed,
        labeler_pairs=crawl.labeler_pairs,
        domains=crawl.domains,
        workers=place.workers,
    )


def curate(config: ClaimsConfig, place: Place) -> Curated:
    """Ingest, link, embed, label and look for text, with a labeler that is trained here."""
    csv = str(place.crawl / "knowledge_base.csv")
    knowledge_base = build_knowledge_base(place.root, csv=csv, workers=place.workers)
    labeler = _train_labeler(config, place)
    label = config.label.model_dump(mode="json")
    samples = _ingest(place, "crawl", _HALVES)
    mentions = [link_entities(one, knowledge_base, workers=place.workers) for one in samples]
    embeddings = [embed_images(one, labeler) for one in samples]
    regions = [detect_text(one, workers=place.workers) for one in samples]
    scores = [
        label_images(vectors, names, knowledge_base, labeler, config=label, workers=place.workers)
        for vectors, names in zip(embeddings, mentions, strict=True)
    ]
    tables = {
        "samples": samples,
        "mentions": mentions,
        "image_embeddings": embeddings,
        "entity_scores": scores,
        "text_regions": regions,
    }
    return Curated(tables, knowledge_base, labeler)


def training_shards(config: ClaimsConfig, place: Place, curated: Curated) -> dict[str, str]:
    """URIs of the training shards by the name of their data, see `benchmarks.claims.arms.Arm`."""
    samples, regions = curated.tables["samples"], curated.tables["text_regions"]
    rules = _rules(config, place, drop_text=False)
    labelled = assemble_dataset(
        **curated.tables, knowledge_base=curated.knowledge_base, config=rules
    )
    datasets = {
        "labelled": labelled,
        "permuted": permute_labels(labelled),
        "all": _pairs(config, place, samples),
        "half": _pairs(config, place, samples[:1]),
        "text_free": _pairs(config, place, samples, regions),
    }
    return {name: build_shards(uri, config=_SHARD) for name, uri in datasets.items()}


def _train_labeler(config: ClaimsConfig, place: Place) -> str:
    samples = _ingest(place, "labeler", 1)
    dataset = _pairs(config, place, samples)
    training = config.labeler.model_dump(mode="json", exclude_unset=True)
    shards = build_shards(dataset, config=_SHARD)
    return train_model(shards, config={"seed": _LABELER_SEED, **training}, name="labeler")


def _ingest(place: Place, name: str, groups: int) -> list[str]:
    planned = plan_groups(place.root, source=str(place.crawl / name), groups=groups)
    say(f"{name}: {len(planned)} groups")
    return [ingest_pairs(group, workers=place.workers) for group in planned]


def _pairs(
    config: ClaimsConfig, place: Place, samples: Sequence[str], regions: Sequence[str] = ()
) -> str:
    """Usable pairs, whether an entity was found or not; with ``regions`` those without text."""
    rules = _rules(config, place, drop_text=bool(regions))
    for entities_alone in ("min_score", "min_images_per_entity", "calibration"):
        rules.pop(entities_alone, None)
    return assemble_dataset(
        samples=samples,
        mentions=(),
        image_embeddings=(),
        entity_scores=(),
        text_regions=regions,
        knowledge_base="",
        config={**rules, "require_entities": False},
    )


def _rules(config: ClaimsConfig, place: Place, *, drop_text: bool) -> dict[str, Any]:
    rules = config.assemble.model_dump(mode="json", exclude_unset=True)
    return {
        **rules,
        "text": {"drop_text": drop_text},
        "evaluation_sets": [place.evaluation],
    }
