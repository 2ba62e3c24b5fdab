"""Speak the corpus with espeak-ng and flite into a shard of 16 kHz utterances with word times.

    python render.py OUT.npz --count 8000 --seed 1
    python render.py HELD_OUT.npz --count 600 --seed 1 --held-out

Needs libespeak-ng and the program `flite` (Debian packages espeak-ng and flite).
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
from functools import cache
from pathlib import Path
from typing import Final

import corpus
from speech import RATE_HZ, Utterance, save_shard
from voices import Espeak, say

LANGUAGE_WEIGHTS: Final = (2, 1, 1)
MIN_SAMPLES: Final = RATE_HZ // 4


@cache
def _espeak() -> Espeak:
    """This process's espeak-ng; the library is not safe to share."""
    return Espeak()


def render_one(task: tuple[int, int, bool]) -> Utterance:
    """One random sentence by one random voice, the same for the same (seed, index, held_out)."""
    seed, index, held_out = task
    rng = random.Random(f"{'held out' if held_out else 'training'} {seed} {index}")
    sentence = corpus.draw_for(rng, held_out)
    language = rng.choices(corpus.LANGUAGES, weights=LANGUAGE_WEIGHTS)[0]
    return say(_espeak(), sentence, language, rng, held_out)


def render(seed: int, count: int, held_out: bool, processes: int) -> list[Utterance]:
    """Utterances in an order that depends on the seed alone."""
    tasks = ((seed, index, held_out) for index in range(count))
    with multiprocessing.Pool(processes) as pool:
        return [u for u in pool.imap(render_one, tasks, chunksize=32) if u.pcm.size > MIN_SAMPLES]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=8000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--held-out", action="store_true", help="voices and sentences for tests")
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    utterances = render(args.seed, args.count, args.held_out, args.processes)
    save_shard(args.out, utterances)
    hours = sum(u.duration_s for u in utterances) / 3600
    timed = sum(bool(u.words) for u in utterances) / len(utterances)
    print(f"{len(utterances)} utterances, {hours:.2f} h, {timed:.1%} with word times")


if __name__ == "__main__":
    main()
