"""``openmofi textregions preview``: what the text rule drops and keeps, to look at."""

import argparse
import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

from openmofi.errors import InputError

if TYPE_CHECKING:
    from openmofi.textregions.preview.source import Source


def add_action(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``preview`` to the actions of ``openmofi textregions``."""
    preview = actions.add_parser(
        "preview", help="write a page of pictures that the text rule drops and keeps"
    )
    preview.add_argument(
        "--regions",
        nargs="+",
        required=True,
        metavar="REGIONS",
        help="Parquet file of `openmofi textregions detect`, with --pairs; or manifests of "
        "text_regions, one for each group of shards, with --samples",
    )
    preview.add_argument("--pairs", type=Path, metavar="DIR", help="tars with the pictures")
    preview.add_argument("--samples", nargs="+", metavar="URI", help="manifests of the samples")
    preview.add_argument("--config", type=Path, metavar="FILE.yaml", help="values of TextRule")
    preview.add_argument(
        "--out", required=True, type=Path, metavar="PREVIEW.html", help="page to write"
    )
    preview.add_argument("--png", type=Path, metavar="PREVIEW.png", help="the same as one picture")
    preview.add_argument("--images", type=int, default=200, help="how many to show (200)")
    preview.add_argument("--seed", type=int, default=0, help="of those shown by chance (0)")
    preview.add_argument("--json", action="store_true", help="print one JSON object")
    preview.set_defaults(run=_preview)


def _preview(arguments: argparse.Namespace) -> None:
    from openmofi.config import parse_config, read_yaml
    from openmofi.textregions.preview.choose import check_images
    from openmofi.textregions.preview.job import check_outputs, write_preview
    from openmofi.textregions.rule import TextRule

    check_outputs(arguments.out, arguments.png)
    check_images(arguments.images)
    config = read_yaml(arguments.config) if arguments.config else None
    rule = parse_config(TextRule, config, where=str(arguments.config or "text rule"))
    found = write_preview(
        _source(arguments),
        rule,
        arguments.out,
        png=arguments.png,
        images=arguments.images,
        seed=arguments.seed,
    )
    if arguments.json:
        print(json.dumps(dataclasses.asdict(found)))
        return
    parts = (f"{number} {name}" for name, number in found.counts.items() if name != "seen")
    print(
        f"{arguments.out}: {found.counts['seen']} seen = {' + '.join(parts)}; with a sure box too "
        f"large: {found.large}; {sum(found.shown.values())} shown, {found.bytes / 1e6:.1f} MB"
    )


def _source(arguments: argparse.Namespace) -> "Source":
    from openmofi.textregions.preview.region_file import RegionFile
    from openmofi.textregions.preview.region_tables import RegionTables

    regions: list[str] = arguments.regions
    if bool(arguments.pairs) == bool(arguments.samples):
        raise InputError(
            "give the pictures once: --pairs DIR for a regions file, or --samples URI for a store's"
        )
    if arguments.samples:
        for one in regions:
            if one.endswith(".parquet"):
                raise InputError(f"{one} is a file: its pictures are in the tars of --pairs")
        return RegionTables(regions, arguments.samples)
    for one in regions:
        if "://" in one or "/manifests/" in one:
            raise InputError(f"{one} is a store's: its pictures come with --samples, not --pairs")
    if len(regions) > 1:
        raise InputError(f"--pairs takes one regions file, got {len(regions)}")
    return RegionFile(Path(regions[0]), arguments.pairs)
