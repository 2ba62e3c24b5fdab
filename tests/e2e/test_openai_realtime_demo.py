"""`verbatim serve` with the demo model; OpenAI's client speaks to it as a microphone does."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from tests.support.fake_process import ServerProcess, serving
from tests.support.realtime_client import CLIENT_WARNING, COMPLETED, realtime
from tests.support.speech import error_rate, in_real_time, samples_of, speech

pytestmark = pytest.mark.filterwarnings(CLIENT_WARNING)

MOST_ERRORS = 0.2
"""The model's own tests are stricter; here it matters that the text is what was said."""
RATE = 16_000


@pytest.fixture(name="server", scope="module")
def _server() -> Iterator[ServerProcess]:
    with serving() as server:
        yield server


@pytest.mark.parametrize("language", ["en", "zh", "ko"])
def test_a_sentence_as_it_is_spoken(server: ServerProcess, language: str) -> None:
    (file,) = speech("short", language, 1)
    samples = np.concatenate([samples_of(file.name), np.zeros(RATE, np.float32)])
    with realtime(server.url) as talk:
        assert talk.events[0]["session"]["warnings"][0]["code"] == "demo_model"
        talk.update(transcription={"model": "whisper-1", "language": language})
        with in_real_time(talk.play, samples):
            talk.hear_until(COMPLETED)
        talk.connection.input_audio_buffer.commit()
        talk.hear_until(COMPLETED)
    assert error_rate([(file.text, " ".join(talk.texts), language)]) <= MOST_ERRORS
