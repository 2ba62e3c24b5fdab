"""What the documentation points to is there: files, headings, commands and their flags."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup

from verbatim.cli.main import COMMANDS

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("tools/**/*.md")])
FENCED = re.compile(r"^ *```.*?^ *```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
COMMAND = re.compile(r"(?:^|[`\s/])(verbatim (?:[a-z]|-)[^`#|&>\n]*)", re.MULTILINE)
ELSEWHERE = ("http://", "https://")


def _named(page: Path) -> str:
    return str(page.relative_to(ROOT))


@cache
def _anchors(page: Path) -> frozenset[str]:
    """The headings' fragments, as the code's hosts make them."""
    headings = HEADING.findall(FENCED.sub("", page.read_text(encoding="utf-8")))
    words = (re.sub(r"[^\w\- ]", "", heading.strip().lower()) for heading in headings)
    return frozenset(each.replace(" ", "-") for each in words)


@pytest.mark.parametrize("page", PAGES, ids=_named)
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(FENCED.sub("", page.read_text(encoding="utf-8"))):
        if link.startswith(ELSEWHERE):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in _anchors(target), link


def test_readmes_of_all_languages_lead_to_the_same_pages() -> None:
    """A picture may be of the page in their language, and each names the two others."""
    readmes = sorted(ROOT.glob("README*.md"))
    pages = [
        {link for link in LINK.findall(readme.read_text("utf-8")) if link.startswith("docs/")}
        for readme in readmes
    ]
    plain = [{link for link in links if not link.endswith(".png")} for links in pages]
    assert len(readmes) == 3
    assert plain[0] == plain[1] == plain[2]


def test_the_architecture_names_the_layers_in_their_order() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    (layers,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == layers


def _commands(page: Path) -> Iterator[list[str]]:
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    for command in COMMAND.findall(text):
        try:
            yield shlex.split(command)[1:]
        except ValueError:
            # A quote is open: prose, and no command.
            continue


@cache
def _program(name: str) -> Any:
    return typer.main.get_command(import_module(COMMANDS[name][0]).app)


def _flags(words: list[str]) -> set[str] | None:
    """The flags of the command that the words begin with; None where they begin with none."""
    if not words or words[0] not in COMMANDS:
        return None
    command = _program(words[0])
    for word in words[1:]:
        if not isinstance(command, TyperGroup) or word not in command.commands:
            break
        command = command.commands[word]
    return {"--help"}.union(*({*each.opts, *each.secondary_opts} for each in command.params))


def test_commands_and_flags_exist() -> None:
    seen = 0
    for page in PAGES:
        for words in _commands(page):
            known = _flags(words)
            if known is None:
                continue
            for word in words:
                flag = re.sub(r"[=,.;:)].*", "", word)
                if flag.startswith("--"):
                    seen += 1
                    assert flag in known, (_named(page), " ".join(words))
    assert seen > 50


def _every_command(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(command, TyperGroup):
        for name, inner in command.commands.items():
            yield from _every_command(f"{path} {name}", inner)
    else:
        yield path, command


@pytest.mark.parametrize("name", COMMANDS)
def test_every_flag_is_documented(name: str) -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    words = set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", text))
    for path, command in _every_command(name, _program(name)):
        for each in command.params:
            flags = {flag for flag in (*each.opts, *each.secondary_opts) if flag.startswith("-")}
            assert not flags or flags & words, (path, flags)
