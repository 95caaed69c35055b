"""Training shards as a folder of tars: what webdataset and open_clip's own trainer read."""

import io
import json
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeAlias

from openmofi.dataset.exporting import ExportShard, export_shards, read_samples, whole_folder
from openmofi.dataset.vocabulary import read_vocabulary
from openmofi.errors import InputError, ShardError
from openmofi.images import ImageProblemError, decode_image
from openmofi.progress import image_bar
from openmofi.shards import write_tar
from openmofi.versions import Manifest, read_manifest

# https://github.com/mlfoundations/open_clip, data.filter_no_caption_or_no_image: samples without
# one of these are passed over in silence.
READ_BY_OPEN_CLIP = frozenset({"jpg", "jpeg", "png", "webp"})

_Files: TypeAlias = tuple[str, dict[str, bytes]]  # key, and content by extension

_QUALITY = 95  # of JPEG, 0 to 100
_WORKERS, _BATCH = 4, 64  # open_clip's defaults
_SPECIAL = ("{", "}", "\\", "::")  # expanded by open_clip in the name of its data


@dataclass
class SplitExport:
    """What was written of one split.

    Args:
        samples: All of them.
        sizes: Samples that open_clip reads, by the name of the tar.
        passed_over: Pictures that it does not read, by extension.
        converted: Pictures that became JPEG, by the extension that they had.
    """

    samples: int = 0
    sizes: dict[str, int] = field(default_factory=dict)
    passed_over: Counter[str] = field(default_factory=Counter)
    converted: Counter[str] = field(default_factory=Counter)

    @property
    def readable(self) -> int:
        """Samples that open_clip reads."""
        return sum(self.sizes.values())


@dataclass(frozen=True)
class TarExport:
    """What was written, and where."""

    out: Path
    splits: Mapping[str, SplitExport]

    def command(self) -> str:
        """The command line that trains open_clip's smallest ViT on it."""
        parts = ["python -m open_clip_train.main --dataset-type webdataset"]
        for split, option in (("train", "train"), ("validation", "val")):
            if self.splits[split].readable:
                numbers = f"{{00000..{len(self.splits[split].sizes) - 1:05d}}}"
                name = f"{self.out.absolute()}/{split}/{split}-{numbers}.tar"
                parts.append(f"--{option}-data {shlex.quote(name)}")
                parts.append(f"--{option}-num-samples {self.splits[split].readable}")
        workers, batch = _loading(list(self.splits["train"].sizes.values()))
        return " ".join([*parts, f"--workers {workers} --batch-size {batch} --model ViT-B-32"])


def _loading(sizes: list[int]) -> tuple[int, int]:
    """Workers and batch size with which open_clip's loader comes to an end.

    A worker reads tars of its own, which each epoch deals anew, and waits for ever for a batch that
    they cannot fill.
    """
    for workers in range(_WORKERS, 1, -1):
        if sum(sorted(sizes)[: len(sizes) // workers]) >= _BATCH:
            return workers, _BATCH
    return 1, max(1, min(_BATCH, sum(sizes)))


def export_tars(uri: str, out: Path, *, convert: bool = False) -> TarExport:
    """Write training shards as ``train/train-00000.tar`` …, and ``validation/`` likewise.

    Beside the tars lies ``sizes.json`` with the number of samples that open_clip reads of each;
    in ``out``, ``classes.jsonl`` with a line a class, and ``version.json``, which says of what
    the folder was made. Samples that were taken down are left out, and so is a tar of no sample.

    Args:
        uri: Manifest URI of kind ``training_shards``.
        out: A folder that is not there yet.
        convert: Write pictures that open_clip does not read as JPEG. Else they are copied as they
            are, like all others: webdataset reads them.

    Raises:
        InputError: ``out`` is there, cannot be written, or has a name that open_clip would expand.
        ShardError: A tar is not what the manifest says, or a picture to convert does not decode.
    """
    if special := [one for one in _SPECIAL if one in str(out.absolute())]:
        raise InputError(
            f"{out.absolute()}: open_clip expands {special[0]!r} in names; choose another"
        )
    manifest = read_manifest(uri, "training_shards")
    with whole_folder(out) as folder:
        shards = export_shards(manifest)
        total = sum(shard.samples.num_rows for part in shards.values() for shard in part)
        with image_bar("training tars", total) as advance:
            splits = {
                split: _write_split(manifest, part, folder / split, convert, advance)
                for split, part in shards.items()
            }
        _describe(manifest, folder)
    return TarExport(out, splits)


def _write_split(
    manifest: Manifest,
    shards: list[ExportShard],
    folder: Path,
    convert: bool,
    advance: Callable[[int], None],
) -> SplitExport:
    """As many tars as there are shards, all of a size, which the last shard is not.

    All workers of open_clip give as many batches, each from tars of its own: what lies in a small
    one would come again and again.
    """
    made = SplitExport()
    samples = chain.from_iterable(read_samples(manifest, shard) for shard in shards)
    files = _converted(samples, convert, made)
    total = sum(shard.samples.num_rows for shard in shards)
    for number in range(len(shards)):
        folder.mkdir(exist_ok=True)
        name = f"{folder.name}-{number:05d}.tar"
        size = total // len(shards) + (number < total % len(shards))
        written = write_tar(folder / name, _told(islice(files, size), advance))
        made.samples += len(written)
        made.sizes[name] = sum(not READ_BY_OPEN_CLIP.isdisjoint(one.members) for one in written)
    if made.sizes:
        text = json.dumps(made.sizes, indent=1) + "\n"
        (folder / "sizes.json").write_text(text, encoding="utf-8")
    return made


def _told(files: Iterable[_Files], advance: Callable[[int], None]) -> Iterator[_Files]:
    for one in files:
        yield one
        advance(1)


def _converted(
    samples: Iterable[tuple[Mapping[str, Any], dict[str, bytes]]], convert: bool, made: SplitExport
) -> Iterator[_Files]:
    """Key and files of each sample, the picture first."""
    for row, files in samples:
        extension = next(iter(files))
        if extension in READ_BY_OPEN_CLIP:
            yield row["key"], files
        elif convert:
            made.converted[extension] += 1
            yield row["key"], {"jpg": _as_jpeg(files.pop(extension), row["uid"]), **files}
        else:
            made.passed_over[extension] += 1
            yield row["key"], files


def _as_jpeg(data: bytes, uid: str) -> bytes:
    try:
        image = decode_image(data)
    except ImageProblemError as error:
        raise ShardError(f"sample {uid}: image does not decode ({error.reason})") from error
    sink = io.BytesIO()
    image.save(sink, "JPEG", quality=_QUALITY)
    return sink.getvalue()


def _describe(manifest: Manifest, folder: Path) -> None:
    rows = read_vocabulary(manifest).to_pylist()
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / "classes.jsonl").write_text("".join(lines), encoding="utf-8")
    made_of = {"training_shards": manifest.uri, "dataset": manifest.content["dataset"]}
    (folder / "version.json").write_text(json.dumps(made_of, indent=1) + "\n", encoding="utf-8")
