"""The results as Markdown tables: one row an arm, one row a claim."""

from collections.abc import Mapping, Sequence

from benchmarks.claims.arms import ARMS
from benchmarks.claims.measured import Found
from openmofi.evaluation import metrics
from openmofi.evaluation.linear_probe import TOP1 as PROBE
from openmofi.evaluation.wording import title

COLUMNS = (
    metrics.RETRIEVAL,
    metrics.ZERO_SHOT,
    PROBE,
    metrics.ATTACKED,
    metrics.RETENTION,
    metrics.FOOLED,
)
_WORDS = {"holds": "**holds**", "reversed": "**the reverse**", "open": "not shown"}

Values = Mapping[str, Mapping[str, Sequence[float]]]  # arm, metric, one value a seed


def arms_table(values: Values) -> str:
    """Mean over seeds, least and most in brackets."""
    lines = [
        "| arm | " + " | ".join(title(name) for name in COLUMNS) + " |",
        "|---" * (len(COLUMNS) + 1) + "|",
    ]
    titles = {arm.name: arm.title for arm in ARMS}
    for name, measured in values.items():
        cells = [_spread(measured.get(column)) for column in COLUMNS]
        lines.append(f"| {titles.get(name, name)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def domains_table(values: Values) -> str:
    """Retrieval by domain, searched over all: mean over seeds."""
    prefix = f"{metrics.RETRIEVAL}/"
    names = sorted({name for one in values.values() for name in one if name.startswith(prefix)})
    titles = {arm.name: arm.title for arm in ARMS}
    lines = [
        "| arm | " + " | ".join(name.removeprefix(prefix) for name in names) + " |",
        "|---" * (len(names) + 1) + "|",
    ]
    for arm, measured in values.items():
        cells = [_spread(measured.get(name)) for name in names]
        lines.append(f"| {titles.get(arm, arm)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def claims_table(found: Sequence[Found]) -> str:
    """The difference with its interval, each seed's own, and the paper beside it."""
    lines = [
        "| claim | metric | difference (95 % interval over classes) | each seed | here | paper |",
        "|---|---|---|---|---|---|",
    ]
    for one in found:
        seeds = ", ".join(f"{value:+.1f}" for value in one.by_seed)
        lines.append(
            f"| {one.claim.text} | {title(one.claim.metric)} | {_difference(one)} | {seeds} | "
            f"{_WORDS[one.verdict]} | {one.claim.paper} |"
        )
    return "\n".join(lines)


def _difference(found: Found) -> str:
    one = found.difference
    return f"{one.value:+.1f} ({one.low:+.1f} to {one.high:+.1f})"


def _spread(values: Sequence[float] | None) -> str:
    if not values:
        return "-"
    return f"{sum(values) / len(values):.1f} ({min(values):.1f} to {max(values):.1f})"
