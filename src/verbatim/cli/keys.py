"""`verbatim keys`."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final, TypeVar

import typer

from verbatim.access.administration import EVERYDAY_SCOPES, KeyAdministration, KeyWish
from verbatim.access.older_file import read_older_keys
from verbatim.access.opening import open_administration
from verbatim.access.secret import KeyFormat, is_id
from verbatim.cli.console import new_app, print_columns, print_json, say
from verbatim.cli.logs import configure_quiet_logging
from verbatim.domain.errors import BadRequestError
from verbatim.domain.keys import Key, KeyLimits, Scope
from verbatim.settings import Settings, load_settings

app = new_app("Make, list, revoke and import API keys.", group=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

STANDARD_INPUT: Final = "-"
MAX_FILE_BYTES: Final = 64 * 1024 * 1024
SPAN: Final = re.compile(r"(\d{1,6})\s*([mhdw])")
SPANS: Final = {
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
MINUTE_S: Final = 60.0

T = TypeVar("T")


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What the key is for.")] = "key",
    scope: Annotated[
        list[Scope] | None,
        typer.Option(
            help="What it allows; may be given several times.  [default: all but admin]",
            show_default=False,
        ),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option(metavar="SPAN", help="How long it is good: 12h, 30d, or until 2027-01-31."),
    ] = None,
    requests_per_minute: Annotated[
        int | None, typer.Option(metavar="N", help="Requests accepted in any 60 s.")
    ] = None,
    audio_minutes_per_day: Annotated[
        float | None, typer.Option(metavar="N", help="Minutes of audio a day, by UTC.")
    ] = None,
    parallel_requests: Annotated[
        int | None, typer.Option(metavar="N", help="Requests and live sessions at the same time.")
    ] = None,
    older: Annotated[
        bool, typer.Option("--older", help="48 digits long, for programs that count them.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make a key and print it; nobody can look it up later."""
    wish = KeyWish(
        name,
        frozenset(scope) if scope else EVERYDAY_SCOPES,
        _end(expires, datetime.now(UTC)),
        KeyLimits(requests_per_minute, audio_minutes_per_day, parallel_requests),
        KeyFormat.OLDER if older else KeyFormat.STANDARD,
    )
    made = _with_keys(lambda keys: keys.create(wish))
    if as_json:
        print_json({**_facts(made.key), "key": made.secret})
        return
    typer.echo(made.secret)
    say(
        f"{made.key.name!r} ({made.key.id}) allows: {', '.join(sorted(made.key.scopes))}. "
        "Keep it now: it is not shown again."
    )


@app.command("list")
def list_keys(
    revoked: Annotated[
        bool, typer.Option("--revoked", help="Those that were revoked as well.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List the keys: what they allow, until when, and what was asked for with them."""
    found = _with_keys(lambda keys: keys.list(revoked=revoked))
    if as_json:
        print_json([_facts(key) for key in found])
        return
    rows: list[Sequence[str]] = [
        ("ID", "KEY", "NAME", "ALLOWS", "LIMITS", "UNTIL", "LAST USED", "REQUESTS", "AUDIO")
    ]
    rows += [_row(key) for key in found]
    print_columns(rows)


@app.command()
def revoke(
    key: Annotated[str, typer.Argument(help="Its id, or the key itself.")],
    as_json: Json = False,
) -> None:
    """Let a key open nothing any more; running servers know it within seconds."""
    gone = _with_keys(lambda keys: keys.revoke(key) if is_id(key) else keys.revoke_secret(key))
    if as_json:
        print_json(_facts(gone))
    else:
        typer.echo(f"{gone.name!r} ({gone.id}, {gone.preview}) is revoked.")


@app.command("import")
def import_keys(
    file: Annotated[str, typer.Argument(help="An api_keys.json; - for standard input.")],
    as_json: Json = False,
) -> None:
    """Take over the keys of the older real-time server; they go on to work here."""
    older = read_older_keys(_read(file))
    done = _with_keys(lambda keys: keys.import_older(older))
    if as_json:
        print_json({"added": done.added, "known": done.known})
    else:
        typer.echo(f"{done.added} keys are added, {done.known} were here already.")


def _with_keys(work: Callable[[KeyAdministration], Awaitable[T]]) -> T:
    async def run(settings: Settings) -> T:
        async with open_administration(settings) as keys:
            return await work(keys)

    settings = load_settings()
    configure_quiet_logging(settings)
    return asyncio.run(run(settings))


def _end(text: str | None, now: datetime) -> datetime | None:
    """When a key ends, from a span or a moment.

    Raises:
        BadRequestError: it is neither.
    """
    if text is None:
        return None
    try:
        if span := SPAN.fullmatch(text.strip().lower()):
            return now + int(span[1]) * SPANS[span[2]]
        moment = datetime.fromisoformat(text.strip())
    except (ValueError, OverflowError) as error:
        raise BadRequestError(
            f"--expires {text!r} is no span such as 12h or 30d, and no day such as 2027-01-31."
        ) from error
    # Who names no zone means that of this machine.
    return moment.astimezone(UTC)


def _read(file: str) -> str:
    """The text of a file, or of standard input.

    Raises:
        BadRequestError: it cannot be read.
    """
    try:
        if file == STANDARD_INPUT:
            data = sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
        else:
            with Path(file).open("rb") as opened:
                data = opened.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise BadRequestError(f"{file} cannot be read: {error.strerror}.") from error
    if len(data) > MAX_FILE_BYTES:
        raise BadRequestError(f"{file} is too large to be a file of keys.")
    return data.decode("utf-8", errors="replace")


def _facts(key: Key) -> dict[str, object]:
    return {
        "id": key.id,
        "name": key.name,
        "preview": key.preview,
        "scopes": sorted(key.scopes),
        "requests_per_minute": key.limits.requests_per_minute,
        "audio_minutes_per_day": key.limits.audio_minutes_per_day,
        "parallel_requests": key.limits.parallel_requests,
        "created_at": _iso(key.created_at),
        "expires_at": _iso(key.expires_at),
        "revoked_at": _iso(key.revoked_at),
        "last_used_at": _iso(key.last_used_at),
        "request_count": key.request_count,
        "audio_minutes": round(key.audio_s / MINUTE_S, 3),
    }


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds")


def _row(key: Key) -> tuple[str, ...]:
    until = "revoked" if key.revoked_at else _shown(key.expires_at, "for ever")
    return (
        key.id,
        key.preview,
        key.name,
        ",".join(sorted(key.scopes)),
        _limits(key.limits),
        until,
        _shown(key.last_used_at, "never"),
        str(key.request_count),
        f"{key.audio_s / MINUTE_S:.1f} min",
    )


def _shown(moment: datetime | None, otherwise: str) -> str:
    return otherwise if moment is None else f"{moment:%Y-%m-%d %H:%M}"


def _limits(limits: KeyLimits) -> str:
    parts = [
        (limits.requests_per_minute, "{} req/min"),
        (limits.audio_minutes_per_day, "{:g} min/day"),
        (limits.parallel_requests, "{} at once"),
    ]
    return ", ".join(form.format(value) for value, form in parts if value is not None) or "none"
