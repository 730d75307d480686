"""From a hub id to a local folder: the hub's cache first, then the hub, never a long wait."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from playground.errors import ModelError, disk_is_full, first_line
from playground.models.loading import lacks
from playground.settings import Settings

T = TypeVar("T")

# Weights without code, and the files a tokenizer may need; nothing from sub-folders.
WANTED = ["*.safetensors", "*.safetensors.index.json", "*.json", "*.txt", "*.model", "*.jinja"]
UNWANTED = ["*/*", "consolidated*"]


def is_id(text: str) -> bool:
    """Whether this could name a model on the hub; a path never does."""
    return bool(re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", text, re.ASCII)) and len(text) <= 96


def fetch(id: str, settings: Settings, check: Callable[[Path], None]) -> Path:
    """The local folder of a hub model, downloaded where it is not in the hub's cache yet.

    ``check`` is called with a folder that holds the configuration alone, before gigabytes are
    fetched, and may raise ``ModelError``. So does this function, within ``hub_timeout_s`` where
    the hub does not answer.
    """
    from huggingface_hub import hf_hub_download, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    folder = cached(id, settings)
    if folder is not None:
        return folder
    _look_up(id, settings)
    where: dict[str, Any] = {
        "cache_dir": settings.hub_cache,
        "endpoint": settings.hub,
        "etag_timeout": settings.hub_timeout_s,
    }
    try:
        check(Path(hf_hub_download(id, "config.json", tqdm_class=_silent(), **where)).parent)
        return Path(
            snapshot_download(
                id,
                allow_patterns=WANTED,
                ignore_patterns=UNWANTED,
                tqdm_class=_silent(),
                **where,
            )
        )
    except (HfHubHTTPError, OSError) as error:
        if disk_is_full(error):
            raise ModelError(
                f"{id} could not be downloaded: the disk of this host is full.",
                settings.hub_cache,
            ) from error
        raise ModelError(f"{id} could not be downloaded: {first_line(error)}.") from error


def cached(id: str, settings: Settings) -> Path | None:
    """The folder of a model that the hub's cache holds whole, else None; uses no network."""
    from huggingface_hub import snapshot_download

    try:
        folder = Path(
            snapshot_download(
                id,
                cache_dir=settings.hub_cache,
                local_files_only=True,
                allow_patterns=WANTED,
                ignore_patterns=UNWANTED,
            )
        )
    except OSError:  # not there, or known to be incomplete
        return None
    return None if lacks(folder) else folder


def _look_up(id: str, settings: Settings) -> None:
    """Raise unless the hub offers this id: one short request, since the client retries for long."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )

    api = HfApi(endpoint=settings.hub)
    try:
        info = _within(
            settings.hub_timeout_s, lambda: api.model_info(id, timeout=settings.hub_timeout_s)
        )
    except GatedRepoError as error:
        raise ModelError(
            f"{id} is gated: its owner asks visitors to sign in and accept terms; "
            "accept them on the hub and set HF_TOKEN."
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelError(f"The hub at {settings.hub} has no public model {id}.") from error
    except OfflineModeIsEnabled as error:
        raise ModelError(
            f"{id} is not on this machine, and HF_HUB_OFFLINE forbids fetching it."
        ) from error
    except HfHubHTTPError as error:
        raise ModelError(f"The hub at {settings.hub} refused {id}: {first_line(error)}.") from error
    except Exception as error:  # the client's errors without a network differ between versions
        raise ModelError(
            f"{id} is not on this machine, and the hub at {settings.hub} cannot be reached "
            f"({first_line(error)}). The models already loaded keep working."
        ) from error
    names = {file.rfilename for file in info.siblings or ()}
    if names and not any(n.endswith(".safetensors") and "/" not in n for n in names):
        raise ModelError(f"{id} has no safetensors weights; other formats can run code.")


def _within(seconds: float, call: Callable[[], T]) -> T:
    """Return ``call()``, or raise ``TimeoutError``: no client's timeout covers a name look-up."""
    done: list[T] = []
    failed: list[Exception] = []

    def run() -> None:
        try:
            done.append(call())
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True, name="hub")
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if not done:
        raise TimeoutError(f"no answer within {seconds:g} s")
    return done[0]


def _silent() -> Any:
    """A progress bar that draws nothing, since a server's log is read line by line."""
    from tqdm import tqdm

    class Silent(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            kwargs.pop("name", None)
            super().__init__(*args, **{**kwargs, "disable": True})

    return Silent
