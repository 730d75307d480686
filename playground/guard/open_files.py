"""How many files, connections among them, this process may have open."""

from __future__ import annotations

import contextlib

MOST = 65_536


def allow_open_files() -> None:
    """Raise the limit as far as the system lets a process raise it by itself, to ``MOST``.

    The usual 1,024 are few: so many connections, each of which may wait 20 seconds for the head of
    a request, would keep everybody else out.
    """
    with contextlib.suppress(ImportError, OSError, ValueError):  # Windows has no such limit
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = MOST if hard == resource.RLIM_INFINITY else min(MOST, hard)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
