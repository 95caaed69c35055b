"""``openmofi entities``: link texts to a knowledge base."""

import argparse
from pathlib import Path

from openmofi.config import read_yaml


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add this room's commands."""
    room = commands.add_parser("entities", help="link alt texts to a knowledge base")
    inner = room.add_subparsers(title="commands", required=True, metavar="COMMAND")

    link = inner.add_parser("link", help="link the captions of a folder of tar shards")
    link.add_argument("--kb", required=True, help="a knowledge base's folder or manifest URI")
    link.add_argument("--pairs", required=True, type=Path, help="folder of WebDataset tars")
    link.add_argument("--out", required=True, type=Path, help="Parquet file to write")
    link.add_argument("--config", type=Path, help="YAML of the linking settings")
    link.add_argument(
        "--titles", action="store_true", help="read KEY.json for a title, which speaks too"
    )
    link.set_defaults(run=_link)

    run = inner.add_parser("run", help="the stage: a samples table to a mentions table")
    run.add_argument("--samples", required=True, help="manifest URI of the samples")
    run.add_argument("--kb", required=True, help="manifest URI of the knowledge base")
    run.add_argument("--config", type=Path, help="YAML of the linking settings")
    run.add_argument("--workers", type=int, default=1, help="processes")
    run.set_defaults(run=_run)

    train = inner.add_parser(
        "train-recognizer", help="a small token classifier, taught by the alias matcher"
    )
    train.add_argument("--kb", required=True, help="a knowledge base's folder or manifest URI")
    train.add_argument("--out", required=True, help="new folder, in the layout of a model hub")
    train.add_argument("--config", type=Path, help="YAML of the training's settings")
    train.set_defaults(run=_train_recognizer)

    explain = inner.add_parser("explain", help="say why texts are linked as they are")
    explain.add_argument("--kb", required=True, help="a knowledge base's folder or manifest URI")
    explain.add_argument("texts", nargs="+", metavar="TEXT", help="each stands alone")
    explain.add_argument("--config", type=Path, help="YAML of the linking settings")
    explain.add_argument("--json", action="store_true", help="print one JSON array")
    explain.set_defaults(run=_explain)

    score = inner.add_parser("score", help="judge links by a gold standard")
    score.add_argument("--links", required=True, type=Path, help="Parquet file of `entities link`")
    score.add_argument("--gold", required=True, type=Path, help="JSONL, one caption a line")
    score.add_argument("--json", action="store_true", help="print one JSON object")
    score.add_argument("--kb", help="knowledge base (folder or manifest URI) to name entities from")
    score.add_argument(
        "--pairs", type=Path, metavar="DIR", help="tars that say captions' source (the gold's own)"
    )
    score.add_argument(
        "--without",
        action="append",
        metavar="PREFIX",
        help="also judge without captions whose source begins so (symbols/alphabets); repeatable",
    )
    score.add_argument("--plot", type=Path, metavar="OUT.svg", help="draw a reliability diagram")
    score.set_defaults(run=_score)


def _link(arguments: argparse.Namespace) -> None:
    from openmofi.entities.pairs import link_pairs

    config = read_yaml(arguments.config) if arguments.config else None
    counts = link_pairs(
        arguments.kb, arguments.pairs, arguments.out, config=config, titles=arguments.titles
    )
    print(
        f"{arguments.out}: {counts.mentions} mentions, {counts.candidates} candidates in "
        f"{counts.linked} of {counts.samples} captions"
    )
    dropped = ", ".join(f"{count} {rule}" for rule, count in counts.dropped.items() if count)
    print(f"no mention: {dropped or 'none dropped'}")


def _run(arguments: argparse.Namespace) -> None:
    from openmofi.entities.link import link_entities

    config = read_yaml(arguments.config) if arguments.config else None
    print(link_entities(arguments.samples, arguments.kb, config=config, workers=arguments.workers))


def _explain(arguments: argparse.Namespace) -> None:
    import json

    from openmofi.entities.explain import as_json, as_text, explain_texts

    config = read_yaml(arguments.config) if arguments.config else None
    explanations = explain_texts(arguments.kb, arguments.texts, config=config)
    if arguments.json:
        print(json.dumps(as_json(explanations), allow_nan=False))
    else:
        print(as_text(explanations))


def _score(arguments: argparse.Namespace) -> None:
    import json

    from openmofi.entities.knowledge_base import open_knowledge_base
    from openmofi.entities.quality.plot import check_plot, write_plot
    from openmofi.entities.quality.report import as_json, as_text, entity_names
    from openmofi.entities.quality.score import WITHOUT, score_links

    if arguments.plot:
        check_plot(arguments.plot)
    base = open_knowledge_base(arguments.kb) if arguments.kb else None
    score = score_links(
        arguments.links,
        arguments.gold,
        pairs=arguments.pairs,
        without=arguments.without or WITHOUT,
    )
    names = entity_names(score, base)
    if arguments.plot:
        write_plot(score.calibration, arguments.plot)
    if arguments.json:
        print(json.dumps(as_json(score, names), allow_nan=False))
    else:
        print(as_text(score, names))


def _train_recognizer(arguments: argparse.Namespace) -> None:
    from openmofi.entities.recognition.evaluation import table_of
    from openmofi.entities.recognition.training import train_recognizer

    config = read_yaml(arguments.config) if arguments.config else None
    print(table_of(train_recognizer(arguments.kb, arguments.out, config=config)))
