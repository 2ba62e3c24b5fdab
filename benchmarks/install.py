"""Install the peers into this environment, each for itself: `python -m benchmarks.install`.

One that cannot be installed is named, and the benchmark lists it as absent.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from itertools import chain

from benchmarks.peers import EVERYBODY, LIVE_INSTALLS, Peer


def calls(peers: Iterable[Peer]) -> tuple[tuple[str, ...], ...]:
    """What pip is told to install, one call after the other, none twice."""
    return tuple(dict.fromkeys(chain.from_iterable(peer.installs for peer in peers)))


def main() -> None:
    """Command line."""
    for packages in (*calls(EVERYBODY), *LIVE_INSTALLS):
        command = [sys.executable, "-m", "pip", "install", "--quiet", *packages]
        done = subprocess.run(command, check=False)
        if done.returncode:
            print(f"not installed: {' '.join(packages)}; the benchmark goes on without it")


if __name__ == "__main__":
    main()
