"""Only speed depends on kernels and tools that torch has deprecated."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMES = ("torch.jit", "torch.ops.quantized", "torch.ops.mkldnn")
FILES = ("golden", "ends", "record", "observer", "fast_paths")


@pytest.mark.parametrize("names", [*NAMES, ",".join(NAMES)])
def test_everything_passes_without(names: str) -> None:
    files = [f"tests/engine/test_{name}.py" for name in (FILES if "," in names else FILES[-1:])]
    options = ["-q", "-p", "tests.without", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *files],
        cwd=ROOT, env=os.environ | {"WITHOUT": names}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert " passed" in done.stdout and "skipped" not in done.stdout
