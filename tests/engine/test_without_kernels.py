"""Only speed depends on kernels and tools that torch has deprecated."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.forking import Forking, forking

NAMES = ("torch.jit", "torch.ops.quantized", "torch.ops.mkldnn")
FILES = ("golden", "ends", "record", "observer", "fast_paths")


@pytest.fixture(scope="module")
def libraries() -> Iterator[Forking]:
    """A process with what these tests import of others, and that finds what ours do not."""
    with forking("transformers.models.llama.modeling_llama", "hypothesis", "pytest") as process:
        yield process


@pytest.mark.parametrize("names", [*NAMES, ",".join(NAMES)])
def test_everything_passes_without(names: str, libraries: Forking) -> None:
    files = [f"tests/engine/test_{name}.py" for name in (FILES if "," in names else FILES[-1:])]
    options = ["-q", "-p", "tests.without", "-p", "no:cacheprovider"]
    done = libraries.run("pytest", *options, *files, WITHOUT=names)
    assert done.status == 0, done.output[-5000:]
    assert " passed" in done.output and "skipped" not in done.output
