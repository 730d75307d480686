"""Results of long measurements, kept on disk for the next start of the program.

A result is a JSON value in a file of its own, beside the circumstances under which it is valid.
Where any of these differs, or the file cannot be read, it is measured again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from playground.settings import Settings, kernel_environment

log = logging.getLogger(__name__)

FORMAT = 1
_MOST_FILES = 100
_LONGEST = 1 << 20  # bytes; no result is longer, so such a file is not read


class Remembered:
    """The results in a folder. ``everywhere`` is part of the circumstances of each of them.

    What took no longer than ``shortest`` seconds to find is not worth keeping.
    """

    shortest = 1.0

    def __init__(self, folder: Path, everywhere: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self._everywhere = {"format": str(FORMAT), **(everywhere or {})}

    @classmethod
    def of(cls, settings: Settings) -> Remembered | None:
        """Those in the cache folder of ``settings``; None where they are switched off.

        The variables by which libraries choose kernels are part of the circumstances.
        """
        if not settings.remember_checks:
            return None
        return cls(settings.cache_dir / "checks", kernel_environment())

    def load(self, circumstances: Mapping[str, str]) -> Any | None:
        """The result that was saved under exactly these circumstances, or None."""
        wanted = {**self._everywhere, **circumstances}
        path = self._path(wanted)
        try:
            if path.stat().st_size > _LONGEST:
                return None
            kept = json.loads(path.read_bytes())
            return kept["result"] if kept["circumstances"] == wanted else None
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            return None

    def save(self, circumstances: Mapping[str, str], result: Any) -> None:
        """Keep a result; where the folder cannot be written it is measured again next time."""
        wanted = {**self._everywhere, **circumstances}
        text = json.dumps({"circumstances": wanted, "result": result}, indent=1)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(
                "w", encoding="utf-8", dir=self.folder, suffix=".part", delete=False
            ) as file:
                file.write(text)
            os.replace(file.name, self._path(wanted))  # atomic: nobody reads half a file
            self._drop_old()
        except OSError as error:
            log.warning("what a check found cannot be kept: %s", error.strerror)

    def _path(self, circumstances: Mapping[str, str]) -> Path:
        text = json.dumps(circumstances, sort_keys=True)
        return self.folder / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"

    def _drop_old(self) -> None:
        files = sorted(self.folder.iterdir(), key=lambda file: file.stat().st_mtime)
        for file in files[:-_MOST_FILES]:
            file.unlink(missing_ok=True)
