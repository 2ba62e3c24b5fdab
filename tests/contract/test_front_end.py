"""A front end passes recordings on: the same transcript, failures told, other back ends tried."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs
from tests.support.live_server import SPEECH, Hold, LiveServer, live_server, wait_until
from tests.support.odd_back_end import (
    OLDER,
    OURS,
    Reply,
    event_reply,
    json_reply,
    odd_back_end,
)

from verbatim.domain.errors import (
    BadRequestError,
    InternalError,
    ModelNotFoundError,
    ModelUnavailableError,
    NotAudioError,
    OverloadedError,
    UnavailableError,
    VerbatimError,
)
from verbatim.domain.events import Finished, SegmentReady, Started, TranscriptionEvent
from verbatim.domain.live import LiveOptions
from verbatim.domain.request import DecodeOptions, Script, Task, TranscriptionRequest
from verbatim.domain.transcript import Transcript
from verbatim.engine.catalog import Catalog
from verbatim.engine.fake import FakeEngine
from verbatim.forwarding.back_end import BackEnd
from verbatim.forwarding.back_ends import KNOWN_S, BackEnds
from verbatim.forwarding.front_end import front_end_settings, open_front_end
from verbatim.pipeline.service import Recording, TranscriptionService
from verbatim.settings import Settings

WORDS = TranscriptionRequest(decode=DecodeOptions(language="zh", word_timestamps=True))
NOBODY = "http://127.0.0.1:9"
SEGMENT = {
    "id": 0,
    "seek": 0,
    "start": 0.0,
    "end": 1.0,
    "text": " One.",
    "language": None,
    "temperature": 0.0,
    "avg_logprob": -0.1,
    "compression_ratio": 1.0,
    "no_speech_prob": 0.0,
    "tokens": [1],
    "words": None,
}
STARTED = {"type": "started", "model": "tiny", "duration_s": 2.0, "joined": False}


@pytest.fixture(scope="module")
def back_end(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    engine = FakeEngine(lambda window: "头发 two three")
    with live_server(tmp_path_factory.mktemp("back"), engine) as server:
        yield server


@asynccontextmanager
async def front_end(*urls: str, **settings: object) -> AsyncIterator[TranscriptionService]:
    given = front_end_settings(Settings(backend_url=list(urls), **settings))  # type: ignore[arg-type]  # any setting
    async with open_front_end(given, Catalog(given)) as service:
        yield service


async def events_of(
    service: TranscriptionService,
    request: TranscriptionRequest = WORDS,
    source: Path | bytes = SPEECH,
) -> list[TranscriptionEvent]:
    run = await service.start(Recording(source), request)
    return [event async for event in run.events()]


async def transcript_of(
    service: TranscriptionService,
    request: TranscriptionRequest = WORDS,
    source: Path | bytes = SPEECH,
) -> Transcript:
    *_, last = await events_of(service, request, source)
    assert isinstance(last, Finished)
    return last.transcript


@pytest.mark.parametrize("source", [SPEECH, SPEECH.read_bytes()], ids=["path", "bytes"])
async def test_the_transcript_is_that_of_the_back_end(
    back_end: LiveServer, source: Path | bytes
) -> None:
    async with front_end(back_end.url) as service:
        events = await events_of(service, source=source)
    assert isinstance(events[0], Started)
    said = [event.segment for event in events if isinstance(event, SegmentReady)]
    assert isinstance(events[-1], Finished)
    told = events[-1].transcript
    assert told.segments == tuple(said)
    assert told.text == "头发 two three"
    assert (told.language, told.model, told.task) == ("zh", "fake", Task.TRANSCRIBE)
    assert told.language_probability == 1.0
    assert told.duration_s == pytest.approx(2.171, abs=0.01)
    assert 0 < told.speech_duration_s <= told.duration_s
    assert [word.text for word in told.words] == [" 头发", " two", " three"]
    assert told.words[0].start < told.words[0].end <= told.words[1].start
    assert told.segments[0].tokens == (0, 1, 2)
    assert told.segments[0].avg_logprob == pytest.approx(-0.1)


async def test_the_options_arrive(back_end: LiveServer) -> None:
    decode = DecodeOptions(language="zh", task=Task.TRANSLATE, beam_size=2, initial_prompt="So,")
    async with front_end(back_end.url) as service:
        await transcript_of(service, TranscriptionRequest(decode=decode))
        traditional = TranscriptionRequest(decode=WORDS.decode, script=Script.S2T)
        assert (await transcript_of(service, traditional)).text.startswith("頭髮")
    options = back_end.engine.windows[-2].options
    assert (options.task, options.beam_size, options.initial_prompt) == (Task.TRANSLATE, 2, "So,")


async def test_the_next_one_where_one_cannot_be_reached(back_end: LiveServer) -> None:
    with capture_logs() as logs:
        async with front_end(NOBODY, back_end.url) as service:
            assert (await transcript_of(service)).text
    told = {line["event"]: line for line in logs}
    assert told["a back end cannot be reached"]["back_end"] == NOBODY
    assert told["work is passed on"]["back_end"] == back_end.url


async def test_none_can_be_reached() -> None:
    async with front_end(NOBODY, "http://127.0.0.1:10") as service:
        with pytest.raises(UnavailableError) as caught:
            await transcript_of(service)
    assert caught.value.message.startswith(
        f"No back end can be reached: {NOBODY} (connection refused), http://127.0.0.1:10 ("
    )
    assert caught.value.retry_after_s == 10


async def test_one_that_says_nothing_is_given_up(
    back_end: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("verbatim.forwarding.back_end.CHECK_S", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        async with front_end(url) as service:
            with pytest.raises(UnavailableError, match="it does not answer"):
                await transcript_of(service)
        async with front_end(url, back_end.url) as service:
            assert (await transcript_of(service)).text


async def test_one_that_is_silent_for_too_long(tmp_path: Path) -> None:
    hold = Hold()
    options = {"heartbeat_s": 60.0}
    with live_server(tmp_path, FakeEngine(interruption=hold), options) as server:
        async with front_end(server.url, backend_silence_s=1.5) as service:
            with pytest.raises(UnavailableError, match="it does not answer"):
                await transcript_of(service)
        await asyncio.to_thread(wait_until, lambda: hold.cancelled == 1)


async def test_a_back_end_that_works_for_long_is_heard(tmp_path: Path) -> None:
    hold = Hold()
    options = {"heartbeat_s": 0.1}
    with live_server(tmp_path, FakeEngine(interruption=hold), options) as server:
        async with front_end(server.url, backend_silence_s=2.0) as service:
            task = asyncio.create_task(transcript_of(service))
            await asyncio.sleep(3)
            hold.release()
            assert (await task).text


async def test_one_that_comes_later_is_found(tmp_path: Path) -> None:
    with odd_back_end("/other", json_reply({})) as nothing:
        url = nothing.url
    async with front_end(url) as service:
        with pytest.raises(UnavailableError, match="No back end can be reached"):
            await transcript_of(service)
        # The same address, now with a server behind it.
        reply = event_reply([STARTED, {"type": "queued", "position": 1}, done()])
        with odd_back_end(OURS, reply, port=int(url.rpartition(":")[2])):
            assert (await transcript_of(service)).text == "One."


async def test_what_is_no_audio(back_end: LiveServer) -> None:
    async with front_end(NOBODY, back_end.url) as service:
        with pytest.raises(NotAudioError, match="not audio or video"):
            await transcript_of(service, source=b"no audio")


async def test_a_model_that_none_has(back_end: LiveServer) -> None:
    async with front_end(back_end.url) as service:
        with pytest.raises(ModelNotFoundError, match="no-such-model"):
            await transcript_of(service, TranscriptionRequest(model="no-such-model"))


async def test_what_cannot_be_passed_on(back_end: LiveServer) -> None:
    request = TranscriptionRequest(decode=DecodeOptions(token_logprobs=True))
    async with front_end(back_end.url) as service:
        with pytest.raises(BadRequestError, match="log probabilities"):
            await transcript_of(service, request)


async def test_the_key(tmp_path: Path) -> None:
    with live_server(tmp_path, api_key="inner") as server:
        async with front_end(server.url, backend_api_key="inner") as service:
            assert (await transcript_of(service)).text
        async with front_end(server.url, backend_api_key="wrong") as service:
            with pytest.raises(UnavailableError, match="backend_api_key"):
                await transcript_of(service)


async def test_one_that_is_busy_is_passed_by(tmp_path: Path, back_end: LiveServer) -> None:
    hold = Hold()
    folder = tmp_path / "busy"
    with live_server(folder, FakeEngine(interruption=hold), max_running=1, max_waiting=0) as busy:
        async with front_end(busy.url, back_end.url) as service:
            waiting = asyncio.create_task(
                transcript_of(service, TranscriptionRequest(decode=DecodeOptions(beam_size=2)))
            )
            await asyncio.to_thread(wait_until, lambda: hold.held == 1)
            # The other one has less to do, and is asked first.
            assert (await transcript_of(service)).text == "头发 two three"
            hold.release()
            await waiting
        hold = Hold()
        busy.engine._interruption = hold
        async with front_end(busy.url) as alone:
            first = asyncio.create_task(transcript_of(alone))
            await asyncio.to_thread(wait_until, lambda: hold.held == 1)
            with pytest.raises(OverloadedError):
                await transcript_of(alone, TranscriptionRequest(decode=DecodeOptions(beam_size=3)))
            hold.release()
            await first


async def test_who_leaves_here_leaves_there(tmp_path: Path) -> None:
    hold = Hold()
    with live_server(tmp_path, FakeEngine(interruption=hold)) as server:
        async with front_end(server.url) as service:
            task = asyncio.create_task(transcript_of(service))
            await asyncio.to_thread(wait_until, lambda: hold.held == 1)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await asyncio.to_thread(wait_until, lambda: hold.cancelled == 1)


async def test_one_that_breaks_off_before_it_said_anything(back_end: LiveServer) -> None:
    with odd_back_end(OURS, event_reply([STARTED])) as odd:
        async with front_end(odd.url, back_end.url) as service:
            assert (await transcript_of(service)).text == "头发 two three"
    assert [path for path, _ in odd.posted] == [OURS]


async def test_one_that_breaks_off_in_the_middle(back_end: LiveServer) -> None:
    reply = event_reply([STARTED, {"type": "segment", "segment": SEGMENT}])
    with odd_back_end(OURS, reply) as odd:
        async with front_end(odd.url, back_end.url) as service:
            with pytest.raises(UnavailableError, match="lost in the middle"):
                await transcript_of(service)


@pytest.mark.parametrize(
    "reply",
    [
        event_reply([{"type": "segment"}]),
        event_reply(["what"]),
        event_reply([]),
        json_reply({"text": "One."}),
    ],
)
async def test_one_that_is_not_understood(reply: Reply) -> None:
    with odd_back_end(OURS, reply) as odd:
        async with front_end(odd.url) as service:
            with pytest.raises(UnavailableError, match="No back end can be reached"):
                await transcript_of(service)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"type": "invalid_request_error", "code": "not_audio"}, NotAudioError),
        ({"type": "invalid_request_error", "code": None}, BadRequestError),
        ({"type": "rate_limit_error", "code": "overloaded"}, OverloadedError),
        ({"type": "server_error", "code": None}, InternalError),
    ],
)
async def test_an_error_after_the_answer_began(
    error: dict[str, str | None], kind: type[VerbatimError]
) -> None:
    told = {"type": "error", "error": {"message": "This is why.", "param": None, **error}}
    with odd_back_end(OURS, event_reply([STARTED, told])) as odd:
        async with front_end(odd.url) as service:
            with pytest.raises(kind, match="This is why"):
                await transcript_of(service)


@pytest.mark.parametrize("model", ["auto", "turbo"])
async def test_the_older_service(model: str) -> None:
    body = {"success": True, "text": "一二", "process_time": 1.5, "segments": [
        {"start": 0.5, "end": 1.5, "text": "头"}, {"start": 1.5, "end": 2.0, "text": "发"},
    ]}  # fmt: skip
    with odd_back_end(OLDER, json_reply(body)) as odd:
        async with front_end(odd.url) as service:
            told = await transcript_of(
                service, TranscriptionRequest(model=model, script=Script.S2T)
            )
    assert told.text == "頭發"
    assert [(segment.start, segment.end) for segment in told.segments] == [(0.5, 1.5), (1.5, 2.0)]
    assert (told.language, told.duration_s) == ("zh", 2.0)
    ((path, form),) = odd.posted
    assert path == OLDER
    assert SPEECH.read_bytes() in form
    assert (b"turbo" in form) == (model == "turbo")


async def test_the_older_service_fails() -> None:
    reply = json_reply({"success": False, "error": "檔案有問題"}, 400)
    with odd_back_end(OLDER, reply) as odd:
        async with front_end(odd.url) as service:
            with pytest.raises(BadRequestError, match="檔案有問題"):
                await transcript_of(service)


async def test_what_is_no_back_end_at_all() -> None:
    with odd_back_end("/other", json_reply({})) as odd:
        async with front_end(odd.url) as service:
            with pytest.raises(UnavailableError, match="neither a Verbatim nor a zh-TW service"):
                await transcript_of(service)


async def test_live_speech_is_refused_in_words(back_end: LiveServer) -> None:
    async with front_end(back_end.url) as service:
        with pytest.raises(ModelUnavailableError, match="no live speech"):
            await service.live.open(LiveOptions(), owner="")


def done() -> dict[str, object]:
    transcript = {
        "object": "transcript",
        "text": "One.",
        "task": "transcribe",
        "language": "en",
        "language_probability": 1.0,
        "duration_s": 1.0,
        "speech_duration_s": 1.0,
        "model": "tiny",
        "processing_s": 0.1,
        "segments": [SEGMENT],
        "warnings": [{"code": "from_the_future", "message": "?", "start": None, "end": None}],
    }
    return {"type": "done", "transcript": transcript}


class Network:
    """Back ends that are there or not; each request to one is noted."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.up: set[str] = set()
        self.asked: list[str] = []
        self.client = httpx.AsyncClient(transport=httpx.MockTransport(self._answer))
        known = [BackEnd(f"http://{name}", self.client) for name in ("one", "two")]
        self.back_ends = BackEnds(known, lambda: self.now_s)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path)
        if request.url.host not in self.up:
            raise httpx.ConnectError("nobody there", request=request)
        return httpx.Response(405)


async def test_one_that_is_there_is_enough() -> None:
    network = Network()
    reason = await network.back_ends.obstacle()
    assert reason is not None
    assert "http://one" in reason
    assert "http://two" in reason
    network.up = {"two"}
    network.now_s += KNOWN_S
    assert await network.back_ends.obstacle() is None
    await network.client.aclose()


async def test_what_is_known_of_them_is_told_for_a_second() -> None:
    network = Network()
    together = await asyncio.gather(*(network.back_ends.obstacle() for _ in range(10)))
    assert len(set(together)) == 1
    assert network.asked == ["/v1/transcripts"] * 2
    network.up, network.now_s = {"one", "two"}, KNOWN_S / 2
    assert await network.back_ends.obstacle() is not None
    for _ in range(2):
        network.now_s += KNOWN_S
        assert await network.back_ends.obstacle() is None
    assert len(network.asked) <= 6
    # The address that is not noted in logs, once it is known who they are.
    assert network.asked[-1] == "/health"
    await network.client.aclose()
