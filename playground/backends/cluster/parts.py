"""Runs of a front end in parts, and the requests that continue a part whose replica was lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from playground.backends.cluster.messages import Kind
from playground.engine import Observer, Request, Run
from playground.engine.elsewhere import RemoteRun, RemoteView
from playground.engine.forking import known_logprobs
from strategies import Search


class Followed(RemoteRun):
    """A run of this front end whose lanes are written by replicas, each in a ``Part``."""

    def __init__(self, run: Run, observer: Observer, deadline: float) -> None:
        super().__init__(run, [RemoteView(lane.view.recipe) for lane in run.lanes])
        self.observer = observer
        own = run.request.deadline
        limit = float("inf") if run.request.background and own is None else deadline
        self.until = run.submitted + (own or limit)
        self.kind: Kind | None = None  # of the replica that began it
        self.started = False

    @property
    def lanes(self) -> list[int]:
        """The numbers of the lanes that are not done."""
        return [number for number, view in enumerate(self.views) if not view.done]


@dataclass(eq=False)
class Part:
    """Some lanes of a run, as one request to a replica, which knows it by ``name``."""

    name: str
    of: Followed
    lanes: list[int]
    request: Request
    like: Kind | None = None  # the kind that its replica must have, since it continues a text
    lost: float | None = None  # when the loss of its last writer was known, until it goes on
    replica: str = ""


def anew(one: Followed, lanes: Sequence[int]) -> Request:
    """The request of some lanes of a run, from their beginning."""
    request = one.run.request
    recipes = [request.recipes[lane] for lane in lanes]
    update = {"names": [], "deadline": None, "recipes": recipes}
    return request.model_copy(update=update)


def resumable(one: Followed, lane: int) -> int:
    """After how many tokens another replica may continue a lane; 0 where it must begin again.

    The text of one row follows from its tokens, where its search chooses each by the scores alone
    and no step takes tokens back. Last tokens that may begin a stop string, or are part of a
    character, are left out.
    """
    view, request = one.views[lane], one.run.request
    search = view.recipe.search.plugin
    assert issubclass(search, Search)
    made = one.run.lanes[lane]
    alone = (
        made.search.width() == 1 and search.chooses in ("likeliest", "draw") and not search.rewinds
    )
    if not alone or made.going_back or made.needs_hidden or search.asks:
        return 0
    if request.alone or not request.cache or (request.forked and request.forked.tokens):
        return 0
    path = view.path()
    count = len(path)
    while count and not path[count - 1].text:
        count -= 1
    return count


def from_there(one: Followed, lane: int, kept: int) -> Request:
    """The request to continue a lane after its first ``kept`` tokens."""
    request, view = one.run.request, one.views[lane]
    recipe, before = request.recipes[lane], len(request.prefix)
    path, processors = view.path()[:kept], len(view.chain.processors)
    known = [*request.prefix_logprobs[:before], *([] for _ in range(before))][:before]
    least = request.min_new_tokens - kept
    return request.model_copy(
        update={
            "names": [],
            "deadline": None,
            # While a minimum of new tokens is left, the engine adds ``min_new_tokens`` itself.
            "recipes": [recipe if least > 0 else view.recipe],
            "prefix": [*request.prefix, *(step.token for step in path)],
            "prefix_logprobs": [*known, *(known_logprobs(s, s.token, processors) for s in path)],
            "max_new_tokens": request.max_new_tokens - kept,
            "min_new_tokens": max(0, least),
            "forked": None,
        }
    )
