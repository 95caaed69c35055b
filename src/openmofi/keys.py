"""Recipe keys and content digests: what is done is known by its recipe.

A *recipe key* names how a shard's output is made: stage, stage version, semantic configuration,
digests of the models and knowledge base, recipe keys of the upstream shards. It is known before
the work. A *content digest* names what came out, over canonical rows rather than Parquet bytes.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

_DIGEST_BYTES = 16


def hash_bytes(data: bytes) -> str:
    """32 hex digits (128-bit BLAKE2b) of ``data``."""
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES).hexdigest()


def hash_file(path: Path) -> str:
    """`hash_bytes` of a file's content, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(
            file, lambda: hashlib.blake2b(digest_size=_DIGEST_BYTES)
        ).hexdigest()


def hash_json(value: Any) -> str:
    """32 hex digits of a plain value: key order does not matter, types do."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hash_bytes(text.encode())


def hash_folder(folder: Path) -> str:
    """32 hex digits over the relative names and contents of every file under ``folder``."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return hash_json([[path.relative_to(folder).as_posix(), hash_file(path)] for path in files])


def recipe_key(
    stage: str,
    version: int,
    config: Mapping[str, Any],
    digests: Mapping[str, str],
    upstream: Sequence[str],
) -> str:
    """The key of one shard's output.

    Args:
        stage: The stage's name.
        version: Its ``STAGE_VERSION``, raised by hand when its output changes.
        config: Semantic configuration only: nothing that cannot change the result.
        digests: Of the models and the knowledge base used, by role.
        upstream: Recipe keys (or source fingerprints) of the shard's inputs, in a fixed order.
    """
    return hash_json([stage, version, dict(config), dict(digests), list(upstream)])


def content_digest(table: pa.Table) -> str:
    """32 hex digits over the rows of ``table`` in order, independent of chunks and of Parquet.

    Floats count by their bits. Equal tables have equal digests on every machine.
    """
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    types = [[field.name, str(_canonical(field.type))] for field in table.schema]
    digest.update(hash_json(types).encode())
    digest.update(table.num_rows.to_bytes(8, "little"))
    for column in table.columns:
        array = column.combine_chunks()
        if isinstance(array, pa.ChunkedArray):  # no chunk at all
            continue
        _update(digest, array)
    return digest.hexdigest()


def _canonical(kind: pa.DataType) -> pa.DataType:
    """The type with a list's items named as in memory: Parquet calls them ``element``."""
    if pa.types.is_large_list(kind):
        return pa.large_list(_canonical(kind.value_type))
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(_canonical(kind.value_type), kind.list_size)
    return pa.list_(_canonical(kind.value_type)) if pa.types.is_list(kind) else kind


def _update(digest: "hashlib.blake2b", array: pa.Array) -> None:
    """Feed one array: nulls, then lengths and values of what is not null."""
    digest.update(array.is_null().cast(pa.int8()).to_numpy(zero_copy_only=False).tobytes())
    kind = array.type
    if array.null_count:
        array = array.drop_null()
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        digest.update(array.value_lengths().to_numpy(zero_copy_only=False).tobytes())
        _update(digest, array.flatten())
    elif pa.types.is_fixed_size_list(kind):
        _update(digest, array.flatten())
    elif _is_text(kind):
        values = [v.encode() if isinstance(v, str) else v for v in array.to_pylist()]
        digest.update(b"".join(len(v).to_bytes(4, "little") for v in values))
        digest.update(b"".join(values))
    elif pa.types.is_boolean(kind):
        digest.update(array.cast(pa.int8()).to_numpy(zero_copy_only=False).tobytes())
    elif pa.types.is_primitive(kind) or pa.types.is_null(kind):
        digest.update(array.to_numpy(zero_copy_only=False).tobytes())
    else:  # as objects these would be hashed by their addresses
        raise TypeError(f"no content digest for columns of type {kind}")


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
    )
