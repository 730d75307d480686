"""The bodies of responses about the server: its strategies, metrics and models, and its health."""

from typing import Any, Literal

from pydantic import Field

from playground.api.responses import Closed
from playground.experiment.registry import Metrics as KnownMetrics
from playground.trace import ModelFacts
from strategies.base import Strategy
from strategies.registry import Registry


class StrategyCard(Closed):
    """One strategy that a recipe may name."""

    id: str = Field(description="Its name in a recipe.")
    kind: Literal["processor", "search"] = Field(
        description="A recipe is any number of processors, ended by one search."
    )
    title: str
    summary: str
    formula: str = Field(description="LaTeX, without delimiters.")
    source: str = Field(description="The paper or library the definition is from.")
    url: str
    advice: str = Field(description="When to use it, and when not.")
    params: dict[str, Any] = Field(description="Its settings as a JSON schema, with bounds.")

    @classmethod
    def of(cls, strategy: type[Strategy]) -> "StrategyCard":
        return cls(
            **vars(strategy.info),
            kind=strategy.kind,
            params=strategy.Params.model_json_schema(),
        )


class BrokenPlugin(Closed):
    """A plugin that did not load."""

    name: str
    error: str


class Strategies(Closed):
    strategies: list[StrategyCard] = Field(description="Processors first, then searches.")
    broken: list[BrokenPlugin] = Field(description="Plugins that did not load, and why.")

    @classmethod
    def of(cls, found: Registry) -> "Strategies":
        return cls(
            strategies=[StrategyCard.of(strategy) for strategy in found.strategies.values()],
            broken=[BrokenPlugin(name=plugin.name, error=plugin.error) for plugin in found.broken],
        )


class MetricCard(Closed):
    """One metric that an experiment may name."""

    id: str = Field(description="Its name; with settings it is written `distinct_n(3)`.")
    title: str
    summary: str
    formula: str = Field(description="LaTeX, without delimiters.")
    source: str
    url: str
    unit: str
    better: Literal["more", "less"] | None = Field(description="Where people agree which it is.")
    expects: bool = Field(description="Whether prompts need an `expected` value.")
    reads_features: bool = Field(
        description="Whether the model reads all texts again once they are written."
    )
    repeatable: bool = Field(description="Whether the same texts always have the same number.")
    params: dict[str, Any] = Field(description="Its settings as a JSON schema, with bounds.")


class MetricList(Closed):
    metrics: list[MetricCard]
    broken: list[BrokenPlugin] = Field(description="Plugins that did not load, and why.")

    @classmethod
    def of(cls, found: KnownMetrics) -> "MetricList":
        copied = set(MetricCard.model_fields) - {"params"}
        return cls(
            metrics=[
                MetricCard(
                    **{name: getattr(metric.info, name) for name in copied},
                    params=metric.Params.model_json_schema(),
                )
                for metric in found.metrics.values()
            ],
            broken=[BrokenPlugin(name=name, error=why) for name, why in found.broken.items()],
        )


class ModelCard(Closed):
    """One model that `model` may name."""

    id: str
    title: str
    summary: str
    source: str = Field(description="`built-in`, `hub` or `folder`.")
    loaded: bool = Field(description="Whether it is in memory; another is loaded on first use.")
    facts: ModelFacts | None = Field(None, description="Known once it is loaded.")


class ModelList(Closed):
    default: str = Field(description="The model used where a request names none.")
    models: list[ModelCard]


class Health(Closed):
    status: Literal["ok", "starting", "failing"] = Field(
        description="`starting` until a model is loaded; `failing`, with 503, where one that was "
        "writes no more, or the host's model could not be loaded and none is."
    )
    error: str | None = Field(None, description="Why none is loaded, or can be reached.")
    models: list[str] = Field(description="The models that are ready to write.")
    unwell: dict[str, str] | None = Field(
        None, description="The models that were loaded and are not ready: why, in a sentence."
    )
