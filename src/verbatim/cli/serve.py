"""`verbatim serve`."""

from __future__ import annotations

import typer

from verbatim.cli.console import new_app
from verbatim.cli.older_flags import generate_key, older_parameters, translated
from verbatim.cli.setting_flags import Flags, warn_of_unknown_variables, with_setting_flags
from verbatim.settings import load_settings

app = new_app()


def serve(flags: Flags) -> None:
    """Run the server until SIGTERM or Ctrl-C.

    Every flag is a setting: VERBATIM_PORT in the environment, or port in verbatim.toml, does what
    --port does. A flag wins over the environment, and that over the file. `verbatim settings`
    shows what holds.
    """
    settings = load_settings(translated(flags))
    warn_of_unknown_variables()
    if flags["generate_key"]:
        typer.echo(generate_key(settings))
        return
    from verbatim.server.serve import serve as run_server  # noqa: PLC0415  slow; --help needs none

    raise typer.Exit(run_server(settings))


app.command()(with_setting_flags(serve, older_parameters()))
