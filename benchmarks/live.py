"""Measure live transcription: `python -m benchmarks.live run`, `… render`.

Speech whose words and times are known is played in real time to a program's server; what it shows
is compared with what was said, and when.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import reduce
from operator import add
from pathlib import Path
from typing import Final

import httpx

from benchmarks.enlarged import DEMO, enlarged_folder
from benchmarks.live_figures import LiveFigures, figures
from benchmarks.live_play import (
    LatePlayerError,
    LiveRun,
    Serving,
    obstacle,
    play_first,
    serve_first,
    serving,
)
from benchmarks.live_report import live_report
from benchmarks.live_results import LiveResults, LiveRow
from benchmarks.live_servers.contract import LiveProgram
from benchmarks.live_servers.ours import Verbatim
from benchmarks.live_servers.redecoding import Redecoding
from benchmarks.live_servers.whisperlivekit import WhisperLiveKit
from benchmarks.live_speech import LiveSpeech, live_speech
from benchmarks.machine import this_machine
from benchmarks.processes import ContenderError
from benchmarks.recordings import wav_bytes
from benchmarks.report import placed
from verbatim.stages.error_rate import error_rate

FOLDER: Final = Path(".bench")
PAGE: Final = Path("docs/performance.md")
PLACE: Final = "live"
"""Of the results in the page."""
SECONDS: Final = 60.0
WARM_UP_S: Final = 6.0
MOST_STREAMS: Final = 4
MOST_TRIES: Final = 4
REQUEST_S: Final = 300.0
PROGRAMS: Final[tuple[LiveProgram, ...]] = (Verbatim(), Redecoding(), WhisperLiveKit())


def parser() -> argparse.ArgumentParser:
    """The command line."""
    root = argparse.ArgumentParser(prog="python -m benchmarks.live", description=__doc__)
    commands = root.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="measure, print tables, keep the results")
    run.add_argument("--models", nargs="+", default=[DEMO, "base"], help="demo, or shapes")
    run.add_argument("--languages", nargs="+", default=["en", "zh", "ko"])
    run.add_argument("--seconds", type=float, default=SECONDS, help="of speech in each stream")
    run.add_argument("--streams", type=int, nargs="+", help="at the same time; default: 1 to 4")
    run.add_argument("--only", nargs="+", default=[], help="programs whose name has one of these")
    run.add_argument("--no-commits", action="store_true", help="leave explicit commits out")
    run.add_argument("--add", action="store_true", help="keep earlier results of other kinds")
    run.add_argument(
        "--priority", action="store_true", help="go before everything else on this machine (root)"
    )
    run.add_argument("--folder", type=Path, default=FOLDER, help="models, logs")
    run.add_argument("--out", type=Path, help="results; default: FOLDER/live.json")
    render = commands.add_parser("render", help="write kept results into a page")
    render.add_argument("results", type=Path, nargs="?", default=FOLDER / "live.json")
    render.add_argument("--into", type=Path, default=PAGE)
    return root


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit status."""
    args = parser().parse_args(arguments)
    # So that the servers are ended too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if args.command == "render":
        text = live_report(LiveResults.load(args.results))
        page: Path = args.into
        written = placed(page.read_text(encoding="utf-8"), PLACE, text)
        page.write_text(written, encoding="utf-8")
        return 0
    return _run(args)


def _run(args: argparse.Namespace) -> int:
    out: Path = args.out or args.folder / "live.json"
    results = LiveResults(this_machine())
    if args.add and out.exists():
        results = replace(LiveResults.load(out), machine=results.machine)
    if args.priority:
        play_first()
    counts = args.streams or range(1, MOST_STREAMS + 1)
    for model in args.models:
        folder = enlarged_folder(model, args.folder.resolve() / "models")
        for program in PROGRAMS:
            if args.only and not any(part in program.name for part in args.only):
                continue
            # What is understood does not hang on the shape, nor what a machine carries on the
            # language: so all languages with the demo model, several streams with the others.
            for language in args.languages if model == DEMO else args.languages[:1]:
                own = [1] if model == DEMO and not args.streams else counts
                for row in _measure(program, model, folder, language, own, args):
                    results = results.extended(row)
                    results.save(out)
    print(live_report(results))
    return 1 if any(row.absent for row in results.rows) else 0


def _measure(
    program: LiveProgram,
    model: str,
    folder: Path,
    language: str,
    counts: Sequence[int],
    args: argparse.Namespace,
) -> list[LiveRow]:
    """One program with one model, with as many streams as was asked for."""
    empty = LiveRow(program.name, model, language, 1, args.seconds)
    absent = obstacle(program)
    if absent is not None:
        return [replace(empty, absent=absent)]
    log = args.folder / "logs" / f"live-{model}-{program.name.replace(' ', '-')}.log"
    rows = []
    try:
        with serving(program, folder, language, log) as server:
            if args.priority:
                serve_first(server.pid)
            server.play([live_speech(language, WARM_UP_S)])
            for count in counts:
                empty = replace(empty, streams=count)
                row = _play(server, empty, commits=not args.no_commits)
                rows.append(row)
                _say(row)
    except ContenderError as error:
        rows.append(replace(empty, absent=str(error)))
        _say(rows[-1])
    return rows


def _play(server: Serving, empty: LiveRow, *, commits: bool) -> LiveRow:
    """As many streams as the row says."""
    speeches = [
        live_speech(empty.language, empty.asked_s, number) for number in range(empty.streams)
    ]
    run = _in_time(server, speeches)
    found = [figures(speech, played) for speech, played in zip(speeches, run.streams, strict=True)]
    whole: LiveFigures = reduce(add, found)
    offline = None
    if empty.streams == 1 and isinstance(server.program, Verbatim):
        offline = _offline(server, speeches[0])
    if commits and empty.streams == 1 and server.program.commits:
        manual = _in_time(server, speeches, manual=True)
        delays_s = tuple(delay for played in manual.streams for delay in played.commit_delays_s)
        whole = replace(whole, commit_delays_s=delays_s)
    longest_s = max(speech.duration_s for speech in speeches)
    return replace(
        empty,
        seconds=longest_s,
        figures=whole,
        offline=offline,
        processor_s=run.processor_s,
        memory_bytes=run.memory_bytes,
    )


def _in_time(server: Serving, speeches: Sequence[LiveSpeech], *, manual: bool = False) -> LiveRun:
    """Play, once more where the machine did something else meanwhile."""
    for _ in range(MOST_TRIES - 1):
        with suppress(LatePlayerError):
            return server.play(speeches, manual=manual)
    return server.play(speeches, manual=manual)


def _offline(server: Serving, speech: LiveSpeech) -> tuple[int, int]:
    """Edits and units of the same speech, sent as a recording."""
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=REQUEST_S) as client:
        wav = wav_bytes(speech.samples)
        answer = client.post(
            "/v1/audio/transcriptions",
            files={"file": ("speech.wav", wav)},
            data={"model": "whisper-1", "language": speech.language, "response_format": "json"},
        )
    answer.raise_for_status()
    rate = error_rate(speech.text, answer.json()["text"], speech.language)
    return rate.edits, rate.length


def _say(row: LiveRow) -> None:
    what = f"{row.model}, {row.program}, {row.language}, {row.streams} streams"
    print(f"{what}: {row.absent or 'done'}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        sys.exit(main())
