"""Real audio in, right text out: the demo model over rendered speech by voices it never heard.

The goal is 3 % of errors. What has not reached it (the sequential strategy, translation, cuts) is
held to what it reached, with some room, so that nothing gets worse unseen.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.support.speech import Speech, error_rate, samples_of, speech, units, wav

import verbatim
from verbatim.domain.events import Finished
from verbatim.domain.request import DecodeOptions, Strategy, Task, TranscriptionRequest
from verbatim.domain.transcript import Transcript, Word
from verbatim.engine.local import LocalEngine
from verbatim.engine.protocol import LoadOptions
from verbatim.engine.vad import SileroVad
from verbatim.pipeline.transcribe import Frontend, transcribe

MODEL = Path(verbatim.__file__).parent / "assets" / "demo-model"
LANGUAGES = ("en", "zh", "ko")
MOST_ERRORS = 0.03
MOST_ERRORS_ONE_SENTENCE = 0.04
MOST_ERRORS_UNKNOWN_LANGUAGE = 0.05
"""Of single sentences whose language has to be told first: one in fifty is taken for another."""
MOST_ERRORS_SEQUENTIAL = {"en": 0.04, "zh": 0.08, "ko": 0.1}
MOST_WRONG_LANGUAGES = 0.04
GREEDY = TranscriptionRequest(decode=DecodeOptions(beam_size=1))


@pytest.fixture(scope="module")
def engine() -> LocalEngine:
    return LocalEngine.load(MODEL, "verbatim-demo", LoadOptions(device="cpu"))


@pytest.fixture(scope="module")
def frontend() -> Frontend:
    return Frontend(SileroVad())


async def transcript(
    engine: LocalEngine, frontend: Frontend, source: Path | bytes, request: TranscriptionRequest
) -> Transcript:
    async for event in transcribe(source, request, engine, frontend):
        if isinstance(event, Finished):
            return event.transcript
    raise AssertionError("no end")


async def all_of(
    engine: LocalEngine, frontend: Frontend, files: list[Speech], request: TranscriptionRequest
) -> list[Transcript]:
    return [await transcript(engine, frontend, file.path, request) for file in files]


@pytest.mark.parametrize("language", LANGUAGES)
async def test_sentences_and_their_language(
    engine: LocalEngine, frontend: Frontend, language: str
) -> None:
    files = speech("short", language)
    found = await all_of(engine, frontend, files, GREEDY)
    wrong_languages = sum(t.language != language for t in found)
    assert wrong_languages <= MOST_WRONG_LANGUAGES * len(found)
    pairs = [(f.text, t.text, language) for f, t in zip(files, found, strict=True)]
    assert error_rate(pairs) <= MOST_ERRORS_UNKNOWN_LANGUAGE, wrong(pairs)


@pytest.mark.parametrize("language", LANGUAGES)
async def test_sentences_of_a_known_language(
    engine: LocalEngine, frontend: Frontend, language: str
) -> None:
    files = speech("short", language)
    request = replace(GREEDY, decode=replace(GREEDY.decode, language=language))
    found = await all_of(engine, frontend, files, request)
    pairs = [(f.text, t.text, language) for f, t in zip(files, found, strict=True)]
    assert error_rate(pairs) <= MOST_ERRORS_ONE_SENTENCE, wrong(pairs)


def wrong(pairs: list[tuple[str, str, str]]) -> list[tuple[str, str]]:
    return [(a, b) for a, b, language in pairs if units(a, language) != units(b, language)]


@pytest.mark.parametrize("strategy", list(Strategy))
@pytest.mark.parametrize("language", LANGUAGES)
async def test_long_recordings(
    engine: LocalEngine, frontend: Frontend, language: str, strategy: Strategy
) -> None:
    files = speech("long", language)
    found = await all_of(engine, frontend, files, replace(GREEDY, strategy=strategy))
    pairs = [(f.text, t.text, language) for f, t in zip(files, found, strict=True)]
    sequential = strategy is Strategy.SEQUENTIAL
    most = MOST_ERRORS_SEQUENTIAL[language] if sequential else MOST_ERRORS
    assert error_rate(pairs) <= most, wrong(pairs)
    for file, each in zip(files, found, strict=True):
        assert each.duration_s == pytest.approx(file.duration, abs=0.1)
        assert all(0 <= s.start <= s.end <= file.duration + 0.05 for s in each.segments)


@pytest.mark.parametrize("language", ["zh", "ko"])
async def test_translation_to_english(
    engine: LocalEngine, frontend: Frontend, language: str
) -> None:
    files = speech("short", language, 20)
    request = replace(GREEDY, decode=replace(GREEDY.decode, task=Task.TRANSLATE))
    found = await all_of(engine, frontend, files, request)
    pairs = [(f.sentences[0].english, t.text, "en") for f, t in zip(files, found, strict=True)]
    assert error_rate(pairs) <= 0.2, wrong(pairs)
    assert {t.task for t in found} == {Task.TRANSLATE}


async def test_a_prompt_does_no_harm(engine: LocalEngine, frontend: Frontend) -> None:
    files = speech("short", "en", 25)
    options = replace(GREEDY.decode, initial_prompt="Anna lives in Paris. It is sunny today.")
    found = await all_of(engine, frontend, files, replace(GREEDY, decode=options))
    pairs = [(f.text, t.text, "en") for f, t in zip(files, found, strict=True)]
    assert error_rate(pairs) <= MOST_ERRORS, wrong(pairs)


async def test_a_recording_in_three_languages(engine: LocalEngine, frontend: Frontend) -> None:
    request = replace(GREEDY, detect_language_per_window=True)
    for file in speech("mixed"):
        found = await transcript(engine, frontend, file.path, request)
        assert {s.language for s in found.segments} == set(LANGUAGES)
        said = [(s.language, s.text) for s in file.sentences]
        right = sum((s.language, s.text.strip()) in said for s in found.segments)
        assert right >= 0.8 * len(said), found.text


async def test_human_voices_say_digits(engine: LocalEngine, frontend: Frontend) -> None:
    files = speech("digits")
    found = await all_of(engine, frontend, files, GREEDY)
    pairs = [(f.text, t.text, "en") for f, t in zip(files, found, strict=True)]
    assert error_rate(pairs) <= 0.1, wrong(pairs)


async def test_words_are_where_they_are_said(engine: LocalEngine, frontend: Frontend) -> None:
    """Half of the words start within 50 ms of the truth, 95 % within 150 ms."""
    request = replace(GREEDY, decode=replace(GREEDY.decode, word_timestamps=True))
    errors: list[float] = []
    for file in (*speech("short", "en"), *speech("long", "en")):
        found = await transcript(engine, frontend, file.path, request)
        true = [word for sentence in file.sentences for word in sentence.words]
        errors += start_errors([(w.word, w.start) for w in true], found.words)
    assert len(errors) > 300
    median, late = np.percentile(errors, [50, 95])
    assert (median <= 0.05, late <= 0.15) == (True, True), (median, late)


def start_errors(true: list[tuple[str, float]], found: tuple[Word, ...]) -> list[float]:
    """Seconds between the true and the found start of each word that was recognised in order."""
    errors: list[float] = []
    at = 0
    for word, start in true:
        plain = "".join(units(word, "en"))
        for place in range(at, min(at + 3, len(found))):
            if "".join(units(found[place].text, "en")) == plain:
                errors.append(abs(found[place].start - start))
                at = place + 1
                break
    return errors


async def test_a_sentence_cut_at_its_end_gives_what_was_said(
    engine: LocalEngine, frontend: Frontend
) -> None:
    right = total = 0
    for file in speech("short", "en"):
        words = file.sentences[0].words
        if len(words) < 5:
            continue
        cut = words[len(words) // 2].end
        samples = samples_of(file.name)[: int((cut + 0.05) * 16_000)]
        found = await transcript(engine, frontend, wav(samples), GREEDY)
        said = " ".join(word.word for word in words[: len(words) // 2 + 1])
        right += sum(w in units(found.text, "en") for w in units(said, "en"))
        total += len(units(said, "en"))
    assert right >= 0.75 * total, (right, total)
