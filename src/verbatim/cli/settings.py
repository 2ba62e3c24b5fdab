"""`verbatim settings`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from verbatim.cli.console import new_app, print_json
from verbatim.cli.setting_flags import default_text, kind_text, warn_of_unknown_variables
from verbatim.settings import Settings, SettingSource, config_file, explain, flag, variable

app = new_app()

_MARKDOWN_HEAD = """\
# Settings

Every setting is a flag of `verbatim serve`, an environment variable, and a line of `verbatim.toml`
in the working directory (or of the file that `VERBATIM_CONFIG` names). A flag wins over the
variable, the variable over the file, the file over the default; an empty variable counts as not
set. `verbatim settings` shows what holds, and where each value comes from.

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


@app.command()
def settings(
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False,
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the documentation's page.")
    ] = False,
) -> None:
    """Show every setting: its value, where that is from, and what it does."""
    if as_markdown:
        typer.echo(markdown(), nl=False)
        return
    explained = explain()
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
    return _MARKDOWN_HEAD + "".join(rows)
