"""Build a knowledge base: sources in, one folder of mapped files out, the same bytes every time.

A build that fails leaves nothing behind but the parsed parts of a dump (hours of work for that of
Wikidata), and those only if another try can use them. So they stay after a kill, a full disk, or an
error in the settings or in another source; they are removed if the dump itself is damaged, since it
will be another one when it is mended.
"""

import contextlib
import json
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from openmofi.config import parse_config
from openmofi.entities.compile import compile_sources
from openmofi.entities.config import KnowledgeBaseConfig
from openmofi.entities.knowledge_base import HEAD, KIND
from openmofi.entities.merge import read_knowledge_bases
from openmofi.entities.sources import Source, local_path
from openmofi.entities.tabular import read_table_source
from openmofi.entities.text_encoder import TextEncoder, load_text_encoder
from openmofi.entities.wikidata_parts import PARTS, read_wikidata
from openmofi.entities.wordnet import read_wordnet
from openmofi.entities.words import stop_phrases
from openmofi.errors import InputError, OpenMofiError
from openmofi.inputs import fetched, is_on_s3
from openmofi.keys import hash_folder, recipe_key
from openmofi.progress import say
from openmofi.storage import Store, open_store, put_folder
from openmofi.versions import Manifest, manifest_key, write_manifest

STAGE_VERSION = 3


def build_knowledge_base(
    root: str,
    *,
    wikidata: str = "",
    wordnet: str = "",
    csv: str = "",
    merge: Sequence[str] = (),
    config: dict[str, Any] | None = None,
    workers: int = 1,
) -> str:
    """Build a knowledge base into the store at ``root``, unless it is there.

    A dump is read in parts that are kept under ``kb-parts/``, so that a build that was killed goes
    on where it stopped. All sources can be given at once.

    Args:
        root: URI of the store.
        wikidata: Wikidata JSON dump (.json, .json.gz, .json.bz2), or empty.
        wordnet: Folder of WNDB files, or empty.
        csv: CSV or JSONL file of entities, or empty.
        merge: Knowledge bases, as manifest URIs or folders.
        config: `KnowledgeBaseConfig` as plain values.
        workers: Processes that parse the dump.

    Returns:
        URI of the manifest.

    Raises:
        InputError: A source is missing or malformed, or there would be nothing to link to.
    """
    settings = parse_config(KnowledgeBaseConfig, config, where="knowledge_base")
    encoder = _encoder(settings)
    sources = _sources(wikidata, wordnet, csv, merge, root, settings, workers)
    digest = _recipe(sources, settings, encoder)
    store = open_store(root)
    if store.exists(manifest_key(KIND, digest)):
        say(f"{KIND}: {digest} reused; its sources and settings have not changed")
        return Manifest(store, KIND, digest).uri
    return _publish(store, sources, settings, digest, encoder)


def _publish(
    store: Store,
    sources: Sequence[Source],
    settings: KnowledgeBaseConfig,
    digest: str,
    encoder: TextEncoder | None,
) -> str:
    """The files first, the manifest last."""
    with tempfile.TemporaryDirectory(prefix="openmofi-kb-") as temporary:
        folder = Path(temporary)
        content = compile_sources(sources, settings, digest, folder, encoder)
        prefix = f"kb/{digest}"
        put_folder(store, prefix, folder)
        content = {**content, "prefix": prefix, "content_digest": hash_folder(folder)}
    return write_manifest(store, KIND, digest, content).uri


def build_knowledge_base_folder(
    out: str,
    *,
    wikidata: str = "",
    wordnet: str = "",
    csv: str = "",
    merge: Sequence[str] = (),
    config: dict[str, Any] | None = None,
    workers: int = 1,
) -> Path:
    """Build a knowledge base as a plain folder; one that is there already is replaced whole.

    The parts of a dump are kept in ``OUT.parts`` until the folder is there; an error that leaves
    them says so.

    Raises:
        InputError: As `build_knowledge_base`; or ``out`` is no place for a folder, or holds
            something that is no knowledge base.
    """
    target = local_path(out)
    if not target.name or target.name == ".." or "://" in str(out).removeprefix("file://"):
        raise InputError(f"'{out}' is no name for a new folder; give one such as kb")
    if target.exists() and not (target / HEAD).is_file():
        is_empty_folder = target.is_dir() and not any(target.iterdir())
        if not is_empty_folder:
            raise InputError(f"{target} exists and is no knowledge base; choose another folder")
    settings = parse_config(KnowledgeBaseConfig, config, where="knowledge_base")
    encoder = _encoder(settings)
    parts = target.with_name(f"{target.name}.parts")
    sources = _sources(wikidata, wordnet, csv, merge, str(parts.absolute()), settings, workers)
    digest = _recipe(sources, settings, encoder)
    if (target / HEAD).is_file() and _digest_of(target / HEAD) == digest:
        say(f"{KIND}: {target} reused; its sources and settings have not changed")
        return target
    with _replacing(target) as folder, _explained(parts):
        compile_sources(sources, settings, digest, folder, encoder)
    _remove_parts(parts)
    return target


@contextlib.contextmanager
def _explained(parts: Path) -> Iterator[None]:
    """An error says that parts are left; if none are, no folder of them is either."""
    try:
        yield
    except OpenMofiError as error:
        if any(path.is_file() for path in (parts / PARTS).rglob("*")):
            raise type(error)(
                f"{error} (what is parsed of the dump stays in {parts} for the next try)"
            ) from None
        _remove_parts(parts)
        raise


def _remove_parts(parts: Path) -> None:
    """What we wrote there, and the folder if there is nothing of anybody else's in it."""
    shutil.rmtree(parts / PARTS, ignore_errors=True)
    with contextlib.suppress(OSError):
        parts.rmdir()


@contextlib.contextmanager
def _replacing(target: Path) -> Iterator[Path]:
    """An empty folder beside the target that takes its place if all goes well."""
    made = [parent for parent in target.parents if not parent.exists()]  # the innermost first
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = _folder_beside(target)
    except OSError as error:
        raise InputError(f"cannot write {target}: {error.strerror}") from None
    try:
        with temporary:
            folder = Path(temporary.name, "new")
            folder.mkdir()
            yield folder
            if target.exists():
                target.rename(Path(temporary.name, "old"))
            shutil.move(folder, target)
    except BaseException:
        for parent in made:
            with contextlib.suppress(OSError):
                parent.rmdir()
        raise


def _folder_beside(target: Path) -> "tempfile.TemporaryDirectory[str]":
    """A folder to write in; those of builds of the same target that were killed are removed."""
    prefix = f".writing-{target.name}-{socket.gethostname()}-"
    for other in target.parent.iterdir():
        pid = other.name.removeprefix(prefix).partition("-")[0]
        if other.name.startswith(prefix) and pid.isdigit() and not _is_running(int(pid)):
            shutil.rmtree(other, ignore_errors=True)
    return tempfile.TemporaryDirectory(prefix=f"{prefix}{os.getpid()}-", dir=target.parent)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        pass
    return True


def _digest_of(head: Path) -> str:
    try:
        return str(json.loads(head.read_text(encoding="utf-8"))["digest"])
    except (ValueError, KeyError, TypeError):
        return ""  # damaged: build it again


def _encoder(settings: KnowledgeBaseConfig) -> TextEncoder | None:
    """Loaded before the sources are read: that may take hours."""
    return load_text_encoder(settings.encoder) if settings.encoder else None


def _sources(
    wikidata: str,
    wordnet: str,
    csv: str,
    merge: Sequence[str],
    parts: str,
    settings: KnowledgeBaseConfig,
    workers: int,
) -> list[Source]:
    longest = settings.max_alias_tokens
    sources = read_knowledge_bases(merge)
    if wikidata:
        sources.append(read_wikidata(_input(wikidata), parts, settings.wikidata, longest, workers))
    if wordnet:
        sources.append(read_wordnet(_input(wordnet), longest))
    if csv:
        sources.append(read_table_source(_input(csv), longest))
    if not sources:
        raise InputError(
            "no source for the knowledge base: give a Wikidata dump, a WordNet folder, a CSV file "
            "or other knowledge bases"
        )
    return sources


def _input(given: str) -> Path:
    """Of a path, a ``file://`` URI or ``s3://``."""
    return fetched(given) if is_on_s3(given) else local_path(given)


def _recipe(
    sources: Sequence[Source], settings: KnowledgeBaseConfig, encoder: TextEncoder | None
) -> str:
    # Two files of one name are two sources, and the first one's names win where ids are combined.
    # Where a knowledge base lies is no part of it.
    digests = {
        str(place) if source.priors else f"{place} {source.name}": source.digest
        for place, source in enumerate(sources)
    }
    config = {**settings.model_dump(mode="json"), "stop_phrases": list(stop_phrases())}
    del config["encoder"]  # only where it lies
    if encoder:
        digests["encoder"] = encoder.digest
    if not any(source.selects for source in sources):
        del config["wikidata"]
    return recipe_key(KIND, STAGE_VERSION, config, digests, [])
