"""What is made of what a program told, with the true words beside it.

Everything is counted in units: words, or characters for languages whose errors are counted in them;
case and punctuation do not count.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from benchmarks.live_record import Played, Told
from benchmarks.live_speech import LiveSpeech
from verbatim.stages.error_rate import error_rate, error_units

CLEAR_PAUSE_S: Final = 1.0
"""Silence that makes a sentence an utterance of its own for every program."""


@dataclass(frozen=True, slots=True)
class LiveFigures:
    """Of one or several streams; times in seconds.

    Attributes:
        first_partials_s: from the beginning of each utterance's speech to its first text.
        shown_lags_s: from the end of each word to the moment from which on it stands there.
        commit_lags_s: from the end of each word to the moment from which on it is committed.
        finals_s: from the end of each utterance's speech until all of it is committed.
        endpoint_delays_s, commit_delays_s: see `Played`.
        words: units of the texts at the end.
        committed_changed: committed units that were taken back.
        shown_changed: units that were shown, committed or not, and taken back.
        errors: edits that lead from what was said to what was committed.
        spoken: units that were said.
    """

    first_partials_s: tuple[float, ...]
    shown_lags_s: tuple[float, ...]
    commit_lags_s: tuple[float, ...]
    finals_s: tuple[float, ...]
    endpoint_delays_s: tuple[float, ...]
    commit_delays_s: tuple[float, ...]
    words: int
    committed_changed: int
    shown_changed: int
    errors: int
    spoken: int

    def __add__(self, other: LiveFigures) -> LiveFigures:
        return LiveFigures(
            *(getattr(self, name) + getattr(other, name) for name in LiveFigures.__slots__)
        )


def figures(speech: LiveSpeech, played: Played) -> LiveFigures:
    """Of one stream; what was never told has no time, and counts as an error.

    Args:
        speech: that was played.
        played: what came back.
    """
    language = speech.language
    committed = [error_units(told.committed, language) for told in played.told]
    shown = [error_units(told.committed + told.tail, language) for told in played.told]
    final = committed[-1] if committed else []
    matches = matched([word.unit for word in speech.words], final)
    commit_times = standing_since(played.told, committed, final)
    shown_times = standing_since(played.told, shown, final)
    errors = error_rate(speech.text, played.told[-1].committed if played.told else "", language)
    return LiveFigures(
        first_partials_s=tuple(_first_partials(speech, played.told, shown, matches)),
        shown_lags_s=tuple(shown_times[j] - speech.words[i].end_s for i, j in matches),
        commit_lags_s=tuple(commit_times[j] - speech.words[i].end_s for i, j in matches),
        finals_s=tuple(_finals(speech, commit_times, matches)),
        endpoint_delays_s=played.endpoint_delays_s,
        commit_delays_s=played.commit_delays_s,
        words=len(final),
        committed_changed=taken_back(committed),
        shown_changed=taken_back(shown),
        errors=errors.edits,
        spoken=errors.length,
    )


def standing_since(
    told: Sequence[Told], texts: Sequence[Sequence[str]], final: Sequence[str]
) -> list[float]:
    """For each unit of the last text, the moment from which on it was at its place."""
    since = [np.inf] * len(final)
    standing = len(final)
    for one, text in zip(reversed(told), reversed(texts), strict=True):
        same = next(
            (
                place
                for place in range(standing)
                if place >= len(text) or text[place] != final[place]
            ),
            standing,
        )
        # A unit stands only where all before it do: a text that is one word off is another text.
        standing = same
        since[:standing] = [one.at_s] * standing
    return since


def taken_back(texts: Sequence[Sequence[str]]) -> int:
    """How many units of each text are not in the next one, in order."""
    return sum(
        len(before) - len(matched(before, after)) for before, after in itertools.pairwise(texts)
    )


def matched(expected: Sequence[str], found: Sequence[str]) -> list[tuple[int, int]]:
    """Places of a longest common subsequence (Wagner and Fischer 1974), rising in both."""
    head = 0
    while head < min(len(expected), len(found)) and expected[head] == found[head]:
        head += 1
    left, right = expected[head:], found[head:]
    table = np.zeros((len(left) + 1, len(right) + 1), np.int32)
    for i in reversed(range(len(left))):
        for j in reversed(range(len(right))):
            same = left[i] == right[j]
            table[i, j] = table[i + 1, j + 1] + 1 if same else max(table[i + 1, j], table[i, j + 1])
    pairs = [(place, place) for place in range(head)]
    i = j = 0
    while i < len(left) and j < len(right):
        if left[i] == right[j]:
            pairs.append((head + i, head + j))
            i, j = i + 1, j + 1
        elif table[i + 1, j] >= table[i, j + 1]:
            i += 1
        else:
            j += 1
    return pairs


def percentile(values: Sequence[float], percent: float) -> float | None:
    """Interpolated; None of nothing."""
    return float(np.percentile(values, percent)) if values else None


def _first_partials(
    speech: LiveSpeech,
    told: Sequence[Told],
    shown: Sequence[Sequence[str]],
    matches: Sequence[tuple[int, int]],
) -> list[float]:
    """Only of utterances before which it was silent for long enough, and that were shown at all."""
    delays = []
    for place, sentence in enumerate(speech.sentences):
        if sentence.before_s < CLEAR_PAUSE_S:
            continue
        before = [j for i, j in matches if speech.words[i].sentence < place]
        known = before[-1] + 1 if before else 0
        first = next(
            (
                one.at_s
                for one, text in zip(told, shown, strict=True)
                if one.at_s > sentence.start_s and len(text) > known
            ),
            None,
        )
        if first is not None:
            delays.append(first - sentence.start_s)
    return delays


def _finals(
    speech: LiveSpeech, commit_times: Sequence[float], matches: Sequence[tuple[int, int]]
) -> list[float]:
    """Of utterances after which it was silent for long enough."""
    delays = []
    for place, sentence in enumerate(speech.sentences):
        own = [commit_times[j] for i, j in matches if speech.words[i].sentence == place]
        if own and sentence.after_s >= CLEAR_PAUSE_S:
            delays.append(max(own) - sentence.end_s)
    return delays
