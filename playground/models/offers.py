"""Which models a host offers, and under which ids."""

from __future__ import annotations

from pathlib import Path

from playground.errors import ModelError
from playground.models import hub
from playground.models.entries import SUMMARIES, Entry, folder_entry, hub_entry, is_path
from playground.settings import BUILT_IN, Settings


class Offers:
    """The models that the settings name, by id, and which others visitors may choose."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._folders: dict[str, Path] = {}
        self._entries: dict[str, Entry] = {}
        self.default = self._add(settings.model)
        for text in settings.models:
            self._add(text)

    def entries(self) -> dict[str, Entry]:
        """The models that the settings name, by id, the host's default first."""
        return dict(self._entries)

    def holds(self, entry: Entry) -> bool:
        """Whether the settings name this model; otherwise a visitor did."""
        return entry.id in self._entries

    def entry(self, id: str) -> Entry:
        """The entry of this id. Raises ``ModelError`` where it is not offered."""
        # The page may send the default as the settings name it, a folder's path included.
        entry = self._entries.get(self.default if id == self.settings.model else id)
        if entry is not None:
            return entry
        if self.settings.allow_any_model and hub.is_id(id):
            return hub_entry(id)
        if self.settings.allow_any_folder and is_path(id):
            return folder_entry(str(Path(id).expanduser().resolve()))
        offered = ", ".join(self._entries)
        raise ModelError(f"The model {id[:100]!r} is not offered here; offered are {offered}.")

    def named(self, text: str) -> Entry:
        """The entry of a model that the settings name: built-in, a folder, or a hub id."""
        if text == BUILT_IN:
            return Entry(id=text, title=text, summary=SUMMARIES[text], source="built-in")
        if not is_path(text):
            return hub_entry(text)
        path = Path(text).expanduser().resolve()
        taken = self._folders.get(path.name, path) != path or path.name in self.settings.models
        id = str(path) if taken else path.name  # the page does not show the host's folders
        self._folders[id] = path
        return folder_entry(id, path.name)

    def folder(self, entry: Entry) -> Path:
        """The folder of an entry that comes from one."""
        return self._folders.get(entry.id, Path(entry.id))

    def _add(self, text: str) -> str:
        """Add a model that the settings name; returns its id."""
        entry = self.named(text)
        self._entries.setdefault(entry.id, entry)
        return entry.id
