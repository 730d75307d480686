"""What the model makes of texts is what its own forward makes of each, behind everybody's runs."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from playground.engine import EngineClosed, Request
from playground.engine.features import batches
from playground.engine.request import Cancelled
from tests.engine.models import engine, loaded

TEXTS = [[1, 2, 3], [4, 5, 6, 7, 8], [9] * 40, [9] * 40 + [3], [2], [*range(100)]]


@pytest.mark.parametrize("kind", ["llama", "gpt2", "qwen2"])
def test_it_is_the_last_state_of_each_text_read_alone(kind, monkeypatch):
    served, plain = engine(kind), loaded(kind).model
    for chunk in (256, 64):
        monkeypatch.setattr(served.forward, "chunk_size", chunk)
        found = served.features(TEXTS)
        for text, state in zip(TEXTS, found, strict=True):
            with torch.inference_mode():
                ids = torch.tensor([text], device=plain.device)
                out = plain(ids, output_hidden_states=True).hidden_states[-1][0, -1]
            assert state == pytest.approx(out.float().cpu().numpy(), abs=1e-5)


def test_texts_of_about_one_length_are_read_together():
    assert list(batches(TEXTS, 64)) == [[4, 0, 1], [2], [3], [5]]
    assert list(batches(TEXTS, 90)) == [[4, 0, 1], [2, 3], [5]]


def test_it_waits_for_everybody_and_is_given_up():
    served = engine(rows=8)
    served.start()
    try:
        run = served.submit(
            Request(prompt="a", recipes=["greedy"], max_new_tokens=100, min_new_tokens=100)
        )
        read, over = [], threading.Event()

        def reads():
            read.append((served.features([[1, 2]]), run.done))
            over.set()

        threading.Thread(target=reads, daemon=True).start()
        assert run.join(60) and over.wait(60) and read[0][1]
        assert (served.features([[1, 2]], patience_s=0.0) == read[0][0]).all()
        with pytest.raises(Cancelled):
            served.features([[1, 2]], lambda: True)
    finally:
        served.close()
    with pytest.raises(EngineClosed):
        served.features([[1, 2]])
    assert np.isfinite(read[0][0]).all()
