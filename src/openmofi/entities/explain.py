"""Why a text is linked as it is: every candidate with what each piece of evidence adds.

The pieces are worked out again from the settings and from what linking says of a link. They add up
to its posterior: ``posterior = softmax(sum of the pieces)`` over all candidates of the mention.
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from openmofi.config import parse_config
from openmofi.entities.config import LinkConfig
from openmofi.entities.kernels_candidates import CASE_DIFFERS, CASE_FITS, NAME, Numbers
from openmofi.entities.kernels_groups import find_groups
from openmofi.entities.kernels_hash import Ints, fixed
from openmofi.entities.kernels_match import NESTED
from openmofi.entities.kernels_rules import KEPT, NOT_SHOWN, RULES
from openmofi.entities.kinds import KINDS
from openmofi.entities.knowledge_base import KnowledgeBase, open_knowledge_base
from openmofi.entities.linker import EntityLinker, Links
from openmofi.entities.text import SURROGATE, Tokens, text_array, tokenize
from openmofi.entities.words import token_traits

_ALL = 64  # the most that the settings let linking keep of a mention
_LEAST = 1e-6  # of a prior, as linking has it
_WIDTH = 60  # of a description in the table


@dataclass(frozen=True)
class Evidence:
    """What speaks for a candidate, in log-odds; see `openmofi.entities.config.LinkConfig`."""

    prior: float
    popularity: float
    kind: float
    name: float
    case: float
    text: float  # agreement with the text, times its weight
    encoder: float  # 0 without an encoder

    @property
    def total(self) -> float:
        """All together."""
        return math.fsum(dataclasses.astuple(self))


@dataclass(frozen=True)
class Candidate:
    """An entity that a mention may mean."""

    entity_id: str
    name: str
    kind: str
    description: str
    start: int  # code points of the text; a head's candidate begins later than its mention
    end: int
    prior: float  # P(entity | surface), 0 to 1
    agreement: float  # cosine with the rest of the text
    evidence: Evidence
    posterior: float  # of the mention's candidates, 0 to 1
    reasons: str  # names with commas


@dataclass(frozen=True)
class Mention:
    """A mention and its kept candidates, best first."""

    surface: str
    start: int
    end: int
    candidates: tuple[Candidate, ...]
    more: int  # candidates that are not kept


@dataclass(frozen=True)
class Dropped:
    """Words that are an alias and no mention."""

    surface: str
    start: int
    end: int
    rule: str  # of `openmofi.entities.kernels_rules.RULES`
    meaning: str  # id of what no picture can show; empty with other rules


@dataclass(frozen=True)
class Explanation:
    """What became of one text."""

    text: str
    mentions: tuple[Mention, ...]
    dropped: tuple[Dropped, ...]  # in the order of the text, without function words
    function_words: int


def explain_texts(
    knowledge_base: str, texts: Sequence[str], *, config: dict[str, Any] | None = None
) -> list[Explanation]:
    """Link texts, each on its own, and say why.

    Args:
        knowledge_base: A folder, or a manifest's URI.
        texts: The texts.
        config: `LinkConfig` as plain values.

    Raises:
        InputError: The knowledge base is none, or does not fit the settings.
    """
    settings = parse_config(LinkConfig, config, where="link")
    explainer = Explainer(open_knowledge_base(knowledge_base), settings)
    return [explainer.explain(text) for text in texts]


class Explainer:
    """Explains the links of single texts.

    Raises:
        InputError: The knowledge base does not fit the settings.
    """

    def __init__(self, base: KnowledgeBase, settings: LinkConfig) -> None:
        self._base = base
        self._settings = settings
        # All candidates, and what would be left since no picture shows it: told, not hidden.
        everything = settings.model_copy(update={"max_candidates": _ALL, "not_shown": ()})
        self._linker = EntityLinker(base, everything)
        self._popularity = base.entities.column("popularity").combine_chunks()

    def explain(self, text: str) -> Explanation:
        """What becomes of one text, which stands alone."""
        text = SURROGATE.sub("\uffff", text)
        found = self._found(text)
        hidden = [one for one in found if one.candidates[0].kind in self._settings.not_shown]
        dropped = [*self._dropped(text), *map(_hidden, hidden)]
        told = [one for one in dropped if one.rule != "function_word"]
        return Explanation(
            text=text,
            mentions=tuple(self._cut(one) for one in found if one not in hidden),
            dropped=tuple(sorted(told, key=lambda one: one.start)),
            function_words=len(dropped) - len(told),
        )

    def _cut(self, mention: Mention) -> Mention:
        """Only the candidates that linking would keep."""
        most = self._settings.max_candidates
        kept, rest = mention.candidates[:most], mention.candidates[most:]
        return dataclasses.replace(mention, candidates=kept, more=len(rest))

    def _found(self, text: str) -> list[Mention]:
        """All mentions with all candidates."""
        links = self._linker.link([text])
        borders = np.flatnonzero(links.ranks == 0)[1:]
        places = np.split(np.arange(len(links.ranks)), borders) if len(links.ranks) else []
        return [self._mention(text, links, rows) for rows in places]

    def _mention(self, text: str, links: Links, rows: Ints) -> Mention:
        encoded = self._encoded(text, links.entities[rows])
        pairs = zip(rows.tolist(), encoded, strict=True)
        candidates = tuple(self._candidate(links, row, part) for row, part in pairs)
        start = min(one.start for one in candidates)
        end = candidates[0].end
        return Mention(text[start:end], start, end, candidates, more=0)

    def _encoded(self, text: str, entities: Numbers) -> list[float]:
        """What the encoder adds; it is not asked for an only candidate."""
        agreement = self._linker.agreement
        if agreement is None or len(entities) == 1:
            return [0.0] * len(entities)
        rows = np.zeros(len(entities), np.int64)
        return [float(one) for one in agreement.evidence([text], rows, entities)]

    def _candidate(self, links: Links, row: int, encoder: float) -> Candidate:
        base, settings = self._base, self._settings
        entity, reasons = int(links.entities[row]), int(links.reasons[row])
        prior, agreement = float(links.priors[row]), float(links.agreements[row])
        entity_id = str(base.entity_ids(links.entities[row : row + 1])[0].as_py())
        kind = KINDS[base.kinds[entity]]
        popularity = max(self._popularity[entity].as_py(), 0.0)
        case = bool(reasons & CASE_FITS) - bool(reasons & CASE_DIFFERS)
        evidence = Evidence(
            prior=settings.prior_weight * float(np.log(max(prior, _LEAST))),
            popularity=settings.popularity_weight * float(np.log1p(popularity)),
            kind=settings.kind_weights.get(kind, 0.0),
            name=settings.name_weight if reasons & NAME else 0.0,
            case=settings.case_weight * case,
            text=settings.context_weight * agreement,
            encoder=encoder,
        )
        return Candidate(
            entity_id, base.name(entity_id), kind, base.description(entity_id),
            int(links.starts[row]), int(links.ends[row]), prior, agreement, evidence,
            float(links.scores[row]), str(links.reason_names[row].as_py()),
        )  # fmt: skip

    def _dropped(self, text: str) -> Iterator[Dropped]:
        """What the rules of words drop."""
        column, index = text_array([text]), self._base.matcher.index
        tokens = tokenize(column, index.tables)
        rows = self._linker.mentions.rows(tokens, column)
        traits = token_traits(column, tokens)
        rest = (
            tokens.arrays, traits, np.zeros(1, np.int64),
            fixed(index.posting_starts), fixed(index.posting_flags),
        )  # fmt: skip
        find_groups(rows, *rest)  # all at once: it marks the tokens that mentions are made of
        outer = rows[rows[:, 3] != NESTED]
        for place in range(len(outer)):
            counts = find_groups(outer[place : place + 1], *rest).dropped
            rule = int(counts.argmax())
            if rule != KEPT:
                yield _span(text, tokens, outer[place], RULES[rule])


def _span(text: str, tokens: Tokens, row: Ints, rule: str) -> Dropped:
    _, first, last, *_ = row.tolist()
    start, end = int(tokens.first[first]), int(tokens.last[last])
    return Dropped(text[start:end], start, end, rule, meaning="")


def _hidden(mention: Mention) -> Dropped:
    best = mention.candidates[0]
    return Dropped(mention.surface, mention.start, mention.end, RULES[NOT_SHOWN], best.entity_id)


def as_json(explanations: Sequence[Explanation]) -> list[Mapping[str, Any]]:
    """Plain values."""
    return [dataclasses.asdict(one) for one in explanations]


def as_text(explanations: Sequence[Explanation]) -> str:
    """Aligned tables, a text after the other."""
    return "\n\n".join("\n".join(_lines(one)) for one in explanations)


def _lines(one: Explanation) -> Iterator[str]:
    yield f'"{" ".join(one.text.split())}"'
    if not one.mentions:
        yield "  no mention"
    for mention in one.mentions:
        yield f"\n  {mention.surface} ({mention.start} to {mention.end})"
        yield from (f"    {line}" for line in _table(mention))
        if mention.more:
            rest = max(0.0, 1 - sum(c.posterior for c in mention.candidates))
            yield f"    {mention.more} more candidates, posterior {rest:.3f} together"
    if one.dropped or one.function_words:
        names = [f"{d.surface} ({d.rule}{': ' * bool(d.meaning)}{d.meaning})" for d in one.dropped]
        words = f"{one.function_words} function word{'s' * (one.function_words != 1)}"
        yield f"\n  dropped: {', '.join([*names, words])}"


def _table(mention: Mention) -> Iterator[str]:
    """Candidates by row; numbers to the right, words to the left."""
    pieces = [field.name for field in dataclasses.fields(Evidence)]
    if not any(one.evidence.encoder for one in mention.candidates):
        pieces.remove("encoder")
    heads = ["posterior", "P(entity)", *(f"+{name}" for name in pieces), "=sum"]
    words = ["entity", "name", "reasons", "description"]
    rows = [heads + words]
    for one in mention.candidates:
        adds = [getattr(one.evidence, name) for name in pieces]
        numbers = [f"{one.posterior:.3f}", f"{one.prior:.3f}", *(f"{x:+.2f}" for x in adds)]
        name = f"{one.name} ({one.kind})" if one.kind else one.name
        short = one.description[: _WIDTH - 1]
        told = short + "\N{HORIZONTAL ELLIPSIS}" if len(one.description) > _WIDTH else short
        rows.append(
            [*numbers, f"{one.evidence.total:+.2f}", one.entity_id, name, one.reasons, told]
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = zip(row, widths, strict=True)
        aligned = [
            cell.rjust(width) if place < len(heads) else cell.ljust(width)
            for place, (cell, width) in enumerate(cells)
        ]
        yield "  ".join(aligned).rstrip()
