"""The zh-TW service, as its documentation calls it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.audio_files import FORMATS, encode, encode_video
from tests.support.callers import CALLERS, Told, get, send_bytes, send_form
from tests.support.live_server import SPEECH, LiveServer, live_server

from verbatim.domain.units import SAMPLE_RATE_HZ
from verbatim.engine.fake import FAKE_DESCRIPTION, FakeEngine
from verbatim.stages.decode_audio import decode_all

SIMPLIFIED = "头发 发展"
TRADITIONAL = "頭髮 發展"
NAMED = {
    "mp3": "mp3",
    "wav": "wav-s16",
    "ogg": "ogg-vorbis",
    "flac": "flac",
    "m4a": "m4a",
    "mp4": "",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("server")
    with live_server(folder, FakeEngine(lambda window: SIMPLIFIED)) as server:
        yield server


def send_file(server: LiveServer, caller: str = "requests", **fields: str) -> Told:
    return send_form(caller, f"{server.url}/transcribe/file", SPEECH, {"language": "zh", **fields})


@pytest.mark.parametrize("caller", CALLERS)
def test_a_file(server: LiveServer, caller: str) -> None:
    told = send_file(server, caller)
    assert told.status == 200
    assert set(told.body) == {"success", "text", "process_time"}
    assert told.body["success"] is True
    assert told.body["text"] == TRADITIONAL
    assert told.body["process_time"] >= 0


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("wanted", ["true", "false"])
def test_timestamps(server: LiveServer, caller: str, wanted: str) -> None:
    body = send_file(server, caller, timestamps=wanted).body
    if wanted == "false":
        assert "segments" not in body
        return
    (segment,) = body["segments"]
    assert set(segment) == {"start", "end", "text"}
    assert segment["text"] == TRADITIONAL
    assert 0 <= segment["start"] < segment["end"] <= 2.2


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("query", ["ext=ogg", "ext=.OGG", "ext=wav", "ext=../../etc", ""])
def test_the_bytes_themselves(server: LiveServer, tmp_path: Path, caller: str, query: str) -> None:
    url = f"{server.url}/transcribe/binary?language=zh&{query}"
    told = send_bytes(caller, url, SPEECH.read_bytes(), tmp_path)
    assert told.status == 200
    assert told.body["text"] == TRADITIONAL
    assert set(told.body) == {"success", "text", "process_time"}


@pytest.mark.parametrize("caller", CALLERS)
def test_the_bytes_with_all_parameters(server: LiveServer, tmp_path: Path, caller: str) -> None:
    query = "model=verbatim-demo&ext=ogg&timestamps=true&language=zh"
    url = f"{server.url}/transcribe/binary?{query}"
    body = send_bytes(caller, url, SPEECH.read_bytes(), tmp_path).body
    assert [segment["text"] for segment in body["segments"]] == [TRADITIONAL]


@pytest.mark.parametrize("name", NAMED)
def test_the_formats_it_names(server: LiveServer, tmp_path: Path, name: str) -> None:
    content = encoded(name)
    url = f"{server.url}/transcribe/binary?ext={name}&language=zh"
    assert send_bytes("requests", url, content, tmp_path).body["text"] == TRADITIONAL
    path = tmp_path / f"speech.{name}"
    path.write_bytes(content)
    told = send_form("requests", f"{server.url}/transcribe/file", path, {"language": "zh"})
    assert told.body["text"] == TRADITIONAL


def encoded(name: str) -> bytes:
    """The speech in another format; as the sound of a film for mp4."""
    samples, *_ = decode_all(SPEECH)
    if name == "mp4":
        return encode_video(samples, SAMPLE_RATE_HZ)
    by_name = {known.name: known for known in FORMATS}
    return encode(by_name[NAMED[name]], samples, SAMPLE_RATE_HZ)


def test_an_identical_file_is_known(tmp_path: Path) -> None:
    with live_server(tmp_path, FakeEngine(lambda window: SIMPLIFIED), cache=True) as server:
        answers = [send_file(server) for _ in range(2)]
    assert [told.headers["x-verbatim-cache"] for told in answers] == ["miss", "hit"]
    assert {told.body["text"] for told in answers} == {TRADITIONAL}


@pytest.mark.parametrize(
    ("script", "text"), [("as_spoken", SIMPLIFIED), ("s2tw", TRADITIONAL), ("t2s", SIMPLIFIED)]
)
def test_another_script_on_request(server: LiveServer, script: str, text: str) -> None:
    assert send_file(server, script=script).body["text"] == text


def test_other_dialects_write_as_spoken(server: LiveServer) -> None:
    assert server.post(language="zh").json()["text"] == SIMPLIFIED


def test_other_languages_are_left_alone(tmp_path: Path) -> None:
    # Japanese without kana; its 国 is no Simplified Chinese.
    description = replace(FAKE_DESCRIPTION, languages=("ja", "zh"))
    with live_server(
        tmp_path, FakeEngine(lambda window: "国会", description=description)
    ) as server:
        assert send_file(server, language="ja").body["text"] == "国会"
        assert send_file(server, language="zh").body["text"] == "國會"


@pytest.mark.parametrize("caller", CALLERS)
def test_failures(server: LiveServer, tmp_path: Path, caller: str) -> None:
    form, binary = f"{server.url}/transcribe/file", f"{server.url}/transcribe/binary"
    text = tmp_path / "notes.txt"
    text.write_text("no audio at all")
    cases = [
        (send_form(caller, form, text), 415),
        (send_form(caller, form, SPEECH, {"model": "no-such-model"}), 404),
        (send_form(caller, form, SPEECH, {"model": "large-v3"}), 404),
        (send_form(caller, form, SPEECH, {"timestamps": "maybe"}), 400),
        (send_bytes(caller, binary, b"no audio", tmp_path), 415),
        (send_bytes(caller, binary, b"", tmp_path), 415),
        (send_bytes(caller, f"{binary}?timestamps=maybe", b"x", tmp_path), 400),
        (send_bytes(caller, f"{binary}?model=no-such-model", SPEECH.read_bytes(), tmp_path), 404),
        (send_form(caller, binary, SPEECH), 415),
        (get(caller, form), 405),
    ]
    for told, status in cases:
        assert told.status == status
        assert set(told.body) == {"success", "error"}
        assert told.body["success"] is False
        assert told.body["error"]


def test_a_bad_parameter_is_told_before_the_upload_is_read(server: LiveServer) -> None:
    with server.client() as client:
        answer = client.post(
            "/transcribe/binary?language=klingon", content=SPEECH.read_bytes()
        ).json()
    assert answer["success"] is False
    assert "klingon" in answer["error"]


def test_a_missing_file(server: LiveServer) -> None:
    with server.client() as client:
        answer = client.post("/transcribe/file", files={"other": b"x"})
    assert answer.status_code == 400
    assert answer.json() == {
        "success": False,
        "error": "The form holds no file; send the recording as file.",
    }


@pytest.mark.parametrize("way", ["file", "binary", "chunked"])
def test_too_large(tmp_path: Path, way: str) -> None:
    with live_server(tmp_path, max_upload_bytes=1000) as server, server.client() as client:
        if way == "file":
            answer = client.post("/transcribe/file", files={"file": SPEECH.read_bytes()})
        elif way == "binary":
            answer = client.post("/transcribe/binary", content=SPEECH.read_bytes())
        else:
            # Its length is not announced.
            answer = client.post("/transcribe/binary", content=iter([b"x" * 600, b"y" * 600]))
    assert answer.status_code == 413
    assert answer.json()["error"].startswith("The file is larger than 1000 bytes")


def test_a_key_is_asked_for_where_keys_are(tmp_path: Path) -> None:
    with live_server(tmp_path, api_key="secret") as server:
        url = f"{server.url}/transcribe/binary"
        told = send_bytes("requests", url, SPEECH.read_bytes(), tmp_path)
        assert told.status == 401
        assert told.body["success"] is False
        with server.client(headers={"x-api-key": "secret"}) as client:
            answer = client.post("/transcribe/binary", content=SPEECH.read_bytes())
        assert answer.status_code == 200


@pytest.mark.parametrize("caller", CALLERS)
def test_the_models(server: LiveServer, caller: str) -> None:
    told = get(caller, f"{server.url}/models")
    assert told.status == 200
    assert "verbatim-demo" in [model["name"] for model in told.body["models"]]
    assert told.body["default"] == "verbatim-demo"
