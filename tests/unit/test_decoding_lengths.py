"""Windows are encoded at a length that fits them; what is in doubt there is done again in full."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.support.scripted_model import TOKENIZER, Heard, Said, Script, ScriptedModel, said

from verbatim.domain.audio import Window
from verbatim.domain.request import DecodeOptions
from verbatim.domain.transcript import WindowResult
from verbatim.domain.units import SAMPLE_RATE_HZ
from verbatim.engine.decoding import Decoder
from verbatim.engine.features import FeatureExtractor
from verbatim.engine.lengths import FULL_LENGTH_S, SHORT_LENGTHS_S

GREEDY = DecodeOptions(beam_size=1, temperatures=(0.0, 0.2, 0.4))
MELS = 80


def window(duration_s: float, options: DecodeOptions = GREEDY) -> Window:
    noise = np.random.default_rng(0).integers(-3_000, 3_000, round(duration_s * SAMPLE_RATE_HZ))
    return Window(noise.astype(np.int16), options=options)


def decoder(model: ScriptedModel, lengths_s: tuple[float, ...] = SHORT_LENGTHS_S) -> Decoder:
    return Decoder(model, TOKENIZER, FeatureExtractor(MELS), ("en", "ko"), lengths_s)


def run(decoder: Decoder, windows: list[Window]) -> list[WindowResult]:
    return decoder.run([decoder.make_ready(each) for each in windows])


def well(heard: Heard, temperature: float) -> Said:
    """Text that names the window, and the length at which it was heard."""
    text = f"window of {heard.duration_s:g} at {heard.length_s:g}"
    return said(text, 0.0, heard.duration_s)


def doubtful_when_short(*durations_s: float) -> Script:
    """These windows are a guess unless they are encoded in full."""

    def script(heard: Heard, temperature: float) -> Said:
        guess = heard.duration_s in durations_s and heard.length_s < 30
        return replace(well(heard, temperature), logprob=-1.5 if guess else -0.2)

    return script


def text(result: WindowResult) -> str:
    return "".join(segment.text for segment in result.segments).strip()


def test_a_window_costs_what_it_is_long() -> None:
    model = ScriptedModel(well)
    results = run(decoder(model), [window(1), window(5), window(9), window(29)])
    assert [result.encoded_s for result in results] == [7, 7, 12, 30]
    assert [text(result) for result in results] == [
        "window of 1 at 7",
        "window of 5 at 7",
        "window of 9 at 12",
        "window of 29 at 30",
    ]
    assert model.encoded == [
        (Heard(1, 7), Heard(5, 7)),
        (Heard(9, 12),),
        (Heard(29, 30),),
    ]


def test_what_is_in_doubt_is_heard_again_in_full_with_the_others() -> None:
    model = ScriptedModel(doubtful_when_short(5, 9))
    windows = [window(9), window(29), window(1), window(5)]
    results = run(decoder(model), windows)
    assert [result.encoded_s for result in results] == [30, 30, 7, 30]
    assert model.encoded[-1] == (Heard(9, 30), Heard(29, 30), Heard(5, 30))
    assert len(model.encoded) == 3
    in_full = run(decoder(ScriptedModel(doubtful_when_short(5, 9)), FULL_LENGTH_S), windows)
    assert [results[n] for n in (0, 1, 3)] == [in_full[n] for n in (0, 1, 3)]


def test_what_is_provisional_is_left_out_where_it_is_in_doubt() -> None:
    model = ScriptedModel(doubtful_when_short(5, 9))
    soon = replace(GREEDY, provisional=True)
    results = run(decoder(model), [window(5, soon), window(5), window(3, soon), window(29, soon)])
    assert [text(result) for result in results] == [
        "",
        "window of 5 at 30",
        "window of 3 at 7",
        "window of 29 at 30",
    ]
    assert model.encoded[-1] == (Heard(5, 30), Heard(29, 30))


def test_a_short_length_is_tried_once_and_the_full_one_at_every_temperature() -> None:
    def never(heard: Heard, temperature: float) -> Said:
        return replace(well(heard, temperature), logprob=-1.5 + temperature)

    model = ScriptedModel(never)
    (result,) = run(decoder(model), [window(3)])
    assert model.generated == [
        ((Heard(3, 7),), 0.0),
        ((Heard(3, 30),), 0.0),
        ((Heard(3, 30),), 0.2),
        ((Heard(3, 30),), 0.4),
    ]
    assert (result.temperature, result.needed_fallback) == (0.4, True)


@pytest.mark.parametrize(
    "odd",
    [
        said("it goes on and on", 0.0, 7.0),
        said("only the beginning", 0.0, 1.0),
        said("twice over, twice over", 0.0, 5.0),
        said("invented", 0.0, 5.0, logprob=-1.2, no_speech=0.9),
        Said(said("cut", 0.0, 3.0).tokens + said("off", 3.0, 3.0).tokens[:1]),
        Said(said("", 0.0, 5.0).tokens[:1]),
    ],
)
def test_odd_text_is_not_believed(odd: Said) -> None:
    model = ScriptedModel(
        lambda heard, temperature: odd if heard.length_s < 30 else well(heard, temperature)
    )
    (result,) = run(decoder(model), [window(5)])
    assert text(result) == "window of 5 at 30"


def test_a_language_that_is_not_sure_is_asked_about_in_full() -> None:
    def languages(heard: Heard) -> list[tuple[str, float]]:
        unsure = heard.duration_s == 4 and heard.length_s < 30
        return [("en", 0.4), ("ko", 0.3)] if unsure else [("ko", 0.8), ("en", 0.2)]

    model = ScriptedModel(well, languages)
    results = run(decoder(model), [window(3), window(4)])
    assert [result.language for result in results] == ["ko", "ko"]
    assert [result.encoded_s for result in results] == [7, 30]
    # Nothing was decoded in a language that might be wrong.
    assert model.generated == [((Heard(3, 7),), 0.0), ((Heard(4, 30),), 0.0)]


def test_a_language_that_is_given_is_not_asked_about() -> None:
    model = ScriptedModel(well, lambda _: [])
    (result,) = run(decoder(model), [window(3, replace(GREEDY, language="en"))])
    assert (result.language, result.encoded_s) == ("en", 7)


def test_words_are_aligned_at_the_length_that_was_believed() -> None:
    model = ScriptedModel(doubtful_when_short(4))
    timed = replace(GREEDY, word_timestamps=True)
    results = run(decoder(model), [window(3, timed), window(4, timed), window(5)])
    assert model.aligned == [((Heard(3, 7),), (300,)), ((Heard(4, 30),), (400,))]
    assert [bool(result.segments[0].words) for result in results] == [True, True, False]


def test_full_length_alone_is_what_it_always_was() -> None:
    model = ScriptedModel(well)
    results = run(decoder(model, FULL_LENGTH_S), [window(3), window(29)])
    assert model.encoded == [(Heard(3, 30), Heard(29, 30))]
    assert {result.encoded_s for result in results} == {30}


def test_a_result_does_not_depend_on_what_shares_its_batch() -> None:
    windows = [window(each) for each in (2, 8, 13, 17, 22, 30)]
    together = run(decoder(ScriptedModel(doubtful_when_short(8, 17))), windows)
    alone = [run(decoder(ScriptedModel(doubtful_when_short(8, 17))), [each])[0] for each in windows]
    assert together == alone


def test_a_trial_computes_once_at_the_shortest_length_whatever_comes_out() -> None:
    model = ScriptedModel(lambda heard, temperature: said("", 0.0, 1.0))
    decoder(model).try_out()
    [[encoded]] = model.encoded
    assert encoded.length_s == SHORT_LENGTHS_S[0]
    assert model.generated == [((encoded,), 0.0)]
