"""Reading a Wikidata dump once: parsed in several processes into parts that a killed build keeps.

A dump is one stream, so a build that goes on must decompress it from the start again, but it parses
only what is missing. Types are chosen later: other types, the same parts. If the dump turns out to
be damaged its parts are removed: the one that is downloaded in its place is another one.
"""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from openmofi.entities.config import WikidataConfig
from openmofi.entities.dump import Block, read_blocks
from openmofi.entities.kinds import wikidata_kinds
from openmofi.entities.sources import Part, Source, part_table, split
from openmofi.entities.wikidata import WikidataOptions, check_brackets, parse_block
from openmofi.errors import InputError, OpenMofiError
from openmofi.keys import hash_file, recipe_key
from openmofi.progress import byte_bar, say
from openmofi.records import from_parquet, to_parquet
from openmofi.storage import Store, open_store
from openmofi.workers import run_here, run_in_processes

STAGE_VERSION = 2

PARTS = "kb-parts"  # where they are in a store

_BLOCK_BYTES = 32 << 20  # of JSON; up to 2 a worker are in memory
_LICENCE = "CC0 1.0 (Wikidata)"


def read_wikidata(
    path: Path,
    parts: str,
    settings: WikidataConfig,
    max_tokens: int,
    workers: int,
    *,
    block_bytes: int = _BLOCK_BYTES,
) -> Source:
    """A Wikidata JSON dump.

    Args:
        path: .json, .json.gz or .json.bz2.
        parts: URI of the store that keeps the parts, under ``kb-parts/``.
        settings: Languages; types are for `select_types`.
        max_tokens: Aliases of more words are left out.
        workers: Processes that parse.
        block_bytes: Of JSON that become one part.

    Raises:
        InputError: The file is missing. While it is read: it is cut short, a line is no entity, or
            there is none.
    """
    if not path.is_file():
        raise InputError(f"Wikidata dump not found: {path}")
    options = WikidataOptions(tuple(settings.languages), settings.alias_weight)
    digest = hash_file(path)
    config = {**vars(options), "max_tokens": max_tokens, "block_bytes": block_bytes}
    key = recipe_key("wikidata_parts", STAGE_VERSION, config, {"dump": digest}, [])
    counts: Counter[str] = Counter()
    job = _Parse(parts, f"{PARTS}/{key}", path.name, options, max_tokens)
    return Source(
        name=path.name,
        digest=digest,
        licence=_LICENCE,
        parts=lambda: _parts(path, job, workers, counts, block_bytes),
        kinds=wikidata_kinds(),
        selects=True,
        counts=counts,
    )


class _DumpFault(NamedTuple):
    """What no other try will mend."""

    message: str


class _Parse:
    """Parses blocks in a worker and stores each as one part."""

    def __init__(
        self, root: str, prefix: str, where: str, options: WikidataOptions, max_tokens: int
    ) -> None:
        self.root = root
        self.prefix = prefix
        self.where = where
        self._options = options
        self._max_tokens = max_tokens
        self._store: Store

    def setup(self) -> None:
        """Open the store."""
        self._store = open_store(self.root)

    def run(self, block: Block) -> "int | _DumpFault":
        """Write one part; return its number of rows, or what is wrong with the dump."""
        try:
            rows, counts = parse_block(block.data, block.first_line, self.where, self._options)
        except InputError as error:
            return _DumpFault(str(error))
        table = part_table(rows, self._max_tokens, counts)
        table = table.replace_schema_metadata({"counts": json.dumps(counts)})
        self._store.put(self.part_key(block.number), to_parquet(table))
        return len(rows)

    def part_key(self, number: int) -> str:
        """Where a part lies."""
        return f"{self.prefix}/{number:06d}.parquet"

    @property
    def end_key(self) -> str:
        """What says how many parts there are; written last."""
        return f"{self.prefix}/end.json"


def _parts(
    path: Path, job: _Parse, workers: int, counts: Counter[str], block_bytes: int
) -> Iterator[Part]:
    store = open_store(job.root)
    if not store.exists(job.end_key):
        try:
            _parse_all(path, job, workers, store, block_bytes)
        except InputError:
            for info in store.list(job.prefix + "/"):
                store.delete(info.key)
            raise
    return _stored(store, job, counts)


def _stored(store: Store, job: _Parse, counts: Counter[str]) -> Iterator[Part]:
    for number in range(int(json.loads(store.get(job.end_key))["parts"])):
        table = from_parquet(store.get(job.part_key(number)))
        counts.update(json.loads(table.schema.metadata[b"counts"]))
        yield split(table)


def _parse_all(path: Path, job: _Parse, workers: int, store: Store, block_bytes: int) -> None:
    done = {info.key for info in store.list(job.prefix + "/")}
    if done:
        say(f"{path.name}: {len(done)} parts are there already; going on after them")
    total = rows = 0

    def missing(blocks: Iterator[Block]) -> Iterator[Block]:
        nonlocal total
        for block in blocks:
            total += 1
            if job.part_key(block.number) not in done:
                yield block

    with byte_bar(path.name, path.stat().st_size) as advance:
        blocks = read_blocks(path, block_bytes=block_bytes, advance=advance)
        todo = missing(check_brackets(blocks, path.name))
        results = run_here(job, todo) if workers == 1 else run_in_processes(job, todo, workers)
        for _, result in results:
            if isinstance(result, _DumpFault):
                raise InputError(result.message)
            if isinstance(result, str):
                raise OpenMofiError(f"{result}; the next try goes on with what is parsed")
            rows += result
    if not rows and not done:
        raise InputError(f"{path.name} holds no item: is it a Wikidata dump?")
    store.put(job.end_key, json.dumps({"parts": total}).encode())
