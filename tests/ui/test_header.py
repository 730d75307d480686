"""The sentence in the header on where the model runs."""

from __future__ import annotations

from playground.ui.model_facts import facts_line
from tests.engine.models import loaded


def test_what_a_model_s_batch_does_to_a_text_is_said_only_where_it_does() -> None:
    facts = loaded().facts.model_copy(update={"eos_token_ids": [2]})
    assert facts_line(facts) == "0 M parameters · CPU fp32 · 0.0 GB"
    plain = facts.model_copy(update={"one_by_one": "of its state", "one_by_one_times": 5.94})
    assert facts_line(plain).endswith(" · slower: six rows take 5.9 times as long as one")
    dependent = facts.model_copy(update={"batch_invariant": False, "dtype": "bfloat16"})
    assert facts_line(dependent) == (
        "0 M parameters · CPU bf16 · 0.0 GB · texts can depend on the batch"
    )
    endless = facts.model_copy(update={"eos_token_ids": []})
    assert facts_line(endless).endswith(" · no end of text is known: texts run to their limit")
