"""Labeling by hand: the images of a folder of tar shards, without a pool or a store."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from openmofi.config import parse_config
from openmofi.entities.knowledge_base import open_knowledge_base
from openmofi.errors import InputError
from openmofi.files import replacing
from openmofi.ingest.sources import IMAGE_EXTENSIONS
from openmofi.labeling.candidates import score_candidates
from openmofi.labeling.config import EmbedConfig, LabelConfig
from openmofi.labeling.texts import EntityTexts, entity_texts_of
from openmofi.models.device import check_device
from openmofi.progress import bar, say
from openmofi.records import read_parquet
from openmofi.shards import index_tar

if TYPE_CHECKING:
    from openmofi.models.encoder import ClipEncoder

LABELS = pa.schema(
    [
        pa.field("shard", pa.string(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("entity_id", pa.string(), nullable=False),
        pa.field("clip_score", pa.float32(), nullable=False),  # cosine, -1 to 1
        pa.field("rank", pa.int32(), nullable=False),  # 0 is the image's best entity
        # P(entity | text, image) among the candidates of a mention, the best of its mentions.
        pa.field("posterior", pa.float32(), nullable=False),
        pa.field("settled", pa.bool_(), nullable=False),  # the best candidate of some mention
    ]
)
_NEEDED = ("shard", "key", "start", "end", "entity_id", "rank", "score")


@dataclass(frozen=True)
class LabelCounts:
    """What was found."""

    images: int  # in the tars
    labeled: int  # with candidates, and decoded
    failed: int  # with candidates, and not to be decoded
    scores: int


@dataclass(frozen=True)
class TarImage:
    """One image of a tar."""

    shard: str
    key: str
    path: Path
    offset: int
    length: int


def label_pairs(
    pairs: Path,
    mentions: Path,
    knowledge_base: str,
    model: str,
    out: Path,
    *,
    config: Mapping[str, Any] | None = None,
    embed: Mapping[str, Any] | None = None,
) -> LabelCounts:
    """Score the candidates of every image and write one Parquet file of `LABELS`.

    Args:
        pairs: Folder of WebDataset tars.
        mentions: File that ``openmofi entities link`` wrote for them.
        knowledge_base: The one that it used: a folder, or a manifest's URI.
        model: A dual encoder: a folder, or a manifest's URI.
        out: The file; its metadata name the model, the knowledge base and the options.
        config: Of `LabelConfig`.
        embed: Of `EmbedConfig`.

    Raises:
        InputError: An input is missing or does not fit the others.
        ShardError: A tar is cut short.
    """
    options = parse_config(LabelConfig, config, where="label")
    pixels = parse_config(EmbedConfig, embed, where="embed")
    check_device(pixels.device)
    images = tar_images(pairs)
    candidates = _read_mentions(mentions, images)
    base = open_knowledge_base(knowledge_base)
    ids = sorted(candidates.column("entity_id").unique().to_pylist())
    texts = entity_texts_of(base, options, ids)
    encoder = _encoder(model, pixels)
    weight = options.image_weight if options.image_weight is not None else encoder.logit_scale
    if weight is None:
        raise InputError(f"model {model} has no logit scale; set image_weight in --config")
    vectors, position = _embed(encoder, images, np.unique(candidates.column("row")), pixels)
    entities = EntityTexts(pa.array(ids, pa.string()), _encode(encoder, texts, options.batch_size))
    scores, _ = score_candidates(candidates, vectors, position, entities, image_weight=weight)
    made_with = {
        "kind": "labels",
        "model": encoder.digest,
        "knowledge_base": base.digest,
        "label": options.semantic(),
    }
    _write(_table(scores, images, made_with), out)
    with_candidates = len(np.unique(candidates.column("row")))
    return LabelCounts(len(images), len(vectors), with_candidates - len(vectors), scores.num_rows)


def tar_images(folder: Path) -> list[TarImage]:
    """Where the images of all tars in a folder lie, in their order.

    Raises:
        InputError: The folder holds no tar with images.
        ShardError: A tar is cut short.
    """
    tars = sorted(folder.glob("*.tar")) if folder.is_dir() else []
    if not tars:
        raise InputError(f"no tar shard found in {folder}; --pairs takes a folder of *.tar files")
    found = []
    for path in tars:
        for sample in index_tar(path):
            extension = next((e for e in sample.members if e in IMAGE_EXTENSIONS), None)
            if extension is not None:
                member = sample.members[extension]
                found.append(TarImage(path.stem, sample.key, path, member.offset, member.length))
    if not found:
        raise InputError(f"the tars in {folder} hold no image ({', '.join(IMAGE_EXTENSIONS)})")
    return found


def _read_mentions(path: Path, images: list[TarImage]) -> pa.Table:
    """The mentions of these images, with their rows: what `score_candidates` reads."""
    if not path.is_file():
        raise InputError(f"mentions not found: {path}; `openmofi entities link` writes them")
    try:
        table = read_parquet(path)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path} is not a readable Parquet file: {error}") from None
    missing = [name for name in _NEEDED if name not in table.column_names]
    if missing:
        raise InputError(f"{path} lacks the column '{missing[0]}'; use `openmofi entities link`")
    places = pa.array([f"{one.shard}\0{one.key}" for one in images])
    named = pc.binary_join_element_wise(table.column("shard"), table.column("key"), "\0")
    rows = pc.index_in(named, value_set=places).combine_chunks()
    known = rows.is_valid()
    strangers = len(rows) - pc.sum(known).as_py() if len(rows) else 0
    if strangers == len(rows):
        raise InputError(f"{path} holds no mention of an image in the tars; is --pairs theirs?")
    if strangers:
        say(f"label: {strangers} candidates of {path} name images that the tars lack; left out")
    table, rows = table.filter(known), rows.filter(known)
    numbers = table.column("mention") if "mention" in table.column_names else _spans(table)
    columns = {
        "row": rows.cast(pa.int32()),
        "mention": numbers,
        "entity_id": table.column("entity_id"),
        "context_score": table.column("score"),
        "rank": table.column("rank"),
    }
    return pa.table(columns)


def _spans(table: pa.Table) -> pa.Array:
    """A number for each span of text, for mentions whose maker does not number them."""
    spans = np.stack([table.column("start").to_numpy(), table.column("end").to_numpy()], axis=1)
    return pa.array(np.unique(spans, axis=0, return_inverse=True)[1].ravel().astype(np.int32))


def _encoder(model: str, options: EmbedConfig) -> "ClipEncoder":
    from openmofi.models.encoder import load_encoder, load_encoder_folder

    load = load_encoder if "/manifests/" in model else load_encoder_folder
    return load(
        model, device=options.device, precision=options.precision, compiled=options.compiled
    )


def _embed(
    encoder: "ClipEncoder",
    images: list[TarImage],
    wanted: npt.NDArray[np.int64],
    options: EmbedConfig,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Vectors of the wanted images that decode, and of every image which it is, or -1."""
    from openmofi.labeling.decoding import Picture
    from openmofi.labeling.encoding import Speed, encode_pictures

    chosen = [images[row] for row in wanted.tolist()]
    speed, size = Speed(), options.images_per_pass(encoder.device)
    blocks = encode_pictures(
        encoder,
        (Picture(str(one.path), one.offset, one.length) for one in chosen),
        batch_size=size,
        workers=options.processes(encoder.device),
        scaled=options.scaled_decoding,
        speed=speed,
    )
    total = -(-len(chosen) // size)
    found = list(bar(blocks, label="label: images", total=total, unit="batch"))
    speed.tell("label")
    ok = np.concatenate([block.ok for block in found])
    position = np.full(len(images), -1, np.int64)
    position[wanted[ok]] = np.arange(np.count_nonzero(ok))
    # By way of float16, as the tables of a store hold them.
    return np.concatenate([block.vectors for block in found])[ok].astype(np.float32), position


def _encode(encoder: "ClipEncoder", texts: list[str], size: int) -> npt.NDArray[np.float16]:
    starts = range(0, len(texts), size)
    parts = [
        encoder.encode_texts(texts[start : start + size], batch_size=size).astype(np.float16)
        for start in bar(starts, label="label: entity texts", unit="batch")
    ]
    return np.concatenate(parts)


def _table(scores: pa.Table, images: list[TarImage], made_with: Mapping[str, Any]) -> pa.Table:
    rows = scores.column("row")
    columns = {
        "shard": pa.array([one.shard for one in images], pa.string()).take(rows),
        "key": pa.array([one.key for one in images], pa.string()).take(rows),
        **{f.name: scores.column(f.name) for f in LABELS if f.name not in ("shard", "key")},
    }
    table = pa.table([columns[f.name] for f in LABELS], schema=LABELS)
    return table.replace_schema_metadata({b"openmofi": json.dumps(dict(made_with)).encode()})


def _write(table: pa.Table, out: Path) -> None:
    with replacing(out) as temporary:
        pq.write_table(table, temporary, compression="zstd")
