"""Measure Verbatim beside its peers: `python -m benchmarks run`, `… render`, `… list`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from benchmarks.driver import Driver, shortened
from benchmarks.machine import this_machine
from benchmarks.peers import configured
from benchmarks.report import placed, report
from benchmarks.results import Run
from benchmarks.scenarios import BY_DEFAULT, SCENARIOS, Scenario
from benchmarks.shapes import SHAPES

FOLDER: Final = Path(".bench")
PAGE: Final = Path("docs/performance.md")
ROUNDS: Final = 3
MODELS: Final = ("tiny", "base")
GPU_MODELS: Final = ("large-v3", "turbo")
EXIT_FAILED: Final = 1
"""A contender broke, or did other work than it was given; one that is not here is no failure."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    root = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = root.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="measure, print tables, keep the raw results")
    run.add_argument("--models", nargs="+", choices=sorted(SHAPES), help="shapes to measure")
    run.add_argument("--scenarios", nargs="+", choices=list(SCENARIOS), default=list(BY_DEFAULT))
    run.add_argument("--rounds", type=int, default=ROUNDS, help="turns of each contender")
    run.add_argument("--only", nargs="+", default=[], help="contenders whose name has one of these")
    run.add_argument("--seconds", type=float, help="longest recording, to try whether all works")
    run.add_argument(
        "--settings",
        action="append",
        default=[],
        metavar="NAME=VALUE,…",
        help="Verbatim once more with these settings; may be given several times",
    )
    run.add_argument("--add", action="store_true", help="keep earlier results of other kinds")
    run.add_argument("--folder", type=Path, default=FOLDER, help="models, recordings, logs")
    run.add_argument("--out", type=Path, help="raw results; default: FOLDER/results.json")
    render = commands.add_parser("render", help="write kept results into a page")
    render.add_argument("results", type=Path)
    render.add_argument("--into", type=Path, default=PAGE)
    render.add_argument("--name", default="cpu", help="which marks of the page: cpu or gpu")
    commands.add_parser("list", help="show the scenarios and who takes part")
    return root


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit status."""
    args = parser().parse_args(arguments)
    if args.command == "list":
        return _list()
    if args.command == "render":
        return _render(args.results, args.into, args.name)
    return _run(args)


def chosen(scenario: Scenario, only: Sequence[str], settings: Sequence[str]) -> Scenario:
    """A scenario with the contenders that were asked for; the reference always stays.

    Raises:
        ValueError: settings that cannot be read.
    """
    peers = tuple(
        peer
        for peer in scenario.peers
        if not only or peer.name == scenario.reference or any(part in peer.name for part in only)
    )
    return replace(scenario, peers=(*peers, *map(configured, settings)))


def _run(args: argparse.Namespace) -> int:
    folder: Path = args.folder.resolve()
    run = Run(this_machine())
    driver = Driver(folder, run.machine, args.rounds, _say)
    out = args.out or folder / "results.json"
    if args.add and out.exists():
        run = replace(Run.load(out), machine=run.machine)
    for name in args.scenarios:
        scenario = chosen(SCENARIOS[name], args.only, args.settings)
        if args.seconds:
            scenario = shortened(scenario, args.seconds)
        default = GPU_MODELS if name == "gpu" else scenario.models or MODELS
        for model in args.models or default:
            run = run.extended(driver.run(scenario, model))
            run.save(out)
    print(report(run))
    _say(f"raw results: {out}")
    failed = any(row.failed for result in run.results for row in result.rows)
    return EXIT_FAILED if failed else 0


def _render(results: Path, page: Path, name: str) -> int:
    text = placed(page.read_text(encoding="utf-8"), name, report(Run.load(results)))
    page.write_text(text, encoding="utf-8")
    return 0


def _list() -> int:
    for scenario in SCENARIOS.values():
        print(f"{scenario.name}: {scenario.title}. {scenario.text}")
        for peer in scenario.peers:
            print(f"  {peer.name}")
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
