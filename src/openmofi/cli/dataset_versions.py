"""``openmofi dataset show``: what stands in a version of the data set."""

import argparse


def add_verbs(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add what looks at versions."""
    show = verbs.add_parser("show", help="counts of a data set, by step and cause")
    show.add_argument("dataset", metavar="URI")
    show.set_defaults(run=_show)


def _show(arguments: argparse.Namespace) -> None:
    from openmofi.dataset.causes import Cause, funnel
    from openmofi.dataset.version import read_dataset

    dataset = read_dataset(arguments.dataset)
    content = dataset.content
    counts = dict(content["counts"])
    left = sum(counts.values())
    print(f"{'seen':<38}{'':>10}{left:>10}")
    for step, cause, dropped in funnel(counts):
        left -= dropped
        print(f"{step:<16}{cause:<22}{-dropped:>10}{left:>10}")
    splits = " + ".join(f"{name} {number}" for name, number in content["splits"].items())
    print(f"kept {counts[Cause.KEPT]} = {splits}")
    print(", ".join(f"{name} {number}" for name, number in content["totals"].items()))
    print(f"card: {dataset.store.uri}/{content['card']}")
