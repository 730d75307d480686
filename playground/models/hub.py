"""From a hub id to a local folder: the hub's cache first, then the hub, with short timeouts."""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, TypeVar

from playground.errors import ModelError, disk_is_full, first_line
from playground.models.arrival import Arrival
from playground.models.missing import lacks
from playground.settings import BUILT_IN, Settings

T = TypeVar("T")

# Weights without code, and the files a tokenizer may need; nothing from sub-folders.
WANTED = ["*.safetensors", "*.safetensors.index.json", "*.json", "*.txt", "*.model", "*.jinja"]
UNWANTED = ["*/*", "consolidated*"]


def is_id(text: str) -> bool:
    """Whether this could name a model on the hub; a path never does.

    ``owner/name:file.gguf`` is one GGUF file there, and ``owner/name:Q4_K_M`` the one whose name
    contains that.
    """
    name = r"[\w-][\w.-]*(/[\w-][\w.-]*)?(:[\w][\w.-]*)?"
    return bool(re.fullmatch(name, text, re.ASCII)) and len(text) <= 192


@dataclass(frozen=True)
class Offer:
    """The files of a model on the hub that are wanted, with their sizes in bytes.

    ``gguf`` is the one file that holds all of it, where it is in that format.
    """

    repo: str
    files: dict[str, int]
    gguf: str | None = None

    @property
    def is_adapter(self) -> bool:
        """Whether it is an adapter (LoRA) alone, without a model."""
        return "adapter_config.json" in self.files and "config.json" not in self.files

    def missing(self, settings: Settings) -> int:
        """The bytes of the files that the hub's cache does not hold."""
        return sum(
            size for name, size in self.files.items() if _here(self.repo, name, settings) is None
        )


def fetch(
    id: str, settings: Settings, check: Callable[[Path], None], arrival: Arrival | None = None
) -> Path:
    """The local folder of a hub model, or its GGUF file, downloaded where the hub's cache lacks it.

    ``check`` is called with a folder that holds the configuration alone, before gigabytes are
    fetched, and may raise ``ModelError``. So does this function, within ``hub_timeout_s`` where the
    hub does not respond. ``arrival`` counts the bytes as they come; where it is given up, what was
    fetched stays in the cache for the next time. (Transfers by the hub's Xet protocol report their
    progress, but end only with the file.)
    """
    found = cached(id, settings)
    if found is not None:
        return found
    offer = look_up(id, settings)
    if offer.gguf is None and not offer.is_adapter:
        check(configuration(id, settings))
    needed, free = offer.missing(settings), free_disk(settings)
    if arrival is not None:
        arrival.total += needed
        arrival.reach("fetching")
    if needed > free:
        raise ModelError(
            f"{id} is a download of {needed / 1e9:.1f} GB, and the disk of this host has "
            f"{free / 1e9:.1f} GB free."
        )
    file = Path()
    # The largest last: a tokenizer that is missing is noticed before gigabytes are fetched.
    for name in sorted(offer.files, key=lambda name: (offer.files[name], name)):
        file = _file(id, name, settings, arrival)
    return file if offer.gguf else file.parent


def configuration(id: str, settings: Settings, name: str = "config.json") -> Path:
    """A local folder that holds at least the model's configuration, fetched if necessary."""
    return _file(id, name, settings, None).parent


def base_of_adapter(folder: Path) -> str:
    """The hub id of the model that the adapter in a folder is for; empty where it names none."""
    try:
        config = json.loads((folder / "adapter_config.json").read_bytes())
        base = str(config.get("base_model_name_or_path") or "")
    except (OSError, ValueError, AttributeError):
        return ""
    return base if is_id(base) and base != BUILT_IN else ""


def _file(id: str, name: str, settings: Settings, arrival: Arrival | None) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return Path(
            hf_hub_download(
                _repo(id),
                name,
                cache_dir=settings.hub_cache,
                endpoint=settings.hub,
                etag_timeout=settings.hub_timeout_s,
                tqdm_class=_bar(arrival),
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
    """The folder of a model that the hub's cache holds whole, or its GGUF file; else None.

    Uses no network.
    """
    if ":" not in id:
        folder = _snapshot(id, WANTED, settings)
        if folder is not None and not lacks(folder):
            return folder
        if folder is not None and any(_is_wanted(path.name) for path in folder.iterdir()):
            return None  # its download in that format was begun
    folder = _snapshot(_repo(id), ["*.gguf"], settings)
    try:
        return folder and folder / _gguf(id, [path.name for path in folder.glob("*.gguf")])
    except ModelError:
        return None


def _snapshot(repo: str, patterns: list[str], settings: Settings) -> Path | None:
    """The folder of a repository in the hub's cache; None where files are known to be missing."""
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(
                repo,
                cache_dir=settings.hub_cache,
                local_files_only=True,
                allow_patterns=patterns,
                ignore_patterns=UNWANTED,
            )
        )
    except OSError:
        return None


def free_disk(settings: Settings) -> int:
    """Bytes that are free where models of the hub are kept."""
    from huggingface_hub import constants

    folder = Path(settings.hub_cache or constants.HF_HUB_CACHE).absolute()
    while not folder.is_dir():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _here(repo: str, name: str, settings: Settings) -> Path | None:
    """A file of the hub's cache."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repo, name, cache_dir=settings.hub_cache)
    return Path(found) if isinstance(found, str) else None


def _repo(id: str) -> str:
    return id.partition(":")[0]


def _gguf(id: str, names: Sequence[str]) -> str:
    """The one GGUF file that an id means. Raises ``ModelError`` where it is not just one."""
    repo, _, wanted = id.partition(":")
    files = [name for name in names if name.endswith(".gguf") and "mmproj" not in name]
    found = [name for name in files if name == wanted]
    found = found or [name for name in files if wanted.lower() in name.lower()]
    if len(found) == 1 and not re.search(r"-\d+-of-\d+\.gguf$", found[0]):
        return found[0]
    if found and all(re.search(r"-\d+-of-\d+\.gguf$", name) for name in found):
        raise ModelError(f"{id} is split into several GGUF files, which are not read here.")
    listed = ", ".join(sorted(files)[:12]) or "no GGUF file"
    raise ModelError(f"{id} names no single file; {repo} has {listed}. Write {repo}:FILE.")


def look_up(id: str, settings: Settings) -> Offer:
    """The hub's files of this id. One request with a timeout: the client would retry for long."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )

    api, repo = HfApi(endpoint=settings.hub), _repo(id)
    try:
        info = _within(
            settings.hub_timeout_s,
            lambda: api.model_info(repo, timeout=settings.hub_timeout_s, files_metadata=True),
        )
    except GatedRepoError as error:
        raise ModelError(
            f"{id} is gated: its owner asks visitors to sign in and accept terms; "
            "accept them on the hub and set HF_TOKEN."
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelError(f"The hub at {settings.hub} has no public model {repo}.") from error
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
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or ()}
    wanted = [name for name in sizes if _is_wanted(name)]
    top = [name for name in sizes if "/" not in name]
    has_weights = any(name.endswith(".safetensors") for name in wanted)
    if ":" in id or (not has_weights and any(name.endswith(".gguf") for name in top)):
        gguf = _gguf(id, top)
        return Offer(repo, {gguf: sizes[gguf]}, gguf)
    if not has_weights:
        raise ModelError(f"{id} has no safetensors weights; other formats can run code.")
    return Offer(repo, {name: sizes[name] for name in wanted})


def _is_wanted(name: str) -> bool:
    """Whether a file is wanted, by the patterns as the hub's client applies them."""
    return any(fnmatch(name, one) for one in WANTED) and not any(
        fnmatch(name, one) for one in UNWANTED
    )


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


def _bar(arrival: Arrival | None) -> Any:
    """A progress bar that counts in ``arrival`` and draws nothing: a server's log has lines."""
    from tqdm import tqdm

    class Counted(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            kwargs.pop("name", None)
            if arrival is not None and kwargs.get("initial"):  # bytes of an earlier attempt
                arrival.fetched(int(kwargs["initial"]))
            super().__init__(*args, **{**kwargs, "disable": True})

        def update(self, n: float | None = 1) -> bool | None:
            if arrival is not None and n:
                arrival.fetched(int(n))
            return None

    return Counted
