"""Plotly figures of a comparison, and the sentences above them. Pure, and without Gradio."""

from playground.charts.candidates import Bar, rows
from playground.charts.distribution import distribution
from playground.charts.memory import memory
from playground.charts.sentences import (
    about_distribution,
    about_memory,
    about_per_step,
    about_stages,
    about_steps,
    about_timeline,
    fair,
)
from playground.charts.stages import stages, summaries
from playground.charts.steps import partings, steps
from playground.charts.text import count, percent, piece, quoted, visible
from playground.charts.timeline import timeline
from playground.charts.timings import per_step
from playground.charts.uncached import about_uncached, uncached

__all__ = [
    "Bar",
    "about_distribution",
    "about_memory",
    "about_per_step",
    "about_stages",
    "about_steps",
    "about_timeline",
    "about_uncached",
    "count",
    "distribution",
    "fair",
    "memory",
    "partings",
    "per_step",
    "percent",
    "piece",
    "quoted",
    "rows",
    "stages",
    "steps",
    "summaries",
    "timeline",
    "uncached",
    "visible",
]
