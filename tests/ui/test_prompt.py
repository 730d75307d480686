"""The prompt's tokens on the page: control tokens, plain text, and scores."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from playground.backends.local import LocalBackend
from playground.engine import Request
from playground.ui import score
from playground.ui.chips import chips_of, control_note
from playground.ui.prompt import tokens
from playground.ui.run import requested
from playground.ui.state import PageState
from tests.engine.models import engine


@pytest.mark.parametrize(
    ("names", "split", "note"),
    [
        ([], False, ""),
        ([], True, ""),
        (["<s>"], False, "“<s>” in the prompt is read as a control token, not as text."),
        (["<s>"], True, "“<s>” in the prompt is read as plain text."),
        (["a", "b"], False, "“a”, “b” in the prompt are read as control tokens, not as text."),
        (list("abcde"), True, "“a”, “b”, “c” and 2 more in the prompt are read as plain text."),
    ],
)
def test_what_is_said_of_control_tokens(names, split, note):
    assert control_note(names, split) == note


def test_chips_mark_control_tokens_and_show_what_a_part_of_a_character_is():
    served = engine()
    found = served.tokens("é<|im_end|>")
    shown = chips_of(found, 128, "a note")
    assert [chip[0] for chip in shown["tokens"]] == ["⟨C3⟩", "⟨A9⟩", "<|im_end|>"]
    assert [chip[2:] for chip in shown["tokens"]] == [[False, None]] * 2 + [[True, None]]
    assert (shown["count"], shown["note"]) == ("3 of 128 tokens", "a note")
    assert chips_of(served.tokens("é<|im_end|>", split=True))["count"] == "12 tokens"


def test_a_scored_prompt_is_told_in_a_sentence_and_in_its_chips():
    served = engine()
    run = served.submit(Request(prompt="abc", recipes=["greedy"], max_new_tokens=0))
    served.score(run)
    told = run.comparison()
    number = f"{told.prompt_perplexity:.1f}"
    assert score.sentence(told) == (
        f"Nothing was written. The prompt's perplexity to the model is {number}, over 2 tokens, "
        "all but the first."
    )
    scores = [chip[3] for chip in chips_of(told.prompt_tokens)["tokens"]]
    assert scores[0] is None and all(score < 0 for score in scores[1:])
    single = served.submit(Request(prompt="a", recipes=["greedy"], max_new_tokens=0))
    served.score(single)
    assert "only token" in score.sentence(single.comparison())


def test_what_the_page_asks_for_reaches_the_run():
    state = PageState(
        model=None, prompt="a<|im_end|>", max_new_tokens="0", min_new_tokens="0", seed="3",
        keep_seed=True, stop="", chat=False, split=True, alone=False, written=("greedy",),
        names=("Sure",),
    )  # fmt: skip
    request = requested(state, "me")
    assert (request.prompt, request.max_new_tokens, request.seed) == ("a<|im_end|>", 0, 3)
    assert request.split_special_tokens and not request.chat and not request.alone
    assert request.names == ["Sure"] and request.client == "me"
    assert len(engine().submit(request).prompt_tokens) == 11


def test_a_scored_prompt_keeps_what_is_said_of_its_control_tokens():
    served = engine()
    asked = {"prompt": "a<|im_end|>", "recipes": ["greedy"], "split_special_tokens": True}
    run = served.submit(Request(**asked, max_new_tokens=0))
    served.score(run)
    found = {
        "comparison": lambda name: run.comparison(),
        "backend": lambda model: LocalBackend(served),
    }
    service = SimpleNamespace(**found)
    chips = score.chips(service, run.id)
    assert chips["note"] == control_note(["<|im_end|>"], True)
    assert chips["tokens"][1][3] is not None


def test_half_a_character_is_said_while_it_is_typed():
    served = engine()
    service = SimpleNamespace(
        settings=SimpleNamespace(max_prompt_chars=100),
        backend=lambda model: served,
        tokens=lambda text, chat, model, split: served.tokens(text, chat, split),
    )
    shown = tokens(service, "a\ud83d", False, False, None)
    assert "half a character" in shown["fault"] and shown["tokens"] == []
    assert "\ud83d" not in str(shown)
    assert not tokens(service, "", False, False, None).get("fault")
