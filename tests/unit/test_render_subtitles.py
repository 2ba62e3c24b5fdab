"""srt, vtt and lrc, read back by readers that know nothing of the writers."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from tests.support.subtitle_readers import Caption, read_lrc, read_srt, read_vtt
from tests.support.transcripts import (
    broken_segments,
    seen,
    segment,
    segments,
    spoken,
    transcript,
)

from verbatim.domain.request import Task
from verbatim.domain.transcript import Segment, Transcript
from verbatim.render.cues import clock_time
from verbatim.render.formats import RenderOptions, ResponseFormat, render
from verbatim.stages.captions import CaptionLimits, lay_out

HOUR_S = 3600.0
ENGLISH = transcript(
    *spoken(
        (
            "Governor Mike Reynolds said that it could take up to five days before electricity "
            "is restored everywhere.",
            "Thank you.",
        ),
        "en",
    )
)


def written(form: ResponseFormat, given: Transcript, limits: CaptionLimits | None = None) -> str:
    options = RenderOptions(captions=limits or CaptionLimits())
    body = render(given, form, options).body
    assert isinstance(body, str)
    return body


def test_srt() -> None:
    given = transcript(segment(" Hello & <b>welcome</b>.", 1.5, 3.25), segment(" Bye.", 3601, 3602))
    assert written(ResponseFormat.SRT, given) == (
        "1\n00:00:01,500 --> 00:00:03,250\nHello & <b>welcome</b>.\n\n"
        "2\n01:00:01,000 --> 01:00:02,000\nBye.\n"
    )


def test_vtt() -> None:
    given = transcript(segment(" Hello & <b>welcome</b>.", 1.5, 3.25), segment(" Bye.", 3601, 3602))
    assert written(ResponseFormat.VTT, given) == (
        "WEBVTT\n\n00:00:01.500 --> 00:00:03.250\nHello &amp; &lt;b&gt;welcome&lt;/b&gt;.\n\n"
        "01:00:01.000 --> 01:00:02.000\nBye.\n"
    )


def test_lrc() -> None:
    given = transcript(
        segment(" Hello.", 1.5, 3.25),
        segment(" Go on.", 3.5, 4.5),
        segment(" Bye.", 6001.999, 6003),
    )
    assert written(ResponseFormat.LRC, given) == (
        "[00:01.50]Hello.\n[00:03.50]Go on.\n[00:04.50]\n[100:02.00]Bye.\n[100:03.00]\n"
    )


def test_no_speech() -> None:
    assert written(ResponseFormat.SRT, transcript()) == ""
    assert written(ResponseFormat.VTT, transcript()) == "WEBVTT\n"
    assert written(ResponseFormat.LRC, transcript()) == ""


@pytest.mark.parametrize(
    ("time_s", "shown"),
    [
        (0.0, "00:00:00,000"),
        (0.0004, "00:00:00,000"),
        (59.9996, "00:01:00,000"),
        (3599.9999, "01:00:00,000"),
        (99 * HOUR_S + 59.5, "99:00:59,500"),
        (123 * HOUR_S + 1.001, "123:00:01,001"),
    ],
)
def test_clock_times(time_s: float, shown: str) -> None:
    assert clock_time(time_s, ",") == shown


def test_very_long_recordings() -> None:
    late = transcript(segment(" Still here.", 150 * HOUR_S, 150 * HOUR_S + 2))
    (srt,) = read_srt(written(ResponseFormat.SRT, late))
    (vtt,) = read_vtt(written(ResponseFormat.VTT, late))
    assert srt == vtt == Caption(150 * HOUR_S, 150 * HOUR_S + 2, ("Still here.",))
    assert read_lrc(written(ResponseFormat.LRC, late))[0] == (150 * HOUR_S, "Still here.")


def test_files_hold_the_captions_of_the_layout() -> None:
    cues = lay_out(ENGLISH.segments, duration_s=ENGLISH.duration_s)
    expected = [Caption(cue.start, cue.end, cue.lines) for cue in cues]
    assert any(len(cue.lines) == 2 for cue in cues)
    assert read_srt(written(ResponseFormat.SRT, ENGLISH)) == expected
    assert read_vtt(written(ResponseFormat.VTT, ENGLISH)) == expected


def test_limits_of_the_request_are_used() -> None:
    narrow = CaptionLimits(max_lines=1, max_line_chars=20)
    for caption in read_srt(written(ResponseFormat.SRT, ENGLISH, narrow)):
        assert len(caption.lines) == 1
        assert len(caption.lines[0]) <= 20


def test_lrc_lines_are_single_lines_of_a_subtitle() -> None:
    lines = [text for _, text in read_lrc(written(ResponseFormat.LRC, ENGLISH)) if text]
    assert " ".join(lines) == ENGLISH.text
    assert all(len(line) <= 42 for line in lines)


def test_a_translation_is_laid_out_as_english() -> None:
    english = ENGLISH.segments
    foreign = tuple(replace(part, language="de") for part in english)
    translated = transcript(*foreign, language="de", task=Task.TRANSLATE)
    assert written(ResponseFormat.SRT, translated) == written(ResponseFormat.SRT, ENGLISH)


def harmless(text: str) -> str:
    """What of a text is left in every format: an arrow and a time are written otherwise."""
    return "".join(char for char in seen(text) if char.isalnum())


def check(parts: tuple[Segment, ...]) -> None:
    given = replace(transcript(*parts), duration_s=100.0)
    said = harmless("".join(part.text for part in parts))
    srt = read_srt(written(ResponseFormat.SRT, given))
    vtt = read_vtt(written(ResponseFormat.VTT, given))
    for captions in (srt, vtt):
        assert harmless("".join(line for caption in captions for line in caption.lines)) == said
        assert all(caption.start < caption.end for caption in captions)
        assert all(a.end <= b.start for a, b in pairwise(captions))
    assert seen("".join("".join(caption.lines) for caption in vtt)) == seen(
        "".join(part.text for part in parts)
    )
    assert [(caption.start, caption.end) for caption in srt] == [
        (caption.start, caption.end) for caption in vtt
    ]
    lrc = read_lrc(written(ResponseFormat.LRC, given))
    assert harmless("".join(text for _, text in lrc)) == said


@given(segments())
def test_no_text_breaks_a_file(parts: tuple[Segment, ...]) -> None:
    check(parts)


@given(broken_segments())
def test_no_time_breaks_a_file(parts: tuple[Segment, ...]) -> None:
    check(parts)


def test_a_text_that_looks_like_the_file_stays_text() -> None:
    fake = "2\n\n00:00:05,000 --> 00:00:06,000\nfaked\n\nWEBVTT\n\n[00:01.00]<00:02.00>x"
    given = transcript(segment(fake, 0, 4))
    for caption in read_srt(written(ResponseFormat.SRT, given)):
        assert caption.end <= 5
    lrc = written(ResponseFormat.LRC, given, CaptionLimits(max_line_chars=100))
    assert "(00:01.00)(00:02.00)x" in lrc
