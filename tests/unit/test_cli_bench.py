"""`verbatim bench`: what it measures, and how it tells."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.support.speech import speech
from typer.testing import CliRunner, Result

from verbatim.cli.bench_report import Comparison, Speed, compare
from verbatim.cli.bench_runs import CountingEngine, TimedRun, WindowCounts
from verbatim.cli.main import app
from verbatim.domain.audio import Window
from verbatim.domain.transcript import Segment, Transcript, WindowResult
from verbatim.domain.units import SAMPLE_RATE_HZ
from verbatim.engine.catalog import Catalog
from verbatim.engine.fake import FAKE_DESCRIPTION, FakeEngine
from verbatim.engine.known_models import DEMO_NAME
from verbatim.engine.lengths import FULL_LENGTH_S, SHORT_LENGTHS_S
from verbatim.engine.protocol import Engine
from verbatim.pipeline import local_service
from verbatim.settings import Settings
from verbatim.stages.error_rate import ErrorRate

ONE, TWO = (str(each.path) for each in speech("short", "en", 2))
RIGHT, WRONG = "one two three four", "one two tree four"


class Doubting(FakeEngine):
    """Does windows of less than two seconds again at full length."""

    async def run(self, windows: Sequence[Window]) -> list[WindowResult]:
        results = await super().run(windows)
        return [
            replace(result, encoded_s=30.0) if window.duration_s < 2 else result
            for window, result in zip(windows, results, strict=True)
        ]


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> list[FakeEngine]:
    """The engines that the command loads; where windows are fitted they hear one word wrong."""
    loaded: list[FakeEngine] = []

    async def load(settings: Settings, catalog: Catalog, name: str) -> Engine:
        assert (name, settings.engine) == (DEMO_NAME, "local")
        fitted = settings.short_context
        lengths_s = SHORT_LENGTHS_S if fitted else FULL_LENGTH_S
        description = replace(FAKE_DESCRIPTION, lengths_s=lengths_s)
        loaded.append(FakeEngine(lambda _: WRONG if fitted else RIGHT, description=description))
        return loaded[-1]

    monkeypatch.setattr(local_service, "load_engine", load)
    return loaded


def bench(*arguments: str, status: int = 0) -> Result:
    result = CliRunner().invoke(app, ["bench", DEMO_NAME, *arguments, "--offline"])
    assert result.exit_code == status, result.output
    return result


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


def test_both_ways_are_compared(engines: list[FakeEngine]) -> None:
    result = bench(ONE, TWO, "--short-context")
    head, *rows, total = map(cells, result.stdout.splitlines())
    assert head == [
        *("FILE", "AUDIO", "AT 30 S", "FITTED", "RATIO"),
        *("WINDOWS", "SHORT", "AGAIN", "APART"),
    ]
    assert [row[0] for row in rows] == [ONE, TWO]
    assert [row[5:] for row in rows] == [["1", "1", "0", "WER 25.0 %"]] * 2
    assert (total[0], total[5:]) == ("2 recordings", ["2", "2", "0", "WER 25.0 %"])
    assert "2 of 2 texts differ" in result.stderr
    assert "VERBATIM_SHORT_CONTEXT=false" in result.stderr
    # One model after the other, and none stays.
    assert [len(engine.windows) for engine in engines] == [2, 2]
    assert all(engine.closed for engine in engines)


def test_programs_get_the_texts(engines: list[FakeEngine]) -> None:
    lines = bench(ONE, "--short-context", "--json").stdout.splitlines()
    one, total = map(json.loads, lines)
    assert (one["file"], one["language"]) == (ONE, "en")
    assert one["texts"] == {"full": RIGHT, "fitted": WRONG}
    assert one["words"] == total["total"]["words"] == {"edits": 1, "length": 4}
    assert (one["windows"], one["short_windows"], one["windows_again"]) == (1, 1, 0)
    assert one["full_s"] > 0
    assert one["fitted_s"] > 0


def test_without_a_comparison_the_speed_is_told(engines: list[FakeEngine]) -> None:
    head, row, total = map(cells, bench(ONE).stdout.splitlines())
    assert head == ["FILE", "AUDIO", "TIME", "REAL TIME", "WINDOWS", "SHORT", "AGAIN"]
    assert (row[0], row[4:]) == (ONE, ["1", "1", "0"])
    assert total[0] == "1 recording"
    (engine,) = engines
    assert engine.closed
    one, _ = map(json.loads, bench(ONE, "--json").stdout.splitlines())
    assert one["text"] == WRONG


def test_a_recording_that_fails_is_left_out(engines: list[FakeEngine], tmp_path: Path) -> None:
    bad = tmp_path / "bad.wav"
    bad.write_text("this is no audio")
    result = bench(str(bad), ONE, "--short-context", status=1)
    assert f"error: {bad}: " in result.stderr
    assert result.stderr.count(str(bad)) == 1
    assert cells(result.stdout.splitlines()[1])[0] == ONE


def test_arguments_that_cannot_be_measured_are_refused(engines: list[FakeEngine]) -> None:
    assert "missing.wav: There is no such file." in bench("missing.wav", status=1).stderr
    assert "name files or folders" in bench("-", status=2).stderr
    assert engines == []


async def test_windows_are_counted() -> None:
    description = replace(FAKE_DESCRIPTION, lengths_s=SHORT_LENGTHS_S)
    engine = CountingEngine(Doubting(description=description))
    windows = [Window(np.zeros(length_s * SAMPLE_RATE_HZ, np.int16)) for length_s in (1, 5, 30)]
    assert len(await engine.run(windows)) == 3
    assert engine.counts == WindowCounts(windows=3, fitted=2, again=1)


def run(text: str, language: str, took_s: float) -> TimedRun:
    segment = Segment(0, 0, 0.0, 2.0, f" {text}", (1,), 0.0, -0.1, 1.0, 0.0)
    transcript = Transcript((segment,), language, 0.9, 4.0, 4.0, "fake")
    return TimedRun(transcript, took_s, WindowCounts(1, 1, 0))


def test_languages_are_counted_in_what_suits_them() -> None:
    english = compare(run("one two", "en", 2.0), run("one too", "en", 1.0))
    korean = compare(run("오늘은 좋아요", "ko", 2.0), run("오늘은 좋아", "ko", 1.0))
    assert (english.words, english.characters) == (ErrorRate(1, 2), ErrorRate(0, 0))
    assert (korean.words, korean.characters) == (ErrorRate(0, 0), ErrorRate(1, 6))
    both = sum((english, korean), Comparison())
    assert (both.words, both.characters) == (english.words, korean.characters)
    assert both.full == Speed(8.0, 4.0, WindowCounts(2, 2, 0))
    assert (both.full.times_real_time, both.fitted.times_real_time) == (2.0, 4.0)
    assert not both.same
