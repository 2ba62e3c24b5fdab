"""`verbatim serve` with the demo model, driven by Deepgram's client."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from typing import Any

import numpy as np
import pytest
from tests.support.deepgram_client import RATE, client, listen
from tests.support.fake_process import ServerProcess, serving
from tests.support.speech import error_rate, in_real_time, samples_of, speech

MOST_ERRORS = 0.2
"""The model's own tests are stricter; here it matters that the text is what was said."""
WORD_START_S = 0.2


@pytest.fixture(name="server", scope="module")
def _server() -> Iterator[ServerProcess]:
    with serving() as server:
        yield server


@pytest.mark.parametrize("language", ["en", "zh", "ko"])
def test_a_sentence_as_it_is_spoken(server: ServerProcess, language: str) -> None:
    (file,) = speech("short", language, 1)
    samples = np.concatenate([samples_of(file.name), np.zeros(RATE, np.float32)])
    asked = {"language": language, "interim_results": "true", "smart_format": "true"}
    with (
        listen(server.url, **asked) as talk,
        in_real_time(talk.play, samples, talk.socket.send_close_stream),
    ):
        talk.hear_all()
    assert error_rate([(file.text, " ".join(talk.texts), language)]) <= MOST_ERRORS
    (metadata,) = talk.of("Metadata")
    assert [warning["type"] for warning in metadata["warnings"]] == ["demo_model"]


def test_a_recording(server: ServerProcess) -> None:
    (file,) = speech("long", "en", 1)
    with client(server.url) as deepgram:
        answer: Any = deepgram.listen.v1.media.transcribe_file(
            request=file.path.read_bytes(), model="nova-3", smart_format=True, utterances=True
        )
    (channel,) = answer.results.channels
    (only,) = channel.alternatives
    assert channel.detected_language == "en"
    assert error_rate([(file.text, only.transcript, "en")]) <= MOST_ERRORS
    sentences = [s for paragraph in only.paragraphs.paragraphs for s in paragraph.sentences]
    assert len(sentences) == pytest.approx(len(file.sentences), abs=2)
    assert len(answer.results.utterances) > 1
    spoken = [word for sentence in file.sentences for word in sentence.words]
    errors = [
        min(abs(told.start - true.start) for true in spoken if true.word.lower() == told.word)
        for told in only.words
        if told.word in {true.word.lower() for true in spoken}
    ]
    assert len(errors) > len(spoken) / 2
    assert median(errors) <= WORD_START_S
