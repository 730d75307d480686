"""Whether the columns' settings could have written a text."""

from __future__ import annotations

from typing import Any

import gradio as gr

from playground.charts.text import count
from playground.colours import LETTERS
from playground.engine import FieldError
from playground.engine.request import ScoreRequest
from playground.service import Service
from playground.trace import Comparison
from playground.trace.scores import LikelihoodCurve, RecipeScore, TextScore
from playground.ui.visitor import counted
from strategies.notation import shorten
from strategies.recipe import Recipe

WIDTH = 44  # characters of a recipe
_COLUMNS = ["column", "recipe", "log-probability", "perplexity", "verdict"]


def score(service: Service, comparison: Comparison, text: str, request: gr.Request) -> TextScore:
    """The text after the run's prompt, to each of its columns; ``request`` says who asks.

    Raises ``FieldError``, ``RecipeError``, ``ModelError`` or ``Busy``.
    """
    if not text:
        raise FieldError("text", "there is no text; paste one that goes on from the prompt.")
    asked = ScoreRequest(
        prompt=comparison.prompt,
        text=text,
        recipes=[Recipe.of(lane.recipe) for lane in comparison.lanes],
        min_new_tokens=comparison.min_new_tokens,
        seed=comparison.seed,
        chat=comparison.chat,
        split_special_tokens=comparison.split_special_tokens,
        client=counted(request, service),
    )
    return service.score_text(asked, comparison.model.id, lambda: False)


def scores(found: TextScore, colour: str) -> dict[str, Any]:
    """Each recipe's verdict, longest bar for the text that it is likeliest to write."""
    tokens = max(1, len(found.tokens))
    rows = [_row("the model", found.logprob, found.perplexity, "before any recipe")]
    rows[0]["bars"] = [[share, "by-model"] for share, _ in rows[0]["bars"]]
    for lane, one in enumerate(found.recipes):
        label = f"{LETTERS[lane]} {shorten(one.recipe, WIDTH)}"
        able = one.impossible is None
        logprob, perplexity = (one.logprob, one.perplexity) if able else (None, None)
        measured = [f"{name} {value:.2f}" for name, value in one.found.items()]
        rows.append(_row(label, logprob, perplexity, "; ".join([_verdict(one), *measured])))
    sentence = (
        f"{count(tokens, 'token')}. In nats how likely each is to write them, longer bars being "
        f"likelier. It is likeliest with {_best(found.temperature)} or with {_best(found.top_p)}."
    )
    shown = {"sentence": sentence, "colour": colour, "find": "", "none": "", "rows": rows}
    return shown | {"table": {"name": "likelihood", "columns": _COLUMNS, "rows": _table(found)}}


def _table(found: TextScore) -> list[list[Any]]:
    rows: list[list[Any]] = [["", "the model", found.logprob, found.perplexity, ""]]
    for lane, one in enumerate(found.recipes):
        rows.append([LETTERS[lane], one.recipe, one.logprob, one.perplexity, _verdict(one)])
    return rows


def _row(label: str, logprob: float | None, perplexity: float | None, note: str) -> dict[str, Any]:
    """The bar is the probability that the text has by the token, 1 where each was certain."""
    share = 0.0 if perplexity is None else min(1.0, 1.0 / perplexity)
    values = "" if logprob is None else f"{logprob:.1f}".replace("-", "−")
    if perplexity is not None:
        values += f", perplexity {perplexity:,.1f}"
    return {
        "label": label, "bars": [[round(share, 4), "by-recipe"]], "values": values, "note": note,
        "faint": logprob is None,
    }  # fmt: skip


def _verdict(one: RecipeScore) -> str:
    if one.error:
        return one.error
    if one.impossible and one.impossible.within_rounding:
        return (
            f"a close call, which rounding decides, at token {one.impossible.index + 1}: "
            f"{one.impossible.reason}"
        )
    if one.impossible:
        return f"could not, at token {one.impossible.index + 1}: {one.impossible.reason}"
    if one.possible:
        return "could have written it"
    return f"only a run tells. {one.unknown}" if one.unknown else "only a run tells"


def _best(curve: LikelihoodCurve) -> str:
    name = curve.setting.partition(".")[2]
    return f"{name} {curve.best:.3g}{' or more' if curve.at_limit else ''}"
