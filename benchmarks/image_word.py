"""The image's word: links with the text alone, and with the picture.

Run: python -m benchmarks.image_word --kb-source WORDNET --model CLIP --pairs DIR --out DIR
     [--gold GOLD.jsonl] [--without symbols/alphabets] [--errors 20]
Everything is made as a user makes it (ingest, import, knowledge base, linking, embedding, labeling)
in a store under ``--out``. What is right is read here and by no stage: from the gold standard (a
link is right at the very span), else from ``wordnet_id`` in KEY.json (the caption is a class name,
and what is judged is its longest mention). Weights of the image are compared by halves: the best
for captions of even number is judged on those of odd number, and the other way round.
"""

import argparse
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.image_word_judge import (
    Judge,
    Links,
    by_class,
    by_gold,
    check,
    groups_of,
    outcome,
    rows_of,
    within_reach,
)
from benchmarks.text_labels import wilson
from openmofi.entities.build import build_knowledge_base
from openmofi.entities.link import link_entities
from openmofi.ingest.run import ingest_pairs, plan_groups
from openmofi.labeling.embed import embed_images
from openmofi.labeling.score import label_images
from openmofi.models.importing import import_model
from openmofi.models.logit_scale import read_logit_scale
from openmofi.records import from_parquet
from openmofi.versions import read_table_version

_WEIGHTS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 1000)


def make_links(arguments: argparse.Namespace) -> Links:
    """All stages, then the tables joined."""
    root = str(arguments.out / "store")
    (group,) = plan_groups(root, source=str(arguments.pairs), groups=1)
    samples = ingest_pairs(group)
    model = import_model(root, source=str(arguments.model))
    base = build_knowledge_base(root, wordnet=str(arguments.kb_source))
    mentions = link_entities(samples, base)
    embeddings = embed_images(samples, model)
    scores = label_images(embeddings, mentions, base, model)
    made = {"samples": samples, "mentions": mentions, "entity_scores": scores}
    tables = [tables_of(uri, kind) for kind, uri in made.items()]
    parts = [_joined(shard, *(one[shard] for one in tables)) for shard in tables[0]]
    table = pa.concat_tables(parts)
    keys = rows_of(table, "shard", "row", "mention")
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return Links(table, np.array([numbers[key] for key in keys]), read_logit_scale(model))


def tables_of(uri: str, kind: str) -> dict[str, pa.Table]:
    """A version's tables by shard."""
    store, version = read_table_version(uri, kind)
    return {entry.shard: from_parquet(store.get(entry.table_key)) for entry in version.shards}


def _joined(shard: str, samples: pa.Table, mentions: pa.Table, scores: pa.Table) -> pa.Table:
    """Candidates that have a score, in the order of the mentions."""
    keys = samples["key"].take(mentions["row"])
    numbered = mentions.append_column("key", keys).append_column(
        "order", pa.array(np.arange(len(mentions)))
    )
    scores = scores.drop_columns(["rank"])
    table = numbered.join(scores, ["row", "entity_id"], join_type="inner").sort_by("order")
    return table.append_column("shard", pa.array([shard] * len(table), pa.string()))


def interval(hits: int, total: int) -> str:
    """Wilson's 95 % interval of a share, in percent."""
    low, high = wilson(hits, total)
    return f"{100 * low:.1f} to {100 * high:.1f}"


def print_groups(links: Links, judge: Judge) -> None:
    """Right links by group: text alone, text and image, and how many could be right."""
    text, image = (outcome(links, judge, weight).right for weight in (0, links.scale))
    reach = within_reach(links, judge)
    print("| targets | number | text alone | with image | 95 % | gained | lost | within reach |")
    print("|---|---|---|---|---|---|---|---|")
    for name, group in groups_of(judge).items():
        total, hits = int(group.sum()), int(image[group].sum())
        cells = [
            str(total),
            f"{100 * text[group].mean():.1f} % ({text[group].sum()})",
            f"{100 * image[group].mean():.1f} % ({hits})",
            interval(hits, total),
            str((image & ~text)[group].sum()),
            str((text & ~image)[group].sum()),
            f"{100 * reach[group].mean():.1f} %",
        ]
        print(f"| {name} | {' | '.join(cells)} |")


def print_weights(links: Links, judge: Judge) -> None:
    """Accuracy and Brier score by weight; then what halves would have chosen for each other."""
    groups = groups_of(judge)
    print("| weight | right of all | right of ambiguous | Brier score of links found |")
    print("|---|---|---|---|")
    outcomes = {w: outcome(links, judge, w) for w in sorted({*_WEIGHTS, round(links.scale, 3)})}
    for weight, (right, posterior) in outcomes.items():
        shares = (f"{100 * right[groups[name]].mean():.1f} %" for name in ("all", "ambiguous"))
        brier = np.nanmean((np.minimum(posterior, 1) - right) ** 2)
        print(f"| {weight:g} | {' | '.join(shares)} | {brier:.4f} |")
    halves = np.array([one.half for one in judge.targets])
    for chooser, name in ((0, "even"), (1, "odd")):
        inside, outside = (groups["ambiguous"] & (halves == h) for h in (chooser, 1 - chooser))
        # Of equally good weights the smallest.
        best = max(outcomes, key=lambda w: (outcomes[w].right[inside].sum(), -w))
        found, own = (outcomes[w].right[outside] for w in (best, round(links.scale, 3)))
        print(
            f"The {name} captions' ambiguous mentions choose weight {best:g}: right of the other "
            f"half's {100 * found.mean():.1f} % ({found.sum()} of {len(found)}); the model's own "
            f"{100 * own.mean():.1f} % ({own.sum()})"
        )


def print_errors(links: Links, judge: Judge, most: int) -> None:
    """Wrong links of ambiguous targets, with the candidates' scores."""
    right = outcome(links, judge, links.scale).right
    reach = within_reach(links, judge)
    rows = links.table.select(["surface", "entity_id", "context_score", "clip_score"]).to_pylist()
    by_place: dict[Hashable, list[dict[str, Any]]] = {}
    for place, row in zip(judge.places, rows, strict=True):
        by_place.setdefault(place, []).append(row)
    wrong = [i for i, one in enumerate(judge.targets) if one.ambiguous and not right[i]]
    print(f"Wrong although within reach: {sum(reach[i] for i in wrong)} of {len(wrong)} ambiguous")
    for i in [i for i in wrong if reach[i]][:most]:
        target = judge.targets[i]
        candidates = "; ".join(
            f"{'*' if one['entity_id'] in target.ids else ''}{one['entity_id']} "
            f"text {one['context_score']:.2f} cosine {one['clip_score']:.2f}"
            for one in by_place[target.place]
        )
        print(f"* {by_place[target.place][0]['surface']!r}: {candidates}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kb-source", type=Path, required=True, help="a WordNet folder")
    parser.add_argument("--model", type=Path, required=True, help="a CLIP in open_clip's layout")
    parser.add_argument("--pairs", type=Path, required=True, help="a folder of WebDataset tars")
    parser.add_argument("--out", type=Path, required=True, help="the store is made in it")
    parser.add_argument("--gold", type=Path, help="links by hand; else KEY.json has wordnet_id")
    parser.add_argument("--without", default="symbols/alphabets", help="also judge without these")
    parser.add_argument("--errors", type=int, default=0, help="wrong links to show")
    arguments = parser.parse_args()
    links = make_links(arguments)
    check(links)
    if arguments.gold:
        judge = by_gold(links, arguments.gold, arguments.pairs, arguments.without)
    else:
        judge = by_class(links, arguments.pairs)
    print(f"weight of the image: {links.scale:g}, the model's own\n")
    print_groups(links, judge)
    print()
    print_weights(links, judge)
    print()
    print_errors(links, judge, arguments.errors)


if __name__ == "__main__":
    main()
