"""The settings that hold: read, checked, and explained."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from pydantic import ValidationError
from pydantic_settings import EnvSettingsSource, TomlConfigSettingsSource

from verbatim.domain.errors import BadRequestError
from verbatim.older_servers import profile, read_variables
from verbatim.settings.model import Settings
from verbatim.settings.sources import CONFIG_VARIABLE, ENV_PREFIX, config_file, flag, variable


def load_settings(flags: Mapping[str, Any] | None = None) -> Settings:
    """Read the settings; `flags` holds what the command line said, None meaning not said.

    Raises:
        BadRequestError: a value that does not fit, an unknown name in the TOML file, or a file
            that cannot be read.
    """
    path = config_file()
    if os.environ.get(CONFIG_VARIABLE) and not path.is_file():
        raise BadRequestError(f"{CONFIG_VARIABLE} names a file that does not exist: {path}")
    given = _given(flags)
    try:
        return Settings(**given)
    except ValidationError as error:
        raise BadRequestError(f"These settings do not fit: {_problems(error, given)}") from error
    except (ValueError, OSError) as error:
        raise BadRequestError(f"The settings file {path} cannot be read: {error}") from error


SourceKind: TypeAlias = Literal["flag", "environment", "file", "like", "default"]


@dataclass(frozen=True, slots=True)
class SettingSource:
    """A setting with where its value comes from.

    Attributes:
        value: as JSON has it.
        where: the flag, the variable, the file or the server; empty for a default.
    """

    name: str
    value: object
    source: SourceKind
    where: str
    help: str


def explain(flags: Mapping[str, Any] | None = None) -> tuple[SettingSource, ...]:
    """Every setting with its value and source, in the order of their declaration.

    Raises:
        BadRequestError: as `load_settings`.
    """
    values = load_settings(flags).model_dump(mode="json")
    origins = _origins(_given(flags))
    return tuple(
        SettingSource(name, values[name], *origins.get(name, ("default", "")), _help(name))
        for name in Settings.model_fields
    )


def unknown_variables(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Variables that look like settings and are none, such as a misspelt one."""
    names = {variable(name) for name in Settings.model_fields} | {CONFIG_VARIABLE}
    return tuple(sorted(v for v in environment if v.startswith(ENV_PREFIX) and v not in names))


def _given(flags: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (flags or {}).items() if value is not None}


def _help(name: str) -> str:
    return Settings.model_fields[name].description or ""


def _problems(error: ValidationError, given: Mapping[str, Any]) -> str:
    origins = _origins(given)
    lines = []
    for detail in error.errors():
        name = str(detail["loc"][0])
        unknown = detail["type"] == "extra_forbidden"
        what = "there is no such setting" if unknown else str(detail["msg"])
        what = what.removeprefix("Value error, ")
        where = f" (from {origins[name][1]})" if name in origins else ""
        lines.append(f"{name}: {what}{where}")
    return "; ".join(lines)


def _origins(given: Mapping[str, Any]) -> dict[str, tuple[SourceKind, str]]:
    """Where each value that is no default comes from; the last of the sources asked wins."""
    path = config_file()
    toml = TomlConfigSettingsSource(Settings, path)()
    environment = EnvSettingsSource(Settings)()
    older = read_variables(os.environ)
    said = {**older.values, **toml, **environment, **given}
    found: dict[str, tuple[SourceKind, str]] = {}
    found |= dict.fromkeys(profile(said), ("like", f"like {said.get('like')}"))
    found |= {name: ("environment", known) for name, known in older.variables.items()}
    found |= {name: ("file", str(path)) for name in toml}
    found |= {name: ("environment", variable(name)) for name in environment}
    found |= {name: ("flag", flag(name)) for name in given}
    return found
