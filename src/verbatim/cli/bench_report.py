"""What `verbatim bench` prints: tables for people, JSON for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from verbatim.cli.bench_runs import TimedRun, WindowCounts
from verbatim.cli.console import print_columns, print_json, say
from verbatim.settings import variable
from verbatim.stages.error_rate import COUNTED_IN_CHARACTERS, ErrorRate, error_rate

Runs = Mapping[str, TimedRun]
"""What came of each recording, by its name."""

_NOTHING: Final = ErrorRate(0, 0)
_NO_WINDOWS: Final = WindowCounts()


@dataclass(frozen=True, slots=True)
class Speed:
    """How long recordings took; one, or several together."""

    audio_s: float = 0.0
    took_s: float = 0.0
    counts: WindowCounts = _NO_WINDOWS

    def __add__(self, other: Speed) -> Speed:
        return Speed(
            self.audio_s + other.audio_s, self.took_s + other.took_s, self.counts + other.counts
        )

    @property
    def times_real_time(self) -> float:
        """Seconds of audio a second; 0 where nothing was measured."""
        return self.audio_s / self.took_s if self.took_s else 0.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """Recordings transcribed twice; one, or several together.

    Attributes:
        full: everything encoded at 30 s.
        fitted: short windows encoded at a length that fits them.
        words: how far the second text is from the first, in languages that are counted in words.
        characters: the same for languages that are counted in characters.
    """

    full: Speed = Speed()
    fitted: Speed = Speed()
    words: ErrorRate = _NOTHING
    characters: ErrorRate = _NOTHING

    def __add__(self, other: Comparison) -> Comparison:
        return Comparison(
            self.full + other.full,
            self.fitted + other.fitted,
            self.words + other.words,
            self.characters + other.characters,
        )

    @property
    def same(self) -> bool:
        """Whether both texts say the same."""
        return not self.words.edits and not self.characters.edits


def speed(run: TimedRun) -> Speed:
    """Of one recording."""
    return Speed(run.transcript.duration_s, run.took_s, run.counts)


def compare(full: TimedRun, fitted: TimedRun) -> Comparison:
    """Two transcriptions of one recording; that at full length is taken for right."""
    language = full.transcript.language
    apart = error_rate(full.transcript.text, fitted.transcript.text, language)
    if language in COUNTED_IN_CHARACTERS:
        return Comparison(speed(full), speed(fitted), characters=apart)
    return Comparison(speed(full), speed(fitted), words=apart)


def print_speeds(runs: Runs) -> None:
    """Each recording's time, and all together."""
    each = {name: speed(run) for name, run in runs.items()}
    rows = [("FILE", "AUDIO", "TIME", "REAL TIME", "FIRST TEXT", "WINDOWS", "SHORT", "AGAIN")]
    for name, one in each.items():
        first_s = runs[name].first_s
        first = "-" if first_s is None else _seconds(first_s)
        rows.append((name, *_times(one), first, *_counts(one.counts)))
    total = sum(each.values(), Speed())
    rows.append((_together(each), *_times(total), "-", *_counts(total.counts)))
    print_columns(rows)


def speed_json(runs: Sequence[TimedRun]) -> dict[str, object]:
    """Recordings together, for programs."""
    one = sum(map(speed, runs), Speed())
    return {"audio_s": one.audio_s, "took_s": one.took_s, **_counts_json(one.counts)}


def print_comparison(full: Runs, fitted: Runs, *, as_json: bool) -> None:
    """Each recording that was transcribed both ways, and all together."""
    each = {name: compare(full[name], run) for name, run in fitted.items()}
    total = sum(each.values(), Comparison())
    if as_json:
        for name, one in each.items():
            texts = {"full": full[name].transcript.text, "fitted": fitted[name].transcript.text}
            print_json(
                {
                    "file": name,
                    "language": full[name].transcript.language,
                    **_comparison_json(one),
                    "texts": texts,
                }
            )
        print_json({"total": _comparison_json(total)})
        return
    rows = [("FILE", "AUDIO", "AT 30 S", "FITTED", "RATIO", "WINDOWS", "SHORT", "AGAIN", "APART")]
    for name, one in (*each.items(), (_together(each), total)):
        took = (_seconds(one.full.audio_s), _seconds(one.full.took_s), _seconds(one.fitted.took_s))
        rows.append((name, *took, _ratio(one), *_counts(one.fitted.counts), _apart(one)))
    print_columns(rows)
    differing = sum(not one.same for one in each.values())
    if differing:
        say(
            f"{differing} of {len(each)} texts differ; --json shows both. To have everything "
            f"encoded at 30 s: {variable('short_context')}=false."
        )
    else:
        say("The texts are the same.")


def _together(each: Mapping[str, object]) -> str:
    return "1 recording" if len(each) == 1 else f"{len(each)} recordings"


def _seconds(value_s: float) -> str:
    return f"{value_s:.2f} s"


def _times(one: Speed) -> tuple[str, str, str]:
    return _seconds(one.audio_s), _seconds(one.took_s), f"{one.times_real_time:.1f}x"


def _ratio(one: Comparison) -> str:
    return f"{one.full.took_s / one.fitted.took_s:.2f}x" if one.fitted.took_s else "-"


def _counts(counts: WindowCounts) -> tuple[str, str, str]:
    return str(counts.windows), str(counts.fitted), str(counts.again)


def _apart(one: Comparison) -> str:
    """Error rates in percent, of those kinds that there are."""
    kinds = {"WER": one.words, "CER": one.characters}
    shown = [f"{name} {_percent(rate)}" for name, rate in kinds.items() if rate != _NOTHING]
    return ", ".join(shown) or "-"


def _percent(rate: ErrorRate) -> str:
    return f"{100 * rate.edits / rate.length:.1f} %" if rate.length else f"+{rate.edits}"


def _counts_json(counts: WindowCounts) -> dict[str, object]:
    return {
        "windows": counts.windows,
        "short_windows": counts.fitted,
        "windows_again": counts.again,
    }


def _comparison_json(one: Comparison) -> dict[str, object]:
    return {
        "audio_s": one.full.audio_s,
        "full_s": one.full.took_s,
        "fitted_s": one.fitted.took_s,
        **_counts_json(one.fitted.counts),
        "words": asdict(one.words),
        "characters": asdict(one.characters),
    }
