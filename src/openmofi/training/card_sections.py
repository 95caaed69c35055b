"""Parts of the model card that depend on the recipe and the data: use, data, objectives, limits."""

from collections.abc import Mapping, Sequence
from typing import Any

from openmofi.dataset.causes import Cause, funnel

_SMALL = 50_000_000  # parameters of the picture tower; that of ViT-B/16 has 86 million

_LOAD = """\
import open_clip
import torch
from PIL import Image

folder = "local-dir:."  # where this file lies
model, _, preprocess = open_clip.create_model_and_transforms(folder)
model.eval()
with torch.inference_mode():
    picture = preprocess(Image.open("picture.jpg").convert("RGB"))[None]
    pictures = model.encode_image(picture, normalize=True)
"""
_TEXTS = """\
    tokens = open_clip.get_tokenizer(folder)(["a red disc", "a blue square"])
    texts = model.encode_text(tokens, normalize=True)
print(pictures @ texts.T)  # cosines
"""
_ROWS = """\
import pyarrow.parquet as pq
from safetensors.torch import load_file

rows = torch.nn.functional.normalize(load_file("class_rows.safetensors")["rows"], dim=-1)
names = pq.read_table("vocabulary.parquet").column("name").to_pylist()
cosines, places = (pictures @ rows.T)[0].topk(min(5, len(names)))
for cosine, place in zip(cosines, places, strict=True):
    print(f"{cosine:.3f} {names[place]}")
"""


def usage(*, classes: int, reads_texts: bool) -> str:
    """How to load the folder, as code that runs.

    Args:
        classes: Rows of the class head, 0 without one.
        reads_texts: Whether the text tower was trained.
    """
    code = _LOAD + (_TEXTS if reads_texts else "print(pictures)\n")
    parts = [f"With open_clip, in this folder:\n\n```python\n{code}```"]
    if classes:
        parts.append(
            f"The entities of a picture are those whose class rows have the highest cosines:\n\n"
            f"```python\n{_ROWS}```"
        )
    parts.append("From the store: `openmofi.models.encoder.load_encoder(URI)`.")
    return "\n\n".join(parts)


def beginning(start: Mapping[str, Any], *, classes: int) -> str:
    """What a warm start began with, in one line.

    Args:
        start: ``source``, ``digest``, and ``class_rows``: how many rows were taken over.
        classes: Rows of the class head, 0 without one.
    """
    rows = f" and {start['class_rows']:,} of {classes:,} class rows" if classes else ""
    return f"a warm start: weights{rows} of `{start['source']}` (content `{start['digest']}`)"


def objective_rows(objectives: Sequence[Mapping[str, Any]]) -> str:
    """Rows of the table of objectives, from their sections of the config."""
    return "\n".join(
        f"| `{one['kind']}` | {one['weight']:g} | {_compares(one)} |" for one in objectives
    )


def _compares(objective: Mapping[str, Any]) -> str:
    if objective["kind"] == "supervised":
        return (
            f"pictures with entities: margin softmax over {objective['sample_rate']:.0%} of the "
            f"classes, margin {objective['margin']:g}, scale {objective['scale']:g}"
        )
    if objective["kind"] == "contrastive":
        mix = {kind: weight for kind, weight in objective["text_mix"].items() if weight}
        kinds = " : ".join(kind.replace("_", " ") for kind in mix)
        shares = " : ".join(f"{weight:g}" for weight in mix.values())
        return (
            f"pictures with texts, drawn {kinds} = {shares}: InfoNCE; pairs of the same entity are "
            "no negatives"
        )
    return "pictures with their alt texts: InfoNCE"


def data_section(facts: Mapping[str, Any], uri: str, dataset: Mapping[str, Any] | None) -> str:
    """What the model was trained on.

    Args:
        facts: Of the run.
        uri: Of the data set's manifest; may be empty.
        dataset: What that holds; None: it could not be read.
    """
    rows = {
        "data set": f"`{facts['dataset']}`",
        "its manifest": f"`{uri}`" if uri else "not known",
        "training shards": f"`{facts['training_shards']}`",
        "training samples": f"{facts['samples']:,}",
        "entities in the vocabulary": f"{facts['classes']:,}",
    }
    for name, key in (("knowledge base", "knowledge_base"), ("labelled by", "model")):
        if digest := (dataset or {}).get(key):
            rows[name] = f"`{digest}`"
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    rest = _decisions(dataset) if dataset else "The data set's manifest could not be read."
    return f"| | |\n|---|---|\n{table}\n\n{rest}"


def _decisions(dataset: Mapping[str, Any]) -> str:
    """Where the samples of the pool went, and the text policy."""
    counts = dict(dataset["counts"])
    lines = [
        f"| {step} | {cause} | -{dropped:,} |" for step, cause, dropped in funnel(counts) if dropped
    ]
    checked = len(dataset.get("checked_against") or ())
    overlap = (
        f"Samples near to pictures of {checked} evaluation set{'s' * (checked > 1)} were dropped."
        if checked
        else "The samples were **not** compared with any evaluation set: look for overlap yourself."
    )
    return "\n".join(
        [
            f"{_text_policy(dataset)} {overlap}\n",
            "| step | cause | samples |",
            "|---|---|---|",
            f"| seen | | {sum(counts.values()):,} |",
            *lines,
            f"| kept | | {counts.get(Cause.KEPT, 0):,} |",
        ]
    )


def _text_policy(dataset: Mapping[str, Any]) -> str:
    rule = _text_rule(dataset)
    if rule is None:
        return "Nobody looked for text in the pictures; those with text are among the samples."
    if not rule.get("drop_text"):
        return "Pictures with text in them were kept."
    causes = (Cause.TEXT_REGION, Cause.TEXT_DEPENDENT, Cause.TEXT_FAILED)
    dropped = f"{sum(dataset['counts'].get(cause, 0) for cause in causes):,}"
    if rule.get("policy") == "text_dependent":
        return (
            f"Text policy `text_dependent`: {dropped} samples were dropped whose alt text no "
            "longer fits once the picture's text is covered (score below "
            f"{rule['min_masked_score']:g}), or of which that is not known; other pictures with "
            "text were kept."
        )
    return f"Text policy `any_text`: {dropped} samples with text in the picture were dropped."


def _text_rule(dataset: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The rule that was applied; None: no text regions were given, or that is not known."""
    if dataset is None or "text_regions" not in dataset.get("table_digests", {}):
        return None
    rule: Mapping[str, Any] = dataset["config"]["text"]
    return rule


def limits(dataset: Mapping[str, Any] | None, *, classes: int, parameters: int) -> str:
    """What the model cannot be trusted with, as a list.

    Args:
        dataset: What the data set's manifest holds; None: it could not be read.
        classes: Rows of the class head, 0 without one.
        parameters: Of the picture tower.
    """
    found = [
        "**Bias of the web.** Pictures and texts show places, people and things as the crawl does: "
        "unequally, and with its prejudices. Nothing here was measured for that; do not use the "
        "model for decisions about people.",
        "**Language.** It knows the languages of its texts, rare ones poorly; nobody counted.",
        _text_limit(dataset),
        "**Cosines** have each model's own scale: cuts that fit another model do not fit this one.",
    ]
    if classes:
        found.append(
            f"**Entities.** It names {classes:,} entities and nothing else; what is not among them "
            "gets the nearest one's name. Labels were given by a machine, so some are wrong, and "
            "rare entities have few pictures."
        )
    if parameters < _SMALL:
        found.append(
            f"**Size.** A picture tower of {parameters / 1e6:.1f} million parameters is small: fit "
            "to try the method, far from the accuracy that is published for large ones."
        )
    return "\n".join(f"* {one}" for one in found)


def _text_limit(dataset: Mapping[str, Any] | None) -> str:
    rule = _text_rule(dataset) or {}
    if rule.get("drop_text") and rule.get("policy") != "text_dependent":
        return (
            "**Text in pictures.** Pictures in which text was found were left out, so it reads "
            "little and has seen few signs, labels and screens; what the detector missed is in."
        )
    kept = "It may be that" if dataset is None else "Some of"
    return (
        f"**Text in pictures.** {kept} its pictures hold text, so a word in a picture may outweigh "
        "what is shown."
    )
