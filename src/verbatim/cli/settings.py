"""`verbatim settings`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated

import typer

from verbatim.cli.console import new_app, print_json
from verbatim.cli.setting_flags import default_text, kind_text, warn_of_unknown_variables
from verbatim.older_servers import OLDER_VARIABLES, PROFILES, OlderVariable
from verbatim.settings import Settings, SettingSource, config_file, explain, flag, variable

app = new_app()

_MARKDOWN_HEAD = """\
# Settings

Every setting is a flag of `verbatim serve`, an environment variable, and a line of `verbatim.toml`
in the working directory (or of the file that `VERBATIM_CONFIG` names). A flag wins over the
variable, the variable over the file, the file over the default; an empty variable counts as not
set. `verbatim settings` shows what holds, and where each value comes from. Between the file and the
default come the [older servers](#older-servers).

```toml
# verbatim.toml
host = "0.0.0.0"
port = 8000
dialects = ["openai_rest"]
```

Lists are written with commas in variables and flags: `VERBATIM_DEVICE_INDEXES=0,1`.

The hub that models come from has the variables that Hugging Face's own tools use: `HF_HOME` and
`HF_HUB_CACHE` (where downloads are kept), `HF_ENDPOINT` (a mirror), `HF_TOKEN` (for private
models), `HF_HUB_OFFLINE`, and `HTTPS_PROXY`.

<!-- Made by `verbatim settings --markdown`; a test compares. -->

| setting | variable | value | default | what it does |
|---|---|---|---|---|
"""

_MARKDOWN_OLDER = """
## Older servers

`verbatim serve --like microservice` takes the place of that server: its port, limits and defaults
hold where nothing else is said. `verbatim settings --like microservice` shows them. The address is
this machine's unless `--host` names another, and `tls_port` counts where `tls_cert` names a
certificate. What clients find is in [dialects](dialects/README.md), and does not depend on
`--like`.

| like | settings |
|---|---|
"""
_MARKDOWN_VARIABLES = """
The variables of these servers are understood, with or without `--like`; anything said to Verbatim
itself wins over them. Other programs too use a variable of the name of those marked (c): a value
that is no use here is passed over with a warning.

| variable | server | settings | how it is understood |
|---|---|---|---|
"""
_COMMON_MARK = " (c)"


@app.command()
def settings(
    like: Annotated[
        str | None, typer.Option(help="Show the settings of `verbatim serve --like` this server.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False,
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the documentation's page.")
    ] = False,
) -> None:
    """Show every setting: its value, where that is from, and what it does."""
    if as_markdown:
        typer.echo(markdown(), nl=False)
        return
    explained = explain({"like": like})
    if as_json:
        print_json([asdict(setting) for setting in explained])
    else:
        path = config_file()
        typer.echo(f"# settings file: {path}{'' if path.is_file() else ' (there is none)'}")
        for setting in explained:
            typer.echo(_line(setting))
            typer.echo(f"    {setting.help}")
    warn_of_unknown_variables()


def _line(setting: SettingSource) -> str:
    value = json.dumps(setting.value, ensure_ascii=False) if setting.value is not None else "(none)"
    return f"{setting.name} = {value}  ({setting.where or setting.source})"


def markdown() -> str:
    """The documentation's page of settings, made of their declarations."""
    rows = []
    for name, field in Settings.model_fields.items():
        kind = kind_text(field).replace("|", ", ")
        default = default_text(field)
        shown = f"`{default}`" if default else "none"
        rows.append(
            f"| `{flag(name)}` | `{variable(name)}` | {kind} | {shown} | {field.description} |\n"
        )
    return _MARKDOWN_HEAD + "".join(rows) + _older_servers()


def _older_servers() -> str:
    return "".join(
        [
            _MARKDOWN_OLDER,
            *(_profile_row(name, values) for name, values in PROFILES.items() if values),
            _MARKDOWN_VARIABLES,
            *map(_variable_row, OLDER_VARIABLES),
        ]
    )


def _profile_row(name: str, values: Mapping[str, object]) -> str:
    shown = ", ".join(f"`{setting} = {value}`" for setting, value in values.items())
    return f"| `{name}` | {shown} |\n"


def _variable_row(known: OlderVariable) -> str:
    mark = _COMMON_MARK if known.common else ""
    shown = ", ".join(f"`{name}`" for name in known.settings)
    return f"| `{known.name}`{mark} | {known.servers} | {shown} | {known.help} |\n"
