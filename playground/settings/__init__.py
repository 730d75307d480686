"""Every setting of the playground, read once from the environment.

No other package reads an environment variable. Importing this one loads no torch and no gradio.
"""

from playground.settings.fields import BUILT_IN, OFFERED
from playground.settings.libraries import (
    QUIET,
    kernel_environment,
    outlive_head_node,
    quiet_libraries,
)
from playground.settings.settings import Settings
from playground.settings.table import table
from playground.settings.variables import PREFIX, SettingsError, variables

__all__ = [
    "BUILT_IN",
    "OFFERED",
    "PREFIX",
    "QUIET",
    "Settings",
    "SettingsError",
    "kernel_environment",
    "outlive_head_node",
    "quiet_libraries",
    "table",
    "variables",
]
