"""A run's steps, by the graph's titles, from what the API and kubectl tell."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_ATTEMPT = re.compile(r"\(\d+\)$")
_DRIVER = "-driver"
# What a step with several iterations is as a whole: the first of these that one of them is.
_ORDER = (
    "FAILED", "CANCELED", "CANCELING", "RUNNING", "PAUSED", "PENDING", "SUCCEEDED", "SKIPPED",
)  # fmt: skip


@dataclass(frozen=True)
class Step:
    """One step of a run; a loop's iterations are added up.

    Args:
        title: What the graph calls it.
        key: What KFP calls its task.
        states: How many of its iterations are in each state.
        reason: Why one has failed, where the API says so.
        pods: Names of its pods, where the API gives them.
        seconds: The longest that one took.
    """

    title: str
    key: str
    states: Mapping[str, int]
    reason: str = ""
    pods: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def state(self) -> str:
        """As a whole."""
        return next((state for state in _ORDER if self.states.get(state)), "PENDING")

    def describe(self) -> str:
        """Its state; for a loop, how many iterations are in which."""
        if sum(self.states.values()) <= 1:
            return self.state.lower()
        counted = ((state, self.states.get(state, 0)) for state in _ORDER)
        return ", ".join(f"{number} {state.lower()}" for state, number in counted if number)


@dataclass
class _Found:
    states: Counter[str] = field(default_factory=Counter)
    reasons: list[str] = field(default_factory=list)
    pods: list[str] = field(default_factory=list)
    seconds: float = 0.0


def titles_of(spec: Mapping[str, Any]) -> dict[str, str]:
    """What the graph calls each task that is a step, and no loop or branch.

    Args:
        spec: A compiled pipeline, as JSON.
    """
    components = spec.get("components") or {}
    graphs = [spec.get("root") or {}, *components.values()]
    tasks = [pair for graph in graphs for pair in (graph.get("dag") or {}).get("tasks", {}).items()]
    found = {}
    for key, task in tasks:
        component = components.get((task.get("componentRef") or {}).get("name", ""), {})
        if "executorLabel" in component:
            found[key] = (task.get("taskInfo") or {}).get("name") or key
    return found


def steps_of(run: Any, titles: Mapping[str, str]) -> list[Step]:
    """The steps that have begun, in the order in which they did.

    KFP lists Argo's nodes: drivers, loops and attempts ``name(0)`` beside the steps themselves.

    Args:
        run: With its details.
        titles: Of `titles_of`.
    """
    found: dict[str, _Found] = {}
    details = (run.run_details.task_details if run.run_details else None) or []
    for key, detail in _of_steps(sorted(details, key=_start), titles):
        step = found.setdefault(key, _Found())
        step.states[detail.state or "PENDING"] += 1
        step.seconds = max(step.seconds, _seconds(detail))
        step.pods += [detail.pod_name] if detail.pod_name else []
        step.pods += [child.pod_name for child in detail.child_tasks or [] if child.pod_name]
        if detail.error and detail.error.message:
            step.reasons.append(" ".join(detail.error.message.split()))
    return [
        Step(
            titles[key],
            key,
            dict(step.states),
            step.reasons[0] if step.reasons else "",
            tuple(dict.fromkeys(step.pods)),
            step.seconds,
        )
        for key, step in found.items()
    ]


def _of_steps(details: Sequence[Any], titles: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    """Each step's own nodes; a driver only where it has failed, an attempt only on its own."""
    whole = {detail.display_name for detail in details}
    for detail in details:
        name = detail.display_name or ""
        plain = _ATTEMPT.sub("", name)
        if name != plain and plain in whole:
            continue
        driver = plain.endswith(_DRIVER) and plain not in titles
        key = plain.removesuffix(_DRIVER) if driver else plain
        if key in titles and (not driver or detail.state == "FAILED"):
            yield key, detail


def failed_steps(steps: Sequence[Step]) -> list[Step]:
    """Those because of which the run has failed."""
    return [step for step in steps if step.states.get("FAILED")]


def why_failed(run: Any, steps: Sequence[Step]) -> str:
    """In one line: the steps that failed, and what the server says."""
    parts = [f"{step.title} failed{_because(step.reason)}" for step in failed_steps(steps)]
    said = " ".join(run.error.message.split()) if run.error and run.error.message else ""
    return "; ".join([*parts, *([said] if said else [])]) or "the server does not say why"


def _because(reason: str) -> str:
    return f" ({reason})" if reason else ""


def _start(detail: Any) -> str:
    begun = detail.start_time or detail.create_time
    return begun.isoformat() if begun else "9"


def _seconds(detail: Any) -> float:
    if not (detail.start_time and detail.end_time) or detail.end_time < detail.start_time:
        return 0.0  # the server writes the year 1970 for what has not ended
    return float((detail.end_time - detail.start_time).total_seconds())
