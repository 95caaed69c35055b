"""A slow, obvious twin of linking one document: dicts and sets, nothing compiled.

What is data elsewhere is taken as data: classes of words, candidates of aliases, entity vectors.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from openmofi.entities.config import LinkConfig
from openmofi.entities.kernels_hash import hash_stretches
from openmofi.entities.kinds import KINDS
from openmofi.entities.knowledge_base import KnowledgeBase
from openmofi.entities.text import tokenize
from openmofi.entities.words import stop_phrases
from support.linking_twin_words import (
    Alias,
    Link,
    Row,
    Word,
    cases_of,
    find_rows,
    rule_of,
    words_of,
)

CLEAR, SETTLED, MOVED, LIKELY, SPOKEN, NOTHING = 0.99, 0.9, 0.1, 0.2, 8, 1e-9


@dataclass
class Candidate:
    """What speaks for an entity before the context, and after."""

    entity: int
    prior: float
    logit: float
    reasons: set[str]
    agreement: float = 0.0
    score: float = 0.0


@dataclass
class Mention:
    """Where a group stands."""

    text: int
    first: int  # word
    last: int
    head: int | None  # first word of the head


@dataclass
class Group:
    """An alias in a document, as it was read."""

    alias: Alias
    singular: Alias | None
    head: Alias | None
    evidence: set[str] = field(default_factory=set)
    mentions: list[Mention] = field(default_factory=list)
    candidates: list[Candidate] = field(default_factory=list)

    def is_open(self, sure: float) -> bool:
        return all(one.score < sure for one in self.candidates)


class LinkingTwin:
    """Links documents; slow.

    Args:
        base: The knowledge base.
        settings: Without a model.
    """

    def __init__(self, base: KnowledgeBase, settings: LinkConfig) -> None:
        self._settings = settings
        index = base.matcher.index
        bounds = index.posting_starts.tolist()
        postings = list(
            zip(
                index.posting_entities.tolist(),
                index.posting_priors.tolist(),
                index.posting_flags.tolist(),
                strict=True,
            )
        )
        self._aliases = {
            index.key(i): Alias(index.key(i), postings[bounds[i] : bounds[i + 1]], index.is_stop(i))
            for i in range(len(index))
        }
        self._plurals = index.plurals
        self._kinds = [KINDS[kind] for kind in base.kinds.tolist()]
        self._popularity = base.entities.column("popularity").to_pylist()
        vectors = base.vectors
        owners, terms, values = vectors.rows(np.arange(len(base)))
        self._vectors: list[dict[int, float]] = [{} for _ in range(len(base))]
        for owner, term, value in zip(
            owners.tolist(), terms.tolist(), values.tolist(), strict=True
        ):
            self._vectors[owner][term] = value  # the greatest first
        self._idf = vectors.idf.tolist()
        self._number = {value: i for i, value in enumerate(vectors.terms.tolist())}
        self._stops = set(stop_phrases())

    def link(self, documents: Iterable[Sequence[str]]) -> tuple[list[Link], Counter[str]]:
        """All links by place and rank; how many mentions each rule dropped."""
        links: list[Link] = []
        dropped: Counter[str] = Counter()
        number = before = 0
        for texts in documents:
            for group, mention, words in self._document(texts, dropped):
                found = self._links(group, mention, words, number, before)
                links += found
                number += bool(found)
                dropped["not_shown"] += not found
            before += len(texts)
        return links, dropped

    def _document(
        self, texts: Sequence[str], dropped: Counter[str]
    ) -> Iterator[tuple[Group, Mention, list[Word]]]:
        cut = [words_of(text) for text in texts]
        groups: dict[str, Group] = {}
        order: list[tuple[Group, Mention]] = []
        for text, words in enumerate(cut):
            rows = find_rows(words, self._aliases, self._plurals)
            for row in rows:
                for word in words[row.first : row.last + 1] if not row.alias.stops else ():
                    word.in_mention = True
            for row in rows:
                evidence = evidence_of(words, row)
                rule = dropped_by(words, row, evidence)
                if rule:
                    dropped[rule] += 1
                    continue
                # The first mention of a group says how the alias is read.
                group = groups.setdefault(row.alias.key, Group(row.alias, row.singular, row.head))
                group.evidence |= evidence if row.alias.stops else evidence - {"shouted"}
                mention = Mention(text, row.first, row.last, row.head_at)
                group.mentions.append(mention)
                order.append((group, mention))
        for group in groups.values():
            group.candidates = self._candidates(group)
        self._settle(list(groups.values()), cut)
        for group, mention in order:
            yield group, mention, cut[mention.text]

    def _candidates(self, group: Group) -> list[Candidate]:
        settings = self._settings
        head = group.head if any(flags & 8 for _, _, flags in group.alias.postings) else None
        parts = [(group.alias, 1.0, "")]
        if group.singular and settings.singular_share:
            parts.append((group.singular, settings.singular_share, "plural"))
        if head and settings.head_share:
            parts.append((head, settings.head_share, "head"))
        parts[0] = (group.alias, 1.0 - sum(share for _, share, _ in parts[1:]), "")
        found: dict[int, Candidate] = {}
        for alias, share, reason in parts:
            for entity, prior, flags in alias.postings[:64]:
                small = bool(flags & 1)
                if small if "shouted" in group.evidence else reason == "plural" and not small:
                    continue
                if entity not in found:
                    found[entity] = self._candidate(
                        entity, share, prior, flags, reason, group.evidence
                    )
        if len(found) == 1:
            next(iter(found.values())).reasons.add("only_candidate")
        return list(found.values())

    def _candidate(
        self, entity: int, share: float, prior: float, flags: int, reason: str, evidence: set[str]
    ) -> Candidate:
        settings = self._settings
        reasons = {reason} - {""}
        logit = settings.prior_weight * math.log(share * max(prior, 1e-6))
        logit += settings.kind_weights.get(self._kinds[entity], 0.0)
        logit += settings.popularity_weight * math.log1p(self._popularity[entity])
        if flags & 2 and reason != "head":
            logit += settings.name_weight
            reasons.add("name")
        if flags & 4:
            reasons.add("variant")
        written = evidence & {"small", "capital"}
        if not flags & 1 and len(written) == 1:
            fits = written == {"capital"}
            logit += settings.case_weight if fits else -settings.case_weight
            reasons.add("case_fits" if fits else "case_differs")
        return Candidate(entity, share * prior, logit, reasons)

    def _settle(self, groups: list[Group], texts: list[list[Word]]) -> None:
        weight, lent = self._settings.context_weight, self._settings.mention_weight
        for group in groups:
            _normalise(group, 0.0)
        if weight == 0 or not any(len(group.candidates) > 1 for group in groups):
            return
        lent = lent if len(groups) > 1 else 0.0
        for turn in range(self._settings.rounds if lent else 1):
            left = [group for group in groups if group.is_open(SETTLED if turn else CLEAR)]
            said = [(group, self._said(group, lent)) for group in groups]
            for group in left:
                if len(group.candidates) > 1:
                    own = {(m.text, w) for m in group.mentions for w in range(m.first, m.last + 1)}
                    rest = self._words(texts, own)
                    for other, words in said:
                        if other is not group:
                            rest.update(words)
                    for one in group.candidates:
                        one.agreement = _cosine(self._vectors[one.entity], rest)
            before = [one.score for group in left for one in group.candidates]
            for group in left:
                _normalise(group, weight)
            after = [one.score for group in left for one in group.candidates]
            if all(abs(old - new) < MOVED for old, new in zip(before, after, strict=True)):
                break

    def _words(self, texts: list[list[Word]], without: set[tuple[int, int]]) -> Counter[int]:
        found: Counter[int] = Counter()
        for text, words in enumerate(texts):
            for place, word in enumerate(words):
                term = self._term(word)
                if (text, place) not in without and term is not None:
                    found[term] += self._idf[term]
        return found

    def _term(self, word: Word) -> int | None:
        if not word.may_start or word.key in self._stops:
            return None
        plural = len(word.key) > 3 and word.key[-1] == "s" and word.key[-2] not in "sui"
        tokens = tokenize([word.key[:-1] if plural else word.key])
        [value] = hash_stretches(tokens.codes, tokens.starts[:1], tokens.ends[-1:]).tolist()
        return self._number.get(value)

    def _said(self, group: Group, lent: float) -> Counter[int]:
        """The expected vector of a mention, of its likely candidates' greatest terms."""
        found: Counter[int] = Counter()
        for one in group.candidates:
            if one.score > LIKELY:
                for term, value in list(self._vectors[one.entity].items())[:SPOKEN]:
                    found[term] += lent * one.score * value
        return found

    def _links(
        self, group: Group, mention: Mention, words: list[Word], number: int, before: int
    ) -> list[Link]:
        best = sorted(group.candidates, key=lambda one: (-one.score, -one.prior, one.entity))
        if not best or self._kinds[best[0].entity] in self._settings.not_shown:
            return []
        found = []
        for rank, one in enumerate(best[: self._settings.max_candidates]):
            first = mention.first
            if "head" in one.reasons and mention.head is not None:
                first = mention.head
            found.append(
                Link(
                    number, before + mention.text, words[first].begin, words[mention.last].end,
                    one.entity, rank, frozenset(one.reasons), one.prior, one.agreement, one.score,
                )
            )  # fmt: skip
        return found


def evidence_of(words: list[Word], row: Row) -> set[str]:
    """How the last word is written, where the text has both cases."""
    capitals, smalls = cases_of(words)
    last, single = words[row.last], row.first == row.last
    if last.case == "small" and capitals:
        return {"small"}
    if last.case == "capital" and smalls:
        shouted = single and last.shouted
        said = not single or not last.begins_sentence or shouted
        return ({"capital"} if said else set()) | ({"shouted"} if shouted else set())
    return set()


def dropped_by(words: list[Word], row: Row, evidence: set[str]) -> str:
    """Name of the rule, or nothing."""
    single = row.first == row.last
    if row.alias.stops:
        if "shouted" in evidence and any(not flags & 1 for _, _, flags in row.alias.postings):
            return ""
        plain = single and "chatter" not in words[row.first].classes
        return "function_word" if plain else "chatter"
    return rule_of(words, row.first) if single else ""


def _normalise(group: Group, weight: float) -> None:
    odds = [one.logit + weight * one.agreement for one in group.candidates]
    powers = [math.exp(one - max(odds)) for one in odds]
    for one, power in zip(group.candidates, powers, strict=True):
        one.score = power / sum(powers)


def _cosine(vector: dict[int, float], text: Counter[int]) -> float:
    square = sum(value * value for value in text.values())
    dot = sum(value * text[term] for term, value in vector.items())
    return max(dot, 0.0) / math.sqrt(square) if square > NOTHING else 0.0
