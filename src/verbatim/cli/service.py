"""`verbatim service`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from verbatim.cli.console import new_app, print_columns, say, say_warning
from verbatim.cli.service_unit import (
    UNIT_NAME,
    ServiceWish,
    unit_text,
    units_folder,
    variables_file,
)
from verbatim.domain.errors import BadRequestError, UnavailableError
from verbatim.settings import load_settings

app = new_app("Let systemd start the server with the machine, and restart it.", group=True)

BOOTED: Final = Path("/run/systemd/system")
SYSTEMCTL_TIMEOUT_S: Final = 60.0
EXIT_NOT_RUNNING: Final = 3
"""As `systemctl status` has it."""
SHOWN: Final = {
    "LoadState": "unit",
    "ActiveState": "state",
    "SubState": "detail",
    "ActiveEnterTimestamp": "since",
    "MainPID": "process",
    "MemoryCurrent": "memory, bytes",
    "NRestarts": "restarts",
}

OwnUser = Annotated[
    bool, typer.Option("--user", help="Your own service, without rights over the machine.")
]


@app.command()
def install(
    own_user: OwnUser = False,
    start: Annotated[
        bool, typer.Option("--start/--no-start", help="Start it now, and with the machine.")
    ] = True,
    show: Annotated[
        bool, typer.Option("--print", help="Only print the unit file; change nothing.")
    ] = False,
) -> None:
    """Write the unit and start it; an installed one is replaced.

    Settings go into the file of variables that it names, one VERBATIM_NAME=value a line.
    """
    home = Path.home()
    variables = variables_file(own_user=own_user, home=home)
    wish = ServiceWish(_own_command(), variables, load_settings().drain_s, own_user)
    if show:
        typer.echo(unit_text(wish), nl=False)
        return
    _check_systemd()
    if not own_user:
        _check_readable(wish.command)
    unit = units_folder(own_user=own_user, home=home) / UNIT_NAME
    try:
        unit.parent.mkdir(parents=True, exist_ok=True)
        unit.write_text(unit_text(wish), encoding="utf-8")
        variables.parent.mkdir(parents=True, exist_ok=True)
        variables.touch(mode=0o600)
    except OSError as error:
        raise UnavailableError(
            f"{error.filename} cannot be written: {error.strerror}. Use sudo, or --user for a "
            "service of your own."
        ) from error
    _systemctl("daemon-reload", own_user=own_user)
    if start:
        _systemctl("enable", UNIT_NAME, own_user=own_user)
        _systemctl("restart", UNIT_NAME, own_user=own_user)
    say(f"Wrote {unit}. Settings: {variables}. Logs: {_journal(own_user=own_user)}")
    if own_user:
        say("It stops when you log out, unless `loginctl enable-linger` was said once.")


@app.command()
def status(own_user: OwnUser = False) -> None:
    """Whether it runs, since when, and how often it was restarted."""
    _check_systemd()
    shown = _systemctl("show", UNIT_NAME, f"--property={','.join(SHOWN)}", own_user=own_user)
    values = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    if values.get("LoadState") == "not-found":
        say("It is not installed: `verbatim service install`.")
        raise typer.Exit(EXIT_NOT_RUNNING)
    print_columns([(label, values.get(name) or "-") for name, label in SHOWN.items()])
    if values.get("ActiveState") != "active":
        say(f"See {_journal(own_user=own_user)}")
        raise typer.Exit(EXIT_NOT_RUNNING)


@app.command()
def remove(own_user: OwnUser = False) -> None:
    """Stop it and remove the unit; keys, results, models and settings stay."""
    _check_systemd()
    home = Path.home()
    unit = units_folder(own_user=own_user, home=home) / UNIT_NAME
    if not unit.is_file():
        raise BadRequestError(f"There is no {unit}: the service is not installed.")
    _systemctl("disable", "--now", UNIT_NAME, own_user=own_user)
    try:
        unit.unlink()
    except OSError as error:
        raise UnavailableError(f"{unit} cannot be removed: {error.strerror}. Use sudo.") from error
    _systemctl("daemon-reload", own_user=own_user)
    say(f"Removed {unit}. Settings are left in {variables_file(own_user=own_user, home=home)}.")


def _own_command() -> Path:
    """The program that runs now, as systemd has to find it.

    Raises:
        UnavailableError: it cannot be told.
    """
    beside = Path(sys.executable).with_name("verbatim")
    found = beside if beside.is_file() else shutil.which("verbatim")
    if not found:
        raise UnavailableError(
            "The verbatim program is not found. Install the package, and run this from it."
        )
    # Not resolved: the link in the environment is what an upgrade keeps.
    return Path(found).absolute()


def _check_systemd() -> None:
    if shutil.which("systemctl") is None or not BOOTED.is_dir():
        raise UnavailableError(
            "systemd does not run here. `verbatim service install --print` shows the unit file; "
            "in a container use its own restart policy."
        )


def _check_readable(command: Path) -> None:
    """A user of the system's has to reach the program.

    Raises:
        BadRequestError: it lies in a folder that others may not enter.
    """
    # The interpreter may lie elsewhere than the environment that links to it.
    for path in (command, Path(sys.executable).resolve()):
        for folder in path.parents:
            if not folder.stat().st_mode & 0o001:
                raise BadRequestError(
                    f"The service's user cannot enter {folder}. Install Verbatim where all can "
                    "read it, such as /opt/verbatim, or use --user."
                )


def _journal(*, own_user: bool) -> str:
    return f"journalctl {'--user ' if own_user else ''}-u {UNIT_NAME.removesuffix('.service')}"


def _systemctl(*arguments: str, own_user: bool) -> str:
    """Run systemctl and return what it said.

    Raises:
        UnavailableError: it failed.
    """
    scope: Sequence[str] = ("--user",) if own_user else ()
    command = ["systemctl", *scope, "--no-pager", *arguments]
    try:
        done = subprocess.run(  # noqa: S603  the arguments are ours
            command,
            capture_output=True,
            text=True,
            timeout=SYSTEMCTL_TIMEOUT_S,
            check=False,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnavailableError(f"`{' '.join(command)}` did not work: {error}") from error
    if done.returncode:
        raise UnavailableError(
            f"`{' '.join(command)}` failed: {done.stderr.strip() or done.stdout.strip()}"
        )
    if done.stderr.strip():
        say_warning(done.stderr.strip())
    return done.stdout
