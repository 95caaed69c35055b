"""Compiled: from what the matcher found to groups of mentions, what is no mention left out.

A group is one alias in one document: the same word twice must not bear witness for itself.
"""

from typing import Any, NamedTuple

import numpy as np

from openmofi.entities.compiled import compiled, inlined
from openmofi.entities.kernels_candidates import ALL_CAPITALS, WRITTEN_SMALL
from openmofi.entities.kernels_hash import Bytes, Int, Ints
from openmofi.entities.kernels_match import NESTED, RECOGNIZED, STOPPED
from openmofi.entities.kernels_rules import (
    CAPITAL,
    CHATTER,
    FUNCTION,
    FUNCTION_WORD,
    KEPT,
    LOWER,
    MENTION,
    RULES,
    SENTENCE,
    SHOUTED,
    SMALL,
    STOCK_CHATTER,
    UPPER,
    Traits,
    rule_of,
)
from openmofi.entities.kernels_text import TokenArrays
from openmofi.entities.kernels_words import NONE


class Groups(NamedTuple):
    """The mentions of a batch, and their groups in the order of the documents."""

    mentions: Ints  # [mentions, 5] group, first token, last token, first token of the head, text
    aliases: Ints  # [groups, 4] alias, singular or NONE, head or NONE, evidence
    documents: Ints  # [groups]
    dropped: Ints  # [RULES] mentions


@compiled
def find_groups(
    rows: Ints, tokens: TokenArrays, traits: Traits, documents: Ints, starts: Any, flags: Bytes
) -> Groups:
    """Drop what no noun is and put the same aliases of a document together.

    Args:
        rows: What `openmofi.entities.kernels_match.search` found, stop phrases and heads too.
        tokens: The batch.
        traits: Of the tokens; it is marked which belong to a mention.
        documents: ``[texts]`` increasing.
        starts: Where the candidates of each alias begin.
        flags: Of the candidates.
    """
    texts = tokens.texts
    mentions, aliases = np.empty((len(rows), 5), np.int64), np.empty((len(rows), 4), np.int64)
    owners, dropped = np.empty(len(rows), np.int64), np.zeros(len(RULES), np.int64)
    cased = _cases_of_texts(texts, traits)
    for i in range(len(rows)):
        if rows[i, 3] != STOPPED:
            traits[rows[i, 1] : rows[i, 2] + 1] |= np.uint32(MENTION)
    size = 16
    while size < 2 * len(rows):
        size *= 2
    table = np.full(size, NONE, np.int64)  # group by document and alias
    count, groups = 0, 0
    for i in range(len(rows)):
        alias, first, last, what, singular = rows[i]
        if what == NESTED:
            continue
        evidence = _evidence(traits, cased[first], first, last)
        rule = KEPT
        if what == STOPPED:
            read = evidence & ALL_CAPITALS and _has_name(starts, flags, alias)
            rule = KEPT if read else STOCK_CHATTER
            if not read and first == last and not traits[first] & CHATTER:
                rule = FUNCTION_WORD
        else:
            evidence &= ~ALL_CAPITALS
            if first == last and what != RECOGNIZED:
                rule = rule_of(traits, first)
        dropped[rule] += 1
        if rule != KEPT:
            continue
        document = documents[texts[first]]
        slot = (document * 0x9E3779B1 + alias * 0x85EBCA77) & (size - 1)
        while table[slot] != NONE:
            group = table[slot]
            if aliases[group, 0] == alias and owners[group] == document:
                break
            slot = (slot + 1) & (size - 1)
        head, head_at = NONE, NONE
        if i + 1 < len(rows) and rows[i + 1, 3] == NESTED:
            head, head_at = rows[i + 1, 0], rows[i + 1, 1]
        if table[slot] == NONE:
            table[slot] = groups
            aliases[groups, 0], aliases[groups, 1], aliases[groups, 2] = alias, singular, head
            aliases[groups, 3], owners[groups] = 0, document
            groups += 1
        group = table[slot]
        aliases[group, 3] |= evidence
        mentions[count, 0], mentions[count, 1], mentions[count, 2] = group, first, last
        mentions[count, 3], mentions[count, 4] = head_at, texts[first]
        count += 1
    return Groups(mentions[:count], aliases[:groups], owners[:groups], dropped)


@compiled
def _cases_of_texts(texts: Ints, traits: Traits) -> Bytes:
    """For each token whether its text has capital (`UPPER`) and small (`LOWER`) first letters.

    Small ones count in words that a title would write with a capital.
    """
    cased = np.zeros(len(texts), np.uint8)
    begin, seen = 0, 0
    for i in range(len(texts) + 1):
        if i == len(texts) or texts[i] != texts[begin]:
            cased[begin:i] = seen
            begin, seen = i, 0
        if i < len(texts):
            seen |= UPPER if traits[i] & CAPITAL else 0
            seen |= LOWER if traits[i] & SMALL and not traits[i] & FUNCTION else 0
    return cased


@inlined
def _evidence(traits: Traits, cased: Int, first: Int, last: Int) -> Int:
    """How the last word of a mention is written, where that says something."""
    look = traits[last]
    found = 0
    if look & SMALL and cased & UPPER:
        found |= LOWER
    if look & CAPITAL and cased & LOWER:
        if first < last or not look & SENTENCE:
            found |= UPPER
        if first == last and look & SHOUTED:
            found |= UPPER | ALL_CAPITALS
    return found


@inlined
def _has_name(starts: Any, flags: Bytes, alias: Int) -> Int:
    """Whether one of an alias's entities is never written small."""
    found = False
    for i in range(starts[alias], starts[alias + 1]):
        found = found or not flags[i] & WRITTEN_SMALL
    return found
