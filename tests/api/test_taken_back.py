"""What a stream has sent is either not taken back, or the stream says that it was."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from playground.api.events import RunEvents
from playground.api.openai.chunks import Chunks
from playground.engine import Request
from tests.engine.models import engine

LETTERS = 'constrained(regex="[a-f ]*")'
LIST = 'ban_phrases(["a", "bd", "e e"], expressions=["[bc][df]"])'


@pytest.mark.parametrize("search", ["greedy", "sample", "speculative"])
def test_after_every_step(search):
    """Our stream sends ``rewind``; OpenAI's has none and holds back what may be taken back."""
    served = engine(eos=(3,))
    recipe = f"{LETTERS} | {LIST} | temperature(1.5) | {search}"
    run = served.submit(Request(prompt="one", recipes=[recipe], max_new_tokens=40, seed=5))
    events, chunks = RunEvents(run, run.comparison), Chunks(None, asked(run))
    ours, theirs, rewinds, ahead = [], "", 0, 0
    while not run.done:
        served.step()
        for name, data in told(events.next()):
            if name == "token":
                ours.append(data["text"])
            elif name == "rewind":
                rewinds += 1
                del ours[data["length"] :]
        for _, data in told(chunks.next()):
            theirs += data["choices"][0]["text"]
        shown = "".join(ours)
        assert shown.startswith(theirs), "a token was sent that was taken back since"
        ahead = max(ahead, len(shown) - len(theirs))
    (lane,) = run.comparison().lanes
    assert "".join(ours) == theirs == lane.text
    taken = lane.metrics.found["taken back"]
    # What a step wrote and took back in one was never sent.
    assert taken > 0 and (search == "greedy" or (0 < rewinds <= taken and ahead > 0))


def told(stream):
    for piece in stream.decode().split("\n\n"):
        *name, data = piece.split("\n")
        if data:
            yield "".join(name).removeprefix("event: "), json.loads(data.removeprefix("data: "))


def asked(run):
    """The request of a run, as OpenAI's stream gets it."""
    body = SimpleNamespace(likeliest=None, usage_in_stream=False)
    return SimpleNamespace(
        runs=[run],
        texts=1,
        chat=False,
        echo=False,
        as_ids=False,
        body=body,
        id="1",
        created=0,
        model="a model",
    )
