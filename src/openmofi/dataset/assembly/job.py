"""All that decides what a data set will be, read and checked before there is work."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Optional

from openmofi.dataset.assembly.cut import Cut, read_cut
from openmofi.dataset.assembly.evaluation_vectors import evaluation_vectors
from openmofi.dataset.assembly.facts import RowRules
from openmofi.dataset.assembly.held_out import HeldOut, evaluation_hashes
from openmofi.dataset.assembly.image_rules import BoundedHead, ImageRules, read_heads
from openmofi.dataset.assembly.inputs import (
    PoolTables,
    check_knowledge_base,
    check_masked_scores,
    check_near_duplicate_search,
    read_pool_tables,
)
from openmofi.dataset.assembly.row_causes import RowDecisions
from openmofi.dataset.config import AssembleConfig
from openmofi.dataset.versions.parent import find_parent
from openmofi.dataset.versions.version import KIND, read_dataset
from openmofi.errors import InputError
from openmofi.evaluation_data.hash_list import HashList, is_hash_list, read_hash_list
from openmofi.evaluation_data.image_set import ImageSet
from openmofi.evaluation_data.layouts import read_evaluation_data
from openmofi.keys import hash_json
from openmofi.progress import say
from openmofi.textregions.rule import has_second_look
from openmofi.tombstones import Tombstones, read_tombstones
from openmofi.versions import Manifest

if TYPE_CHECKING:
    from openmofi.entities.knowledge_base import KnowledgeBase

STAGE_VERSION = 5


@dataclass(frozen=True)
class Job:
    """Everything that decides the result."""

    config: AssembleConfig
    tables: PoolTables
    knowledge_base: Optional["KnowledgeBase"]
    knowledge_base_uri: str
    parent: Manifest | None
    evaluation_sets: Sequence[ImageSet | HashList]
    tombstones: Tombstones
    heads: Mapping[str, BoundedHead]
    cut: Cut

    def recipe(self) -> str:
        """Hash of the config and of the digests of all inputs."""
        return hash_json([self.lineage(), self.parent.digest if self.parent else ""])

    def lineage(self) -> str:
        """The recipe without the parent: with nothing new, a version and its parent share it."""
        # A file's place does not matter, what is in it does.
        config = self.config.model_dump(
            mode="json", exclude={"evaluation_sets", "heads", "calibration"}
        )
        versions = {kind: version.digest for kind, version in self.tables.versions.items()}
        beside = {name: one for name, one in self.provenance().items() if name != "parent"}
        return hash_json([KIND, STAGE_VERSION, config, versions, beside])

    def provenance(self) -> dict[str, Any]:
        """What stands beside the tables, by digest."""
        return {
            "knowledge_base": self.knowledge_base.digest if self.knowledge_base else "",
            "parent": self.parent.digest if self.parent else "",
            "checked_against": self.checked_against(),
            "tombstones": self.tombstones.digest,
            "heads": {name: one.describe() for name, one in self.heads.items()},
            "calibration": self.cut.describe(),
        }

    def checked_against(self) -> list[str]:
        """Digests of the evaluation sets, whether their images were at hand or a list."""
        return [one.digest for one in self.evaluation_sets]

    def row_rules(self) -> RowRules:
        """What decides facts; may hash and embed the evaluation sets' images."""
        text = self.config.text
        looked = text.drop_text and self.tables.has("text_regions")
        return RowRules(text if looked else None, self._image_rules(), self._held_out())

    def row_decisions(self) -> RowDecisions:
        """What makes causes and labels of facts."""
        return RowDecisions(
            min_score=self.cut.value,
            min_context=self.config.min_context_score or 0,
            require_entities=self.config.require_entities,
            rights=self.config.rights,
            heads=tuple(self.heads.values()),
            tombstones=self.tombstones,
        )

    def _image_rules(self) -> ImageRules:
        heads, cosine = tuple(self.heads.values()), self.config.evaluation_cosine
        if cosine is None or not self.evaluation_sets:
            return ImageRules(heads)
        model = _embedded_by(self.tables)
        sets = [one for one in self.evaluation_sets if isinstance(one, ImageSet)]
        vectors = evaluation_vectors(self.tables.store, model, sets)
        return ImageRules(heads, vectors, cosine)

    def _held_out(self) -> HeldOut:
        bits = self.config.evaluation_bits
        ids = sorted({one for images in self.evaluation_sets for one in images.image_ids})
        if bits is None:
            return HeldOut(tuple(ids))
        return HeldOut(tuple(ids), evaluation_hashes(self.tables.store, self.evaluation_sets), bits)


def prepare(
    given: Mapping[str, Sequence[str]], knowledge_base: str, config: AssembleConfig, parent: str
) -> Job:
    """Open what was given to assembly.

    Args:
        given: Manifest URIs by kind of table.
        knowledge_base: Manifest URI, or empty.
        config: The decisions.
        parent: As `openmofi.dataset.versions.parent.find_parent` takes it, or empty.

    Raises:
        InputError: Something is missing, or does not fit the rest.
    """
    check_near_duplicate_search(config)
    tables = read_pool_tables(given, config)
    config = _fitting(config, tables)
    check_masked_scores(tables, config.text)
    loaded = None
    if knowledge_base:
        from openmofi.entities.knowledge_base import load_knowledge_base

        loaded = load_knowledge_base(knowledge_base)
        check_knowledge_base(tables, loaded.digest)
    elif tables.has("mentions") and tables.has("entity_scores"):
        raise InputError("assemble: mentions were given without their knowledge base")
    if config.text.drop_text and not tables.has("text_regions"):
        say("assemble: no text_regions were given, so pictures with text in them are not dropped")
    followed = find_parent(parent, tables.store)
    return Job(
        config=config,
        tables=tables,
        knowledge_base=loaded,
        knowledge_base_uri=knowledge_base,
        parent=_read_parent(followed, tables) if followed else None,
        evaluation_sets=_read_evaluation_sets(config),
        tombstones=read_tombstones(tables.store),
        heads=read_heads(config.heads, _embedded_by(tables)),
        cut=read_cut(config, tables),
    )


def _read_evaluation_sets(config: AssembleConfig) -> list[ImageSet | HashList]:
    # The images that evaluation tests on, and no others: ImageNet's train is for learning.
    found = [
        read_hash_list(one) if is_hash_list(one) else read_evaluation_data(one).images
        for one in config.evaluation_sets
    ]
    for name, one in zip(config.evaluation_sets, found, strict=True):
        if config.evaluation_cosine is not None and isinstance(one, HashList):
            raise InputError(
                f"evaluation_cosine compares pictures, and {name} is a list of hashes; name the "
                "set's folder, or leave evaluation_cosine out"
            )
    return found


def _read_parent(uri: str, tables: PoolTables) -> Manifest:
    parent = read_dataset(uri).manifest
    if parent.store.uri != tables.store.uri:
        raise InputError(
            f"the parent lies in {parent.store.uri} and samples in {tables.store.uri}; use one root"
        )
    return parent


def _fitting(config: AssembleConfig, tables: PoolTables) -> AssembleConfig:
    """The decisions with the text rule's upper limit that fits the boxes given."""
    if not tables.has("text_regions"):
        return config
    text = config.text.for_boxes(second_look=has_second_look(tables.versions["text_regions"]))
    return config.model_copy(update={"text": text})


def _embedded_by(tables: PoolTables) -> str:
    return tables.digests.get("image_embeddings", {}).get("model", "")
