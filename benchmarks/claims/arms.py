"""What is trained on which pictures, and what the papers claim about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from openmofi.evaluation import metrics
from openmofi.evaluation.linear_probe import TOP1 as PROBE

ENTITY_TEXT = [
    {"kind": "contrastive", "text_mix": {"alt_text": 0, "name": 1, "name_and_description": 1}}
]


@dataclass(frozen=True)
class Arm:
    """A recipe on a data set, for the same number of steps as all others.

    Attributes:
        name: As in files and tables.
        title: For people.
        data: ``labelled`` (pairs with an entity that the labeler sees), ``permuted`` (the same
            pictures, their labels dealt out anew), ``all`` usable pairs, ``half`` of the pool, or
            ``text_free`` pairs of it.
        objectives: As `TrainConfig` takes them.
    """

    name: str
    title: str
    data: str
    objectives: Any


ARMS = (
    Arm("clip_alt_text", "CLIP on alt text", "labelled", "clip"),
    Arm("clip_entity_text", "CLIP on entity text", "labelled", ENTITY_TEXT),
    Arm("supervised", "supervised", "labelled", "supervised"),
    Arm("multitask", "multi-task", "labelled", "multitask"),
    Arm("random_labels", "supervised, labels dealt out anew", "permuted", "supervised"),
    Arm("unfiltered", "CLIP, all pairs", "all", "clip"),
    Arm("text_free", "CLIP, pairs without text in the picture", "text_free", "clip"),
    Arm("half_pool", "CLIP, half of the pool", "half", "clip"),
)

# Trained when asked for by name, to explain what came of the others; added after those had run.
EXPLAINING = (Arm("clip_mixed_text", "CLIP on alt and entity text", "labelled", "contrastive"),)


@dataclass(frozen=True)
class Claim:
    """The first arm is above the second in a metric.

    Attributes:
        text: In words.
        first: Name of an arm.
        second: Name of the arm that it is held against.
        metric: Of `openmofi.evaluation`.
        paper: What the paper says, with its figures where it gives any.
    """

    text: str
    first: str
    second: str
    metric: str
    paper: str


_MOFI_GPR = "GPR1200 86.66 against OpenAI's CLIP 72.19 (+14.5), other data and sizes"
_NO_FIGURE = "said without a figure that we know"

CLAIMS: Sequence[Claim] = (
    Claim("Multi-task retrieves better than CLIP on alt text", "multitask", "clip_alt_text",
          metrics.RETRIEVAL, _MOFI_GPR),
    Claim("Supervised retrieves better than CLIP on alt text", "supervised", "clip_alt_text",
          metrics.RETRIEVAL, f"\"strong for retrieval\", {_NO_FIGURE}"),
    Claim("Multi-task retrieves better than supervised alone", "multitask", "supervised",
          metrics.RETRIEVAL, f"\"better still\", {_NO_FIGURE}"),
    Claim("Labels do it, not the loss: true labels above labels dealt out anew", "supervised",
          "random_labels", metrics.RETRIEVAL, "no such arm"),
    Claim("CLIP on entity text retrieves better than on alt text", "clip_entity_text",
          "clip_alt_text", metrics.RETRIEVAL, f"entity text helps CLIP, {_NO_FIGURE}"),
    Claim("CLIP on entity text names better than on alt text", "clip_entity_text",
          "clip_alt_text", metrics.ZERO_SHOT, f"entity text helps CLIP, {_NO_FIGURE}"),
    Claim("Multi-task names better than CLIP on alt text", "multitask", "clip_alt_text",
          metrics.ZERO_SHOT, "about equal at the smaller sizes, best at the largest"),
    Claim("Multi-task has the better linear probe", "multitask", "clip_alt_text", PROBE,
          "\"slightly better\", a small margin"),
    Claim("Without text in pictures, CLIP withstands the typographic attack", "text_free",
          "unfiltered", metrics.ATTACKED, "68.78 against 35.73 (+33.05)"),
    Claim("... and keeps more of what it gets right", "text_free", "unfiltered",
          metrics.RETENTION, "97.2 against 52.0 % (+45.2)"),
    Claim("... and names clean pictures better", "text_free", "unfiltered", metrics.CLEAN,
          "70.77 against 68.66 (+2.11)"),
    Claim("All of the pool names better than half of it, for the same steps", "unfiltered",
          "half_pool", metrics.CLEAN, "1.1 B against OpenAI's 400 M pairs: +0.3, other data"),
    Claim("... and withstands the attack better", "unfiltered", "half_pool", metrics.ATTACKED,
          "1.1 B against OpenAI's 400 M pairs: +4.1, other data"),
)  # fmt: skip


def arm_of(name: str) -> Arm:
    """The arm of a name."""
    return next(arm for arm in (*ARMS, *EXPLAINING) if arm.name == name)
