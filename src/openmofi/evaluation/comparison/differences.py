"""What differed in the data and in the recipe of the models compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from openmofi.dataset.causes import Cause, funnel
from openmofi.evaluation.comparison.sides import Side
from openmofi.tracking import flatten_params

_SHORT = 12  # digits of a digest

# Of a model's origin: what names or times a run, and what stands elsewhere.
_NO_RECIPE = {
    "config", "dataset", "dataset_uri", "metrics", "mlflow_run_id", "name", "recipe", "seconds",
    "training_shards",
}  # fmt: skip
_NOTHING = "-"


@dataclass(frozen=True)
class Part:
    """One kind of facts over all sides.

    Attributes:
        differ: Name and one value a side, ``-`` where a side has none.
        equal: How many others are the same on all sides.
        unknown: Sides, by place, of which nothing is known.
    """

    differ: Sequence[tuple[str, Sequence[str]]]
    equal: int
    unknown: Sequence[int]


def parts(sides: Sequence[Side]) -> dict[str, Part]:
    """Data, recipe, code and protocol, as far as they are known."""
    return {
        "data": _part([data_facts(side) for side in sides]),
        "recipe": _part([recipe_facts(side) for side in sides]),
        "code": _part([side.code for side in sides]),
    }


def data_facts(side: Side) -> dict[str, str]:
    """The data set that a model was trained on: sizes, counts by cause, decisions, sources."""
    if side.dataset is None:
        origin = _origin(side)
        names = ("dataset", "training_shards")
        return {name: str(origin[name])[:_SHORT] for name in names if origin.get(name)}
    content = side.dataset.content
    counts = dict(content.get("counts") or {})
    facts: dict[str, Any] = {
        "data set": side.dataset.digest[:_SHORT],
        "seen": sum(counts.values()),
        "kept": counts.get(Cause.KEPT, 0),
        **dict(content.get("splits") or {}),
        **{f"dropped, {cause}": number for _, cause, number in funnel(counts)},
        **dict(content.get("totals") or {}),
        "cut of scores": content.get("min_score", _NOTHING),
        "shards": content.get("shards", 0),
        **{
            name.replace("_", " "): str(content[name])[:_SHORT]
            for name in ("knowledge_base", "model", "parent", "tombstones")
            if content.get(name)
        },
        **{f"table {k}": str(v)[:_SHORT] for k, v in (content.get("table_digests") or {}).items()},
    }
    told = {name: _told(value) for name, value in facts.items()}
    return {**told, **flatten_params({"config": content.get("config") or {}})}


def recipe_facts(side: Side) -> dict[str, str]:
    """How a model was made: its config, steps and sizes; MLflow's params without a manifest."""
    if side.model is None:
        return dict(side.params)
    origin = _origin(side)
    rest = {name: value for name, value in origin.items() if name not in _NO_RECIPE}
    sizes = {
        name: side.model.content[name]
        for name in ("dim", "image_size")
        if name in side.model.content
    }
    return flatten_params({**(origin.get("config") or {}), **rest, **sizes})


def _origin(side: Side) -> Mapping[str, Any]:
    return (side.model.content.get("origin") if side.model else None) or {}


def _part(facts: Sequence[Mapping[str, str]]) -> Part:
    """Compare sides of which something is known, name by name, in the order first seen."""
    names = dict.fromkeys(name for one in facts for name in one)
    unknown = [place for place, one in enumerate(facts) if not one]
    differ, equal = [], 0
    for name in names:
        values = [one.get(name, _NOTHING) for one in facts]
        known = {value for value, one in zip(values, facts, strict=True) if one}
        if len(known) > 1:
            differ.append((name, values))
        else:
            equal += 1
    return Part(differ, equal, unknown)


def _told(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
