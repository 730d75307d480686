"""Named endpoints of Gradio's API, each a function with types, which MCP offers as tools.

What is asked is checked by the bodies of the HTTP API and answered by what answers there, so the
limits, the line, the rate and the sentences are the same. Answers are short enough for a language
model to read.
"""

import functools
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import gradio as gr
from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from pydantic_core import from_json, to_json

from playground.api import errors, explanations, requests, runs
from playground.api.cards import Strategies, StrategyCard
from playground.api.wait import ended
from playground.service import Service
from playground.tools.answers import brief, written
from strategies.recipe import RecipeError
from strategies.registry import registry

Answer = dict[str, Any]
Tool = Callable[..., Awaitable[Answer]]
WORKERS = 32  # threads that check what is asked and build answers


class Refused(gr.Error):
    """Why a tool has no answer, in a sentence."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence, print_exception=False)

    def __str__(self) -> str:  # what MCP tells; Gradio's own has quotes around it
        return str(self.message)


def add(page: gr.Blocks, service: Service) -> None:
    """Add the tools to a page that is not served yet."""
    with page:
        for tool in tools(service):
            # Past Gradio's own line: the engine has one, and for MCP Gradio would ask itself over
            # HTTP, where every client is this machine.
            gr.api(tool, api_name=tool.__name__, queue=False, concurrency_limit=None)


def tools(service: Service) -> Sequence[Any]:
    """The functions. A language model is told of them what their docstrings say, line by line."""
    settings = service.settings
    bodies = requests.request_models(settings)
    explain_body, score_body = explanations.bodies(settings)
    in_thread = functools.partial(
        run_sync, abandon_on_cancel=True, limiter=CapacityLimiter(WORKERS)
    )
    usual = min(64, settings.max_new_tokens)

    async def compare(
        request: gr.Request,
        prompt: str,
        recipes: list[str],
        max_new_tokens: int = usual,
        min_new_tokens: int = 0,
        seed: int = 0,
        stop: list[str] | None = None,
        chat: bool = False,
        model: str | None = None,
    ) -> Answer:
        """Continue one prompt with several decoding recipes, side by side, with the same luck.

        Args:
            prompt: The text to continue.
            recipes: Each is processors in order, then a search: "top_p(0.9) | sample", "greedy".
            max_new_tokens: Most tokens of each text; 0 writes nothing and scores the prompt.
            min_new_tokens: End-of-sequence tokens are held back until then.
            seed: Luck, which all recipes share; the same seed writes the same texts again.
            stop: Texts that end what is written.
            chat: Put the prompt into the model's chat template, as a user's message.
            model: The model that writes; the host's default where it is null.

        Returns:
            the run's id, for explain, and what each recipe wrote, with every log-probability
        """
        sent = {
            "prompt": prompt,
            "recipes": recipes,
            "max_new_tokens": max_new_tokens,
            "min_new_tokens": min_new_tokens,
            "seed": seed,
            "stop": stop or [],
            "chat": chat,
            "model": model,
        }
        who = runs.client(request, settings)  # type: ignore[arg-type]
        _, (run,) = await in_thread(runs.submit, service, bodies.compare, sent, who)
        try:
            while not await ended(run, runs.PING_S):
                pass
            if run.error is not None:
                raise Refused(run.error)
            return await in_thread(written, service, run)
        finally:
            run.cancel()

    async def explain(
        request: gr.Request,
        run: str,
        lane: int = 0,
        step: int = 0,
        sample: int = 0,
        recipe: str | None = None,
        slack: bool = False,
    ) -> Answer:
        """Explain why a recipe of a recent comparison chose a token, and what would change it.

        Args:
            run: The id that the tool compare answered.
            lane: Which of its recipes, from 0.
            step: Which token of the text, from 0.
            sample: Which of the recipe's texts, from 0, where it wrote several.
            recipe: Other settings, to learn at which token the text would first have changed.
            slack: Whether to tell the range of each setting that leaves the text as it is.

        Returns:
            the candidates before and after every step, what was removed and why, and the draw
        """
        sent = {
            "run": run,
            "lane": lane,
            "step": step,
            "sample": sample,
            "recipe": recipe,
            "slack": slack,
        }
        found = await in_thread(explanations.explained, service, explain_body, sent)
        return found.model_dump(mode="json")

    async def score(
        request: gr.Request,
        prompt: str,
        text: str,
        recipes: list[str],
        seed: int = 0,
        chat: bool = False,
        model: str | None = None,
    ) -> Answer:
        """Tell whether decoding recipes could have written a text after a prompt, and how likely.

        Args:
            prompt: What the text comes after.
            text: The text.
            recipes: The recipes that may have written it, as for the tool compare.
            seed: Luck of the coins that some steps toss.
            chat: Whether the prompt is a user's message in the model's chat template.
            model: The model; the host's default where it is null.

        Returns:
            for each recipe whether it can write the text, its log-probability, and what it lacks
        """
        sent = {
            "prompt": prompt,
            "text": text,
            "recipes": recipes,
            "seed": seed,
            "chat": chat,
            "model": model,
        }
        who, gone = runs.client(request, settings), threading.Event()  # type: ignore[arg-type]
        try:
            found = await in_thread(explanations.scored, service, score_body, sent, who, gone)
        finally:
            gone.set()
        return found.model_dump(mode="json")

    async def strategies(request: gr.Request, name: str | None = None) -> Answer:
        """Name the processors and searches that a recipe can be made of.

        Args:
            name: One to tell all of: formula, source, when to use it, bounds of its settings.

        Returns:
            each one's summary and the defaults of its settings, or all of the one named
        """
        if name is not None:
            return StrategyCard.of(registry().get(name)).model_dump(mode="json")
        return brief(Strategies.of(registry()))

    return [_tool(work, service) for work in (compare, explain, score, strategies)]


def _tool(work: Tool, service: Service) -> Callable[..., Awaitable[Answer | str]]:
    """``work``, counted against the rate limit, its errors told in sentences as over HTTP."""

    @functools.wraps(work)
    async def called(request: gr.Request, *values: Any) -> Answer | str:
        try:
            service.rate_limits.count(runs.client(request, service.settings))  # type: ignore[arg-type]
            answer = to_json(await work(request, *values), inf_nan_mode="null")
            # MCP hands a text on, and Gradio would write an object as Python does. There the
            # request is the server's own.
            return from_json(answer) if isinstance(request, gr.Request) else answer.decode()
        except gr.Error:
            raise
        except errors.EXPECTED as error:
            raise Refused(errors.failure(error).sentence) from error
        except RecipeError as error:
            raise Refused(str(error)) from error
        except Exception as error:
            raise Refused(errors.logged(error)) from error

    return called
