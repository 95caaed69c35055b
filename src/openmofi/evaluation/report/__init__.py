"""The report for people: one HTML file that needs nothing beside it, and all that it shows.

What is shown is first gathered as plain values (`metric_facts`, `examples`, `projection`), which
the JSON report holds; the page is drawn from these values alone.
"""

from openmofi.evaluation.report.measured import Measured
from openmofi.evaluation.report.page import MOST_BYTES, Report, build, render

__all__ = ["MOST_BYTES", "Measured", "Report", "build", "render"]
