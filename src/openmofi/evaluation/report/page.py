"""The report as a whole: what it shows, and the page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from openmofi import pages
from openmofi.evaluation import metrics, pictures
from openmofi.evaluation.report import examples, gallery, metric_facts, projection, sections
from openmofi.evaluation.report.measured import Measured
from openmofi.evaluation.suites import Bench, image_vectors

MOST_BYTES = 4_000_000  # of a page, whatever the pictures and names are

Facts = dict[str, Any]


@dataclass(frozen=True)
class Report:
    """A page, and what it shows.

    Attributes:
        html: The page.
        shown: Everything on it as plain values, but for the pictures, which are named.
    """

    html: str
    shown: Mapping[str, Any]


def build(
    bench: Bench, models: Sequence[Measured], paired: Mapping[str, metrics.Difference]
) -> Report:
    """Gather what is to be shown, and draw it.

    Args:
        bench: The set and the protocol.
        models: The candidate first.
        paired: Candidate minus baseline; empty without a baseline.
    """
    shown = _facts(bench, models, paired)
    queries = shown["nearest"]
    wanted = [one["index"] for query in queries for one in _pictures_of(query)]
    cards = [card["index"] for card in shown["attack"].get("cards", ())]
    images = pictures.thumbnails(bench, wanted)
    attacked = pictures.attacked_thumbnails(bench, cards)
    return Report(_page(shown, images, attacked), shown)


def render(
    bench: Bench, models: Sequence[Measured], paired: Mapping[str, metrics.Difference]
) -> str:
    """The page alone, see `build`."""
    return build(bench, models, paired).html


def _facts(
    bench: Bench, models: Sequence[Measured], paired: Mapping[str, metrics.Difference]
) -> Facts:
    images, config = bench.images, bench.config
    pictured = models[: examples.MOST_MODELS]
    vectors = {model.role: image_vectors(bench, model.embedder) for model in pictured}
    return {
        "title": f"Evaluation of {models[0].embedder.name}",
        "images": len(images.paths),
        "classes": len(images.class_names),
        "data_digest": images.digest,
        "confidence": config.confidence,
        "bootstrap_samples": config.bootstrap_samples,
        "drawn": "images" if bench.groups is None else "classes",
        "models": [{"role": model.role, "name": model.embedder.name} for model in models],
        "metrics": metric_facts.metric_rows(bench, models, paired),
        "class_means": metric_facts.class_rows(bench, models[0]),
        "grid": metric_facts.grid_facts(models),
        "facts": {m.role: dict(m.scores.facts) for m in models if m.scores.facts},
        "attack": examples.attack_facts(bench, models),
        "nearest": examples.nearest_facts(bench, pictured, vectors),
        "maps": projection.map_facts(bench, pictured, vectors),
    }


def _pictures_of(query: Facts) -> list[Facts]:
    found = [hit for hits in query["found"].values() for hit in hits]
    return [query["query"], *found, *query["missed"]]


def _page(shown: Facts, images: Mapping[int, str], attacked: Mapping[int, str]) -> str:
    title, models, rows = shown["title"], shown["models"], shown["metrics"]
    parts = [
        f"<h1>{sections.short(title)}</h1>",
        _intro(shown),
        "<h2>Models and suites</h2>",
        sections.metrics_table(models, rows),
        sections.part_bars(models, rows),
        sections.fact_table(models, shown["facts"]),
        sections.class_tables(shown["class_means"]),
        gallery.attack_section(shown["attack"], attacked),
        sections.heat_maps(shown["grid"]),
        gallery.nearest_section(shown["nearest"], images),
        gallery.map_section(shown["maps"]),
    ]
    style = pages.read_part("openmofi.evaluation.report", "report.css")
    return pages.page(title, "\n".join(part for part in parts if part), style=style)


def _intro(shown: Facts) -> str:
    return (
        f"<p>{shown['images']:,} images of {shown['classes']:,} classes, data version "
        f"<code>{escape(shown['data_digest'][:12])}</code>. All figures in percent, with "
        f"{100 * shown['confidence']:g} % bootstrap intervals over {shown['drawn']} "
        f"({shown['bootstrap_samples']:,} resamples). Models are compared on the same queries, in "
        "percentage points; where the interval of a difference holds zero, its sign is not known: "
        '<b>noise</b>.</p>\n<p class="note">Retrieval mAP counts the query itself as its first '
        "hit (GPR1200); leave-one-out does not. Retention is attacked / clean.</p>"
    )
