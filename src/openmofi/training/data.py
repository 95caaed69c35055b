"""Batches as a function of the step: order, pixels, labels and texts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from pyarrow import compute
from torch.utils.data import Dataset

from openmofi.errors import InputError, ShardError
from openmofi.images import ImageProblemError, decode_image
from openmofi.shards import TarReader
from openmofi.training.augmentation import DRAWS, Augmentation
from openmofi.training.draws import integer, uniforms
from openmofi.training.order import Located, SampleOrder
from openmofi.training.shards import TrainingShards
from openmofi.training.texts import SampleTexts, Turn

_BYTES_A_PIXEL = 4  # as Pillow keeps RGB


@dataclass(frozen=True)
class Batch:
    """What one forward pass takes on one rank; B counts the rank's own samples.

    Args:
        images: uint8 [B, 3, H, W].
        labels: int64 [B]; the drawn label, -1 without any.
        label_sets: int64 [B, K]; all distinct labels, then -1. K is the most that one has, or 1.
        tokens: int64 [B, context], by the name of the objective that asks for the texts.
        uids: Of the samples.
        seed: For whatever else is random in this pass; the same on every rank.
    """

    images: torch.Tensor
    labels: torch.Tensor
    label_sets: torch.Tensor
    tokens: Mapping[str, torch.Tensor]
    uids: tuple[str, ...]
    seed: int

    def to(self, device: torch.device, **options: Any) -> "Batch":
        """The batch with its tensors on ``device``. Lightning calls this."""
        return replace(
            self,
            images=self.images.to(device, **options),
            labels=self.labels.to(device, **options),
            label_sets=self.label_sets.to(device, **options),
            tokens={name: t.to(device, **options) for name, t in self.tokens.items()},
        )


class TrainingData(Dataset[list[Batch]]):
    """Item ``i`` holds the batches of step ``i``, ``accumulate`` of them.

    The position of a run is its step alone: item ``i`` is the same whatever was read before it,
    and in whichever process. The batches of all ranks, one after the other, are those of one rank.

    Args:
        images: Of the shards.
        augmentation: Brings an image to the model's size.
        texts: Draws labels and texts.
        order: Of the samples.
        seed: Of the augmentation.
        batch_size: Samples of a batch, over all ranks.
        accumulate: Batches of a step.
        rank: Whose rows of each batch these are.
        world_size: How many ranks share a batch.

    Raises:
        InputError: The ranks do not divide a batch.
    """

    def __init__(
        self,
        images: "ImageReader",
        augmentation: Augmentation,
        texts: SampleTexts,
        order: SampleOrder,
        *,
        seed: int,
        batch_size: int,
        accumulate: int = 1,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.images = images
        self._augmentation = augmentation
        self._texts = texts
        self._order = order
        self._seed = seed
        self._shape = (accumulate, batch_size)
        share = share_of_batch(batch_size, world_size)
        self._own = range(rank * share, (rank + 1) * share)

    def __getitem__(self, step: int) -> list[Batch]:
        passes, size = self._shape
        first = step * passes * size
        *present, following = self._order.windows(first, first + passes * size - 1)
        shards = dict.fromkeys(shard for window in present for shard in window.shards)
        self.images.expect(list(shards), following.shards)
        return [self._batch(first + i * size) for i in range(passes)]

    def _batch(self, first: int) -> Batch:
        """This rank's part of the batch that begins at a position."""
        located = self._order.locate(first + np.asarray(self._own))
        turns, rows = _turns(located), located.rows.tolist()
        samples = self.images.samples(rows)
        pixels = [
            self._augmentation(
                self.images.read(row, sample),
                uniforms(DRAWS, self._seed, turn, sample["uid"], "image"),
            )
            for turn, row, sample in zip(turns, rows, samples, strict=True)
        ]
        labels = [self._texts.label(*pair) for pair in zip(turns, samples, strict=True)]
        return Batch(
            images=torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2),  # channels last
            labels=torch.tensor(labels),
            label_sets=_label_sets(samples),
            tokens=self._texts.tokens(turns, samples, labels),
            uids=tuple(sample["uid"] for sample in samples),
            seed=integer(self._seed, first, "batch"),
        )


class ImageReader:
    """Reads samples of training shards.

    Args:
        shards: Where they lie.
        cache_bytes: Decoded images are kept up to this size, which changes no result.
    """

    def __init__(self, shards: TrainingShards, *, cache_bytes: int = 0) -> None:
        self._shards = shards
        self._left = cache_bytes
        self._first = np.concatenate([[0], np.cumsum(shards.rows)])
        self._readers: dict[int, TarReader] = {}
        self._cache: dict[int, Image.Image] = {}

    def samples(self, rows: list[int]) -> list[dict[str, Any]]:
        """Rows of the index tables, counted over all shards."""
        found: list[dict[str, Any]] = self._shards.samples.take(rows).to_pylist()
        return found

    def read(self, row: int, sample: Mapping[str, Any]) -> Image.Image:
        """The RGB image of one sample.

        Args:
            row: Counted over all shards.
            sample: Its row of the index table.

        Raises:
            ShardError: It does not decode.
        """
        if row in self._cache:
            return self._cache[row]
        shard = int(np.searchsorted(self._first, row, side="right")) - 1
        if shard not in self._readers:
            self._readers[shard] = self._shards.tars.open(shard)
        data = self._readers[shard].read(sample["offset"], sample["length"])
        try:
            image = decode_image(data)
        except ImageProblemError as error:
            where = f"{self._shards.tars.name(shard)}, sample {sample['key']}"
            raise ShardError(f"{where}: image does not decode ({error.reason})") from error
        size = image.width * image.height * _BYTES_A_PIXEL
        if size <= self._left:
            self._left -= size
            self._cache[row] = image
        return image

    def expect(self, present: Sequence[int], following: Sequence[int]) -> None:
        """Shards that are read from now on, and after them; others are closed."""
        for shard in self._readers.keys() - set(present):
            self._readers.pop(shard).__exit__()
        self._shards.tars.expect(present, following)

    def close(self) -> None:
        """Close the tars; the next read opens them again."""
        for reader in self._readers.values():
            reader.__exit__()
        self._readers.clear()
        self._shards.tars.close()


def share_of_batch(batch_size: int, ranks: int) -> int:
    """Samples of a batch on each rank.

    Raises:
        InputError: The ranks do not divide it.
    """
    if batch_size % ranks:
        raise InputError(
            f"train: batch_size {batch_size} is that of all {ranks} ranks together, and they do "
            f"not divide it; {batch_size - batch_size % ranks or ranks} would do"
        )
    return batch_size // ranks


def check_inputs(shards: TrainingShards, *, batch_size: int, supervised: bool) -> None:
    """Find what would fail in the middle of a run, or make it senseless.

    Raises:
        InputError: One line that names what is wrong.
    """
    samples = sum(shards.rows)
    if batch_size > samples:
        raise InputError(
            f"train: batch_size {batch_size} is more than the data set's {samples} samples; "
            "lower it, or give more data"
        )
    if supervised and not shards.classes:
        raise InputError(
            "train: the supervised objective needs entities, and this data set's vocabulary is "
            "empty; assemble it with entities, or train with 'clip'"
        )
    bounds = compute.min_max(compute.list_flatten(shards.samples.column("labels"))).as_py()
    low, high = bounds["min"], bounds["max"]
    if supervised and low is None:
        raise InputError("train: the supervised objective needs labels, and no sample has one")
    if low is not None and not 0 <= low <= high < shards.classes:
        raise InputError(
            f"train: labels run from {low} to {high}, and the vocabulary has {shards.classes} "
            "classes; build the shards again"
        )


def _turns(located: Located) -> list[Turn]:
    """Names of the samples' comings: a repeat in the same epoch is drawn anew."""
    pairs = zip(located.epochs.tolist(), located.repeats.tolist(), strict=True)
    return [f"{epoch}.{repeat}" if repeat else epoch for epoch, repeat in pairs]


def _label_sets(samples: Sequence[Mapping[str, Any]]) -> torch.Tensor:
    sets = [list(dict.fromkeys(sample["labels"])) for sample in samples]
    width = max(1, *map(len, sets))
    return torch.tensor([labels + [-1] * (width - len(labels)) for labels in sets])
