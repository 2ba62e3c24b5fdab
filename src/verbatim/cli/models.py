"""`verbatim models`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Annotated

import typer

from verbatim.cli.common_flags import Offline
from verbatim.cli.console import new_app, print_columns, print_json, say, size
from verbatim.cli.progress import download_progress
from verbatim.domain.errors import BadRequestError
from verbatim.engine.catalog import Catalog, ModelDetails
from verbatim.engine.hub_cache import size_bytes
from verbatim.engine.known_models import KnownModel
from verbatim.engine.model_entry import ModelEntry
from verbatim.settings import load_settings

app = new_app("List, fetch, show and remove models.", group=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Name = Annotated[str, typer.Argument(help="A name, an alias, a hub name (OWNER/NAME) or a folder.")]

_SOURCES = {"bundled": "in the package", "folder": "models folder", "cache": "hub cache"}


def open_catalog(*, offline: bool = False) -> Catalog:
    """The catalog under the settings that hold."""
    return Catalog(load_settings({"offline": offline or None}))


@app.command("list")
def list_models(as_json: Json = False) -> None:
    """List the models on this machine, and those that can be fetched by name."""
    catalog = open_catalog(offline=True)
    entries = catalog.installed()
    here = {entry.repository for entry in entries} | {entry.name for entry in entries}
    absent = [m for m in catalog.known() if m.repository not in here and m.name not in here]
    if as_json:
        print_json([*(_entry_json(entry) for entry in entries), *map(_known_json, absent)])
        return
    rows = [("NAME", "SIZE", "WHERE", "ALSO CALLED")]
    rows += [
        (e.name, size(e.size_bytes), _SOURCES[e.source], ", ".join(e.aliases)) for e in entries
    ]
    rows += [
        (m.name, f"~{size(m.download_bytes)}", "not here", ", ".join((*m.aliases, m.repository)))
        for m in absent
    ]
    print_columns(rows)
    say("`verbatim models pull NAME` fetches one; any OWNER/NAME of the hub works as well.")


@app.command()
def pull(
    names: Annotated[list[str], typer.Argument(help="What to fetch; auto fits this machine.")],
    offline: Offline = False,
    as_json: Json = False,
) -> None:
    """Fetch models, or verify and mend those that are here. A broken download goes on."""
    catalog = open_catalog(offline=offline)
    for name in names:
        with download_progress() as progress:
            files = catalog.pull(name, progress)
        taken_bytes = size_bytes(files.folder)
        if as_json:
            folder = str(files.folder)
            print_json({"name": files.name, "folder": folder, "size_bytes": taken_bytes})
        else:
            typer.echo(f"{files.name}: {size(taken_bytes)} in {files.folder}")


@app.command()
def show(name: Name, as_json: Json = False) -> None:
    """Show what is known of a model, and where it lies."""
    details = open_catalog(offline=True).show(name)
    if as_json:
        print_json(_details_json(details))
        return
    known, entry = details.known, details.entry
    rows = [("name", details.name)]
    if known is not None:
        rows += [
            ("also called", ", ".join(known.aliases)),
            ("repository", known.repository),
            ("parameters", f"{known.parameters / 1e6:,.0f} million"),
            ("languages", "English only" if known.english_only else "about 100"),
            ("translates", "yes" if known.translates else "no"),
        ]
    if entry is not None:
        rows += [
            ("size", size(entry.size_bytes)),
            ("where", _SOURCES[entry.source]),
            ("folder", str(entry.folder)),
        ]
    elif known is not None:
        rows += [
            ("size", f"about {size(known.download_bytes)}"),
            ("where", f"not here; `verbatim models pull {details.name}` fetches it"),
        ]
    print_columns(rows)


@app.command()
def remove(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Delete a model from the models folder or the hub's cache."""
    catalog = open_catalog(offline=True)
    files = catalog.resolve(name, allow_paths=True)
    if files.source == "folder" and not yes:
        # What is in the cache can be fetched again; a folder of one's own perhaps not.
        if not sys.stdin.isatty():
            raise BadRequestError(f"This deletes {files.folder} for good; say --yes to do it.")
        typer.confirm(f"Delete {files.folder} for good?", abort=True, err=True)
    freed_bytes = catalog.remove(name)
    if as_json:
        print_json({"name": files.name, "freed_bytes": freed_bytes})
    else:
        typer.echo(f"{files.name} is removed; {size(freed_bytes)} are free again.")


def _entry_json(entry: ModelEntry) -> dict[str, object]:
    return {**asdict(entry), "folder": str(entry.folder), "installed": True}


def _known_json(known: KnownModel) -> dict[str, object]:
    return {**asdict(known), "installed": False}


def _details_json(details: ModelDetails) -> dict[str, object]:
    merged: dict[str, object] = {}
    if details.known is not None:
        merged |= _known_json(details.known)
    if details.entry is not None:
        merged |= _entry_json(details.entry)
    return merged
