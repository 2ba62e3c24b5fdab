"""How fast this machine is: recordings one after another, then several at once."""

from __future__ import annotations

import asyncio
import resource
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

import av
import typer

from verbatim.cli.bench_report import Speed, print_speeds, speed_json
from verbatim.cli.bench_runs import Stopwatch, TimedRun
from verbatim.cli.console import print_json, say_error, size
from verbatim.domain.errors import VerbatimError
from verbatim.engine.protocol import EngineDescription

BUNDLED: Final = Path(__file__).parents[1] / "assets" / "bench" / "minute.ogg"
BUNDLED_LABEL: Final = "bundled speech"
REPEATS: Final = 5
"""Of the bundled minute, so that there are windows enough for a few batches."""
_KIB: Final = 1024


@dataclass(frozen=True, slots=True)
class Crowd:
    """One recording, asked for several times at once.

    Attributes:
        audio_s: of all together.
        took_s: until the last was done.
        answers_s: until each was done, rising.
    """

    audio_s: float
    took_s: float
    answers_s: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Measured:
    """What was found.

    Attributes:
        runs: by the recordings' labels.
        crowd: None where it was not asked for, or nothing could be transcribed.
        memory_bytes: the most that this process held.
    """

    description: EngineDescription
    runs: Mapping[str, TimedRun]
    crowd: Crowd | None
    memory_bytes: int


@contextmanager
def bundled_recording() -> Iterator[Path]:
    """The bundled minute several times over, as a file."""
    with TemporaryDirectory(prefix="verbatim-bench-") as folder:
        path = Path(folder) / "speech.ogg"
        _repeat(BUNDLED, path)
        yield path


def _repeat(source: Path, path: Path) -> None:
    """Write a recording's packets `REPEATS` times, one after the other, without coding again."""
    with av.open(str(path), "w") as out:
        offset = 0
        written = None
        for _ in range(REPEATS):
            with av.open(str(source)) as track:
                stream = track.streams.audio[0]
                written = written or out.add_stream_from_template(stream)
                end = offset
                for packet in track.demux(stream):
                    if packet.pts is None or packet.dts is None:
                        continue
                    packet.pts += offset
                    packet.dts += offset
                    end = packet.pts + (packet.duration or 0)
                    packet.stream = written
                    out.mux(packet)
                offset = end


async def measure(
    stopwatch: Stopwatch,
    description: EngineDescription,
    recordings: Mapping[str, Path],
    at_once: int,
) -> Measured:
    """Transcribe recordings one after another, then one of them several times at once.

    One that fails is told of and left out.

    Args:
        stopwatch: with the model.
        description: of the model.
        recordings: by their labels; of none, the bundled speech is taken.
        at_once: how often the shortest (the bundled minute) is asked for at the same time; 0
            leaves that out.
    """
    with ExitStack() as kept:
        paths = recordings or {BUNDLED_LABEL: kept.enter_context(bundled_recording())}
        runs: dict[str, TimedRun] = {}
        for label, path in paths.items():
            try:
                runs[label] = await stopwatch.time(path)
            except VerbatimError as error:
                say_error(f"{label}: {error.message}")
    crowd = None
    if runs and at_once:
        shortest = min(runs, key=lambda label: runs[label].transcript.duration_s)
        crowd = await _crowd(stopwatch, recordings.get(shortest, BUNDLED), at_once)
    return Measured(description, runs, crowd, peak_memory_bytes())


async def _crowd(stopwatch: Stopwatch, path: Path, count: int) -> Crowd:
    runs = await asyncio.gather(*(stopwatch.time(path) for _ in range(count)))
    answers_s = tuple(sorted(run.took_s for run in runs))
    return Crowd(sum(run.transcript.duration_s for run in runs), answers_s[-1], answers_s)


def peak_memory_bytes() -> int:
    """The most that this process has held, in main memory."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * _KIB


def print_measured(measured: Measured, *, as_json: bool) -> None:
    """What was measured, and with what."""
    if as_json:
        _print_json(measured)
        return
    description = measured.description
    typer.echo(
        f"{description.model} on {description.device}: {description.compute_type}, encoder "
        f"{description.encoder}, {_count(description.replicas, 'worker')}, batches of "
        f"{description.batch_size}"
    )
    print_speeds(measured.runs)
    if crowd := measured.crowd:
        pace = Speed(crowd.audio_s, crowd.took_s).times_real_time
        typer.echo(
            f"{len(crowd.answers_s)} at once: {crowd.audio_s:.2f} s of audio in "
            f"{crowd.took_s:.2f} s ({pace:.1f}x); half of the answers within "
            f"{median(crowd.answers_s):.2f} s"
        )
    typer.echo(f"memory: {size(measured.memory_bytes)} at most")


def _print_json(measured: Measured) -> None:
    description = measured.description
    for label, run in measured.runs.items():
        said = {"language": run.transcript.language, "text": run.transcript.text}
        print_json({"file": label, **speed_json([run]), "first_s": run.first_s, **said})
    total: dict[str, object] = {
        "total": speed_json(list(measured.runs.values())),
        "engine": {
            "model": description.model,
            "device": description.device,
            "compute_type": description.compute_type,
            "encoder": description.encoder,
            "workers": description.replicas,
            "batch_size": description.batch_size,
        },
        "memory_bytes": measured.memory_bytes,
    }
    if crowd := measured.crowd:
        total["at_once"] = {
            "count": len(crowd.answers_s),
            "audio_s": crowd.audio_s,
            "took_s": crowd.took_s,
            "answers_s": crowd.answers_s,
        }
    print_json(total)


def _count(number: int, name: str) -> str:
    return f"{number} {name}" if number == 1 else f"{number} {name}s"
