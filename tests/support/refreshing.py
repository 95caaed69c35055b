"""`refresh` without its orchestrator: what its steps call, in their order, up to publishing.

``python -m support.refreshing FOLDER ROOT [PREFIX]`` runs one as a process. With a prefix it is
killed when it is about to write an object whose key begins so.
"""

import os
import shutil
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from openmofi.dataset.assemble import assemble_dataset
from openmofi.dataset.gate import DataDecision, check_data
from openmofi.dataset.versions.published import publish
from openmofi.entities.build import build_knowledge_base
from openmofi.entities.link import link_entities
from openmofi.ingest.run import ingest_pairs, plan_groups
from openmofi.labeling.embed import embed_images
from openmofi.labeling.score import label_images
from openmofi.models.importing import import_model
from openmofi.shards import TarReader, index_tar, write_tar
from openmofi.storage import FolderStore
from openmofi.textregions.detect import detect_text
from support.tables import noise_jpeg
from support.toy_crawl import write_workplace

ASSEMBLE = {"min_score": -1.0, "min_images_per_entity": 1, "validation_share": 0.3}


NEW_ENTITY = "E0"  # before all others, so that a run from nothing gives it another class index


def write_growing_workplace(folder: Path, *, shards: int, samples: int) -> Path:
    """A toy crawl, and ``later/`` with one tar more, which has not been crawled yet.

    It shows an entity that the others do not, and one picture that the first tar has already.
    """
    folder.mkdir()
    write_workplace(folder, shards=shards, samples=samples)
    with (folder / "entities.csv").open("a") as entities:
        entities.write(f"{NEW_ENTITY},ibis,,a bird,,\n")
    (folder / "later").mkdir()
    path = folder / "crawl/00000.tar"
    with TarReader(path) as tar:
        broken, copied = [members["jpg"] for _, members in tar.members(index_tar(path)[:2])]
    pictures = [noise_jpeg(seed, side=64) for seed in range(samples - 2)] + [copied, broken]
    pairs = [
        (f"{row:06}", {"jpg": picture, "txt": b"an ibis at dawn"})
        for row, picture in enumerate(pictures)
    ]
    write_tar(folder / "later" / f"{shards:05}.tar", pairs)
    return folder


def grow(folder: Path) -> None:
    """Let the crawl have what it lacked."""
    for tar in (folder / "later").iterdir():
        shutil.copy(tar, folder / "crawl")


def curate(folder: Path, root: Path, **assemble: Any) -> str:
    """A version of the data set of a workplace's crawl; its manifest URI."""
    store = root.as_uri()
    base = build_knowledge_base(store, csv=str(folder / "entities.csv"))
    model = import_model(store, source=str(folder / "labeler"))
    tables: dict[str, list[str]] = {}
    for group in plan_groups(store, source=str(folder / "crawl"), groups=1):
        samples = ingest_pairs(group)
        mentions = link_entities(samples, base)
        embeddings = embed_images(samples, model)
        made = {
            "samples": samples,
            "mentions": mentions,
            "image_embeddings": embeddings,
            "entity_scores": label_images(embeddings, mentions, base, model),
            "text_regions": detect_text(samples),
        }
        for kind, uri in made.items():
            tables.setdefault(kind, []).append(uri)
    parent = assemble.pop("parent", "published:main")
    config = {**ASSEMBLE, **assemble}
    return assemble_dataset(**tables, knowledge_base=base, config=config, parent=parent)


def refresh(
    folder: Path, root: Path, *, gate: Mapping[str, Any] | None = None
) -> tuple[str, DataDecision]:
    """The version, which is published if the gate has passed it, and the gate's decision."""
    dataset = curate(folder, root)
    decision = check_data(dataset, parent="published:main", config=gate)
    if decision.passed:
        publish(dataset, why="refresh")
    return dataset, decision


class DiedError(BaseException):
    """Nothing catches it, as nothing catches the end of a process."""


def die_at(monkeypatch: Any, prefix: str, place: int) -> None:
    """Let the run end where it would write the given one of the objects with a prefix."""
    original = FolderStore.new_file
    met: list[str] = []

    def new_file(self: FolderStore, key: str) -> Any:
        if key.startswith(prefix):
            met.append(key)
            if len(met) == place:
                raise DiedError(key)
        return original(self, key)

    monkeypatch.setattr(FolderStore, "new_file", new_file)


def die_before_writing(prefix: str) -> None:
    """SIGKILL to this process in place of the first write of such an object."""
    original = FolderStore.new_file

    def new_file(self: FolderStore, key: str) -> Any:
        if key.startswith(prefix):
            os.kill(os.getpid(), signal.SIGKILL)
        return original(self, key)

    FolderStore.new_file = new_file  # type: ignore[method-assign]


if __name__ == "__main__":
    if len(sys.argv) > 3:
        die_before_writing(sys.argv[3])
    print(refresh(Path(sys.argv[1]), Path(sys.argv[2]))[0])
