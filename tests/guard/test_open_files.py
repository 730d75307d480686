"""The server may have more connections open than a process usually may."""

from __future__ import annotations

import subprocess
import sys

import pytest

RAISING = """
import resource
from playground.guard.open_files import MOST, allow_open_files
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard))
allow_open_files()
soft, still = resource.getrlimit(resource.RLIMIT_NOFILE)
assert still == hard and 128 < soft == (MOST if hard < 0 else min(MOST, hard)), (soft, hard)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit")
def test_the_limit_is_raised_to_what_the_system_allows():
    subprocess.run([sys.executable, "-c", RAISING], check=True)
