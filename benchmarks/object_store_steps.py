"""Steps that `benchmarks.object_store` runs, each in a process of its own, with an empty cache.

As in a step of the pipeline, what a step imports is imported by it, and counts.
"""

import os
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from openmofi.storage import Store, open_store
from openmofi.store_wait import store_wait
from openmofi.versions import read_manifest, read_table_version
from openmofi.workers import usable_cores

_SEED = 2026  # of `make demo`
_BATCH = 64
_DEMO = {"backbone": "tiny", "objectives": "multitask", "batch_size": _BATCH, "learning_rate": 2e-3}


class Spent(NamedTuple):
    """What a step took.

    Args:
        seconds: From its call to its end.
        images: That went through it.
        reads: Seconds in which it waited for the store to read.
        writes: And to write.
        memory: The most that the process has held, MiB; its workers not.
    """

    seconds: float
    images: int
    reads: float
    writes: float
    memory: float


def prepare(folder: Path, root: Path, pairs: int, workers: int) -> None:
    """A crawl and a model in ``folder``; a root with pool, model and training shards."""
    from benchmarks.training_pictures import write_shards
    from openmofi.demo.crawl import write_demo_crawl
    from openmofi.models.backbones import create_backbone, export_folder, read_backbone_config
    from openmofi.models.importing import import_model

    crawl = folder / "demo"
    write_demo_crawl(crawl, pairs=pairs, labeler_pairs=1, seed=_SEED, workers=workers)
    export_folder(
        create_backbone("tiny", seed=1), *read_backbone_config("tiny"), folder / "labeler"
    )
    uri = root.as_uri()
    import_model(uri, source=str(folder / "labeler"))
    _ingest(uri, crawl / "crawl")
    write_shards(root, pairs)


def measure(step: str, *given: Any) -> Spent:
    """A step of this module, by its name."""
    function: Callable[..., int] = globals()[f"_{step}"]
    if step == "read_epochs":  # which is no step of the pipeline, but what one does all the time
        import openmofi.training.run
    if step == "embed_loaded":
        import openmofi.labeling.encoding
        import openmofi.models.encoder  # noqa: F401
    with store_wait() as waited:
        images = function(*given)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Spent(waited.elapsed, images, waited.reads, waited.writes, round(peak, 1))


def _ingest(root: str, source: Path) -> int:
    from openmofi.ingest.run import ingest_pairs, plan_groups

    [group] = plan_groups(root, source=str(source))
    _, version = read_table_version(ingest_pairs(group), "samples")
    return sum(version.counts.values())


def _embed(root: str) -> int:
    from openmofi.labeling.embed import embed_images

    store = open_store(root)
    found = embed_images(_only(store, "samples"), _only(store, "model"))
    _, version = read_table_version(found, "image_embeddings")
    return int(version.counts["ok"])


def _embed_loaded(root: str) -> int:
    """Once more where the imports were before the clock started: nothing hides the model's way."""
    return _embed(root)


def _read_epochs(root: str, epochs: int, workers: int, streamed: bool) -> int:
    """Batches as training reads them, which nobody computes with."""
    import torch

    from openmofi.config import parse_config
    from openmofi.training.building import build_data, build_module, plan_run
    from openmofi.training.config import TrainConfig
    from openmofi.training.loading import step_loader
    from openmofi.training.shards import open_shards

    store = open_store(root)
    manifest = read_manifest(_only(store, "training_shards"), "training_shards")
    settings = parse_config(
        TrainConfig,
        {**_DEMO, "window_shards": 2, "image_cache_mb": 0, "max_steps": 10**6},
        where="benchmark",
    )
    torch.set_num_threads(1)
    plan = plan_run(settings, manifest, "benchmark")
    with open_shards(manifest, streamed=streamed) as shards:
        data = build_data(plan, shards, build_module(plan, shards, first_step=0))
        steps = range(epochs * sum(shards.rows) // _BATCH)
        loader = step_loader(data, steps, workers=workers)
        images = sum(len(batch.uids) for batches in loader for batch in batches)
        data.images.close()
    return images


def _train(root: str, steps: int, mlflow: str) -> int:
    """As the demo trains: its recipe, its checkpoints, its model at the end."""
    import torch

    from openmofi.training.run import train_model

    os.environ["MLFLOW_TRACKING_URI"] = mlflow
    torch.set_num_threads(usable_cores())
    config = {**_DEMO, "max_steps": steps}
    train_model(_only(open_store(root), "training_shards"), config=config, name="benchmark")
    return steps * _BATCH


def forget(root: str, *prefixes: str) -> None:
    """Remove what a step has made, so that it is made again."""
    store = open_store(root)
    for prefix in prefixes:
        for info in list(store.list(prefix)):
            store.delete(info.key)


def forget_training(root: str) -> None:
    """Remove a training and its model, so that both are made and stored again."""
    store = open_store(root)
    for info in list(store.list("manifests/model/")):
        model = read_manifest(f"{store.uri}/{info.key}", "model")
        if model.origin.get("kind") == "trained":
            store.delete(info.key)
            forget(root, f"{model.content['prefix'].rstrip('/')}/")
    forget(root, "trained/", "checkpoints/")


def copy_root(source: Path, root: str) -> None:
    store = open_store(root)
    if root.startswith("file:"):
        shutil.copytree(source, Path(root.removeprefix("file://")))
        return
    for path in sorted(source.rglob("*")):
        if path.is_file():
            store.put_file(path.relative_to(source).as_posix(), path)


def _only(store: Store, kind: str) -> str:
    """The URI of the manifest of a kind of which there is one."""
    [key] = [one.key for one in store.list(f"manifests/{kind}/") if one.key.endswith(".json")]
    return f"{store.uri}/{key}"
