"""Fixtures of all tests: settings that do not depend on this machine, and one real model."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Generator
from typing import TYPE_CHECKING

import hypothesis
import pytest

from playground.cycles import look_less
from playground.settings import Settings, quiet_libraries, variables
from playground.ui.gradio_import import without_stubs
from tests.judge import judged

if TYPE_CHECKING:
    from playground.models import LoadedModel

# Run by commands of their own, with other people's programs: see the README.
collect_ignore = ["checkpoints", "clients", "cluster", "installed", "spaces"]

# Programs that tests start are compiled once, not by each of them, whatever is set for this one.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
without_stubs()  # before a test imports Gradio
gc.disable()  # until all modules are there, which stay
# Tests that run beside others take a core each: threads of torch that share it wait for each other.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
quiet_libraries()  # before torch is imported, which reads what it says of idle threads once
for _field in Settings.model_fields.keys() - {"cache_dir"}:
    for _name in variables(_field, Settings):
        os.environ.pop(_name, None)
os.environ["PLAYGROUND_REMEMBER_CHECKS"] = "false"  # so that no start depends on an earlier one
# The same examples in every run; --hypothesis-profile=default draws others. No time is asserted.
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None)
hypothesis.settings.load_profile("repeatable")


def pytest_configure(config: pytest.Config) -> None:
    """Have xdist's workers take the files in their order: browser tests early, small files last.

    By default xdist begins with the files of most tests, and one worker ends alone at a slow file.
    """
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_collection_finish() -> None:
    """As a server does once it has started: what was imported is not looked through again."""
    look_less()
    gc.enable()


@pytest.hookimpl(wrapper=True, trylast=True)  # inside pytest's own record of a test's warnings
def pytest_runtest_protocol() -> Generator[None, object, object]:
    """Fail a test if this project's code causes a warning, directly or through a library."""
    with judged():
        return (yield)


@pytest.fixture(scope="session")
def builtin() -> LoadedModel:
    """The built-in model, float32 on the CPU; fetched once into the user's own cache."""
    from playground.models import Models

    return Models(Settings(device="cpu", dtype="float32")).load()
