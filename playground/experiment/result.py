"""The result of an experiment: its texts, the numbers of every cell, and the findings."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from playground.experiment.cells import Cell, keys, written
from playground.experiment.experiment import Experiment
from playground.experiment.findings import Findings
from playground.experiment.metric import Features
from playground.experiment.reading import kept_features
from playground.experiment.sample import Sample
from playground.experiment.store import Store
from playground.experiment.tally import Tally
from playground.models.provenance import Facts

if TYPE_CHECKING:
    import pandas as pd


class Result(Findings):
    """The result of an experiment, from its samples alone; it needs no model.

    The experiment may have been stopped: missing texts are left out.
    """

    def __init__(
        self,
        experiment: Experiment,
        facts: Facts,
        samples: Mapping[Cell, Sample],
        features: Features | None = None,
    ) -> None:
        self.facts = facts
        self.samples = dict(sorted(samples.items(), key=lambda each: _index(each[0])))
        tally = Tally(experiment)
        for cell, sample in self.samples.items():
            tally.add(cell, sample)
        tally.take(features)
        super().__init__(experiment, tally.values(), len(self.samples), tally.notes)
        self._numbers = tally.numbers

    @classmethod
    def kept(cls, experiment: Experiment, facts: Facts, store: Store) -> Result:
        """The result from the texts that a store has of an experiment."""
        samples = dict(written(keys(experiment, facts), store))
        return cls(experiment, facts, samples, kept_features(experiment, facts, store))

    def __repr__(self) -> str:
        return f"<Result: {len(self.samples):,} of {self.experiment.cells:,} texts>"

    @property
    def errors(self) -> dict[Cell, str]:
        """Sentences on the recipes that failed, whose texts have no number."""
        return {cell: one.error for cell, one in self.samples.items() if one.error is not None}

    def frame(self) -> pd.DataFrame:
        """A row for each text: its prompt, recipe, seed and end, and a column for each metric."""
        import pandas as pd

        experiment, rows = self.experiment, []
        for cell, sample in self.samples.items():
            prompt = experiment.prompts[cell.prompt]
            row: dict[str, Any] = {
                "prompt": cell.prompt + 1,
                "prompt_name": prompt.name,
                "prompt_text": prompt.text,
                "expected": prompt.expected,
                "recipe": str(experiment.recipes[cell.recipe]),
                "name": experiment.name(cell.recipe),
                "seed": experiment.seeds[cell.seed],
                "text": sample.text,
                "finish_reason": sample.finish_reason,
                "error": sample.error,
            }
            index = (cell.recipe, cell.prompt, cell.seed)
            row |= {metric: _known(self._numbers[metric][index]) for metric in experiment.metrics}
            rows.append(row)
        return pd.DataFrame(rows)

    def to_markdown(self) -> str:
        """The report as Markdown."""
        from playground.experiment.report import to_markdown

        return to_markdown(self)

    def to_html(self) -> str:
        """The report as one HTML file, which opens without a server or a request."""
        from playground.experiment.report import to_html

        return to_html(self)

    def to_toml(self) -> str:
        """The TOML file that defines this experiment."""
        from playground.experiment.report import to_toml

        return to_toml(self.experiment)

    def to_csv(self) -> str:
        """All texts with their numbers as CSV; quoted, since texts may hold line ends."""
        written: str = self.frame().to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC)
        return written


def _known(number: float) -> float | None:
    return None if math.isnan(number) else number


def _index(cell: Cell) -> tuple[int, int, int]:
    return cell.prompt, cell.recipe, cell.seed
