"""The benchmark of live speech: what is played, what is made of what comes back, its page."""

from __future__ import annotations

import itertools
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from benchmarks.enlarged import DEMO, DEMO_FOLDER, enlarged, enlarged_folder
from benchmarks.live_figures import (
    LiveFigures,
    figures,
    matched,
    percentile,
    standing_since,
    taken_back,
)
from benchmarks.live_play import obstacle, serving
from benchmarks.live_record import Played, Told
from benchmarks.live_report import live_report
from benchmarks.live_results import LiveResults, LiveRow
from benchmarks.live_servers.contract import ServerCommand
from benchmarks.live_servers.ours import Verbatim
from benchmarks.live_speech import LiveSpeech, TrueSentence, TrueWord, live_speech
from benchmarks.machine import Machine
from benchmarks.processes import ContenderError
from benchmarks.random_weights import Weights
from benchmarks.shapes import SHAPES
from hypothesis import given
from hypothesis import strategies as st

from verbatim.domain.audio import Window
from verbatim.domain.request import DecodeOptions
from verbatim.engine.local import LocalEngine
from verbatim.engine.protocol import LoadOptions
from verbatim.engine.weights import read_weights
from verbatim.stages.error_rate import edit_distance

RATE = 16_000
MACHINE = Machine("A Processor", (), 2, 16 << 30, (), "Linux 6, Python 3.11.7", "2026-01-02")
SPEECH = LiveSpeech(
    "en",
    np.zeros(8 * RATE, np.int16),
    (
        TrueSentence(1.0, 2.0, "Hello there.", np.inf, 2.0),
        TrueSentence(4.0, 6.0, "How are you?", 2.0, 1.5),
    ),
    tuple(
        TrueWord(unit, sentence, end_s)
        for unit, sentence, end_s in [
            ("hello", 0, 1.5),
            ("there", 0, 2.0),
            ("how", 1, 4.5),
            ("are", 1, 5.0),
            ("you", 1, 6.0),
        ]
    ),
)
TOLD = (
    Told(1.4, "", " Hollow"),
    Told(1.9, "", " Hello"),
    Told(2.3, "Hello", " there"),
    Told(2.6, "Hello there.", ""),
    Told(4.7, "Hello there.", " How"),
    Told(5.4, "Hello there. How", " are"),
    Told(6.7, "Hello there. How are you?", ""),
)
units = st.lists(st.sampled_from("abc"), max_size=8)


def test_what_is_told_becomes_figures() -> None:
    found = figures(SPEECH, Played(TOLD, (0.1,), (0.02,)))
    assert found.first_partials_s == pytest.approx((0.4, 0.7))
    assert found.shown_lags_s == pytest.approx((0.4, 0.3, 0.2, 0.4, 0.7))
    assert found.commit_lags_s == pytest.approx((0.8, 0.6, 0.9, 1.7, 0.7))
    assert found.finals_s == pytest.approx((0.6, 0.7))
    assert (found.endpoint_delays_s, found.commit_delays_s) == ((0.1,), (0.02,))
    assert (found.words, found.committed_changed, found.shown_changed) == (5, 0, 1)
    assert (found.errors, found.spoken) == (0, 5)


def test_what_is_never_told_is_an_error() -> None:
    found = figures(SPEECH, Played(TOLD[:4]))
    assert (found.errors, found.spoken) == (3, 5)
    assert len(found.first_partials_s) == len(found.finals_s) == 1
    nothing = figures(SPEECH, Played(()))
    assert (nothing.errors, nothing.words, nothing.shown_lags_s) == (5, 0, ())


def test_a_committed_word_that_is_taken_back_is_counted() -> None:
    told = (Told(1.0, "Hello", ""), Told(2.0, "Hollow there", ""))
    found = figures(SPEECH, Played(told))
    assert (found.committed_changed, found.shown_changed) == (1, 1)


def test_a_word_stands_from_when_it_and_all_before_it_stay() -> None:
    told = [Told(float(place), "", "") for place in range(4)]
    texts = [["a", "b"], ["x", "b"], ["a"], ["a", "b", "c"]]
    assert standing_since(told, texts, texts[-1]) == [2.0, 3.0, 3.0]


@given(units, units)
def test_what_is_matched_is_a_longest_common_subsequence(one: list[str], other: list[str]) -> None:
    pairs = matched(one, other)
    assert all(one[i] == other[j] for i, j in pairs)
    assert all(a[0] < b[0] and a[1] < b[1] for a, b in itertools.pairwise(pairs))
    # The distance without replacements is what is left of both; with them it is no longer.
    rest = len(one) + len(other) - 2 * len(pairs)
    assert rest / 2 <= edit_distance(one, other) <= rest


def test_adding_words_takes_nothing_back() -> None:
    assert taken_back([["a"], ["a", "b"], ["c", "a", "b"], ["c", "b"]]) == 1


def test_percentiles() -> None:
    assert percentile([], 50) is None
    assert percentile([1.0, 2.0, 4.0], 50) == 2.0


def test_speech_is_whole_sentences_with_their_times() -> None:
    speech = live_speech("en", 20.0)
    assert 15.0 < speech.duration_s <= 21.6
    assert len(speech.sentences) > 3
    starts = [sentence.start_s for sentence in speech.sentences]
    assert starts == sorted(starts)
    for before, after in zip(speech.sentences, speech.sentences[1:], strict=False):
        assert before.after_s == pytest.approx(after.start_s - before.end_s)
        assert after.before_s == before.after_s
    assert speech.text.casefold().startswith(speech.words[0].unit)
    for word in speech.words:
        sentence = speech.sentences[word.sentence]
        assert sentence.start_s < word.end_s <= sentence.end_s + 0.1
    assert not speech.samples[-RATE:].any()
    # A part of a recording, then the next ones from their beginnings.
    assert live_speech("en", 20.0, first=1).text != speech.text
    assert live_speech("zh", 200.0).duration_s > 180.0


class TestEnlarged:
    def test_a_larger_shape_computes_the_same(self) -> None:
        """Through the encoder's first layer in NumPy, with int8 dequantised."""
        shape = SHAPES["base"]
        small = read_weights(DEMO_FOLDER / "model.bin")
        weights: Weights = enlarged(small, shape)
        width = len(small["encoder/layer_norm/gamma"])
        random = np.random.default_rng(0)
        residual = random.standard_normal((3, width)).astype(np.float32)
        copies = np.tile(residual, 4)[:, : shape.width]
        query = weights["encoder.blocks.0.attn.query.weight"]
        assert query.shape == (shape.width, shape.width)
        assert np.allclose(copies @ query.T, residual @ query[:, :width].T, atol=1e-4)
        out = weights["encoder.blocks.0.attn.out.weight"]
        assert np.array_equal(out[:width], out[width : 2 * width])

    def test_what_is_new_adds_nothing(self) -> None:
        weights = enlarged(read_weights(DEMO_FOLDER / "model.bin"), SHAPES["base"])
        assert np.abs(weights["decoder.blocks.5.mlp.2.weight"]).max() < 1e-4
        assert np.abs(weights["decoder.blocks.0.mlp.2.weight"]).max() > 1e-2
        assert weights["decoder.token_embedding.weight"].shape == (51865, 512)

    async def test_it_writes_the_same_text(self, tmp_path: Path) -> None:
        window = Window(live_speech("en", 6.0).samples, 0.0, DecodeOptions(language="en"))
        texts = []
        for name in (DEMO, "tiny"):
            folder = enlarged_folder(name, tmp_path)
            assert enlarged_folder(name, tmp_path) == folder
            engine = LocalEngine.load(
                folder, name, LoadOptions(device="cpu", encoder="ctranslate2")
            )
            (result,) = await engine.run([window])
            await engine.aclose()
            texts.append([segment.text for segment in result.segments])
        assert texts[0] == texts[1]
        assert len(texts[0]) > 0


SERVER = """
import sys
from http import HTTPStatus
from websockets.sync.server import serve

def talk(socket):
    heard = 0
    for data in socket:
        if not data:
            break
        heard += len(data)
    socket.send(str(heard))

def ready(socket, request):
    return socket.respond(HTTPStatus.OK, "") if request.path == "/" else None

with serve(talk, "127.0.0.1", int(sys.argv[1]), process_request=ready) as server:
    server.serve_forever()
"""


@dataclass(frozen=True)
class Echo:
    """A program that says how much audio it heard."""

    name: str = "Echo"
    commits: bool = False
    modules: tuple[str, ...] = ("websockets",)
    script: str = SERVER

    def command(self, model: Path, port: int, language: str) -> ServerCommand:
        return ServerCommand((sys.executable, "-c", self.script, str(port)))

    async def connect(self, port: int, language: str, *, manual: bool) -> EchoStream:
        from websockets.asyncio.client import connect  # noqa: PLC0415

        return EchoStream(await connect(f"ws://127.0.0.1:{port}/live"))


class EchoStream:
    def __init__(self, socket: object) -> None:
        self.socket = socket

    async def send(self, pcm: bytes) -> None:
        await self.socket.send(pcm)  # type: ignore[attr-defined]  # a ClientConnection

    async def commit(self) -> None:
        raise NotImplementedError

    async def finish(self) -> None:
        await self.send(b"")

    async def listen(self, began_s: float) -> Played:
        told = [Told(0.0, str(text), "") async for text in self.socket]  # type: ignore[attr-defined]
        return Played(tuple(told))


class TestPlaying:
    def test_everything_is_played_in_real_time(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("benchmarks.live_play.LATE_S", 30.0)  # the machine may be busy
        short = replace(SPEECH, samples=np.zeros(RATE, np.int16))
        with serving(Echo(), tmp_path, "en", tmp_path / "log") as server:
            run = server.play([short, short])
        assert [played.told[-1].committed for played in run.streams] == ["32000", "32000"]
        assert run.memory_bytes[0] > 0

    def test_a_player_that_is_late_measures_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("benchmarks.live_play.LATE_S", -1.0)
        short = replace(SPEECH, samples=np.zeros(RATE // 4, np.int16))
        with (
            serving(Echo(), tmp_path, "en", tmp_path / "log") as server,
            pytest.raises(ContenderError, match="late"),
        ):
            server.play([short])

    def test_a_server_that_ends_is_told(self, tmp_path: Path) -> None:
        with (
            pytest.raises(ContenderError, match="status 3"),
            serving(Echo(script="raise SystemExit(3)"), tmp_path, "en", tmp_path / "log"),
        ):
            pass

    def test_what_is_missing_is_told(self) -> None:
        assert obstacle(Verbatim()) is None
        assert "no_such_module" in str(obstacle(Echo(modules=("no_such_module",))))


def row(program: str, streams: int, lag_s: float) -> LiveRow:
    found = LiveFigures((0.4,), (lag_s,), (0.9,), (0.6,), (0.1, 0.3), (0.01,), 200, 0, 5, 2, 100)
    return LiveRow(
        program, "base", "en", streams, 60.0, 62.0, found, (1, 100), 31.0, (10**8, 10**8)
    )


def test_the_page_has_the_figures() -> None:
    results = LiveResults(MACHINE)
    for one in (
        row("Verbatim", 1, 0.5),
        row("Verbatim", 2, 0.9),
        row("Verbatim", 3, 1.1),
        row("Verbatim", 4, 0.9),
        LiveRow("Other", "base", "en", 1, 60.0, absent="it is not installed."),
    ):
        results = results.extended(one)
    text = live_report(results.extended(row("Verbatim", 3, 1.2)))
    assert "**The demo model in the shape of base**" in text
    lines = text.splitlines()
    times = next(line for line in lines if line.startswith("| Verbatim, en | 400"))
    assert times.split("|")[5:8] == [" 600 (p95 600) ", " 200 (p99 298) ", " 10 (p99 10) "]
    assert "| Verbatim | en | 0 | 2.5% | 2.0% | 1.0% |" in lines
    assert "| Verbatim, en | 60 | 3 | 0.50 | 1200 | 900 | 290 | 100 to 100 |" in lines
    assert (
        "- Verbatim: 2 streams at once with 95 % of the words standing 1 s after their end."
        in lines
    )
    assert "- Not measured: Other, one stream, en: it is not installed." in lines


def test_a_long_run_is_told_apart() -> None:
    usual = row("Verbatim", 1, 0.5)
    results = LiveResults(MACHINE, (usual, replace(usual, asked_s=600.0, seconds=600.0)))
    lines = live_report(results).splitlines()
    programs = [line.split("|")[1].strip() for line in lines if line.startswith("| Verbatim")]
    assert programs == [
        *("Verbatim, en", "Verbatim, 10 minutes, en"),
        *("Verbatim", "Verbatim, 10 minutes"),
        *("Verbatim, en", "Verbatim, 10 minutes, en"),
    ]


def test_results_are_kept(tmp_path: Path) -> None:
    results = LiveResults(MACHINE, (row("Verbatim", 1, 0.5),))
    results.save(tmp_path / "folder" / "live.json")
    assert LiveResults.load(tmp_path / "folder" / "live.json") == results


def test_figures_of_streams_add_up() -> None:
    one = row("Verbatim", 1, 0.5).figures
    assert one is not None
    both = one + one
    assert (both.words, both.endpoint_delays_s) == (400, (0.1, 0.3, 0.1, 0.3))
