"""The score from which a label is kept: as given, or as a calibration has found it."""

from dataclasses import dataclass
from typing import Any

from openmofi.dataset.assembly.inputs import PoolTables
from openmofi.dataset.config import AssembleConfig
from openmofi.errors import InputError
from openmofi.labeling.quality.calibration import Calibration, read_calibration
from openmofi.progress import say


@dataclass(frozen=True)
class Cut:
    """A cosine, and where it comes from.

    Args:
        value: Labels of at least this score are kept.
        calibration: Where it was found, if it was.
    """

    value: float
    calibration: Calibration | None = None

    def describe(self) -> dict[str, Any] | None:
        """What a manifest says about the calibration; None without one."""
        found = self.calibration
        if found is None:
            return None
        return {
            "digest": found.digest,
            "cut": found.cut,
            "precision_wished": found.precision_wished,
            "confidence": found.confidence,
            "precision": [found.precision.low, found.precision.high],
            "recall": [found.recall.low, found.recall.high],
            "pairs": found.pairs,
            "knowledge_base": found.made_with.get("knowledge_base", ""),
        }


def read_cut(config: AssembleConfig, tables: PoolTables) -> Cut:
    """The cut of a config.

    A score is a function of image, entity text and model, and which scores can become labels is one
    of the texts' templates and the image's weight too: a calibration of others says nothing here.
    Another knowledge base changes only which entities meet: that is told, and recorded.

    Raises:
        InputError: The calibration was made with another model or other labeling options.
    """
    if not config.calibration:
        return Cut(config.min_score)
    found = read_calibration(config.calibration)
    scores = tables.versions["entity_scores"]
    made_with = dict(found.made_with)
    if made_with.get("model") != scores.digests.get("model"):
        _refuse(config, "model", made_with.get("model"), scores.digests.get("model"))
    then, now = made_with.get("label") or {}, scores.config
    for name in sorted(then.keys() | now.keys()):
        if name not in then or name not in now or then[name] != now[name]:
            _refuse(config, name, then.get(name), now.get(name))
    used = scores.digests.get("knowledge_base", "")
    if made_with.get("knowledge_base") != used:
        say(
            f"assemble: calibration {config.calibration} was made with another knowledge base "
            f"({made_with.get('knowledge_base')}, these scores with {used}); its precision may not "
            "hold for other entities"
        )
    return Cut(found.cut, found)


def _refuse(config: AssembleConfig, name: str, then: Any, now: Any) -> None:
    raise InputError(
        f"calibration {config.calibration} was made with {name} {then!r}, and entity_scores with "
        f"{now!r}; calibrate on scores like these"
    )
