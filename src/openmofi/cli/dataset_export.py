"""``openmofi dataset export-…``: training shards as other libraries read them."""

import argparse
from collections import Counter
from collections.abc import Mapping
from pathlib import Path


def add_verbs(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the exports."""
    tars = verbs.add_parser(
        "export-tars", help="write training shards as webdataset and open_clip's trainer read them"
    )
    tars.add_argument("training_shards", metavar="URI", help="manifest of training_shards")
    tars.add_argument("--out", required=True, type=Path, metavar="DIR", help="a new folder")
    tars.add_argument(
        "--convert",
        action="store_true",
        help="write pictures as JPEG that open_clip would pass over (gif, tif, bmp …)",
    )
    tars.set_defaults(run=_export_tars)

    parquet = verbs.add_parser(
        "export-parquet", help="write training shards as Hugging Face's datasets reads them"
    )
    parquet.add_argument("training_shards", metavar="URI", help="manifest of training_shards")
    parquet.add_argument("--out", required=True, type=Path, metavar="DIR", help="a new folder")
    parquet.set_defaults(run=_export_parquet)


def _export_tars(arguments: argparse.Namespace) -> None:
    from openmofi.dataset.export_tars import export_tars

    made = export_tars(arguments.training_shards, arguments.out, convert=arguments.convert)
    splits = made.splits.values()
    samples = {split: one.samples for split, one in made.splits.items()}
    print(f"{made.out}: {_listed(samples)} samples in {sum(len(s.sizes) for s in splits)} tars")
    if converted := sum((one.converted for one in splits), Counter()):
        print(f"written as JPEG: {_listed(converted)}")
    if passed_over := sum((one.passed_over for one in splits), Counter()):
        print(
            f"open_clip reads no {_listed(passed_over)}: {passed_over.total()} samples less; "
            "--convert writes them as JPEG"
        )
    if made.splits["train"].readable:
        print("To train on it (pip install 'open_clip_torch[training]'):")
        print(made.command())


def _export_parquet(arguments: argparse.Namespace) -> None:
    from openmofi.dataset.export_parquet import export_parquet

    made = export_parquet(arguments.training_shards, arguments.out)
    print(f"{made.out}: {_listed(made.samples)} samples in {sum(made.files.values())} files")
    print(f'load_dataset("{made.out.absolute()}")')


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in counts.items())
