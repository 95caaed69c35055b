"""``openmofi dataset forget`` and ``compact``: taking samples down, for readers and in bytes."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from openmofi.dataset.takedown.forget import Forgotten


def add_verbs(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add what takes samples down."""
    forget = verbs.add_parser("forget", help="take samples down: no reader gives them out any more")
    forget.add_argument("--root", required=True, help="folder or s3://bucket/prefix")
    forget.add_argument("--ids", type=Path, metavar="FILE", help="a uid or image id on each line")
    forget.add_argument("--urls", type=Path, metavar="FILE", help="a URL on each line")
    pictures = forget.add_mutually_exclusive_group()
    pictures.add_argument(
        "--image-hashes",
        type=Path,
        metavar="FILE",
        help="an image id (128-bit BLAKE2b of the file, in hex) on each line",
    )
    pictures.add_argument("--files", type=Path, metavar="DIR", help="the pictures themselves")
    forget.add_argument(
        "--allow-unknown",
        action="store_true",
        help="write down what no sample has, too, for crawls to come",
    )
    forget.add_argument("--reason", default="", metavar="TEXT", help="a line kept in the list")
    forget.set_defaults(run=_forget)

    compact = verbs.add_parser(
        "compact", help="remove what was taken down from the bytes of pool and training shards"
    )
    compact.add_argument("--root", required=True, help="folder or s3://bucket/prefix")
    compact.add_argument("--dry-run", action="store_true", help="find out only, write nothing")
    compact.set_defaults(run=_compact)


def _forget(arguments: argparse.Namespace) -> None:
    from openmofi.dataset.takedown.forget import forget, hash_files, read_list

    hashes = read_list(arguments.image_hashes) if arguments.image_hashes else []
    done = forget(
        arguments.root,
        ids=read_list(arguments.ids) if arguments.ids else [],
        urls=read_list(arguments.urls) if arguments.urls else [],
        image_hashes=hash_files(arguments.files) if arguments.files else hashes,
        allow_unknown=arguments.allow_unknown,
        reason=arguments.reason,
    )
    print(_told(done))
    for uri in (*done.holders.versions, *done.holders.training_shards, *done.holders.models):
        print(f"  {uri}")
    if done.copies:
        print(
            f"{_number(done.copies, 'other sample')} with the same picture, byte for byte, not "
            "taken down; --image-hashes or --files takes a picture down wherever it was found"
        )


def _told(done: "Forgotten") -> str:
    written = f"tombstone {done.tombstones}" if done.tombstones else "all was taken down before"
    return (
        f"{done.listed - done.unknown} of {done.listed} found: {_number(done.samples, 'sample')} "
        f"in {_number(done.shards, 'shard')}; {written}; held by {done.holders.describe()}; "
        "next: assemble, then compact"
    )


def _number(number: int, name: str) -> str:
    return f"{number} {name}{'s' * (number != 1)}"


def _compact(arguments: argparse.Namespace) -> None:
    from openmofi.dataset.takedown.compact import compact

    done = compact(arguments.root, dry_run=arguments.dry_run)
    parts = (
        (done.pool_shards, "pool shard"),
        (done.tables, "table"),
        (done.training_shards, "training shard"),
        (done.cards, "card"),
    )
    verb = "would be rewritten" if arguments.dry_run else "rewritten"
    rewritten = ", ".join(_number(*part) for part in parts)
    print(f"{rewritten} {verb}; {done.bytes / 1e6:.1f} MB of pictures and texts")
    if done.record:
        print(f"record {done.record}")
