"""What links make of a gold standard: each gold mention with the candidates that meet it."""

import reprlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from openmofi.entities.quality.gold import GoldCaption, GoldMention, Sample, named
from openmofi.errors import InputError

_KINDS = {
    "strings": lambda kind: pa.types.is_string(kind) or pa.types.is_large_string(kind),
    "integers": pa.types.is_integer,
    "floats": pa.types.is_floating,
}
_COLUMNS = {
    "shard": "strings",
    "key": "strings",
    "start": "integers",
    "end": "integers",
    "surface": "strings",
    "entity_id": "strings",
    "rank": "integers",
    "score": "floats",
}
_REASONS = "reasons"  # optional, and may be null
_ROUNDING = 1e-5  # a posterior summed in 32 bits may lie this far above 1


class Candidate(NamedTuple):
    """One row of links: rank 0 is the choice; ``score`` is its posterior, 0 to 1."""

    start: int
    end: int
    surface: str
    entity_id: str
    rank: int
    score: float
    reasons: str


@dataclass(frozen=True)
class JudgedLinks:
    """The candidates of the samples that gold has, and how many samples it has not."""

    candidates: Mapping[Sample, list[Candidate]]
    unjudged: int


@dataclass(frozen=True)
class Example:
    """Where to see an error."""

    sample: Sample
    caption: str


class Judged(NamedTuple):
    """A gold mention with what the links make of it."""

    mention: GoldMention
    chosen: Candidate | None
    best_right: Candidate | None
    example: Example

    @property
    def right(self) -> bool:
        """Whether the span was found and its entity is one of those wanted."""
        return self.chosen is not None and self.chosen.entity_id in self.mention.ids


class JudgedCaption(NamedTuple):
    """All gold mentions of a caption, and the choices at other spans."""

    judged: list[Judged]
    spurious: list[tuple[Candidate, Example]]


def read_links(path: Path, gold: Mapping[Sample, GoldCaption]) -> JudgedLinks:
    """The links of the samples that ``gold`` has, from a file of ``openmofi entities link``.

    Raises:
        InputError: The file is missing, is no such file, shares no sample with ``gold``, or was
            made from other captions.
    """
    table = _checked(path)
    samples = table.select(["shard", "key"]).group_by(["shard", "key"]).aggregate([])
    found = set(zip(*(samples.column(name).to_pylist() for name in ("shard", "key")), strict=True))
    if not found & gold.keys():
        raise InputError(
            f"{path} and the gold standard share no sample (shard and key): "
            f"{_first(found)} in the links, {_first(gold)} in the gold"
        )
    near = pc.and_(_is_in(table, 0, "shard", gold), _is_in(table, 1, "key", gold))
    candidates: dict[Sample, list[Candidate]] = {}
    for row in table.filter(near).to_pylist():
        sample = (row.pop("shard"), row.pop("key"))
        if sample in gold:
            one = Candidate(**{**row, _REASONS: row.get(_REASONS) or ""})
            _check_span(one, gold[sample].caption, f"{path}, sample {named(sample)}")
            candidates.setdefault(sample, []).append(one)
    for sample, several in candidates.items():
        _check_choices(several, f"{path}, sample {named(sample)}")
    return JudgedLinks(candidates, unjudged=len(found - gold.keys()))


def _is_in(table: pa.Table, place: int, name: str, gold: Collection[Sample]) -> pa.ChunkedArray:
    """Which rows have a shard, or a key, that some sample of gold has."""
    values = pa.array({sample[place] for sample in gold}, table.schema.field(name).type)
    return pc.is_in(table.column(name), value_set=values)


def _checked(path: Path) -> pa.Table:
    if not path.is_file():
        raise InputError(f"links file not found: {path}")
    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            wanted = _COLUMNS | ({_REASONS: "strings"} if _REASONS in schema.names else {})
            _check_schema(schema, wanted, path)
            table = file.read(columns=list(wanted))
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} is no readable Parquet file: {reason:.200}") from None
    for name in _COLUMNS:
        if table.column(name).null_count:
            raise InputError(f"{path}: the column '{name}' has nulls")
    _check_range(table, "rank", 0, None, path)
    _check_range(table, "score", 0, 1 + _ROUNDING, path)
    return table


def _check_schema(schema: pa.Schema, wanted: Mapping[str, str], path: Path) -> None:
    missing = [name for name in wanted if name not in schema.names]
    if missing:
        raise InputError(
            f"{path} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}; "
            "--links takes a file of `openmofi entities link`"
        )
    for name, kind in wanted.items():
        field = schema.field(name)
        if not _KINDS[kind](field.type):
            raise InputError(f"{path}: the column '{name}' must hold {kind}, not {field.type}")


def _check_range(table: pa.Table, name: str, low: int, high: float | None, path: Path) -> None:
    values = table.column(name).to_numpy()
    good = values >= low if high is None else (values >= low) & (values <= high)
    if not good.all():
        row = int((~good).argmax())
        span = f"{low} or more" if high is None else f"between {low} and {high:.0f}"
        raise InputError(f"{path}, row {row}: '{name}' must be {span}, got {values[row]}")


def _check_span(one: Candidate, caption: str, where: str) -> None:
    if not 0 <= one.start < one.end or caption[one.start : one.end] != one.surface:
        raise InputError(
            f"{where}: the links have {reprlib.repr(one.surface)} at {one.start} to {one.end}, the "
            f"gold standard's caption {reprlib.repr(caption[max(one.start, 0) : one.end])}; "
            "were they made from other captions?"
        )


def _check_choices(several: list[Candidate], where: str) -> None:
    spans = set()
    for one in several:
        if one.rank == 0:
            if one[:2] in spans:
                raise InputError(f"{where} has two rows of rank 0 at {one.start} to {one.end}")
            spans.add(one[:2])


def _first(samples: Collection[Sample]) -> str:
    return f"{named(min(samples))} is the first" if samples else "none"


def judge(sample: Sample, gold: GoldCaption, links: JudgedLinks) -> JudgedCaption:
    """Put the candidates of a sample beside its gold mentions, by exact span."""
    candidates = links.candidates.get(sample, [])
    example = Example(sample, gold.caption)
    choices = {one[:2]: one for one in candidates if one.rank == 0}
    judged = []
    for mention in gold.mentions:
        span = (mention.start, mention.end)
        right = [one for one in candidates if one[:2] == span and one.entity_id in mention.ids]
        best = max(right, key=lambda one: one.score, default=None)
        judged.append(Judged(mention, choices.pop(span, None), best, example))
    return JudgedCaption(judged, [(one, example) for one in choices.values()])
