"""Warnings about other people's code fail no test; those that this project's calls cause do."""

from __future__ import annotations

import linecache
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import pytest
import torch

from tests import judge

# A stand-in for a package of somebody else.
PACKAGE = """
import functools, sys, warnings

def renamed(function):
    @functools.wraps(function)
    def call(*given, **named):
        if "old" in named:
            named["new"] = named.pop("old")
            warnings.warn("old is deprecated", FutureWarning, stacklevel=2)
        return function(*given, **named)
    return call

@renamed
def changed(new):
    return new

def gone():
    warnings.warn("gone is deprecated", DeprecationWarning)

def inner():
    changed(old=1)
    gone()

def passed_to(model):
    model(old=1)

def noisy():
    warnings.warn("memory is short")

def compiled():
    return sys._getframe()  # as code without a frame of its own finds it
"""


def standin(name: str, source: str) -> ModuleType:
    """A module of this name with this source."""
    module, filename = ModuleType(name), f"/elsewhere/{name}.py"
    linecache.cache[filename] = (len(source), None, source.splitlines(True), filename)
    exec(compile(source, filename, "exec"), module.__dict__)
    return module


other = standin("somebody.package", PACKAGE)


class Model(torch.nn.Module):
    @other.renamed
    def forward(self, new: int) -> int:
        return new


@contextmanager
def reported(*messages: str) -> Iterator[None]:
    """Within it, these warnings and no others are passed on to pytest's report."""
    with warnings.catch_warnings(record=True) as caught, judge.judged():
        yield
    assert [str(each.message) for each in caught] == list(messages)


def test_what_others_say_among_themselves_is_reported() -> None:
    with reported("old is deprecated", "gone is deprecated", "memory is short"):
        other.inner()
        other.noisy()


def test_what_is_attributed_to_us_fails() -> None:
    def told(module: str) -> None:
        warnings.warn_explicit("told", UserWarning, "/elsewhere/told.py", 1, module=module)

    ours = "app", "playground", "playground.engine.request", "strategies.base", "tests.tiny"
    for module in ours:
        with pytest.raises(UserWarning, match="told"):
            told(module)
    for module in ("playgrounds", "somebody.tests", "application"):
        with reported("told"):
            told(module)


def test_a_deprecated_argument_of_ours_fails() -> None:
    assert other.changed(new=1) == 1
    with pytest.raises(FutureWarning, match="old is deprecated"):
        other.changed(old=1)


def test_a_deprecated_function_that_we_call_fails_wherever_it_is_attributed_to() -> None:
    with pytest.raises(DeprecationWarning, match="gone"):
        other.gone()


def test_a_call_that_torch_passes_on_is_its_callers() -> None:
    model = Model()
    assert model(new=1) == 1
    with pytest.raises(FutureWarning, match="old is deprecated"):
        model(old=1)
    with reported("old is deprecated"):
        other.passed_to(model)


def test_a_thread_is_judged_like_any_caller() -> None:
    caught: list[Warning] = []

    def run() -> None:
        try:
            other.gone()
        except DeprecationWarning as error:
            caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert len(caught) == 1


def test_what_compiled_code_says_of_its_own_caller_is_not_ours() -> None:
    frame = other.compiled()
    assert not judge._caused_here(frame, frame.f_code.co_filename, frame.f_lineno)


@pytest.mark.parametrize(
    "kind",
    [pytest.PytestUnhandledThreadExceptionWarning, pytest.PytestUnraisableExceptionWarning],
)
def test_a_thread_or_destructor_of_ours_that_raises_fails(kind: type[Warning]) -> None:
    def told(file: str) -> None:
        message = f'Traceback:\n  File "{judge.ROOT}/{file}", line 1, in run\nValueError'
        warnings.warn_explicit(kind(message), kind, "/elsewhere/told.py", 1, module="_pytest.told")

    for file in ("playground/engine/run.py", "strategies/base.py", "tests/tiny.py", "app.py"):
        with pytest.raises(kind):
            told(file)
    theirs = ".venv/lib/python3.12/site-packages/somebody/tests/package.py"
    with warnings.catch_warnings(record=True) as caught, judge.judged():
        told(theirs)
    assert [theirs in str(each.message) for each in caught] == [True]
