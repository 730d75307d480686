"""Every setting of the playground, read once from the environment.

No other package reads an environment variable. Importing this one loads no torch and no gradio.
"""

from playground.settings.fields import BUILT_IN, OFFERED
from playground.settings.libraries import kernel_environment, quiet_libraries
from playground.settings.settings import Settings
from playground.settings.table import table
from playground.settings.variables import PREFIX, SettingsError, variables

__all__ = [
    "BUILT_IN",
    "OFFERED",
    "PREFIX",
    "Settings",
    "SettingsError",
    "kernel_environment",
    "quiet_libraries",
    "table",
    "variables",
]
