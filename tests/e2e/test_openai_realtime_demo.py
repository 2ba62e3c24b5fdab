"""`verbatim serve` with the demo model; OpenAI's client speaks to it as a microphone does."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.support.fake_process import ServerProcess, server_process
from tests.support.live_server import wait_until
from tests.support.realtime_client import CLIENT_WARNING, COMPLETED, PIECE_S, Realtime, realtime
from tests.support.speech import error_rate, samples_of, speech

from verbatim.domain.audio import Samples

pytestmark = pytest.mark.filterwarnings(CLIENT_WARNING)

VERBATIM = str(Path(sys.executable).with_name("verbatim"))
READY_S = 60.0
MOST_ERRORS = 0.2
"""The model's own tests are stricter; here it matters that the text is what was said."""
RATE = 16_000


@pytest.fixture(name="server", scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    data = tmp_path_factory.mktemp("data")
    with server_process([VERBATIM, "serve"], VERBATIM_DATA_DIR=str(data)) as server:
        with server.client() as client:
            wait_until(lambda: client.get("/ready").status_code == 200, READY_S)
        yield server


def speak(talk: Realtime, samples: Samples) -> threading.Thread:
    """Send audio as it would be spoken, from a thread of its own."""

    def send() -> None:
        began_s = time.monotonic()
        size = round(PIECE_S * RATE)
        for number, first in enumerate(range(0, len(samples), size)):
            time.sleep(max(0.0, began_s + number * PIECE_S - time.monotonic()))
            talk.play(samples[first : first + size])

    thread = threading.Thread(target=send)
    thread.start()
    return thread


@pytest.mark.parametrize("language", ["en", "zh", "ko"])
def test_a_sentence_as_it_is_spoken(server: ServerProcess, language: str) -> None:
    (file,) = speech("short", language, 1)
    samples = np.concatenate([samples_of(file.name), np.zeros(RATE, np.float32)])
    with realtime(server.url) as talk:
        assert talk.events[0]["session"]["warnings"][0]["code"] == "demo_model"
        talk.update(transcription={"model": "whisper-1", "language": language})
        speaking = speak(talk, samples)
        talk.hear_until(COMPLETED)
        speaking.join()
        talk.connection.input_audio_buffer.commit()
        talk.hear_until(COMPLETED)
    assert error_rate([(file.text, " ".join(talk.texts), language)]) <= MOST_ERRORS
