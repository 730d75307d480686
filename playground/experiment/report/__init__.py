"""The report of an experiment: Markdown, or one HTML file with its plots."""

from playground.experiment.report.markdown import to_markdown
from playground.experiment.report.page import to_html
from playground.experiment.report.toml import to_toml

__all__ = ["to_html", "to_markdown", "to_toml"]
