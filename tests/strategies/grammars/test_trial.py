"""Grammars are tried out within bounds, and what fails later ends the text with its reason."""

from __future__ import annotations

import gc
import json
import random
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from strategies.grammars import Grammars, Unfit, of_regex, of_schema, trial
from strategies.grammars.matching import reason
from tests.strategies.driver import GRAMMARS
from tests.strategies.grammars.tokens import TOKENIZER, VOCAB, begun
from tests.tiny import EOS


def test_a_failure_ends_the_text_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one text may come to need is bounded; beyond that it ends with the reason."""
    drawn = random.Random(0)
    monkeypatch.setitem(trial.LIMITS, "max_lexer_states", 1_000)
    at = begun(of_regex("(.*[a-m].{30}.*[n-z].{30}){2}"))
    for _ in range(400):
        choices = at.allowed().nonzero().flatten().tolist()
        if not choices:
            break
        at = at.after(drawn.choice(choices))
    assert at.stuck.startswith("the text and all that may follow it are more than can be kept")
    assert not at.allowed().any(), "not even its end"
    assert at.after(5).stuck == at.stuck and not at.after(5).allowed().any()


HOSTILE = {
    "allOf": json.dumps(
        {"allOf": [{"pattern": f".*{c}.{{100}}{c}"} for c in "abcdefghijklmnopqrst"]}
    ),
    "multipleOf": '{"type": "integer", "multipleOf": 999983}',
}


@pytest.mark.parametrize("schema", HOSTILE.values(), ids=HOSTILE)
def test_what_passes_the_bounds_is_refused(schema: str) -> None:
    with pytest.raises(Unfit, match=r"it takes more than (0.1 s|8 MB) to compile"):
        begun(of_schema(schema, 1))


def test_a_grammar_is_tried_once_however_many_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    made, sent = trial.Trials(), []
    send = trial._send

    def record(process: Any, lines: list[dict[str, Any]]) -> None:
        sent.extend(line for line in lines if "grammar" in line)
        send(process, lines)

    monkeypatch.setattr(trial, "_send", record)
    told: list[str] = []
    known, grammar = (
        GRAMMARS.vocabulary(TOKENIZER.to_str, VOCAB, (EOS,)),
        of_schema(HOSTILE["allOf"], 0).written,
    )
    ask = [
        threading.Thread(target=lambda: told.append(made.fault(known, grammar))) for _ in range(4)
    ]
    for thread in ask:
        thread.start()
    for thread in ask:
        thread.join()
    told.append(made.fault(known, grammar))
    assert len(sent) == 1 and len(told) == 5 and len(set(told)) == 1
    made.close()


def test_a_lost_process_is_begun_again_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    made, known = trial.Trials(), GRAMMARS.vocabulary(TOKENIZER.to_str, VOCAB, (EOS,))
    assert made.fault(known, of_regex("one").written) == ""
    first = made._process
    assert first is not None
    first.kill()
    first.wait()
    assert made.fault(known, of_regex("two").written) == ""
    second = made._process
    assert second is not None and second.pid != first.pid
    made.close()
    assert second.poll() == 0, "it ends with its input, and is waited for"
    monkeypatch.setattr(trial.sys, "executable", "/nowhere")
    assert "could not be reached" in made.fault(known, of_regex("three").written), (
        "and then nothing passes"
    )


def test_the_process_ends_with_whoever_had_grammars_tried() -> None:
    """Two owners share nothing, and none has to be closed."""
    owners = [Grammars(), Grammars()]
    for one in owners:
        one.begin(one.vocabulary(TOKENIZER.to_str, VOCAB, (EOS,)), of_regex("one"))
    left, right = (one._trials._process for one in owners)
    assert left is not None and right is not None and left.pid != right.pid
    owners.pop().close()
    assert right.poll() == 0 and left.poll() is None
    owners.clear()
    gc.collect()
    assert left.poll() == 0


def test_the_process_knows_no_torch() -> None:
    program = Path(trial.__file__).with_name("process.py")
    code = f"import sys, runpy; runpy.run_path({str(program)!r}); print('torch' in sys.modules)"
    told = subprocess.run(["python3", "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"


def test_what_the_library_says_of_its_bounds_is_said_in_words() -> None:
    told = "Parser Error: Current row has 2089 items; max is 2000; consider making your grammar"
    assert reason(told) == "it allows too much at once to be followed; make it simpler."
