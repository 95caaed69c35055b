"""What a matcher's files must be like for compiled code to read them without looking."""

import numpy as np
import numpy.typing as npt

from openmofi.entities.kernels_hash import Bytes, Ints
from openmofi.entities.unicode_tables import LIMIT, SEVERAL, SLOW, UnicodeTables
from openmofi.errors import InputError

_ASCII = 0x80  # the search counts on one character for each of these


def damaged() -> InputError:
    """The error for what is found out during the search."""
    return InputError("the matcher's files contradict each other; build the knowledge base again")


def table_fault(tables: UnicodeTables) -> str:
    """Name of a table that would lead outside the others, or nothing."""
    fold, starts = tables.fold, tables.expansion_starts
    for name in ("fold", "kinds", "orders"):
        if len(getattr(tables, name)) != LIMIT:
            return name
    if not bool(((fold < LIMIT) | (fold >= SEVERAL)).all() and (fold[:_ASCII] < LIMIT).all()):
        return "fold"
    if not bool((tables.expansions < LIMIT).all()):
        return "expansions"
    # Not np.diff: a difference may overflow.
    rises = len(starts) > 0 and starts[0] == 0 and bool((starts[1:] >= starts[:-1]).all())
    if not rises or starts[-1] != len(tables.expansions):
        return "expansion_starts"
    several = fold[(fold >= SEVERAL) & (fold < SLOW)] - np.uint32(SEVERAL)
    return "fold" if int(several.max(initial=0)) >= max(1, len(starts) - 1) else ""


def array_fault(
    word_buckets: Ints, word_records: Bytes, word_facts: npt.NDArray[np.int32],
    slots: Bytes, buckets: Ints, records: Bytes, posting_starts: Ints,
    posting_entities: npt.NDArray[np.int32], posting_priors: npt.NDArray[np.float32],
    posting_flags: Bytes,
) -> str:  # fmt: skip
    """Name of an array whose size or end does not fit, or nothing; the big ones are not read."""
    if not _power_of_two(4 * len(slots)):
        return "slots"
    if not len(posting_starts) or int(posting_starts[-1]) != len(posting_entities):
        return "posting_starts"
    if len(posting_priors) != len(posting_entities):
        return "posting_priors"
    if len(posting_flags) != len(posting_entities):
        return "posting_flags"
    for name, table, ends in (
        ("word_buckets", word_buckets, [len(word_facts), len(word_records)]),
        ("buckets", buckets, [len(posting_starts) - 1, len(records)]),
    ):
        if not _power_of_two(len(table) - 1) or table[-1].tolist() != ends:
            return name
    return ""


def _power_of_two(size: int) -> bool:
    return size > 1 and not size & (size - 1)
