"""Where settings come from besides flags: the environment, the TOML file, older servers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import PydanticBaseSettingsSource

from verbatim.older_servers import Values, profile, read_variables

ENV_PREFIX = "VERBATIM_"
CONFIG_VARIABLE = "VERBATIM_CONFIG"
DEFAULT_CONFIG_FILE = Path("verbatim.toml")


def flag(name: str) -> str:
    """A setting's flag on the command line."""
    return "--" + name.replace("_", "-")


def variable(name: str) -> str:
    """A setting's environment variable."""
    return ENV_PREFIX + name.upper()


def config_file() -> Path:
    """The TOML file that is read, whether it exists or not."""
    return Path(os.environ.get(CONFIG_VARIABLE) or DEFAULT_CONFIG_FILE)


class _Values(PydanticBaseSettingsSource):
    """A source that gives all its values at once."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Asked by nobody: each value is looked up in what `__call__` gives."""
        del field
        return self().get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        """Settings by name."""
        return dict(self._values())

    def _values(self) -> Values:
        raise NotImplementedError


class OlderVariables(_Values):
    """What the older servers' variables say."""

    def _values(self) -> Values:
        return read_variables(os.environ).values


class Profile(_Values):
    """What the older server does that the sources before this one ask for."""

    def _values(self) -> Values:
        return profile(self.current_state)
