"""The settings of a host: what it chose, and what follows from that."""

from __future__ import annotations

import os
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from playground.settings.fields import Fields
from playground.settings.variables import SettingsError, refuse_misspelt, sentence


class Settings(Fields):
    """What a host chose, read once from the environment; frozen."""

    @property
    def on_space(self) -> bool:
        return self.system == "spaces" or self.zero_gpu or self.space_id is not None

    @property
    def requests_allowed(self) -> str:
        """Those of one address per time; empty is any number."""
        if self.rate_limit is None:
            return "120/minute" if self.on_space else ""
        return self.rate_limit

    @property
    def metrics_open(self) -> bool:
        """Whether whoever asks may read the metrics."""
        return not self.on_space if self.metrics is None else self.metrics

    @property
    def keeps_history(self) -> bool:
        """Whether visitors' runs are kept in a file."""
        if self.history is not None:
            return self.history
        try:
            own = ip_address(self.listen.strip("[]")).is_loopback
        except ValueError:
            own = self.listen == "localhost"
        return own and not self.on_space

    @property
    def history_at(self) -> Path:
        """The history's file."""
        return self.history_file or self.cache_dir / "history.sqlite"

    @property
    def hops(self) -> int:
        """Proxies between a client and this server whose word on its address is taken."""
        return int(self.on_space) if self.proxies is None else self.proxies

    @property
    def listen(self) -> str:
        """The address to bind: loopback unless the host said otherwise or this is a Space."""
        return self.host or ("0.0.0.0" if self.on_space else "127.0.0.1")

    @classmethod
    def read(cls) -> Settings:
        """The settings of this environment; ``SettingsError`` names the variable at fault."""
        refuse_misspelt(os.environ, cls)
        try:
            return cls()
        except ValidationError as error:
            raise SettingsError(sentence(error, cls)) from None

    def changed(self, called: Callable[[str], str] = str, /, **values: Any) -> Settings:
        """These settings with ``values`` in place of some; ``SettingsError`` names a bad one.

        ``called`` gives the name by which whoever set a value knows it.
        """
        try:
            given = _Given.model_validate(self.model_dump() | values)
        except ValidationError as error:
            names = {name: called(name) for name in values}
            raise SettingsError(sentence(error, Settings, names)) from None
        return self.model_copy(
            update={name: getattr(given, name) for name in Settings.model_fields}
        )


class _Given(Settings):
    """Settings of which all are given by name, so that the environment is not read again.

    Releases of pydantic-settings differ on a field that is given by its name, and in the
    environment by another.
    """

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)
