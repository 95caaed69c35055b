"""Where the default weights of linking come from: fitted on one half, tried on the other.

Run: python -m benchmarks.linking_weights --kb KB --gold GOLD.jsonl [--links OUT.parquet]

Captions are put into halves by a hash of their text, so that equal captions stay together. On each
half the weights are fitted by coordinate search on the likelihood of the right candidates, and
judged on the other. What is printed last is fitted on both halves: those are the defaults of
`openmofi.entities.config.LinkConfig`, whose figures are the two honest ones above.
"""

import argparse
import itertools
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from openmofi.entities.config import LinkConfig
from openmofi.entities.kinds import KINDS
from openmofi.entities.knowledge_base import KnowledgeBase, open_knowledge_base
from openmofi.entities.linker import EntityLinker
from openmofi.entities.pairs import link_pairs
from openmofi.entities.quality.gold import GoldCaption, read_gold, read_sources

_STEPS = (-0.8, -0.4, -0.2, -0.1, 0.1, 0.2, 0.4, 0.8)
_PASSES = 3
_FLOOR = 1e-4  # likelihood of a right candidate that is none
_KIND_SPREAD = 1.0  # standard deviation of a kind's weight beforehand, in log-odds
_SPREAD = 0.7  # of the other weights' logarithm, or log-odds, about where they begin
_LETTERS = "symbols/alphabets"  # a fifth of the captions, all of three patterns: weigh a tenth
_START = {
    "prior_weight": 0.7, "context_weight": 8.0, "mention_weight": 0.5, "name_weight": 1.0,
    "case_weight": 1.5, "popularity_weight": 0.6,
}  # fmt: skip
_SHARES = {"singular_share": 0.4}  # heads compete in three captions: nothing to fit


class Judged(NamedTuple):
    """How the gold mentions of some captions were linked."""

    likelihood: float  # log, with weights, of the right candidates
    found: int
    right: int
    ambiguous_right: int
    gold: int
    ambiguous: int


def judge(base: KnowledgeBase, captions: Sequence[GoldCaption], settings: LinkConfig) -> Judged:
    """Link the captions and compare."""
    links = EntityLinker(base, settings).link([one.caption for one in captions])
    ids = base.entity_ids(links.entities).to_pylist()
    columns = zip(
        links.texts.tolist(), links.starts.tolist(), links.ends.tolist(), ids,
        links.ranks.tolist(), links.scores.tolist(), strict=True,
    )  # fmt: skip
    chosen: dict[tuple[int, int, int], str] = {}
    scores: dict[tuple[int, int, int], dict[str, float]] = {}
    for text, start, end, entity_id, rank, score in columns:
        scores.setdefault((text, start, end), {})[entity_id] = score
        if rank == 0:
            chosen[text, start, end] = entity_id
    total, found, right, ambiguous_right, gold, ambiguous = 0.0, 0, 0, 0, 0, 0
    for text, caption in enumerate(captions):
        for mention in caption.mentions:
            place = (text, mention.start, mention.end)
            hit = chosen.get(place) in mention.ids
            gold, ambiguous = gold + 1, ambiguous + mention.ambiguous
            right, ambiguous_right = right + hit, ambiguous_right + (hit and mention.ambiguous)
            if place in scores:
                found += place in chosen
                share = sum(scores[place].get(one, 0.0) for one in mention.ids)
                weight = 0.1 if _is_letter(caption) else 1.0
                total += weight * math.log(max(share, _FLOOR))
    return Judged(total, found, right, ambiguous_right, gold, ambiguous)


def fit(base: KnowledgeBase, captions: Sequence[GoldCaption]) -> dict[str, Any]:
    """Weights by coordinate search; more likely ones win, strange ones cost."""
    begin = {name: math.log(one) for name, one in _START.items()}
    begin |= {name: math.log(one / (1 - one)) for name, one in _SHARES.items()}
    free = begin | {kind: 0.0 for kind in KINDS if kind}

    def value() -> float:
        cost = sum(
            (free[name] - begin.get(name, 0.0)) ** 2
            / (2 * (_SPREAD if name in begin else _KIND_SPREAD) ** 2)
            for name in free
        )
        return judge(base, captions, _settings(free)).likelihood - cost

    best = value()
    for name, step in itertools.chain.from_iterable(
        itertools.repeat(list(itertools.product(free, _STEPS)), _PASSES)
    ):
        free[name] += step
        now = value()
        if now > best:
            best = now
        else:
            free[name] -= step
    return _settings(free).model_dump(mode="json", include={*begin, "kind_weights"})


def _settings(free: Mapping[str, float]) -> LinkConfig:
    """All candidates, so that their likelihood can be read."""
    plain: dict[str, Any] = {name: math.exp(free[name]) for name in _START}
    plain |= {name: 1 / (1 + math.exp(-free[name])) for name in _SHARES}
    kinds = {kind: free[kind] for kind in KINDS if kind}
    return LinkConfig(**plain, kind_weights=kinds, max_candidates=64, not_shown=())


def _is_letter(caption: GoldCaption) -> bool:
    return (caption.source or "").startswith(_LETTERS)


def _half(caption: str) -> int:
    return zlib.crc32(caption.encode()) % 2


def _cross_fitted(
    kb: str, pairs: Path, out: Path, fitted: Sequence[dict[str, Any]], halves: Mapping[Any, int]
) -> None:
    """Links of each half by the weights that were fitted on the other."""
    tables = []
    for half, weights in enumerate(fitted):
        link_pairs(kb, pairs, out, config=weights)
        links = pq.read_table(out)
        samples = zip(links["shard"].to_pylist(), links["key"].to_pylist(), strict=True)
        tables.append(links.filter(pa.array([halves.get(one) == 1 - half for one in samples])))
    pq.write_table(pa.concat_tables(tables), out)


def main() -> None:
    """Print the figures of both halves and the weights of all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kb", required=True)
    parser.add_argument("--gold", required=True, type=Path, help="the tars lie beside it")
    parser.add_argument("--links", type=Path, help="write cross-fitted links, to be scored")
    arguments = parser.parse_args()
    base, gold = open_knowledge_base(arguments.kb), read_gold(arguments.gold)
    sources = read_sources(gold, arguments.gold.parent)
    captions = {sample: replace(one, source=sources.get(sample)) for sample, one in gold.items()}
    halves = {sample: _half(one.caption) for sample, one in captions.items()}
    fitted = []
    for train in (0, 1):
        own = [one for sample, one in captions.items() if halves[sample] == train]
        test = [one for sample, one in captions.items() if halves[sample] != train]
        fitted.append(fit(base, own))
        plain = [one for one in test if not _is_letter(one)]
        for name, part in (("all", test), ("without letters", plain)):
            got = judge(base, part, LinkConfig(**fitted[-1]))
            print(
                f"fitted on {'AB'[train]}, judged on {'BA'[train]}, {name}: links "
                f"{got.right}/{got.gold} = {got.right / got.gold:.1%}, ambiguous "
                f"{got.ambiguous_right}/{got.ambiguous} = {got.ambiguous_right / got.ambiguous:.1%}"
            )
    if arguments.links:
        _cross_fitted(arguments.kb, arguments.gold.parent, arguments.links, fitted, halves)
    print(yaml.safe_dump(fit(base, list(captions.values())), sort_keys=False))


if __name__ == "__main__":
    main()
