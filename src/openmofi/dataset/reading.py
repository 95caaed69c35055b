"""A data set for PyTorch: pictures, texts and labels of training shards, by number.

    data = TrainingImages(URI, transform=preprocess)
    loader = DataLoader(data, batch_size=64, shuffle=True)

PyTorch asks no more of a data set than its length and its items, so torch is not needed here.
"""

import copy
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image
from pyarrow import compute

from openmofi.dataset.takedown.forgotten import dataset_of, without_forgotten
from openmofi.dataset.versions.version import DatasetShard
from openmofi.dataset.vocabulary import read_vocabulary
from openmofi.errors import InputError, ShardError
from openmofi.images import ImageProblemError, decode_image
from openmofi.records import from_parquet
from openmofi.stream import ahead
from openmofi.versions import Manifest, read_manifest

_ORIGIN = ["uid", "url", "licence"]
_READERS = 16  # requests at once for the index tables


class TrainingImages:
    """One split of a data set's training shards, any sample at any time.

    Item ``i`` is a dictionary that PyTorch's own collation makes batches of:

    * ``image``: what ``transform`` makes of the RGB picture, which is turned as its EXIF says;
    * ``alt_text`` and ``uid``;
    * ``labels``: int64 [K], class indices, best first, then -1. K is the most that a sample of the
      split has, at least 1.

    Pictures are read by range, from a folder or from S3, in any number of worker processes. The
    index tables stay in memory, about 150 bytes a sample and its alt text. Tars are not hashed, as
    training does: a picture that does not decode is an error, one that was exchanged is not seen.

    Args:
        uri: Manifest URI of kind ``training_shards``.
        split: ``train`` or ``validation``.
        transform: From a picture to what the model takes; None hands on the picture itself.

    Raises:
        InputError: It is no such manifest, or the split has no sample.
        StorageError: Something is missing.
    """

    def __init__(
        self,
        uri: str,
        split: str = "train",
        transform: Callable[[Image.Image], Any] | None = None,
    ) -> None:
        manifest = read_manifest(uri, "training_shards")
        tables = read_index(manifest, split)
        self._samples = pa.concat_tables(tables).combine_chunks() if tables else pa.table({})
        if not self._samples.num_rows:
            rows = ", ".join(f"{name} {n}" for name, n in manifest.content["rows"].items())
            raise InputError(f"{uri} has no sample in split '{split}'; it was built with {rows}")
        self.vocabulary = read_vocabulary(manifest)  # `records.VOCABULARY`
        self.transform = transform
        self._tars = [entry["tar_key"] for entry in manifest.content["splits"][split]]
        self._ends = np.cumsum([table.num_rows for table in tables])
        self._labels = max(
            1, compute.max(compute.list_value_length(self._samples["labels"])).as_py()
        )
        self._store, self._process = manifest.store, os.getpid()

    @property
    def classes(self) -> list[str]:
        """The name of each class, by its index. Two classes may share one."""
        names: list[str] = self.vocabulary.column("name").to_pylist()
        return names

    def __len__(self) -> int:
        return int(self._samples.num_rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        index = range(len(self))[index]
        sample = self._samples.slice(index, 1).to_pylist()[0]
        image = self._image(int(np.searchsorted(self._ends, index, side="right")), sample)
        return {
            "image": image if self.transform is None else self.transform(image),
            "alt_text": sample["alt_text"],
            "labels": self._padded(sample["labels"]),
            "uid": sample["uid"],
        }

    def _image(self, shard: int, sample: dict[str, Any]) -> Image.Image:
        if self._process != os.getpid():  # connections must not be shared with the parent
            self._store, self._process = copy.copy(self._store), os.getpid()
        key = self._tars[shard]
        try:
            return decode_image(self._store.get_range(key, sample["offset"], sample["length"]))
        except ImageProblemError as error:
            where = f"{self._store.uri}/{key}, sample {sample['key']}"
            raise ShardError(f"{where}: image does not decode ({error.reason})") from error

    def _padded(self, labels: list[int]) -> NDArray[np.int64]:
        padded = np.full(self._labels, -1, np.int64)
        padded[: len(labels)] = labels
        return padded


def read_index(manifest: Manifest, split: str) -> list[pa.Table]:
    """The index table of each shard of a split, without what was taken down.

    Args:
        manifest: Of kind ``training_shards``.
        split: ``train`` or ``validation``; of another one there is no table.
    """
    keys = [entry["index_key"] for entry in manifest.content["splits"].get(split, [])]
    with ThreadPoolExecutor(_READERS) as pool:
        tables = list(pool.map(lambda key: from_parquet(manifest.store.get(key)), keys))
    return without_forgotten(manifest, tables)


def kept_samples(manifest: Manifest) -> Iterator[pa.Table]:
    """``uid``, ``url`` and ``licence`` of what training shards were made of, by pool shard."""
    dataset = dataset_of(manifest)

    def read(shard: DatasetShard) -> pa.Table:
        rows = dataset.kept(shard).column("row")
        return from_parquet(manifest.store.get(shard.samples_key), _ORIGIN).take(rows)

    yield from ahead(read, dataset.shards)
