"""The cells of an experiment: each text to write, and the key under which it is stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from playground.experiment.experiment import Experiment
from playground.experiment.sample import Sample
from playground.experiment.store import Store, key
from playground.models.provenance import Facts

_READ_AT_ONCE = 500  # samples


@dataclass(frozen=True)
class Cell:
    """One text to write: indices into the experiment's prompts, recipes and seeds."""

    prompt: int
    recipe: int
    seed: int


def written(keys: Mapping[Cell, bytes], store: Store) -> Iterator[tuple[Cell, Sample]]:
    """The cells of these keys that a store has, read in batches."""
    cells = list(keys)
    for start in range(0, len(cells), _READ_AT_ONCE):
        some = cells[start : start + _READ_AT_ONCE]
        kept = store.get(keys[cell] for cell in some)
        yield from ((cell, kept[keys[cell]]) for cell in some if keys[cell] in kept)


def keys(experiment: Experiment, facts: Facts) -> dict[Cell, bytes]:
    """The key of each cell: a hash of all that its text follows from."""
    shared = follows_from(experiment, facts)
    recipes = [str(recipe) for recipe in experiment.recipes]
    return {
        Cell(p, r, s): key({**shared, "prompt": prompt.text, "recipe": recipe, "seed": seed})
        for p, prompt in enumerate(experiment.prompts)
        for s, seed in enumerate(experiment.seeds)
        for r, recipe in enumerate(recipes)
    }


def follows_from(experiment: Experiment, facts: Facts) -> dict[str, object]:
    """What all texts of an experiment follow from."""
    return {
        "model": facts.fingerprint,
        "device": facts.device.partition(":")[0],
        "dtype": facts.dtype,
        "max_new_tokens": experiment.max_new_tokens,
        "min_new_tokens": experiment.min_new_tokens,
        "stop": list(experiment.stop),
        "chat": experiment.chat,
        "split_special_tokens": experiment.split_special_tokens,
    }
