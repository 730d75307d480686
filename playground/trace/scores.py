"""The likelihood of a given text under the model and under recipes."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from playground.trace.steps import Record


class ScoreRecord(Record):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ScoredToken(ScoreRecord):
    """One token of the text, with its log-probability and rank by the model itself."""

    id: int
    text: str = Field(description="What it adds to the text; a special token by its name.")
    logprob: float = Field(description="Log-probability the model gave it, before any recipe.")
    rank: int = Field(description="Its rank in the model's distribution, from 1.")


class Impossible(ScoreRecord):
    """The first token of the text that is impossible under a recipe, and by how much."""

    index: int = Field(description="Position among the text's tokens, from 0.")
    token: int
    text: str
    stage: int | None = Field(
        None, description="Index of the step that removed it; null where the search passed it over."
    )
    by: str = Field(description="That step, or the search, as written; or what had ended the text.")
    probability: float | None = Field(
        None, description="Its probability before that step; null where nothing was left to choose."
    )
    rank: int | None = Field(None, description="Its rank before that step, from 1.")
    needed: float | None = Field(
        None,
        description="Probability of the least likely token that the step kept, or of the one that "
        "the search took; null where the step keeps less likely ones, so that none would do.",
    )
    margin: float | None = Field(
        None, description="Nats of log-probability that it lacked for that."
    )
    within_rounding: bool = Field(
        False,
        description="It lacked no more than the rounding of the model's numbers, which differ in "
        "their last bits when the recipe writes: it may be possible.",
    )
    reason: str = Field(description="The same in a sentence.")


class RecipeScore(ScoreRecord):
    """The likelihood of the text under one recipe."""

    recipe: str
    search: str = Field(description="The search as written.")
    possible: bool | None = Field(
        description="Whether it can write the text; null where no token is impossible, but the "
        "search weighs whole texts, a step takes tokens back, or a token lacked no more than "
        "rounding: only running it tells."
    )
    meaning: str = Field(description="What the log-probabilities are, in a sentence.")
    logprobs: list[float | None] = Field(
        description="Of each token after all steps, given the text before it; null where the "
        "recipe removed it, and for tokens after that where states are not defined."
    )
    ranks: list[int | None] = Field(description="Each token's rank after all steps, from 1.")
    logprob: float | None = Field(
        description="Of the whole text; null where a token of it was removed."
    )
    perplexity: float | None = Field(description="exp of the mean negative log-probability.")
    impossible: Impossible | None = None
    error: str | None = Field(None, description="Why the recipe could not go on with the text.")
    unknown: str | None = Field(
        None, description="What the probabilities leave open, in a sentence."
    )
    found: dict[str, float] = Field(
        default_factory=dict,
        description="What the recipe's processors measure in the text, by name: the figures of a "
        "watermark's detector.",
    )


class LikelihoodPoint(ScoreRecord):
    """The text's log-probability at one value of a setting; null where it is impossible there."""

    value: float
    logprob: float | None


class LikelihoodCurve(ScoreRecord):
    """The log-probability of the text over one setting, all else left as the model has it."""

    setting: str = Field(description="`strategy.parameter`.")
    points: list[LikelihoodPoint] = Field(description="In rising order of the setting.")
    best: float = Field(description="The value at which the text is likeliest.")
    best_logprob: float
    at_limit: bool = Field(
        False, description="It would be likelier still beyond the largest value the setting takes."
    )


class TextScore(ScoreRecord):
    """A text after a prompt, under the model and several recipes. Log-probabilities in nats."""

    model: str
    prompt: str
    prompt_tokens: int
    text: str
    tokens: list[ScoredToken]
    logprob: float = Field(description="Of the text under the model itself.")
    perplexity: float
    seed: int = Field(
        description="Of the noise by which some steps decide; no token is drawn with it here."
    )
    recipes: list[RecipeScore]
    temperature: LikelihoodCurve
    top_p: LikelihoodCurve
