"""Every setting of Verbatim, and what holds.

A value comes from the first of: a command's flag, a `VERBATIM_*` variable, the TOML file
(`verbatim.toml` in the working directory, or the file that `VERBATIM_CONFIG` names), a variable
of an older server, what the older server named by `like` does, the default.
"""

from verbatim.settings.model import MIB, Settings
from verbatim.settings.reading import SettingSource, explain, load_settings, unknown_variables
from verbatim.settings.sources import CONFIG_VARIABLE, config_file, flag, variable

__all__ = [
    "CONFIG_VARIABLE",
    "MIB",
    "SettingSource",
    "Settings",
    "config_file",
    "explain",
    "flag",
    "load_settings",
    "unknown_variables",
    "variable",
]
