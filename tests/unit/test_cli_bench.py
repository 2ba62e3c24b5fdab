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

from verbatim.cli.bench import AT_ONCE
from verbatim.cli.bench_report import Comparison, Speed, compare
from verbatim.cli.bench_runs import CountingEngine, TimedRun, WindowCounts
from verbatim.cli.bench_speed import BUNDLED, BUNDLED_LABEL, REPEATS, bundled_recording
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
from verbatim.stages.decode_audio import decode_all
from verbatim.stages.error_rate import ErrorRate

ONE, TWO = (str(each.path) for each in speech("short", "en", 2))
LONG = str(speech("long", "en", 1)[0].path)
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
    engine_line, head, row, total, crowd, memory = bench(ONE).stdout.splitlines()
    assert engine_line == "fake on cpu: float32, encoder ctranslate2, 1 worker, batches of 4"
    assert cells(head) == [
        *("FILE", "AUDIO", "TIME", "REAL TIME", "FIRST TEXT", "WINDOWS", "SHORT", "AGAIN")
    ]
    assert (cells(row)[0], cells(row)[5:]) == (ONE, ["1", "1", "0"])
    assert cells(row)[4].endswith(" s")
    assert cells(total)[0] == "1 recording"
    assert crowd.startswith(f"{AT_ONCE} at once: ")
    assert memory.startswith("memory: ")
    (engine,) = engines
    assert len(engine.windows) == 1 + AT_ONCE
    assert engine.closed


def test_programs_get_the_speed_as_json(engines: list[FakeEngine]) -> None:
    one, total = map(json.loads, bench(ONE, "--json", "--at-once", "3").stdout.splitlines())
    assert one["text"] == WRONG
    assert 0 < one["first_s"] <= one["took_s"]
    assert total["total"]["windows"] == 1
    assert total["engine"]["encoder"] == "ctranslate2"
    assert total["memory_bytes"] > 0
    crowd = total["at_once"]
    assert (crowd["count"], len(crowd["answers_s"])) == (3, 3)
    assert crowd["audio_s"] == pytest.approx(3 * one["audio_s"])
    assert crowd["took_s"] == max(crowd["answers_s"])


def test_the_shortest_recording_is_asked_for_at_once(engines: list[FakeEngine]) -> None:
    lines = bench(LONG, ONE, "--json", "--at-once", "2").stdout.splitlines()
    _, one, total = map(json.loads, lines)
    assert total["at_once"]["audio_s"] == pytest.approx(2 * one["audio_s"])


def test_several_at_once_can_be_left_out(engines: list[FakeEngine]) -> None:
    assert "at once" not in bench(ONE, "--at-once", "0").stdout
    assert len(engines[0].windows) == 1


def test_bundled_speech_is_measured_where_no_recording_is_named(
    engines: list[FakeEngine],
) -> None:
    one, total = map(json.loads, bench("--json", "--at-once", "1").stdout.splitlines())
    assert one["file"] == BUNDLED_LABEL
    minute_s = total["at_once"]["audio_s"]
    assert one["audio_s"] == pytest.approx(REPEATS * minute_s, abs=0.5)
    assert minute_s == pytest.approx(63.1, abs=0.1)


def test_bundled_speech_is_the_minute_over_and_over() -> None:
    minute, _, _ = decode_all(BUNDLED)
    with bundled_recording() as path:
        whole, _, warnings = decode_all(path)
    assert warnings == ()
    assert not path.exists()
    last = whole[-len(minute) :]
    # Opus hears what was before, so the beginning differs a little.
    assert np.corrcoef(last, minute)[0, 1] > 0.99


def test_a_comparison_needs_recordings(engines: list[FakeEngine]) -> None:
    assert "Name recordings" in bench("--short-context", status=2).stderr
    assert engines == []


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
