"""Finds marked secrets in bytes, files, stores, databases and images, in whatever form."""

import base64
import gzip
import io
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote, quote_plus

import pyarrow.parquet as pq

from openmofi.storage import Store

_PARQUET, _GZIP = b"PAR1", b"\x1f\x8b"
_DEPTH = 4  # of archives in archives


def forms(mark: str) -> set[bytes]:
    """A mark as it is, quoted for URLs, in base64 wherever it begins, in hexadecimals."""
    plain = mark.encode()
    found = {plain, quote(mark, safe="").encode(), quote_plus(mark).encode(), quote(mark).encode()}
    found |= {plain.hex().encode(), repr(mark)[1:-1].encode()}
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for before in range(3):
            # Only what no neighbour changes: whole groups of three bytes.
            start = (3 - before) % 3
            inner = plain[start : start + (len(plain) - start) // 3 * 3]
            found.add(encode(inner))
    return found


def hits(marks: Iterable[str], data: bytes, depth: int = 0) -> set[str]:
    """The marks that are in ``data``, also in what it holds compressed: Parquet, gzip, tars."""
    marks = list(marks)
    found = {mark for mark in marks if any(form in data for form in forms(mark))}
    if depth < _DEPTH:
        for inner in _inner(data):
            found |= hits(marks, inner, depth + 1)
    return found


def hits_in_folder(marks: Iterable[str], folder: Path) -> dict[str, set[str]]:
    """By file, links not followed; the names of files count as well."""
    files = (p for p in folder.rglob("*") if p.is_file() and not p.is_symlink())
    return _by_name(marks, ((str(path), path.read_bytes()) for path in files))


def hits_in_store(marks: Iterable[str], store: Store) -> dict[str, set[str]]:
    """By object."""
    return _by_name(marks, ((info.key, store.get(info.key)) for info in store.list()))


def hits_in_database(
    marks: Iterable[str], connection: "Mapping[str, object]"
) -> dict[str, set[str]]:
    """By table, of all tables of a PostgreSQL database that are not its own."""
    import psycopg2
    from psycopg2 import sql

    opened = psycopg2.connect(**connection)
    try:
        with opened.cursor() as cursor:
            cursor.execute(
                "SELECT table_schema, table_name FROM information_schema.tables "
                "WHERE table_schema NOT IN ('pg_catalog', 'information_schema')"
            )
            tables = cursor.fetchall()
            rows = []
            for table in tables:
                name = sql.Identifier(*table)
                cursor.execute(sql.SQL("SELECT row_to_json(t)::text FROM {} t").format(name))
                rows.append((".".join(table), "\n".join(r[0] for r in cursor).encode()))
    finally:
        opened.close()
    return _by_name(marks, rows)


def hits_in_image(marks: Iterable[str], archive: Path) -> dict[str, set[str]]:
    """By member of what ``podman save`` or ``docker save`` writes: layers and configuration."""
    with tarfile.open(archive) as opened:
        return _by_name(marks, _members(opened))


def _by_name(marks: Iterable[str], named: Iterable[tuple[str, bytes]]) -> dict[str, set[str]]:
    marks = list(marks)
    found = {name: hits(marks, data) | hits(marks, name.encode()) for name, data in named}
    return {name: some for name, some in found.items() if some}


def _inner(data: bytes) -> Iterator[bytes]:
    if data[:4] == _PARQUET:
        table = pq.read_table(io.BytesIO(data))
        yield repr(table.to_pylist()).encode()
        yield repr(table.schema.metadata).encode()
    elif data[:2] == _GZIP:
        yield gzip.decompress(data)
    elif data[257:262] == b"ustar":
        with tarfile.open(fileobj=io.BytesIO(data)) as opened:
            yield from (content for _, content in _members(opened))


def _members(opened: tarfile.TarFile) -> Iterator[tuple[str, bytes]]:
    for member in opened:
        content = opened.extractfile(member) if member.isfile() else None
        yield member.name, content.read() if content else member.linkname.encode()
