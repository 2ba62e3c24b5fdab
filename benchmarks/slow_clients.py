"""What a thousand slow clients cost a good one: `python -m benchmarks.slow_clients --help`.

A good client has a recording transcribed again and again, on one connection: while nobody else is
there, while slowhttptest attacks a small server beside this one, which shows what the attack costs
any server of this machine, and while it attacks this one. The phases take turns, so that a machine
that becomes slower meanwhile changes nothing. A file of times joins several short runs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Final

import httpx

from verbatim.cli.loadtest_run import percentile

CONNECTIONS: Final = 1000
LONGEST_S: Final = 120.0
WARM_UP: Final = 10
PAUSE_S: Final = 1.5
"""For the connections of an attack to end."""
MS: Final = 1000
BIG_BYTES: Final = 200_000
"""About what this server answers at /openapi.json."""
ATTACKS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "slow heads": ("-H", "-i", "5", "-u", "/"),
        "slow bodies": ("-B", "-i", "5", "-s", "1000000", "-f", "audio/wav", "-u", "/v1/listen"),
        "slow readers": (
            *("-X", "-w", "10", "-y", "20", "-n", "5", "-z", "32", "-k", "3"),
            *("-u", "/openapi.json"),
        ),
    }
)
"""slowhttptest's arguments, the last one a path."""


async def _stand_in() -> None:
    """Serve as little as can be served, and say where."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if head.startswith(b"POST"):
                    while await reader.read(65_536):
                        pass
                body = bytes(BIG_BYTES if b"openapi" in head else 0)
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=CONNECTIONS)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def stand_in() -> Iterator[str]:
    """The address of the small server, for the time of a context."""
    command = [sys.executable, "-m", "benchmarks.slow_clients", "--stand-in"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.kill()


@contextmanager
def attacked(url: str, attack: str, rate: int) -> Iterator[None]:
    """Somebody's slow clients, for the time of a context."""
    *arguments, path = ATTACKS[attack]
    command = ["slowhttptest", "-c", str(CONNECTIONS), "-r", str(rate), "-l", str(int(LONGEST_S))]
    with subprocess.Popen(
        [*command, *arguments, url + path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield
        finally:
            process.kill()
    time.sleep(PAUSE_S)


class GoodClient:
    """Has one recording transcribed, and takes the time.

    Args:
        url: of the server.
        file: the recording.
    """

    def __init__(self, url: str, file: Path) -> None:
        self._http = httpx.Client(base_url=url, timeout=LONGEST_S)
        self._recording = file.read_bytes()

    def times_s(self, seconds: float) -> list[float]:
        """How long each answer took, for so many seconds."""
        taken: list[float] = []
        until_s = time.perf_counter() + seconds
        while (began_s := time.perf_counter()) < until_s:
            self.ask()
            taken.append(time.perf_counter() - began_s)
        return taken

    def ask(self) -> None:
        """Have it transcribed once."""
        answer = self._http.post(
            "/v1/audio/transcriptions",
            files={"file": ("recording", self._recording)},
            data={"model": "whisper-1"},
            headers={"cache-control": "no-cache, no-store"},
        )
        answer.raise_for_status()


PHASES: Final = ("alone", "beside", "attacked")

Times = dict[str, dict[str, list[float]]]
"""In seconds, of each phase of each attack."""


def measure(
    url: str, file: Path, attacks: Sequence[str], seconds: float, rounds: int, rate: int
) -> Times:
    """Have the good client ask through all phases."""
    client = GoodClient(url, file)
    for _ in range(WARM_UP):
        client.ask()
    httpx.get(f"{url}/openapi.json").raise_for_status()
    times: Times = {attack: {phase: [] for phase in PHASES} for attack in attacks}
    with stand_in() as other:
        for attack in attacks:
            phases = times[attack]
            for _ in range(rounds):
                phases["alone"] += client.times_s(seconds)
                with attacked(other, attack, rate):
                    phases["beside"] += client.times_s(seconds)
                phases["alone"] += client.times_s(seconds)
                with attacked(url, attack, rate):
                    phases["attacked"] += client.times_s(seconds)
    return times


def joined(one: Times, other: Times) -> Times:
    """The times of both."""
    return {
        attack: {
            phase: one.get(attack, {}).get(phase, []) + other.get(attack, {}).get(phase, [])
            for phase in PHASES
        }
        for attack in ATTACKS
        if attack in one or attack in other
    }


def table(times: Times) -> Iterator[str]:
    """Rows of a Markdown table, one for each attack."""
    yield "| attack | alone, ms | beside it, ms | attacked, ms |"
    yield "| --- | ---: | ---: | ---: |"
    for attack, phases in times.items():
        yield f"| {attack} | {' | '.join(_told(phases[phase]) for phase in PHASES)} |"


def _told(times_s: Sequence[float]) -> str:
    middle, high = (percentile(times_s, percent) * MS for percent in (50, 99))
    return f"{middle:.0f} (p99 {high:.0f}, n {len(times_s)})"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="of the server, without a path")
    parser.add_argument("--file", type=Path, help="a recording")
    parser.add_argument("--seconds", type=float, default=15, help="of each phase")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rate", type=int, default=100, help="connections a second")
    parser.add_argument("--attack", choices=ATTACKS, action="append", help="default: all of them")
    parser.add_argument("--times", type=Path, help="a file of times of earlier runs, to add to")
    parser.add_argument("--stand-in", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    if args.stand_in:
        asyncio.run(_stand_in())
    if args.url is None or args.file is None:
        parser.error("--url and --file are needed")
    if shutil.which("slowhttptest") is None:
        parser.error("slowhttptest is not installed; Debian has it in a package of that name")
    attacks = args.attack or tuple(ATTACKS)
    url = args.url.rstrip("/")
    times = measure(url, args.file, attacks, args.seconds, args.rounds, args.rate)
    if args.times is not None:
        if args.times.exists():
            times = joined(json.loads(args.times.read_text()), times)
        args.times.write_text(json.dumps(times))
    print("\n".join(table(times)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
