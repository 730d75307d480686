"""All that is recorded of a comparison: pydantic records, to and from JSON, to pandas.

A trace is self-contained: charts, metrics and the page read nothing else, so a saved one is drawn
without a model. Probabilities are over the whole vocabulary, entropies in nats, times in seconds.
"""

from playground.trace.beams import BeamRecord, EndedRow, PassedOver
from playground.trace.chain import Chain, ChainStep, Choosing, Measure
from playground.trace.comparison import Comparison, Memory, Timings
from playground.trace.frame import column_name
from playground.trace.lane import (
    Fork,
    LaneResult,
    LaneTimings,
    Metrics,
    Output,
    Trace,
)
from playground.trace.model_facts import ModelFacts
from playground.trace.prompt_token import PromptToken
from playground.trace.steps import (
    Candidates,
    FinishReason,
    Record,
    StageSummary,
    StepRecord,
    TakenBack,
    Times,
)

__all__ = [
    "BeamRecord",
    "Candidates",
    "Chain",
    "ChainStep",
    "Choosing",
    "Comparison",
    "EndedRow",
    "FinishReason",
    "Fork",
    "LaneResult",
    "LaneTimings",
    "Measure",
    "Memory",
    "Metrics",
    "ModelFacts",
    "Output",
    "PassedOver",
    "PromptToken",
    "Record",
    "StageSummary",
    "StepRecord",
    "TakenBack",
    "Times",
    "Timings",
    "Trace",
    "column_name",
]
