"""What the tests of grammars share."""

from __future__ import annotations

import pytest

from strategies.grammars import trial
from tests.strategies.grammars.tokens import TOKENIZER


@pytest.fixture(autouse=True)
def real_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reference loop's contexts know this file's tokenizer."""
    to_str = TOKENIZER.to_str
    monkeypatch.setattr("tests.strategies.driver.byte_tokenizer", lambda vocab: to_str)


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Grammars that are not tried out first: each would cost a process."""
    monkeypatch.setattr(trial.Trials, "fault", lambda *given: "")
