"""The real server: its model's process is killed while somebody speaks, and told to stop."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.fake_process import READY_S, ServerProcess, serving
from tests.support.live_client import LiveClient
from tests.support.speech import error_rate, samples_of, speech

RATE = 16_000
SPOKEN_S = 24.0
PROCESS_READY = "a model's process is ready"
MOST_ERRORS = 0.1
MOST_PAUSE_S = 20.0
"""Until the next text. It is about as long as a process that is kept ready takes to load the model:
0.9 s for the demo model where nothing else runs, several times that beside other tests."""


@pytest.fixture(name="server")
def _server(tmp_path: Path) -> Iterator[ServerProcess]:
    with serving(VERBATIM_SPOOL_DIR=str(tmp_path)) as server:
        yield server


def engine_pids(server: ServerProcess) -> list[int]:
    return [int(line["pid"]) for line in server.lines if line["message"] == PROCESS_READY]


def check_promises(messages: list[dict[str, Any]]) -> None:
    """What was committed before the engine died still stands."""
    committed: dict[int, str] = {}
    for message in messages:
        if message["type"] == "text":
            before = committed.get(message["utterance"], "")
            assert message["committed"] == before + message["delta"]
            committed[message["utterance"]] = message["committed"]


def test_a_kill_in_the_middle_of_speech_loses_no_word(server: ServerProcess) -> None:
    (file,) = speech("long", "en", 1)
    sentences = [s for s in file.sentences if s.end < SPOKEN_S]
    samples = samples_of(file.name)[: round((sentences[-1].end + 0.2) * RATE)]
    (pid,) = engine_pids(server)
    spare = server.told("a process is kept ready")
    with LiveClient(server.url) as client:
        client.start(language="en")

        def speak() -> None:
            for first in range(0, len(samples), RATE // 10):
                client.socket.send(
                    (samples[first : first + RATE // 10] * 32767).astype("<i2").tobytes()
                )
                time.sleep(0.05)
            client.say(type="finish")

        speaking = threading.Thread(target=speak)
        speaking.start()
        # Words are committed, more are on their way: now.
        while not client.hear_until("text")["committed"]:
            pass
        os.kill(pid, signal.SIGKILL)
        killed_s = time.monotonic()
        client.hear_until("text")
        assert time.monotonic() - killed_s < MOST_PAUSE_S
        told = [*client.messages, *client.hear_all()]
        speaking.join()
    check_promises([m for m in told if "seq" in m])
    assert not [m for m in told if m["type"] in {"failed", "error"}]
    assert client.close == (1000, "finished")
    text = " ".join(client.finals())
    expected = " ".join(sentence.text for sentence in sentences)
    assert error_rate([(expected, text, "en")]) < MOST_ERRORS
    assert engine_pids(server) == [pid, int(spare["pid"])]
    death = server.told("a model's process died")["death"]
    assert death.startswith("was ended by SIGKILL")


def test_a_stop_tells_what_was_said(server: ServerProcess) -> None:
    (file,) = speech("short", "en", 1)
    samples = samples_of(file.name)[: round(file.sentences[0].end * RATE)]
    with LiveClient(server.url) as client:
        client.start(language="en")
        client.play(samples)
        client.hear_until("speech_started")
        server.signal(signal.SIGTERM)
        list(client.hear_all())
    assert client.finals() == [file.text]
    assert client.close == (1001, "draining")
    assert server.exit_status(READY_S) == 0
