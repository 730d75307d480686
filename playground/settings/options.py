"""The settings as options of a command line: ``--max-rows 64`` is ``PLAYGROUND_MAX_ROWS=64``."""

from __future__ import annotations

from argparse import SUPPRESS, ArgumentParser, Namespace
from collections.abc import Container

from playground.settings.settings import Settings
from playground.settings.table import default
from playground.settings.variables import PREFIX, variables


def names() -> list[str]:
    """The settings that a host chooses; the others are what a Space says of itself."""
    fields = Settings.model_fields
    return [name for name in fields if variables(name, Settings)[0].startswith(PREFIX)]


def add(parser: ArgumentParser, but: Container[str] = ()) -> None:
    """Add an option for every setting, except those named; a switch needs no value behind it."""
    for name in names():
        if name in but:
            continue
        field = Settings.model_fields[name]
        switch = field.annotation is bool
        parser.add_argument(
            option(name),
            dest=name,
            default=SUPPRESS,
            metavar="yes|no" if switch else "VALUE",
            help=f"{field.description} [{default(name)}]".replace("%", "%%").replace("`", ""),
            **({"nargs": "?", "const": "true"} if switch else {}),
        )


def read(options: Namespace) -> Settings:
    """The settings of this environment with the options that were given in place of some.

    ``SettingsError`` names the option or the variable at fault.
    """
    given = {name: getattr(options, name) for name in names() if hasattr(options, name)}
    return Settings.read().changed(option, **given)


def option(name: str) -> str:
    """What a setting is called on a command line."""
    return "--" + name.replace("_", "-")
