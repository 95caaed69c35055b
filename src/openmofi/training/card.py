"""The model card: what the folder of a published model says of itself, in ``README.md``.

It is written from what the run knows; it takes no part in the model's digest, because equal runs
differ in date, name and seconds. Evaluations come later and lie elsewhere; the card says where.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from openmofi import __version__
from openmofi.errors import InputError, StorageError
from openmofi.keys import hash_bytes
from openmofi.training.card_sections import (
    beginning,
    data_section,
    limits,
    objective_rows,
    usage,
)
from openmofi.versions import Manifest, read_manifest

CARD_FILE = "README.md"

_CARD = """\
---
library_name: open_clip
---
# {name}

{summary}

| | |
|---|---|
{table}

## Use

{usage}

## Data

{data}

## Recipe

| objective | weight | what it compares |
|---|---|---|
{objectives}

{steps}

All of the configuration; `openmofi train --config` takes it as it stands:

```yaml
{config}```

## Training

{training}

No evaluation stands here: models are measured after they are published, on data of your choice, by

```
openmofi evaluate run {uri} --data FOLDER
```

Each evaluation has a manifest in the store, a report beside it and a run in MLflow; a registered
model's version has the evaluation that it was held against the gate with as its tag
`openmofi.evaluation_uri`.

## Limits

{limits}

## Licence and provenance

OpenMOFI's code is under the Apache License 2.0. This card grants no licence for the weights: what
may be done with them depends on the pictures and texts, which stay their owners', and on the
knowledge base (licence: {licence}). The digests above lead from the model to the data set's
version, and from there to every picture that was used or dropped, with the cause.
"""


@dataclass(frozen=True)
class Described:
    """What a card is made from; equal values give equal cards.

    Args:
        facts: Of the run, the same for equal runs: recipe, data, sizes.
        run_facts: Of the run, what may differ: name, last metrics, seconds; of a warm start also
            ``initial_model``, see `openmofi.training.publish`.
        config: All of `TrainConfig`, as plain values.
        model: The model config, as `read_backbone_config` gives it.
        parameters: Numbers in the towers, by ``picture`` and ``text``.
        dataset: What the data set's manifest holds; None: it could not be read.
        licence: Of the knowledge base; empty: not known.
        uri: Of the model's manifest.
        made: ``date``, ``version`` and ``commit``, which may be empty.
    """

    facts: Mapping[str, Any]
    run_facts: Mapping[str, Any]
    config: Mapping[str, Any]
    model: Mapping[str, Any]
    parameters: Mapping[str, int]
    dataset: Mapping[str, Any] | None
    licence: str
    uri: str
    made: Mapping[str, str]

    @property
    def classes(self) -> int:
        """Rows of the class head, 0 without one."""
        kinds = [objective["kind"] for objective in self.config["objectives"]]
        return int(self.facts["classes"]) if "supervised" in kinds else 0

    @property
    def reads_texts(self) -> bool:
        """Whether an objective trained the text tower."""
        return any(objective["kind"] != "supervised" for objective in self.config["objectives"])


def describe(
    backbone: Any,
    model: Mapping[str, Any],
    config: Mapping[str, Any],
    *,
    facts: Mapping[str, Any],
    run_facts: Mapping[str, Any],
    uri: str,
) -> Described:
    """Gather what the card of a model that was just trained is made from.

    Args:
        backbone: An open_clip model.
        model: See `Described`, as the rest.
        config: The same.
        facts: The same.
        run_facts: The same; ``dataset_uri`` names the data set, whose manifest is read.
        uri: The same.
    """
    picture = sum(p.numel() for p in backbone.visual.parameters())
    whole = sum(p.numel() for p in backbone.parameters())
    dataset = _manifest(str(run_facts.get("dataset_uri", "")), "dataset", str(facts["dataset"]))
    return Described(
        facts=facts,
        run_facts=run_facts,
        config=config,
        model=model,
        parameters={"picture": picture, "text": whole - picture},
        dataset=dataset.content if dataset else None,
        licence=_licence(dataset) if dataset else "",
        uri=uri,
        made={
            "date": datetime.now(UTC).date().isoformat(),
            "version": __version__,
            "commit": os.environ.get("OPENMOFI_GIT_COMMIT", ""),
        },
    )


def write_card(folder: Path, described: Described) -> None:
    """Write ``README.md`` into a model's folder."""
    (folder / CARD_FILE).write_text(model_card(described), encoding="utf-8")


def model_card(one: Described) -> str:
    """The card as Markdown."""
    name = " ".join(str(one.run_facts["name"]).split())
    return _CARD.format(
        name=name or "A model without a name",
        summary=_summary(one),
        table="\n".join(f"| {key} | {value} |" for key, value in _table(one).items()),
        usage=usage(classes=one.classes, reads_texts=one.reads_texts),
        data=data_section(one.facts, str(one.run_facts.get("dataset_uri", "")), one.dataset),
        objectives=objective_rows(one.config["objectives"]),
        steps=_steps(one),
        config=yaml.safe_dump(dict(one.config), sort_keys=False, allow_unicode=True),
        training=_training(one.run_facts, int(one.config["log_every"])),
        uri=one.uri,
        licence=one.licence or "not known",
        limits=limits(one.dataset, classes=one.classes, parameters=one.parameters["picture"]),
    )


def read_card(model: str) -> str:
    """The card of a published model.

    Args:
        model: URI of its manifest.

    Raises:
        InputError: It is no model, or it has no card.
        StorageError: The card is missing, or is not what the manifest says.
    """
    manifest = read_manifest(model, "model")
    expected = manifest.content["files"].get(CARD_FILE)
    if expected is None:
        trained = manifest.origin.get("kind") == "trained"
        why = "it was trained before there were cards" if trained else "it was imported"
        raise InputError(f"{model} has no model card: {why}")
    key = f"{manifest.content['prefix']}/{CARD_FILE}"
    data = manifest.store.get(key)
    if hash_bytes(data) != expected:
        raise StorageError(f"{manifest.store.uri}/{key} is not what {model} names: it was changed")
    return data.decode("utf-8")


def _manifest(uri: str, kind: str, digest: str) -> Manifest | None:
    """None if it is not there, or another: shards may be moved alone, and a card must not fail."""
    try:
        found = read_manifest(uri, kind)
    except (InputError, StorageError):
        return None
    return found if found.digest == digest else None


def _licence(dataset: Manifest) -> str:
    """Of the data set's knowledge base."""
    digest = str(dataset.content.get("knowledge_base", ""))
    uri = Manifest(dataset.store, "knowledge_base", digest).uri
    base = _manifest(uri, "knowledge_base", digest)
    return str(base.content.get("licence", "")) if base else ""


def _summary(one: Described) -> str:
    dim = one.model["embed_dim"]
    if one.reads_texts:
        return (
            f"A dual encoder: pictures and texts become unit vectors of {dim} numbers, whose "
            "cosines say how well they fit. Trained by OpenMOFI."
        )
    return (
        f"An encoder of pictures: they become unit vectors of {dim} numbers, whose cosines say how "
        "alike they are. Trained by OpenMOFI. Its text tower was **not trained**: no objective of "
        "the recipe reads texts."
    )


def _table(one: Described) -> dict[str, str]:
    size = one.model["vision_cfg"].get("image_size", 224)
    height, width = (size, size) if isinstance(size, int) else size
    tokens = one.model["text_cfg"].get("context_length", 77)
    facts, made, start = one.facts, one.made, one.run_facts.get("initial_model")
    commit = f", commit `{made['commit']}`" if made["commit"] else ""
    return {
        "backbone": f"`{one.config['backbone']}`",
        "picture tower": f"{one.parameters['picture']:,} parameters, {width} x {height} pixels",
        "text tower": f"{one.parameters['text']:,} parameters, {tokens} tokens"
        + ("" if one.reads_texts else ", not trained"),
        "class rows": f"{one.classes:,} entities" if one.classes else "none",
        **({"begun with": beginning(start, classes=one.classes)} if start else {}),
        "model": f"`{one.uri}`",
        "recipe": f"`{facts['recipe']}`",
        "made": f"{made['date']} by OpenMOFI {made['version']}{commit}",
    }


def _steps(one: Described) -> str:
    config, facts = one.config, one.facts
    samples = config["batch_size"] * config["accumulate"]
    return (
        f"{facts['steps']:,} steps of {samples:,} samples: {facts['steps'] * samples:,} in all, "
        f"each sample {facts['epochs']:,.1f} times on average. Learning rate to "
        f"{config['learning_rate']:g} in {config['warmup_steps']:,} steps, then down to 0 by a "
        f"cosine."
    )


def _training(run_facts: Mapping[str, Any], log_every: int) -> str:
    metrics = run_facts.get("metrics") or {}
    if not metrics:
        return "The process that published the model ran no step, so it knows no last losses."
    rows = "\n".join(f"| `{name}` | {value:.6g} |" for name, value in sorted(metrics.items()))
    return (
        f"The last point of each metric (means over at most {log_every} steps), after "
        f"{run_facts['seconds']:,} seconds of the process that ended the run. All points are in "
        f"MLflow, run `{run_facts['mlflow_run_id']}`.\n\n| metric | value |\n|---|---|\n{rows}"
    )
