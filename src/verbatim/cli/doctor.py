"""`verbatim doctor`."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Annotated, Final

import typer

from verbatim.cli.common_flags import Offline
from verbatim.cli.console import new_app, print_json
from verbatim.cli.doctor_checks import Finding, Patient, examine
from verbatim.cli.logs import configure_quiet_logging
from verbatim.cli.setting_flags import warn_of_unknown_variables
from verbatim.engine.catalog import Catalog
from verbatim.engine.hardware import measure_hardware
from verbatim.engine.hub import HubClient, HubConfig
from verbatim.server.version import installed_version
from verbatim.settings import load_settings

app = new_app()

EXIT_CANNOT_TRANSCRIBE: Final = 1
_MARKS: Final = {
    "ok": ("✓", typer.colors.GREEN),
    "warning": ("!", typer.colors.YELLOW),
    "failed": ("✗", typer.colors.RED),
}
_NAME_WIDTH: Final = 14


@app.command()
def doctor(
    offline: Offline = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what works here, and what to do about the rest.

    The exit status is 0 if recordings can be transcribed, whatever else is amiss, and 1 if not.
    """
    settings = load_settings({"offline": offline or None})
    configure_quiet_logging(settings)
    hub = HubClient(HubConfig.from_environment(os.environ, offline=settings.offline))
    patient = Patient(settings, Catalog(settings, hub), hub, measure_hardware())
    findings = []
    if not as_json:
        typer.echo(f"verbatim {installed_version()}")
    for finding in examine(patient):
        findings.append(finding)
        if not as_json:
            _print(finding)
    warn_of_unknown_variables()
    works = all(finding.state != "failed" for finding in findings)
    if as_json:
        checks = [asdict(finding) for finding in findings]
        print_json({"version": installed_version(), "can_transcribe": works, "checks": checks})
    if not works:
        raise typer.Exit(EXIT_CANNOT_TRANSCRIBE)


def _print(finding: Finding) -> None:
    mark, colour = _MARKS[finding.state]
    typer.echo(
        f"{typer.style(mark, fg=colour)} {finding.name.ljust(_NAME_WIDTH)} {finding.summary}"
    )
    if finding.advice:
        typer.echo(f"  {' ' * _NAME_WIDTH} → {finding.advice}")
