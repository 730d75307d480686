"""The hidden states of an experiment's texts, read after they are written if a metric needs them.

Those of a prompt and a recipe are read together and kept together, so that their bits follow from
them alone, whatever ended the experiment before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from playground.experiment.cells import Cell, follows_from, keys, written
from playground.experiment.experiment import Experiment
from playground.experiment.metric import Features
from playground.experiment.sample import Sample
from playground.experiment.store import Store, key
from playground.models.provenance import Facts

if TYPE_CHECKING:
    from playground.experiment.runner import Writer

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Group:
    """Texts that are read together: all seeds of a recipe, or what a prompt expects (None)."""

    prompt: int
    recipe: int | None


def groups(experiment: Experiment, facts: Facts) -> dict[Group, bytes]:
    """The key of each group's features; none where no metric reads them."""
    if not experiment.reads_features:
        return {}
    shared, cells = follows_from(experiment, facts), keys(experiment, facts)
    found: dict[Group, bytes] = {}
    for p, prompt in enumerate(experiment.prompts):
        for r in range(len(experiment.recipes)):
            own = [cells[Cell(p, r, s)].hex() for s in range(len(experiment.seeds))]
            found[Group(p, r)] = key({"features": own})
        if prompt.expected is not None:
            parts = {**shared, "prompt": prompt.text, "expected": prompt.expected}
            found[Group(p, None)] = key({"features": parts})
    return found


def kept_by(experiment: Experiment, facts: Facts) -> set[bytes]:
    """All keys under which a store has something of an experiment."""
    return {*keys(experiment, facts).values(), *groups(experiment, facts).values()}


def read(
    experiment: Experiment,
    facts: Facts,
    engine: Writer,
    store: Store,
    progress: Callable[[int, int], None] = lambda done, total: None,
    stopped: Callable[[], bool] = lambda: False,
) -> None:
    """Read what is missing, behind everybody's runs; ``progress`` gets the numbers done and in all.

    Groups of which a text is missing are left out. Ends early where it is ``stopped``.
    """
    wanted = groups(experiment, facts)
    kept = store.has(wanted.values())
    cells = keys(experiment, facts)
    for done, (group, name) in enumerate(wanted.items()):
        if stopped():
            return
        if name not in kept:
            own = [Cell(group.prompt, group.recipe or 0, s) for s in range(len(experiment.seeds))]
            texts: list[list[int] | None]
            if group.recipe is None:
                texts = [_expected(experiment, group.prompt, engine)]
            else:
                there = dict(written({cell: cells[cell] for cell in own}, store))
                if len(there) < len(own):
                    continue
                texts = [_written(there[cell], engine) for cell in own]
            prompt = _prompt(experiment, group.prompt, engine)
            store.put_vectors(name, _vectors(engine, prompt, texts, stopped))
        progress(done + 1, len(wanted))


def kept_features(experiment: Experiment, facts: Facts, store: Store) -> Features | None:
    """The stored features of an experiment's texts; None where there are none."""
    wanted = groups(experiment, facts)
    vectors = store.vectors(wanted.values())
    found = {group: vectors[name] for group, name in wanted.items() if name in vectors}
    if not found:
        return None
    width = max(own.shape[1] for own in found.values())  # where all texts failed, it is 1
    sizes = tuple(map(len, (experiment.recipes, experiment.prompts, experiment.seeds)))
    texts = np.full((*sizes, width), np.nan, dtype=np.float32)
    expected = np.full((sizes[1], width), np.nan, dtype=np.float32)
    for group, own in found.items():
        if group.recipe is None:
            expected[group.prompt] = own[0]
        else:
            texts[group.recipe, group.prompt] = own
    return Features([str(recipe) for recipe in experiment.recipes], texts, expected)


def _vectors(
    engine: Writer,
    prompt: Sequence[int],
    texts: Sequence[list[int] | None],
    stopped: Callable[[], bool],
) -> Vectors:
    """``[texts, width]``, NaN for those that failed; the same text is read once."""
    alike: Mapping[tuple[int, ...], int] = {
        text: number
        for number, text in enumerate(
            dict.fromkeys(tuple([*prompt, *text]) for text in texts if text is not None)
        )
    }
    if not alike:
        return np.full((len(texts), 1), np.nan, dtype=np.float32)
    read = engine.features([list(text) for text in alike], stopped)
    nothing = np.full(read.shape[1], np.nan, dtype=np.float32)
    return np.stack(
        [nothing if text is None else read[alike[tuple([*prompt, *text])]] for text in texts]
    )


def _prompt(experiment: Experiment, prompt: int, engine: Writer) -> list[int]:
    text = experiment.prompts[prompt].text
    encoder = engine.builder.encoder
    return [
        token.id for token in encoder.prompt(text, experiment.chat, experiment.split_special_tokens)
    ]


def _written(sample: Sample, engine: Writer) -> list[int] | None:
    """A text's tokens without the one that ends it, which an expected text does not have either."""
    if sample.error is not None:
        return None
    ids = list(sample.token_ids)
    return ids[:-1] if ids and ids[-1] in engine.builder.eos_token_ids else ids


def _expected(experiment: Experiment, prompt: int, engine: Writer) -> list[int]:
    """What a prompt expects as it goes on after it, as long as texts may be.

    A space stands between two words that would else be one.
    """
    asked, ids = experiment.prompts[prompt], _prompt(experiment, prompt, engine)
    text = asked.expected or ""
    if not experiment.chat and asked.text[-1].isalnum() and text[:1].isalnum():
        text = f" {text}"
    text_ids = engine.builder.encoder.continuation(
        asked.text, ids, text, experiment.chat, experiment.split_special_tokens
    )
    return text_ids[: min(experiment.max_new_tokens, engine.builder.context_length - len(ids))]
