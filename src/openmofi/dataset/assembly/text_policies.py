"""Pictures with text in them: what the rule's policy drops, and what each policy would."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from openmofi.dataset.causes import Cause
from openmofi.records import Status
from openmofi.textregions.rule import TextRule, masked_flags, text_flags

Flags = npt.NDArray[np.bool_]


class TextFacts(NamedTuple):
    """Of the samples of one shard, each ``[rows]``."""

    cause: npt.NDArray[np.object_]  # for which the rule would drop it, or None
    with_text: Flags  # by the rule, which any_text would drop
    dependent: Flags | None  # of those, what text_dependent would drop; None: not known
    large: Flags  # with a sure box too large for the rule
    scores: npt.NDArray[np.float32]  # masked, of those with text; nan elsewhere


def no_text(rows: int) -> TextFacts:
    """Of samples whose text nobody looks for."""
    none = np.zeros(rows, np.bool_)
    return TextFacts(
        np.full(rows, None, object), none, None, none, np.full(rows, np.nan, np.float32)
    )


def text_facts(regions: pa.Table, masked: pa.Table | None, rule: TextRule) -> TextFacts:
    """Apply the rule to the tables of one shard.

    Args:
        regions: Of `records.TEXT_REGIONS`.
        masked: Of `records.MASKED_SCORES`, if there is one.
        rule: The limits and the policy; ``text_dependent`` needs ``masked``.
    """
    with_text, large = text_flags(regions, rule)
    failed = np.array(regions.column("status").to_pylist(), object) == Status.FAILED
    causes = np.full(len(failed), None, object)
    causes[with_text] = str(Cause.TEXT_REGION)
    dependent, scores = None, np.full(len(failed), np.nan, np.float32)
    if masked is not None:
        flags = masked_flags(masked, rule)
        scored = with_text & flags.scored
        scores[scored] = masked.column("masked_score").to_numpy()[scored]
        if rule.min_masked_score is not None:
            dependent = with_text & (flags.below | ~flags.scored)
        if rule.policy == "text_dependent":
            causes[with_text & flags.scored] = None
            causes[with_text & flags.below] = str(Cause.TEXT_DEPENDENT)
            causes[with_text & flags.failed] = str(Cause.TEXT_FAILED)
    causes[failed] = str(Cause.TEXT_FAILED)
    return TextFacts(causes, with_text, dependent, large, scores)
