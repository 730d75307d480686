"""What every test shares: settings that this machine cannot sway, and one real model."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest

from playground.models import LoadedModel, Models
from playground.settings import Settings, quiet_libraries, variables
from tests.judge import judged

quiet_libraries()
for _field in Settings.model_fields.keys() - {"cache_dir"}:
    for _name in variables(_field, Settings):
        os.environ.pop(_name, None)
os.environ["PLAYGROUND_REMEMBER_CHECKS"] = "false"  # so that no start depends on an earlier one


def pytest_configure(config: pytest.Config) -> None:
    """Let xdist's workers take the files in their order: the browser's early, small ones last.

    It would begin with the files of most tests, and end with one worker alone at a slow file.
    """
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


@pytest.hookimpl(wrapper=True, trylast=True)  # inside pytest's own record of a test's warnings
def pytest_runtest_protocol() -> Generator[None, object, object]:
    """Fail a test whose code causes a warning, through however many functions of others."""
    with judged():
        return (yield)


@pytest.fixture(scope="session")
def builtin() -> LoadedModel:
    """The built-in model, float32 on the processor; fetched once into this user's own cache."""
    return Models(Settings(device="cpu", dtype="float32")).load()
