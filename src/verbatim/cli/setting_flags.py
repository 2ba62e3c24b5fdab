"""Command line flags made of the settings' declarations: what is one is the other."""

from __future__ import annotations

import difflib
import inspect
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from verbatim.cli.console import say_warning
from verbatim.older_servers import read_variables
from verbatim.settings import Settings, flag, unknown_variables, variable
from verbatim.settings.home import home_folder

_KIND_WORDS: Final = {bool: "BOOL", int: "INTEGER", float: "NUMBER", Path: "PATH"}

Flags: TypeAlias = dict[str, Any]
"""What the command line said of each setting; None where it said nothing."""


def with_setting_flags(
    command: Callable[[Flags], None], more: Sequence[inspect.Parameter] = ()
) -> Callable[..., None]:
    """A command that takes every setting as a flag; it is called with all of them.

    Values stay text here: the settings check them, as they do those of the environment.

    Args:
        command: to be called.
        more: parameters besides the settings, which it is given too.
    """

    def taking_flags(**flags: Any) -> None:
        command(flags)

    parameters = [_parameter(name, field) for name, field in Settings.model_fields.items()]
    return _described(taking_flags, command, [*parameters, *more])


def warn_of_unknown_variables() -> None:
    """Tell of variables that look like settings and are none, and of older ones without use."""
    names = [variable(name) for name in Settings.model_fields]
    for unknown in unknown_variables(os.environ):
        close = difflib.get_close_matches(unknown, names, n=1)
        guess = f" Did you mean {close[0]}?" if close else ""
        say_warning(f"{unknown} is set, and there is no such setting.{guess}")
    for ignored in read_variables(os.environ).ignored:
        say_warning(f"{ignored.variable} is passed over: {ignored.reason}.")


def default_text(field: FieldInfo) -> str:
    """A setting's default as people read it; empty for none."""
    default = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(default, list):
        return ",".join(map(str, default))
    if isinstance(default, Path):
        # Where the home folder is concerns nobody else.
        home = home_folder()
        return f"~/{default.relative_to(home)}" if default.is_relative_to(home) else str(default)
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, float):
        return f"{default:g}"
    return "" if default is None else str(default)


def kind_text(field: FieldInfo) -> str:
    """What a setting's value looks like: a word for its type, or its choices."""
    if get_origin(field.annotation) is Literal:
        return "|".join(get_args(field.annotation))
    if get_origin(field.annotation) is list:
        return "LIST"
    parts = _parts(field.annotation)
    return next((word for kind, word in _KIND_WORDS.items() if kind in parts), "TEXT")


def _parts(annotation: object) -> frozenset[object]:
    """A type, and all that it is made of."""
    return frozenset({annotation}).union(*map(_parts, get_args(annotation)))


def _parameter(name: str, field: FieldInfo) -> inspect.Parameter:
    default = default_text(field)
    help_text = (field.description or "") + (f"  [default: {default}]" if default else "")
    if field.annotation is bool:
        # What says no already has no opposite.
        negative = "" if name.startswith("no_") else f"/{flag(f'no_{name}')}"
        annotation: object = Annotated[
            bool | None, typer.Option(f"{flag(name)}{negative}", help=help_text)
        ]
    else:
        annotation = Annotated[
            str | None, typer.Option(flag(name), help=help_text, metavar=kind_text(field))
        ]
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
    )


def _described(
    function: Callable[..., None],
    command: Callable[[Flags], None],
    parameters: list[inspect.Parameter],
) -> Callable[..., None]:
    """Give a function the name, the help and the parameters that typer reads."""
    function.__name__ = command.__name__
    function.__doc__ = command.__doc__
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # inspect's
    function.__annotations__ = {p.name: p.annotation for p in parameters}
    return function
