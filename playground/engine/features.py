"""What the model makes of whole texts: the hidden state of each one's last token."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from time import sleep

import numpy as np
import torch
from numpy.typing import NDArray

from playground.engine.forward import Forward
from playground.engine.request import Cancelled, EngineClosed
from playground.engine.scheduler.loop import Loop

_LOOK_AGAIN_S = 0.05  # between two looks at whether anybody's run is at work


def read_features(
    loop: Loop,
    texts: Sequence[Sequence[int]],
    turn: threading.Lock,
    patience_s: float,
    cancelled: Callable[[], bool],
) -> NDArray[np.float32]:
    """Those of any number of texts; ``turn`` is held during a forward.

    Each forward has as many tokens as a chunk of a prompt, and begins when no person's run is in
    the queue or at work, or after ``patience_s`` seconds of waiting all together. Raises
    ``Cancelled`` and ``EngineClosed``.
    """
    found: list[NDArray[np.float32]] = []
    order: list[int] = []
    waited = 0.0
    for batch in batches(texts, loop.forward.chunk_size):
        while waited < patience_s and _serves_people(loop) and not (cancelled() or loop.closed):
            sleep(_LOOK_AGAIN_S)
            waited += _LOOK_AGAIN_S
        if loop.closed:
            raise EngineClosed("the engine is closed")
        if cancelled():
            raise Cancelled("nobody waits for these texts")
        with turn:
            found.append(features(loop.forward, [texts[number] for number in batch]))
        order += batch
    return np.concatenate(found)[np.argsort(order)]


def _serves_people(loop: Loop) -> bool:
    return not all(run.request.background for run in [*loop.runs, *loop.queue])


def batches(texts: Sequence[Sequence[int]], most: int) -> Iterator[list[int]]:
    """The numbers of texts that are read in one forward: those of about one length, at most
    ``most`` tokens all together, or one text. They follow from the texts alone.
    """
    batch: list[int] = []
    for number in sorted(range(len(texts)), key=lambda number: (len(texts[number]), number)):
        if batch and len(texts[number]) * (len(batch) + 1) > most:
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch


@torch.inference_mode()
def features(forward: Forward, texts: Sequence[Sequence[int]]) -> NDArray[np.float32]:
    """The normalised state of the last layer at each text's last token, ``[texts, width]``.

    All texts are read in one forward, filled up behind their ends, which no token before sees. It
    touches no slot: it may run while the loop does.
    """
    longest = max(map(len, texts))
    tokens = torch.tensor([[*text, *[text[-1]] * (longest - len(text))] for text in texts])
    with forward.eager.products():
        states = forward.text.states(tokens.to(forward.device))
    last = torch.tensor([len(text) - 1 for text in texts], device=forward.device)
    found = states[torch.arange(len(texts), device=forward.device), last]
    return found.float().cpu().numpy()
