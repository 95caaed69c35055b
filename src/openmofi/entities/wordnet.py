"""WordNet's nouns, from the WNDB files ``data.noun``, ``index.noun`` and ``noun.exc``.

Format: https://wordnet.princeton.edu/documentation/wndb5wn. A synset is an entity ``n`` + its
eight-digit offset; its lemmas are aliases; the gloss without examples is the description;
hypernyms are the graph. Senses of a lemma are ordered by frequency, which is all that WNDB says
of it, plus how many of them occur in a tagged corpus at all.
"""

import itertools
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from openmofi.entities.kinds import KINDS
from openmofi.entities.lines import bounded_lines
from openmofi.entities.sources import Source, SourceRow, parts_of
from openmofi.errors import InputError
from openmofi.keys import hash_file, hash_json

_FILES = ("data.noun", "index.noun", "noun.exc")
_SUBCLASS, _INSTANCE = "@", "@i"
_TOPS = 3  # the lexicographer file of the uppermost synsets; those of the kinds follow it
_LONGEST_NOTICE = 1 << 16  # characters; WordNet's own has 1,700
_OFFSET = re.compile(r"[0-9]{8}")
# Frequencies of senses fall about as 1/rank. A sense that never occurs in the tagged corpus comes
# after all that do; half of what its rank says is a guess in between.
_UNTAGGED = 0.5


@dataclass(frozen=True)
class _Synset:
    line: int
    kind: str
    lemmas: tuple[str, ...]
    pointers: int  # to other synsets, of all sorts
    subclass_of: tuple[str, ...]
    instance_of: tuple[str, ...]
    definition: str


def read_wordnet(folder: Path, max_tokens: int) -> Source:
    """A folder of WNDB files.

    Args:
        folder: Holds ``data.noun``, ``index.noun`` and ``noun.exc``.
        max_tokens: Aliases of more words are left out.

    Raises:
        InputError: A file is missing; a line is garbled or cut short: it is named.
    """
    for name in _FILES:
        if not (folder / name).is_file():
            raise InputError(f"WordNet file not found: {folder / name}")
    counts: Counter[str] = Counter()
    return Source(
        name="wordnet",
        digest=hash_json([hash_file(folder / name) for name in _FILES]),
        licence="WordNet 3.0 licence, Princeton University",
        parts=lambda: parts_of(wordnet_rows(folder), max_tokens, counts),
        notice=_notice(folder / "data.noun"),
        plurals=dict(_read_exceptions(folder / "noun.exc")),
        counts=counts,
    )


def wordnet_rows(folder: Path) -> Iterator[SourceRow]:
    """The synsets of ``data.noun``; an `InputError` names the line that is garbled."""
    synsets = dict(_read_data(folder / "data.noun"))
    if not synsets:
        raise InputError(f"{folder / 'data.noun'} holds no synset")
    weights: dict[str, dict[str, float]] = {}  # offset: lemma in lower case: weight
    for lemma, tagged, offsets in _read_index(folder / "index.noun", synsets):
        for rank, offset in enumerate(offsets):
            weight = (1.0 if rank < tagged else _UNTAGGED) / (rank + 1)
            weights.setdefault(offset, {})[lemma] = weight
    for offset, synset in synsets.items():
        yield _entity(offset, synset, weights)


def _entity(offset: str, synset: _Synset, weights: dict[str, dict[str, float]]) -> SourceRow:
    known = weights.get(offset, {})
    # A lemma that index.noun does not list under this synset is its last sense at best.
    aliases = tuple((_words(x), known.get(x.lower(), 0.1 * _UNTAGGED)) for x in synset.lemmas)
    return SourceRow(
        f"n{offset}",
        synset.line,
        _words(synset.lemmas[0]),
        synset.definition,
        1.0 + synset.pointers,
        aliases,
        instance_of=tuple(f"n{parent}" for parent in synset.instance_of),
        subclass_of=tuple(f"n{parent}" for parent in synset.subclass_of),
        kind=synset.kind,
    )


def _words(lemma: str) -> str:
    return lemma.replace("_", " ")


def _read_data(path: Path) -> Iterator[tuple[str, _Synset]]:
    seen: set[str] = set()
    for number, line in _lines(path):
        fields, bar, gloss = line.partition(" | ")
        try:
            if not bar:
                raise ValueError("it has no ' | ' before a gloss")
            offset, synset = _parse_synset(number, fields.split(), gloss)
        except (ValueError, IndexError) as error:
            raise _garbled(path, number, error) from None
        if offset in seen:
            raise InputError(f"{path}, line {number}: synset {offset} occurs twice")
        seen.add(offset)
        yield offset, synset


def _parse_synset(line: int, fields: list[str], gloss: str) -> tuple[str, _Synset]:
    """``offset lexfile n words (word lex_id)… pointers (symbol offset pos ranks)…``, and gloss."""
    offset, kind, count = fields[0], fields[2], int(fields[3], 16)
    if not _OFFSET.fullmatch(offset) or kind != "n" or count < 1:
        raise ValueError("it does not begin as a noun synset does")
    lemmas = fields[4 : 4 + 2 * count : 2]
    pointers_at = 4 + 2 * count
    pointers = fields[pointers_at + 1 :]
    if len(lemmas) != count or len(pointers) != 4 * int(fields[pointers_at]):
        raise ValueError("its counts do not fit its fields")
    targets = {
        kind: tuple(pointers[i + 1] for i in range(0, len(pointers), 4) if pointers[i] == kind)
        for kind in (_SUBCLASS, _INSTANCE)
    }
    definition = gloss.partition('; "')[0].strip()
    return offset, _Synset(
        line,
        _kind(int(fields[1]), lemmas),
        tuple(lemmas),
        len(pointers) // 4,
        targets[_SUBCLASS],
        targets[_INSTANCE],
        definition,
    )


def _kind(file: int, lemmas: list[str]) -> str:
    """Kind by the number of the lexicographer file; uppermost synsets name theirs, or have none."""
    if file == _TOPS:
        return next((lemma for lemma in lemmas if lemma in KINDS), "")
    if not 0 < file - _TOPS < len(KINDS):
        raise ValueError(f"lexicographer file {file} is none of nouns")
    return KINDS[file - _TOPS]


def _read_index(path: Path, synsets: dict[str, _Synset]) -> Iterator[tuple[str, int, list[str]]]:
    """Lemma, senses that occur in the tagged corpus, offsets in sense order."""
    for number, line in _lines(path):
        fields = line.split()
        try:
            senses = int(fields[2])
            tagged = int(fields[4 + int(fields[3]) + 1])
            offsets = fields[4 + int(fields[3]) + 2 :]
            if fields[1] != "n" or senses < 1 or len(offsets) != senses:
                raise ValueError("its counts do not fit its fields")
        except (ValueError, IndexError) as error:
            raise _garbled(path, number, error) from None
        for offset in offsets:
            if offset not in synsets:
                raise InputError(
                    f"{path}, line {number}: synset {offset[:40]} of '{fields[0][:40]}' is not in "
                    "data.noun; is data.noun cut short, or of another release?"
                )
        yield fields[0], tagged, offsets


def _read_exceptions(path: Path) -> Iterator[tuple[str, str]]:
    for number, line in _lines(path):
        fields = line.split()
        if len(fields) < 2:
            raise _garbled(path, number, ValueError("it has no singular"))
        yield _words(fields[0]), _words(fields[1])


def _notice(path: Path) -> str:
    """The licence at the file's head: numbered lines that begin with two spaces."""
    with path.open(encoding="utf-8", errors="replace") as file:
        lines = file.read(_LONGEST_NOTICE).split("\n")
        head = itertools.takewhile(lambda line: line.startswith("  "), lines)
        return "\n".join(line.strip().partition(" ")[2].strip() for line in head) + "\n"


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines without the licence, whose lines begin with a space."""
    number = 0
    with path.open(encoding="utf-8", newline="\n") as file:
        try:
            for number, line in enumerate(bounded_lines(file, path), start=1):
                if line.startswith(" ") or not line.strip():
                    continue
                if not line.endswith("\n"):
                    raise _garbled(path, number, ValueError("the file is cut short in it"))
                yield number, line
        except UnicodeDecodeError:
            raise InputError(f"{path}, line {number + 1}: not UTF-8 text") from None


def _garbled(path: Path, number: int, error: Exception) -> InputError:
    return InputError(f"{path}, line {number} is no WNDB noun line: {error}")
