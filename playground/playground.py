"""The playground from Python: one prompt, several recipes, every token explained."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playground.engine import Engine, FieldError, Limits, Request
from playground.engine.forking import fork
from playground.engine.request import ScoreRequest
from playground.engine.written_again import written_again
from playground.errors import ModelError, UnsupportedModel
from playground.models import Models, load_folder
from playground.process import Process
from playground.progress import progress as shown_progress
from playground.remembered import Remembered
from playground.settings import Settings
from playground.trace import Comparison
from playground.trace.changes import WhatIf
from playground.trace.scores import TextScore
from strategies import Recipe

if TYPE_CHECKING:
    from playground.experiment.experiment import Experiment
    from playground.experiment.result import Result
    from playground.experiment.runner import Done

LONGEST_PROMPT = 10_000_000  # characters; here nobody else waits, and the context is what bounds it


class Playground:
    """A model and its engine, on the calling thread.

    ``model`` is a folder, a hub id, or None for the built-in model; ``dtype`` and ``device``
    are "auto" or torch's names; at most ``rows`` sequences are written at once. Raises
    ``SettingsError`` (a ``ValueError``) for any other name and ``ModelError`` where the model
    cannot be loaded or served.

    >>> comparison = Playground().compare("The", ["greedy", "top_p(0.9) | sample"])
    >>> comparison.lanes[0].text, comparison.frame()
    """

    def __init__(
        self,
        model: str | Path | None = None,
        dtype: str = "auto",
        device: str = "auto",
        *,
        rows: int = 64,
    ) -> None:
        settings = Settings.read().changed(dtype=dtype, device=device)
        process = Process(Remembered.of(settings))
        models = Models(
            settings.model_copy(update={"allow_any_model": True, "allow_any_folder": True}),
            process=process,
        )
        if model is not None and Path(model).expanduser().is_dir():
            loaded = load_folder(model, settings, process=process)
        else:
            loaded = models.load(None if model is None else str(model))
        self.model = loaded.model
        self.tokenizer = loaded.tokenizer
        self.facts = loaded.facts
        try:
            self.engine = Engine(
                loaded,
                rows=rows,
                limits=Limits(
                    prompt_chars=LONGEST_PROMPT,
                    new_tokens=loaded.context_length,
                    columns=64,
                    width=64,
                    deadline=86_400.0,
                ),
                cache_bytes=settings.cache_bytes,
                trace=settings.trace_steps,
                draft=models.draft(loaded) if settings.draft_model else None,
                find_draft=partial(models.draft_named, loaded),
                process=process,
            )
        except UnsupportedModel as error:
            raise ModelError(
                f"{loaded.facts.title} cannot be served correctly: {error}."
            ) from error

    def compare(
        self,
        prompt: str,
        recipes: str | Recipe | Iterable[str | Recipe],
        *,
        max_new_tokens: int = 64,
        min_new_tokens: int = 0,
        seed: int = 0,
        stop: str | Iterable[str] = (),
        top_n: int = 20,
        chat: bool = False,
        alone: bool = False,
        split_special_tokens: bool = False,
        progress: bool | None = None,
    ) -> Comparison:
        """Generate a text after ``prompt`` with each recipe, and record every token's choice.

        A single recipe or stop string needs no list around it. With ``max_new_tokens`` 0 nothing
        is generated and the prompt is scored: its ``prompt_tokens`` have a ``logprob``, and the
        comparison a ``prompt_perplexity``. With ``split_special_tokens`` names of control tokens
        in the prompt are plain text. ``progress`` is whether a bar tells how far it is; None shows
        one in a notebook and on a terminal.
        Raises ``FieldError`` or ``RecipeError``, each naming what to change.
        """
        several = [recipes] if isinstance(recipes, str | Recipe) else recipes
        request = Request(
            prompt=prompt,
            recipes=[Recipe.of(recipe) for recipe in several],
            max_new_tokens=max_new_tokens,
            min_new_tokens=min_new_tokens,
            seed=seed,
            stop=[stop] if isinstance(stop, str) else list(stop),
            top_n=top_n,
            chat=chat,
            alone=alone,
            split_special_tokens=split_special_tokens,
        )
        return self._finished(request, progress)

    def score(
        self,
        prompt: str,
        text: str | Sequence[int],
        recipes: str | Recipe | Iterable[str | Recipe],
        *,
        min_new_tokens: int = 0,
        seed: int = 0,
        chat: bool = False,
        split_special_tokens: bool = False,
    ) -> TextScore:
        """Whether each recipe could have written ``text`` after ``prompt``, token by token.

        ``text`` may be token ids, such as a lane's ``token_ids``: a text alone can be cut into
        tokens in more than one way. One forward serves all recipes; the result also holds the
        likeliest temperature and top-p.
        Raises ``FieldError`` or ``RecipeError``, each naming what to change.
        """
        several = [recipes] if isinstance(recipes, str | Recipe) else recipes
        return self.engine.score_text(
            ScoreRequest(
                prompt=prompt,
                text=text if isinstance(text, str) else list(text),
                recipes=[Recipe.of(recipe) for recipe in several],
                min_new_tokens=min_new_tokens,
                seed=seed,
                chat=chat,
                split_special_tokens=split_special_tokens,
            )
        )

    def fork(
        self,
        comparison: Comparison,
        lane: int,
        step: int | None = None,
        token: int | None = None,
        *,
        recipe: str | Recipe | None = None,
        sample: int = 0,
        text: str | None = None,
        max_new_tokens: int | None = None,
    ) -> Comparison:
        """Continue a lane's text from another ``token`` at ``step``, counted from 0.

        By the lane's own recipe, or by another ``recipe``. The text before ``step`` becomes
        ``Comparison.prefix``: it counts as written, and each position keeps its noise, so that
        after the token that was chosen in the lane, its recipe generates the lane's own text again.
        With ``token`` None the token at ``step`` is chosen anew too. In place of both, ``text`` is
        what a person made of the lane's text, which is then continued. Nothing that was read before
        is read again. There may be ``max_new_tokens`` new ones, by default so many that the whole
        text has the length that the run allowed. Raises ``FieldError`` or ``RecipeError``.
        """
        tokens = [] if token is None else [token]
        if text is not None:
            if step is not None or token is not None:
                raise FieldError("text", "Give either a text or a step, not both.")
            step, tokens = self.engine.edited(comparison.lanes[lane].trace.path(sample), text)
        if step is None:
            raise FieldError("step", "Give the step to go on from, or the text.")
        return self._finished(
            fork(
                comparison,
                lane,
                step,
                tokens,
                recipe=recipe,
                sample=sample,
                max_new_tokens=max_new_tokens,
            )
        )

    def what_if(
        self, comparison: Comparison, lane: int, recipe: str | Recipe, *, sample: int = 0
    ) -> WhatIf:
        """As ``Comparison.what_if``; where the trace does not tell, the model does.

        It writes the text under ``recipe`` from where that is open, up to the first other token.
        ``unknown`` is left where the recipe itself fails. Raises ``FieldError`` or ``RecipeError``.
        """
        context = self.engine.builder.context(comparison.max_new_tokens)
        told = comparison.what_if(lane, recipe, sample=sample, context=context)
        if told.unknown is None:
            return told
        return written_again(self.engine, comparison, lane, Recipe.of(recipe), told, sample)

    def experiment(
        self,
        experiment: Experiment | str | Path | None = None,
        *,
        store: str | Path | None = None,
        fresh: bool = False,
        progress: Callable[[Done], None] | None = None,
        **fields: Any,
    ) -> Result:
        """Which recipe is better, by several prompts and seeds, and how sure that is.

        ``experiment`` is a TOML file, or its ``fields`` are given: ``prompts``, ``recipes`` or a
        ``sweep``, ``seeds``, ``metrics``, ``max_new_tokens`` and others of ``Experiment``. Texts
        are kept in the file ``store``, from which an experiment goes on that was ended; with
        ``fresh`` they are all written again. ``progress`` is called after each text. The result
        has pandas tables and writes the report. Raises ``ExperimentError``, which names a field.

        >>> result = Playground().experiment(prompts=[{"set": "story"}], recipes=["greedy", "beam"])
        >>> result.verdict(), result.table(), result.to_html()
        """
        from playground.experiment.experiment import Experiment as Asked
        from playground.experiment.result import Result as Found
        from playground.experiment.runner import Runner
        from playground.experiment.store import Store

        if isinstance(experiment, str | Path):
            experiment = Asked.from_file(experiment)
        elif experiment is None:
            experiment = Asked.of(fields, Path())
        with Store(store) as opened:
            runner = Runner(experiment, self.engine, opened)
            for done in runner.run(fresh=fresh):
                if progress is not None:
                    progress(done)
            return Found.kept(experiment, runner.facts, opened)

    def _finished(self, request: Request, progress: bool | None = None) -> Comparison:
        """Run a request to its end, and return what it generated."""
        run = self.engine.submit(request)
        try:
            with shown_progress(run, progress) as tell:
                self.engine.drive(run, tell)
            if request.max_new_tokens == 0:
                self.engine.score(run)
        except BaseException:
            run.cancel()
            self.engine.step()
            raise
        return run.comparison()
