"""The `verbatim` command: its subcommands, and what happens to errors."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from verbatim.cli.console import say_error
from verbatim.domain.errors import ErrorKind, VerbatimError
from verbatim.server.version import installed_version

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_INTERRUPTED: Final = 130
EXIT_BROKEN_PIPE: Final = 141

COMMANDS: Final = {
    "transcribe": ("verbatim.cli.transcribe", "Write down what is said in audio and video files."),
    "live": ("verbatim.cli.live", "Write down what is said into the microphone, as it is said."),
    "serve": ("verbatim.cli.serve", "Run the server."),
    "models": ("verbatim.cli.models", "List, fetch, show and remove models."),
    "service": ("verbatim.cli.service", "Let systemd start the server with the machine."),
    "keys": ("verbatim.cli.keys", "Make, list, revoke and import API keys."),
    "cert": ("verbatim.cli.cert", "Make a certificate for HTTPS and WSS."),
    "settings": ("verbatim.cli.settings", "Show every setting, its value and where it is from."),
    "bench": ("verbatim.cli.bench", "Measure a model on recordings of your own."),
    "loadtest": ("verbatim.cli.loadtest", "Ask a server for many transcriptions at once."),
    "doctor": ("verbatim.cli.doctor", "Say what works here, and what to do about the rest."),
}
"""Each subcommand's module, which has an `app`, and its line in the list."""


class LazyCommand(TyperCommand):
    """A subcommand whose module is imported when it is used, so that `--help` comes at once."""

    def __init__(self, name: str, module: str, summary: str) -> None:
        super().__init__(name=name, help=summary)
        self._module = module

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **extra: Any) -> Any:
        """The context of the real command, which then runs in the place of this one."""
        command = typer.main.get_command(importlib.import_module(self._module).app)
        return command.make_context(info_name, args, *rest, **extra)


class VerbatimGroup(TyperGroup):
    """The root of the commands: it turns what they raise into a message and an exit status."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, (module, summary) in COMMANDS.items():
            self.commands[name] = LazyCommand(name, module, summary)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; see `EXIT_…` for what comes of a failure."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except VerbatimError as error:
            say_error(error.message)
            usage = error.kind is ErrorKind.BAD_REQUEST
            raise typer.Exit(EXIT_USAGE if usage else EXIT_FAILED) from error
        except KeyboardInterrupt:
            raise typer.Exit(EXIT_INTERRUPTED) from None
        except BrokenPipeError:
            # Whoever read our output has left; nothing more can be said to them.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(EXIT_BROKEN_PIPE) from None
        return result


app = typer.Typer(
    cls=VerbatimGroup,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"verbatim {installed_version()}")
        raise typer.Exit


@app.callback()
def root(
    show_version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and leave."
        ),
    ] = False,
) -> None:
    """Speech to text on your own machine, with Whisper."""
    del show_version


def run() -> None:
    """The entry point of the `verbatim` command."""
    app()
